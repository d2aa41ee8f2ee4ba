"""redis-py's connection, with the look-up of names, TLS, login and check of the server that our own one has.

It overrides members of redis-py 8 that its documentation does not name; `tests/edge/test_redis_client.py`
tests them.
"""

import asyncio
from collections.abc import Mapping
from typing import Any

from redis.asyncio.connection import Connection
from redis.asyncio.sentinel import SentinelManagedConnection
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse, RedisError, ResponseError

from pusher_server.config.redis import RedisAddress
from pusher_server.redis import greeting
from pusher_server.redis.access import RedisAccess
from pusher_server.redis.errors import RedisUnavailable, why, why_no_connection, why_no_hello
from pusher_server.redis.greeting import ServerKind

#: Options with which redis-py itself sends nothing after connecting: no login, no name, no version of its own.
SILENT: Mapping[str, Any] = {"protocol": 2, "driver_info": None}


class GreetingConnection(Connection):
    """A connection to a server of the given kind, made with the TLS, login and time limit of `access`.

    CLIENT LIST shows `name`. `path` is the path of a Unix socket, or empty. Raises redis-py's errors, with
    texts of `errors`.
    """

    def __init__(
        self,
        *,
        access: RedisAccess,
        kind: ServerKind,
        name: str,
        path: str = "",
        database: int = 0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._access = access
        self._kind = kind
        self._name = name
        self._path = path
        self._database = database
        self._address = ""

    @property
    def server(self) -> RedisAddress:
        """The address of the server; redis-py changes it when the Sentinels name another master."""
        return RedisAddress(path=self._path) if self._path else RedisAddress(self.host, self.port)

    async def _connect(self) -> None:
        """Connect as redis-py does, but to each address of the host in turn."""
        timeout = self.socket_connect_timeout
        try:
            async with asyncio.timeout(timeout):
                if self._path:
                    streams = await asyncio.open_unix_connection(self._path)
                    self._reader, self._writer = streams
                else:
                    await self._access.reach(self.host, self._connect_to)
        except (OSError, UnicodeError) as error:
            tls = self._access.tls is not None
            seconds = self._access.timeout if timeout is None else timeout
            reason = why_no_connection(error, self.server, seconds, tls=tls)
            raise RedisConnectionError(reason) from None

    async def _connect_to(self, address: str) -> None:
        self._address = address
        await super()._connect()  # type: ignore[no-untyped-call] # redis-py's

    def _connection_arguments(self) -> Mapping[str, Any]:
        tls = self._access.tls
        name = None if tls is None else self.host
        return {"host": self._address, "port": self.port, "ssl": tls, "server_hostname": name}

    async def on_connect_check_health(self, check_health: bool = True) -> None:
        """Log in, and refuse a server that is not of the expected kind."""
        await super().on_connect_check_health(check_health=False)
        try:
            await self._greet()
        except RedisUnavailable as error:
            raise RedisConnectionError(f"Redis at {self.server}: {error}") from None

    async def _greet(self) -> None:
        command = greeting.hello(self._access, self._kind, protocol=2, name=self._name)
        try:
            answer = await self._answer(*command)
        except InvalidResponse:
            raise RedisUnavailable(
                f"what answers there does not speak Redis's protocol{self._hint}"
            ) from None
        except RedisError as error:
            if text := refusal_of(error):
                raise RedisUnavailable(why_no_hello(text)) from None
            raise RedisUnavailable(f"{error}{self._hint}") from None
        greeting.check(answer, self._kind, is_cluster=self._access.is_cluster)
        if self._database:
            try:
                await self._answer("SELECT", str(self._database))
            except RedisError as error:
                raise RedisUnavailable(why_failed(error)) from None

    @property
    def _hint(self) -> str:
        return "" if self._access.tls is not None else "; if it wants TLS, write rediss://"

    async def _answer(self, *command: str) -> Any:
        await self.send_command(*command, check_health=False)
        return await self.read_response()


class SentinelConnection(SentinelManagedConnection, GreetingConnection):
    """A GreetingConnection to the master that its pool finds."""


def refusal_of(error: RedisError) -> str:
    """Return the error as Redis sent it, with its code; "" when Redis did not send it."""
    if error.status_code:
        return f"{error.status_code} {error}"
    return str(error) if isinstance(error, ResponseError) else ""


def why_failed(error: RedisError) -> str:
    """Return the text for operators of an error of redis-py."""
    refusal = refusal_of(error)
    return why(refusal) if refusal else str(error) or type(error).__name__
