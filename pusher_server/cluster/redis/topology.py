"""Which stores there are and where they live: one server, the master that Sentinels know, a Redis Cluster."""

import asyncio
from binascii import crc_hqx
from collections import Counter
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

from pusher_server.cluster.links import StoreLink
from pusher_server.cluster.redis.connection import RedisConnection
from pusher_server.cluster.redis.dialing import Dialler
from pusher_server.cluster.redis.link import RedisLink
from pusher_server.cluster.redis.scripts import SERVER_CLOCK, Scripts
from pusher_server.config.redis import RedisAddress, RedisSettings, parse_url
from pusher_server.errors import ClusterUnavailable

#: Stores of a Redis Cluster, each in one slot. All nodes must agree on it, so it is not a setting; with 32 the
#: fullest of 3 masters has some 15 of them, and a node keeps as many leases as there are stores.
STORES = 32
SLOTS = 16_384
#: Seconds after which a connection that nobody has taken is closed.
UNUSED = 1.0

R = TypeVar("R")


class SingleServer:
    """A server that stays where it is."""

    def __init__(self, dialler: Dialler, server: RedisAddress) -> None:
        self._dialler = dialler
        self._server = server

    async def connect(self) -> RedisConnection:
        """Raises ClusterUnavailable."""
        return await self._dialler.dial(self._server)


class WatchedMaster:
    """The master that the Sentinels name, asked anew for each connection.

    A Sentinel that was cut off may name the old master: what more than half of them say counts, and when
    fewer answer, what most of these say. A master that has become a replica refuses us (`Dialler`), and
    Sentinel cuts the connections of one that it demotes.
    """

    def __init__(self, dialler: Dialler, sentinels: tuple[RedisAddress, ...], master: str) -> None:
        self._dialler = dialler
        self._sentinels = sentinels
        self._master = master

    async def connect(self) -> RedisConnection:
        """Raises ClusterUnavailable."""
        return await self._dialler.dial(await self._find())

    async def _find(self) -> RedisAddress:
        named: Counter[RedisAddress] = Counter()
        problems: list[str] = []
        asked = [asyncio.create_task(self._ask(each)) for each in self._sentinels]
        try:
            for answer in asyncio.as_completed(asked):
                try:
                    server = await answer
                except ClusterUnavailable as error:
                    problems.append(str(error))
                    continue
                named[server] += 1
                if named[server] > len(asked) / 2:
                    return server
        finally:
            for each in asked:
                each.cancel()
            await asyncio.gather(*asked, return_exceptions=True)
        if named:
            return named.most_common(1)[0][0]
        raise ClusterUnavailable("no Sentinel can be asked: " + "; ".join(problems))

    async def _ask(self, sentinel: RedisAddress) -> RedisAddress:
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._master)
        answer = await self._dialler.ask(sentinel, command, sentinel=True)
        if answer is None:
            raise ClusterUnavailable(f"the Sentinel at {sentinel} knows no master {self._master!r}")
        try:
            return RedisAddress(answer[0].decode(), int(answer[1]))
        except (TypeError, ValueError, LookupError, AttributeError):
            raise ClusterUnavailable(f"the Sentinel at {sentinel} names no address") from None


class RedisCluster:
    """The masters of a Redis Cluster, with one connection to each for all stores that live there."""

    def __init__(self, dialler: Dialler, seeds: tuple[RedisAddress, ...]) -> None:
        self._dialler = dialler
        self._seeds = seeds
        #: First slot, last slot, master: as some node has last told it.
        self._owners: list[tuple[int, int, RedisAddress]] = []
        self._refreshing: asyncio.Task[None] | None = None
        self._dialling: dict[RedisAddress, asyncio.Task[RedisConnection]] = {}
        self._connections: dict[RedisAddress, RedisConnection] = {}

    async def connect(self, slot: int) -> RedisConnection:
        """To the master that has the slot now. Raises ClusterUnavailable."""
        await self._refresh()
        for first, last, server in self._owners:
            if first <= slot <= last:
                return await self._connection(server)
        raise ClusterUnavailable(f"nobody in the Redis Cluster serves slot {slot}")

    async def _refresh(self) -> None:
        """Stores that were lost together ask together."""
        if self._refreshing is None or self._refreshing.done():
            self._refreshing = _started(self._ask_for_slots())
        await asyncio.shield(self._refreshing)

    async def _ask_for_slots(self) -> None:
        masters = (server for _, _, server in self._owners)
        problems: list[str] = []
        for server in dict.fromkeys([*masters, *self._seeds]):
            try:
                answer = await self._dialler.ask(server, ("CLUSTER", "SLOTS"))
                self._owners = [_owner(each, server) for each in answer]
            except ClusterUnavailable as error:
                problems.append(str(error))
            except (TypeError, ValueError, LookupError, AttributeError):
                problems.append(f"Redis at {server} does not tell its slots")
            else:
                return
        raise ClusterUnavailable("; ".join(problems))

    async def _connection(self, server: RedisAddress) -> RedisConnection:
        connection = self._connections.get(server)
        if connection is not None and connection.is_open:
            return connection
        if server not in self._dialling:
            self._dialling[server] = _started(self._dial(server))
        return await asyncio.shield(self._dialling[server])

    async def _dial(self, server: RedisAddress) -> RedisConnection:
        try:
            connection = await self._dialler.dial(server)
        finally:
            del self._dialling[server]
        self._connections[server] = connection
        # Who asked for it may have given up.
        asyncio.get_running_loop().call_later(UNUSED, connection.close_if_unused)
        return connection


def _started(work: Coroutine[Any, Any, R]) -> asyncio.Task[R]:
    """Whoever waits may give up; that the last one did is no reason for asyncio to complain."""
    task = asyncio.create_task(work)
    task.add_done_callback(lambda done: done.cancelled() or done.exception())
    return task


def _owner(row: Any, asked: RedisAddress) -> tuple[int, int, RedisAddress]:
    """Of a row of CLUSTER SLOTS. A node that does not know its own host leaves it out."""
    first, last, (host, port, *_), *_ = row
    name = "" if host is None else host.decode()
    return first, last, RedisAddress(asked.host if name in {"", "?"} else name, port)


def redis_links(
    settings: RedisSettings, *, lease: float, undo_window: float, clock: str = SERVER_CLOCK
) -> list[StoreLink]:
    """One link for each store: 32 in a Redis Cluster, else one. Raises ConfigError.

    `lease` and `undo_window` are seconds and must be the same on all nodes. `clock` is for tests.
    """
    url = parse_url(settings.url or "redis:///")
    scripts = Scripts(lease=lease, undo_window=undo_window, sharded=settings.cluster, clock=clock)
    dialler = Dialler(settings, url, scripts)
    if not settings.cluster:
        base = f"{{{settings.prefix}:{url.database}}}"
        if settings.sentinels:
            master = WatchedMaster(dialler, settings.sentinel_addresses, settings.sentinel_master)
            peer = f"Redis {settings.sentinel_master!r}"
            return [RedisLink(base, scripts, master.connect, peer=peer)]
        server = SingleServer(dialler, url.addresses[0])
        return [RedisLink(base, scripts, server.connect, peer=f"Redis at {url.addresses[0]}")]
    cluster = RedisCluster(dialler, url.addresses)
    return [_link_of(cluster, scripts, f"{settings.prefix}:{number}") for number in range(STORES)]


def _link_of(cluster: RedisCluster, scripts: Scripts, tag: str) -> StoreLink:
    connect = partial(cluster.connect, crc_hqx(tag.encode(), 0) % SLOTS)
    return RedisLink(f"{{{tag}}}", scripts, connect, peer="a Redis Cluster", sharded=True)
