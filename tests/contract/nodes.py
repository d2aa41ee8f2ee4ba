"""Nodes of a cluster, without clients, for the contract suites: on a real bus or a real Redis.

A further store is one more entry in `SHARED`.
"""

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

import pytest

from pusher_server.cluster import membership
from pusher_server.cluster.broker import SharedBroker
from pusher_server.cluster.census import SharedCensus
from pusher_server.cluster.links import StoreLink
from pusher_server.cluster.roster import SharedRoster
from pusher_server.cluster.sharding import Shards
from pusher_server.interfaces import Snapshot, Topic, Transition, members_topic
from tests.contract.stores import RedisHarness, StoreHarness, past_its_beginning, running_redis
from tests.contract.unix_harness import UnixHarness, unix
from tests.support.fakes import FakeListener
from tests.support.redis_topologies import SingleRedis
from tests.support.waiting import eventually

LEASE = 10.0
UNDO_WINDOW = 3.0
#: Seconds between renewals here, so that a test need not wait for what they bring.
BEAT = 0.02
#: Redis takes its time by the microsecond: what happened "at once" is a few of them apart.
GRAIN = 0.001
_NOWHERE = members_topic("", "nowhere")


class Store(StoreHarness, Protocol):
    """What nodes share, its clock and its accidents."""

    #: Its time in seconds.
    now: float

    async def away(self) -> None:
        """It dies."""

    async def back(self) -> None:
        """It is there again, and knows nothing."""


class UnixStore(UnixHarness):
    """The bus of a machine's workers."""

    async def away(self) -> None:
        await self.stop()

    async def back(self) -> None:
        await self.start()


class RedisStore(RedisHarness):
    """A Redis server."""

    def __init__(self, redis: SingleRedis) -> None:
        self._server = redis.server
        super().__init__(redis)

    def link(self) -> StoreLink:
        return self.made_link(lease=LEASE, undo_window=UNDO_WINDOW)

    async def away(self) -> None:
        await asyncio.to_thread(self._server.kill)

    async def back(self) -> None:
        await asyncio.to_thread(self._server.start)
        await self.wait(0)


class Peer:
    """One node: its roster, broker and census, and what they tell it."""

    def __init__(self, name: str, store: Store) -> None:
        self.name = name
        self.listener = FakeListener()
        #: Its connections by app id.
        self.connections: dict[str, int] = {}
        self.link = store.link()
        self.stores = Shards(
            [self.link],
            name,
            lease=LEASE,
            undo_window=UNDO_WINDOW,
            random=random.random,
        )
        self.roster = SharedRoster(self.stores)
        self.broker = SharedBroker(self.stores, lambda: store.now)
        self.census = SharedCensus(self.stores, lambda: self.connections)
        self._renewals = 0
        self.stores.primary.add(dict, self._renewed)
        self.stores.attach(self.listener)

    def _renewed(self, _elsewhere: Mapping[str, int], _nodes: int) -> None:
        self._renewals += 1

    async def snapshot(self, topic: Topic) -> Snapshot:
        """The topic as the listener gets it now."""
        await self.roster.replicate(topic)
        return self.listener.snapshot_of(topic)

    async def attached(self) -> None:
        """Wait until it is."""
        async with asyncio.timeout(10):
            await self.stores.primary.ready()

    async def detached(self) -> None:
        """Wait until it has noticed that the store is away."""
        await eventually(lambda: self.stores.problem is not None)

    async def flushed(self) -> None:
        """The store has done what was asked of it, and we have heard what it told before."""
        await self.roster.count(_NOWHERE)

    async def renewed(self) -> None:
        """Wait for a renewal that was sent after this call, and its answer."""
        until = self._renewals + 2
        await eventually(lambda: self._renewals >= until)

    def transitions(self, topic: Topic) -> list[Transition]:
        """What the listener has heard of a topic, in order."""
        return [each for each in self.listener.transitions if each.topic == topic]

    def changes(self, topic: Topic) -> str:
        """The same, as `+key` and `-key`."""
        return " ".join(
            f"{'+' if each.held else '-'}{each.key}" for each in self.transitions(topic)
        )


class Nodes:
    """Nodes on one store."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.peers: list[Peer] = []

    async def peer(self, name: str) -> Peer:
        """One more, attached."""
        peer = Peer(name, self.store)
        self.peers.append(peer)
        peer.stores.start()
        await peer.attached()
        return peer

    async def wait(self, seconds: float) -> None:
        """Time passes for the store, after what was asked of it; every node hears what is due then."""
        for each in self.peers:
            await each.flushed()
        await self.store.wait(seconds + GRAIN)
        for each in self.peers:
            await each.renewed()

    def kill(self, peer: Peer) -> None:
        """It is gone without a word; the store finds out when its lease ends."""
        self.peers.remove(peer)
        peer.stores.abandon()
        peer.link.close()

    async def away(self) -> None:
        """The store dies, and everybody notices."""
        await self.store.away()
        for each in self.peers:
            await each.detached()

    async def back(self) -> None:
        """The store is there again, empty, and everybody is attached."""
        await self.store.back()
        for each in self.peers:
            await each.attached()


@asynccontextmanager
async def _nodes_on(store: Store) -> AsyncIterator[Nodes]:
    await past_its_beginning(store)
    nodes, beat = Nodes(store), membership.BEAT
    membership.BEAT = BEAT
    try:
        yield nodes
    finally:
        membership.BEAT = beat
        for each in nodes.peers:
            await each.stores.stop()


@asynccontextmanager
async def on_unix() -> AsyncIterator[Nodes]:
    async with (
        unix(UnixStore, lease=LEASE, undo_window=UNDO_WINDOW) as store,
        _nodes_on(store) as nodes,
    ):
        yield nodes


@asynccontextmanager
async def on_redis() -> AsyncIterator[Nodes]:
    redis = await asyncio.to_thread(running_redis, "redis")
    assert isinstance(redis, SingleRedis)
    async with _nodes_on(RedisStore(redis)) as nodes:
        yield nodes


#: Makes nodes on a store.
Made = Callable[[], AbstractAsyncContextManager[Nodes]]
SHARED: list[tuple[str, Made]] = [("unix", on_unix), ("redis", on_redis)]
PARAMETERS = [pytest.param(made, id=name) for name, made in SHARED]
