"""Connects to one Redis server for a link: logs in, checks the server, loads the scripts."""

import asyncio
import re
from typing import Any

from hiredis import ReplyError

from pusher_server.cluster.redis.connection import Argument, RedisConnection
from pusher_server.cluster.redis.scripts import Scripts
from pusher_server.config.redis import RedisAddress
from pusher_server.errors import ClusterUnavailable
from pusher_server.redis import greeting
from pusher_server.redis.access import RedisAccess
from pusher_server.redis.errors import RedisUnavailable, why, why_no_connection, why_no_hello
from pusher_server.redis.greeting import ServerKind

_NAME = "pusher-server"


class Dialler:
    """Makes connections to the masters that discovery finds."""

    def __init__(self, access: RedisAccess, scripts: Scripts) -> None:
        self._access = access
        self._scripts = scripts

    async def dial(self, server: RedisAddress) -> RedisConnection:
        """Return a connection to a master that has our scripts. Raises ClusterUnavailable.

        It takes `access.timeout` seconds at most.
        """
        access = self._access
        connection: RedisConnection | None = None
        try:
            async with asyncio.timeout(access.timeout):
                connection = await self._connect(server)
                await self._prepare(connection)
                return connection
        except BaseException as error:
            if connection is not None:
                connection.fail("given up")
            if isinstance(error, (ClusterUnavailable, RedisUnavailable)):
                raise ClusterUnavailable(f"Redis at {server}: {error}") from None
            if isinstance(error, (OSError, UnicodeError)):
                is_tls = access.tls is not None
                reason = why_no_connection(error, server, access.timeout, tls=is_tls)
                raise ClusterUnavailable(reason) from None
            raise

    async def _connect(self, server: RedisAddress) -> RedisConnection:
        loop = asyncio.get_running_loop()
        tls = self._access.tls
        name = None if tls is None else server.host

        def make() -> RedisConnection:
            return RedisConnection(f"Redis at {server}")

        async def connect(address: str) -> RedisConnection:
            made = await loop.create_connection(
                make, address, server.port, ssl=tls, server_hostname=name
            )
            return made[1]

        if server.path:
            return (await loop.create_unix_connection(make, server.path))[1]
        return await self._access.reach(server.host, connect)

    async def _prepare(self, connection: RedisConnection) -> None:
        await self._greet(connection)
        if self._access.database:
            await _replies(connection, ("SELECT", self._access.database))
        (info,) = await _replies(connection, ("INFO", "server"))
        run_id = re.search(r"run_id:(\w+)", info if isinstance(info, str) else info.decode())
        if run_id is None:
            raise ClusterUnavailable("it does not say its run_id (INFO server)")
        connection.run_id = run_id[1]
        texts = (script.text for script in self._scripts.by_name.values())
        await _replies(connection, *(("SCRIPT", "LOAD", text) for text in texts))
        connection.watch(self._access.timeout)

    async def _greet(self, connection: RedisConnection) -> None:
        kind = ServerKind.MASTER
        try:
            (hello,) = await connection.request(
                greeting.hello(self._access, kind, protocol=3, name=_NAME)
            )
        except ClusterUnavailable as error:
            if self._access.tls is None:
                raise ClusterUnavailable(f"{error}; if it wants TLS, write rediss://") from None
            raise
        if isinstance(hello, ReplyError):
            raise ClusterUnavailable(why_no_hello(hello))
        greeting.check(hello, kind, is_cluster=self._access.is_cluster)


async def _replies(connection: RedisConnection, *commands: tuple[Argument, ...]) -> list[Any]:
    """Return the answers; unlike `request`, raise ClusterUnavailable for a refusal, too."""
    answers = await connection.request(*commands)
    for answer in answers:
        if isinstance(answer, ReplyError):
            raise ClusterUnavailable(why(answer))
    return answers
