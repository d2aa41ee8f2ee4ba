"""Connecting to one Redis server, and finding out whether it is one that we can work with."""

import asyncio
import re
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from hiredis import ReplyError

from pusher_server.cluster.redis.connection import Argument, RedisConnection
from pusher_server.cluster.redis.errors import why, why_no_connection, why_no_hello
from pusher_server.cluster.redis.scripts import Scripts
from pusher_server.config.redis import RedisAddress, RedisSettings, RedisUrl
from pusher_server.errors import ClusterUnavailable, ConfigError
from pusher_server.resolving import Resolver

#: Scripts with a shebang, and sharded publish/subscribe.
OLDEST = 7
NAME = "pusher-server"

R = TypeVar("R")


def tls_context(settings: RedisSettings) -> ssl.SSLContext:
    """For `rediss://`. Raises ConfigError when a file cannot be used."""
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


class Dialler:
    """Makes connections by one set of settings. `resolver` looks up names for them alone."""

    def __init__(
        self,
        settings: RedisSettings,
        url: RedisUrl,
        scripts: Scripts,
        resolver: Resolver | None = None,
    ) -> None:
        # Nothing is remembered: a name that leads to another server after a failover is believed at once.
        self._resolver = resolver or Resolver(found_for=0.0)
        self._timeout = settings.connect_timeout
        self._tls = tls_context(settings) if url.tls else None
        self._cluster = settings.cluster
        self._scripts = scripts
        self._database = url.database
        self._login = _login(settings.username or url.username, settings.password or url.password)
        self._sentinel_login = _login(settings.sentinel_username, settings.sentinel_password)

    async def dial(self, server: RedisAddress) -> RedisConnection:
        """A connection to a master with our scripts in it. Raises ClusterUnavailable."""
        return (await self._reach(server, self._prepare))[0]

    async def ask(
        self, server: RedisAddress, command: tuple[Argument, ...], *, sentinel: bool = False
    ) -> Any:
        """A question to a Sentinel, or to any node of a Redis Cluster. Raises ClusterUnavailable."""

        async def ask(connection: RedisConnection) -> Any:
            hello = await self._greet(connection, self._sentinel_login if sentinel else self._login)
            self._check(hello, sentinel=sentinel)
            return (await _replies(connection, command))[0]

        connection, answer = await self._reach(server, ask)
        connection.close_if_unused()
        return answer

    async def _reach(
        self, server: RedisAddress, then: Callable[[RedisConnection], Awaitable[R]]
    ) -> tuple[RedisConnection, R]:
        """Connect and go on with it, all in `connect_timeout`."""
        connection: RedisConnection | None = None
        try:
            async with asyncio.timeout(self._timeout):
                connection = await self._connect(server)
                return connection, await then(connection)
        except BaseException as error:
            if connection is not None:
                connection.fail("given up")
            if isinstance(error, ClusterUnavailable):
                raise ClusterUnavailable(f"Redis at {server}: {error}") from None
            if isinstance(error, (OSError, UnicodeError)):
                reason = why_no_connection(error, server, self._timeout, tls=self._tls is not None)
                raise ClusterUnavailable(reason) from None
            raise

    async def _connect(self, server: RedisAddress) -> RedisConnection:
        loop = asyncio.get_running_loop()

        def make() -> RedisConnection:
            return RedisConnection(f"Redis at {server}")

        if server.path:
            return (await loop.create_unix_connection(make, server.path))[1]
        problem: OSError | None = None
        name = server.host if self._tls is not None else None
        for address in await self._resolver.addresses(server.host):
            try:
                made = await loop.create_connection(
                    make, address, server.port, ssl=self._tls, server_hostname=name
                )
            except OSError as error:
                problem = error
            else:
                return made[1]
        raise problem or OSError("its host has no address")

    async def _greet(self, connection: RedisConnection, login: tuple[Argument, ...]) -> Any:
        try:
            (hello,) = await connection.ask(("HELLO", 3, *login, "SETNAME", NAME))
        except ClusterUnavailable as error:
            if self._tls is None:
                raise ClusterUnavailable(f"{error}; if it wants TLS, write rediss://") from None
            raise
        if isinstance(hello, ReplyError):
            raise ClusterUnavailable(why_no_hello(hello))
        return hello

    async def _prepare(self, connection: RedisConnection) -> None:
        if self._check(await self._greet(connection, self._login)) != "master":
            raise ClusterUnavailable("it is a replica")
        if self._database:
            await _replies(connection, ("SELECT", self._database))
        (info,) = await _replies(connection, ("INFO", "server"))
        run_id = re.search(r"run_id:(\w+)", info if isinstance(info, str) else info.decode())
        if run_id is None:
            raise ClusterUnavailable("it does not say its run_id (INFO server)")
        connection.run_id = run_id[1]
        texts = (script.text for script in self._scripts.by_name.values())
        await _replies(connection, *(("SCRIPT", "LOAD", text) for text in texts))
        connection.watch(self._timeout)

    def _check(self, hello: Any, *, sentinel: bool = False) -> str:
        """The server's role. Raises ClusterUnavailable when it is not what the settings say."""
        try:
            version, mode = (str(hello[name], "ascii") for name in (b"version", b"mode"))
            role = str(hello.get(b"role", b""), "ascii")  # Sentinels have none
            major = int(version.partition(".")[0])
        except (LookupError, TypeError, ValueError, AttributeError):
            raise ClusterUnavailable("what answers is not Redis") from None
        if major < OLDEST:
            raise ClusterUnavailable(f"Redis {OLDEST} or newer is needed, this is {version}")
        if sentinel != (mode == "sentinel"):
            raise ClusterUnavailable(f"it is {'no' if sentinel else 'a'} Sentinel")
        if sentinel or self._cluster == (mode == "cluster"):
            return role
        if self._cluster:
            raise ClusterUnavailable(
                "it is no node of a Redis Cluster; see cluster in [cluster.redis]"
            )
        raise ClusterUnavailable("it is a Redis Cluster; write cluster = true in [cluster.redis]")


def _login(username: str, password: str) -> tuple[Argument, ...]:
    return ("AUTH", username or "default", password) if password else ()


async def _replies(connection: RedisConnection, *commands: tuple[Argument, ...]) -> list[Any]:
    """Raises ClusterUnavailable for what Redis refuses, too."""
    answers = await connection.ask(*commands)
    for answer in answers:
        if isinstance(answer, ReplyError):
            raise ClusterUnavailable(why(answer))
    return answers
