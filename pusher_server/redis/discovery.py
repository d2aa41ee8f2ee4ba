"""Finds the servers with the data: the master that Sentinels name, the owners of a Redis Cluster's slots.

redis-py sends the queries, each on a connection of its own. The cluster's links and redis-py's own clients
both use the rules of this module.
"""

import asyncio
from collections import Counter
from typing import Any

from redis.exceptions import RedisError

from pusher_server.config.redis import RedisAddress
from pusher_server.redis.access import RedisAccess
from pusher_server.redis.connection import SILENT, GreetingConnection, why_failed
from pusher_server.redis.errors import RedisUnavailable, why_no_connection
from pusher_server.redis.greeting import ServerKind
from pusher_server.redis.joined import Joined

SLOTS = 16_384
_NAME = "pusher-server"
#: Errors of parsing an answer that does not have the form that Redis documents.
_UNEXPECTED = (TypeError, ValueError, LookupError, AttributeError)


class SentinelMaster:
    """Finds the master that the Sentinels name, with new queries for each connection.

    A Sentinel that was cut off may name the old master. So the master is the server that more than half of the
    Sentinels name. When fewer of them answer, it is the server that most of these name. All Sentinels are
    queried at once. `greeting.check` refuses a server that has become a replica, and Sentinel cuts the
    connections of one that it demotes.
    """

    def __init__(
        self, access: RedisAccess, sentinels: tuple[RedisAddress, ...], master: str
    ) -> None:
        self._access = access
        self._sentinels = sentinels
        self._master = master
        self._joined = Joined(self._find)

    async def find(self) -> RedisAddress:
        """Return the current master. Raises RedisUnavailable, after `access.timeout` seconds at most."""
        return await self._joined()

    async def _find(self) -> RedisAddress:
        votes: Counter[RedisAddress] = Counter()
        problems: list[str] = []
        queries = [asyncio.create_task(self._query(sentinel)) for sentinel in self._sentinels]
        try:
            for answer in asyncio.as_completed(queries):
                try:
                    server = await answer
                except RedisUnavailable as error:
                    problems.append(str(error))
                    continue
                votes[server] += 1
                if votes[server] > len(queries) / 2:
                    return server
        finally:
            for query in queries:
                query.cancel()
            await asyncio.gather(*queries, return_exceptions=True)
        if votes:
            return votes.most_common(1)[0][0]
        raise RedisUnavailable("no Sentinel can be asked: " + "; ".join(problems))

    async def _query(self, sentinel: RedisAddress) -> RedisAddress:
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master)
        answer = await send_query(self._access, sentinel, ServerKind.SENTINEL, *command)
        if answer is None:
            raise RedisUnavailable(f"the Sentinel at {sentinel} knows no master {self._master!r}")
        try:
            return RedisAddress(answer[0].decode(), int(answer[1]))
        except _UNEXPECTED:
            raise RedisUnavailable(f"the Sentinel at {sentinel} names no address") from None


class SlotOwners:
    """Finds the masters of a Redis Cluster by slot, with a new query for each connection.

    `seeds` are nodes of the Redis Cluster.
    """

    def __init__(self, access: RedisAccess, seeds: tuple[RedisAddress, ...]) -> None:
        self._access = access
        self._seeds = seeds
        #: (first slot, last slot, master), as a node answered to the last query.
        self._owners: list[tuple[int, int, RedisAddress]] = []
        # Links that were lost together share one query.
        self._joined = Joined(self._query_slots)

    async def owner(self, slot: int) -> RedisAddress:
        """Return the current master of the slot. Raises RedisUnavailable."""
        await self._joined()
        for first, last, server in self._owners:
            if first <= slot <= last:
                return server
        raise RedisUnavailable(f"nobody in the Redis Cluster serves slot {slot}")

    async def _query_slots(self) -> None:
        """Query one node after the other until one answers; each has `access.timeout` seconds at most."""
        masters = (server for _, _, server in self._owners)
        problems: list[str] = []
        for server in dict.fromkeys([*masters, *self._seeds]):
            try:
                rows = await send_query(self._access, server, ServerKind.NODE, "CLUSTER", "SLOTS")
                self._owners = [_owner(row, server) for row in rows[:SLOTS]]
            except RedisUnavailable as error:
                problems.append(str(error))
            except _UNEXPECTED:
                problems.append(f"Redis at {server} does not tell its slots")
            else:
                return
        raise RedisUnavailable("; ".join(problems))


def _owner(row: Any, source: RedisAddress) -> tuple[int, int, RedisAddress]:
    """Parse a row of CLUSTER SLOTS that `source` sent. A node that does not know its own host leaves it out."""
    first, last, (host, port, *_), *_ = row
    name = "" if host is None else host.decode()
    server = RedisAddress(source.host if name in {"", "?"} else name, int(port))
    return int(first), int(last), server


async def send_query(
    access: RedisAccess, server: RedisAddress, kind: ServerKind, *command: str
) -> Any:
    """Return the answer to one command, on a connection of its own, in `access.timeout` seconds at most.

    Texts of the answer are bytes. Raises RedisUnavailable.
    """
    connection = GreetingConnection(
        access=access,
        kind=kind,
        name=_NAME,
        host=server.host,
        port=server.port,
        path=server.path,
        socket_timeout=None,
        socket_connect_timeout=None,
        **SILENT,
    )
    try:
        async with asyncio.timeout(access.timeout):
            await connection.connect()  # type: ignore[no-untyped-call] # redis-py's
            return await _answer(connection, *command)
    except TimeoutError as error:
        is_tls = access.tls is not None
        reason = why_no_connection(error, server, access.timeout, tls=is_tls)
        raise RedisUnavailable(reason) from None
    except RedisError as error:
        raise RedisUnavailable(str(error)) from None
    finally:
        await connection.disconnect(nowait=True)


async def _answer(connection: GreetingConnection, *command: str) -> Any:
    try:
        await connection.send_command(*command)
        return await connection.read_response()
    except RedisError as error:
        raise RedisUnavailable(f"Redis at {connection.server}: {why_failed(error)}") from None
