"""The needs of a connection to the servers of `[cluster.redis]`: TLS, login, addresses, a time limit."""

import ssl
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pusher_server.config.redis import RedisSettings, RedisUrl, parse_url
from pusher_server.errors import ConfigError
from pusher_server.resolving import Resolver

R = TypeVar("R")


class Login:
    """A user's name and password. Without a password there is no login: Redis ignores a name alone."""

    __slots__ = ("_password", "_username")

    def __init__(self, username: str, password: str) -> None:
        self._username = username or "default"
        self._password = password

    @property
    def arguments(self) -> tuple[str, ...]:
        """The part of HELLO that logs in; empty without a password."""
        return ("AUTH", self._username, self._password) if self._password else ()

    def __repr__(self) -> str:
        return "Login(***)"


class RedisAccess:
    """The settings in the form that connections use. Raises ConfigError when a certificate cannot be used.

    `timeout` is how many seconds connecting may take, with login; None stands for the setting
    `connect_timeout`. `resolver` looks up names for Redis alone.
    """

    def __init__(
        self,
        settings: RedisSettings,
        *,
        resolver: Resolver | None = None,
        timeout: float | None = None,
    ) -> None:
        url = url_of(settings)
        # Addresses are not cached: after a failover a name may lead to another server, to be used at once.
        self._resolver = resolver or Resolver(found_for=0.0)
        self.addresses = url.addresses
        self.database = url.database
        self.is_cluster = settings.cluster
        self.timeout = settings.connect_timeout if timeout is None else timeout
        self.tls = tls_context(settings) if url.tls else None
        self.login = Login(settings.username or url.username, settings.password or url.password)
        self.sentinel_login = Login(settings.sentinel_username, settings.sentinel_password)

    async def reach(self, host: str, connect: Callable[[str], Awaitable[R]]) -> R:
        """Return the result of `connect` for the first address of the host for which it succeeds.

        Raises the OSError of the last address. The caller bounds the time.
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
    """Return the parts of the URL; with Sentinels the URL may be left out of the settings."""
    return parse_url(settings.url or "redis:///")


def peer_of(settings: RedisSettings) -> str:
    """Return the name of this Redis for logs and errors, without a password."""
    if settings.sentinels:
        return f"Redis {settings.sentinel_master!r}"
    return "a Redis Cluster" if settings.cluster else f"Redis at {url_of(settings).addresses[0]}"


def tls_context(settings: RedisSettings) -> ssl.SSLContext:
    """Return the TLS settings for `rediss://`. Raises ConfigError when a file cannot be used."""
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
