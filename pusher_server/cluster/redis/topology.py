"""Makes a link for each store, and finds the server that each link dials."""

import asyncio
from binascii import crc_hqx
from collections.abc import Awaitable
from functools import partial

from pusher_server.cluster.links import StoreLink
from pusher_server.cluster.redis.connection import RedisConnection
from pusher_server.cluster.redis.dialing import Dialler
from pusher_server.cluster.redis.link import RedisLink
from pusher_server.cluster.redis.scripts import SERVER_CLOCK, Scripts
from pusher_server.config.redis import RedisAddress, RedisSettings
from pusher_server.errors import ClusterUnavailable
from pusher_server.redis.access import RedisAccess, peer_of
from pusher_server.redis.discovery import SLOTS, SentinelMaster, SlotOwners
from pusher_server.redis.errors import RedisUnavailable
from pusher_server.redis.joined import Joined

#: Number of stores in a Redis Cluster, each in one slot. All nodes must use the same number, so it is not a
#: setting. With 32 the fullest of 3 masters has some 15 of them, and a node keeps one lease for each store.
STORES = 32
#: Seconds after which a connection without a user is closed.
UNUSED = 1.0


class WatchedMaster:
    """Connects to the master that the Sentinels name."""

    def __init__(self, dialler: Dialler, master: SentinelMaster) -> None:
        self._dialler = dialler
        self._master = master

    async def connect(self) -> RedisConnection:
        """Return a new connection to the current master. Raises ClusterUnavailable."""
        return await self._dialler.dial(await _address(self._master.find()))


class RedisCluster:
    """Connects to the masters of a Redis Cluster; all stores of a master share one connection to it."""

    def __init__(self, dialler: Dialler, owners: SlotOwners) -> None:
        self._dialler = dialler
        self._owners = owners
        self._dials: dict[RedisAddress, Joined[RedisConnection]] = {}
        self._connections: dict[RedisAddress, RedisConnection] = {}

    async def connect(self, slot: int) -> RedisConnection:
        """Return a connection to the current master of the slot. Raises ClusterUnavailable."""
        server = await _address(self._owners.owner(slot))
        connection = self._connections.get(server)
        if connection is not None and connection.is_open:
            return connection
        return await self._dials.setdefault(server, Joined(partial(self._dial, server)))()

    async def _dial(self, server: RedisAddress) -> RedisConnection:
        try:
            connection = await self._dialler.dial(server)
        finally:
            del self._dials[server]
        self._connections[server] = connection
        # All callers may have given up meanwhile.
        asyncio.get_running_loop().call_later(UNUSED, connection.close_if_unused)
        return connection


async def _address(server: Awaitable[RedisAddress]) -> RedisAddress:
    """Return the result of discovery; raise its RedisUnavailable as ClusterUnavailable."""
    try:
        return await server
    except RedisUnavailable as error:
        raise ClusterUnavailable(str(error)) from None


def redis_links(
    settings: RedisSettings, *, lease: float, undo_window: float, clock: str = SERVER_CLOCK
) -> list[StoreLink]:
    """Return one link for each store: 32 in a Redis Cluster, else one. Raises ConfigError.

    `lease` and `undo_window` are seconds and must be the same on all nodes. `clock` is for tests.
    """
    access = RedisAccess(settings)
    scripts = Scripts(lease=lease, undo_window=undo_window, sharded=settings.cluster, clock=clock)
    dialler = Dialler(access, scripts)
    peer = peer_of(settings)
    if settings.cluster:
        cluster = RedisCluster(dialler, SlotOwners(access, access.addresses))
        tags = (f"{settings.prefix}:{number}" for number in range(STORES))
        return [_link_of(cluster, scripts, tag, peer) for tag in tags]
    base = f"{{{settings.prefix}:{access.database}}}"
    if settings.sentinels:
        master = SentinelMaster(access, settings.sentinel_addresses, settings.sentinel_master)
        return [RedisLink(base, scripts, WatchedMaster(dialler, master).connect, peer=peer)]
    connect = partial(dialler.dial, access.addresses[0])
    return [RedisLink(base, scripts, connect, peer=peer)]


def _link_of(cluster: RedisCluster, scripts: Scripts, tag: str, peer: str) -> StoreLink:
    connect = partial(cluster.connect, crc_hqx(tag.encode(), 0) % SLOTS)
    return RedisLink(f"{{{tag}}}", scripts, connect, peer=peer, sharded=True)
