"""What a connection to the servers of `[cluster.redis]` needs: TLS, login, addresses of names, a time limit."""

import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pusher_server.config.redis import RedisSettings, RedisUrl, parse_url
from pusher_server.errors import ConfigError
from pusher_server.resolving import Resolver

R = TypeVar("R")


class Login:
    """A user's name and password. Without a password there is nothing to say: a name alone means nothing."""

    __slots__ = ("_password", "_username")

    def __init__(self, username: str, password: str) -> None:
        self._username = username or "default"
        self._password = password

    @property
    def arguments(self) -> tuple[str, ...]:
        """The part of HELLO that logs in."""
        return ("AUTH", self._username, self._password) if self._password else ()

    def __repr__(self) -> str:
        return "Login(***)"


class RedisAccess:
    """The settings, as connections use them. Raises ConfigError when a certificate cannot be used.

    `timeout` is how many seconds connecting may take, with login; None is what the settings say. `resolver`
    looks up names for Redis alone.
    """

    def __init__(
        self,
        settings: RedisSettings,
        *,
        resolver: Resolver | None = None,
        timeout: float | None = None,
    ) -> None:
        url = url_of(settings)
        # Nothing is remembered: a name that leads to another server after a failover is believed at once.
        self._resolver = resolver or Resolver(found_for=0.0)
        self.addresses = url.addresses
        self.database = url.database
        self.is_cluster = settings.cluster
        self.timeout = settings.connect_timeout if timeout is None else timeout
        self.tls = tls_context(settings) if url.tls else None
        self.login = Login(settings.username or url.username, settings.password or url.password)
        self.sentinel_login = Login(settings.sentinel_username, settings.sentinel_password)

    async def reach(self, host: str, connect: Callable[[str], Awaitable[R]]) -> R:
        """The result of `connect` with the first address of a host for which it succeeds.

        Raises the last one's OSError. The caller bounds the time.
        """
        problem: OSError | None = None
        for address in await self._resolver.addresses(host):
            try:
                return await connect(address)
            except OSError as error:
                problem = error
        raise problem or OSError("its host has no address")

    def __repr__(self) -> str:
        return f"RedisAccess(addresses={self.addresses!r}, tls={self.tls is not None!r}, ***)"


def url_of(settings: RedisSettings) -> RedisUrl:
    """The URL's parts; beside Sentinels the URL may be left out."""
    return parse_url(settings.url or "redis:///")


def peer_of(settings: RedisSettings) -> str:
    """What operators call this Redis, without a password."""
    if settings.sentinels:
        return f"Redis {settings.sentinel_master!r}"
    return "a Redis Cluster" if settings.cluster else f"Redis at {url_of(settings).addresses[0]}"


def tls_context(settings: RedisSettings) -> ssl.SSLContext:
    """TLS for `rediss://`. Raises ConfigError when a file cannot be used."""
    try:
        context = ssl.create_default_context(cafile=settings.ca_certificate or None)
    except (OSError, ssl.SSLError) as error:
        problem = f"{settings.ca_certificate} cannot be used: {error.strerror or error}"
        raise ConfigError("cluster.redis.ca_certificate", problem) from None
    if settings.certificate:
        try:
            context.load_cert_chain(settings.certificate, settings.key)
        except (OSError, ssl.SSLError) as error:
            problem = (
                f"{settings.certificate} and its key cannot be used: {error.strerror or error}"
            )
            raise ConfigError("cluster.redis.certificate", problem) from None
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
