"""Harnesses for `test_store`: several links to one store, its clock, and its accidents.

A further store is one more entry in `HARNESSES`.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

import pytest
from msgspec.structs import replace

from pusher_server.cluster.commands import (
    AnyCommand,
    Command,
    Enter,
    Entered,
    Nothing,
    Publish,
    Remember,
    Renew,
    Renewed,
    Retire,
    Subscribe,
    Unsubscribe,
)
from pusher_server.cluster.links import LinkStats, StoreLink, StoreListener
from pusher_server.cluster.memory.store import MemoryStore
from pusher_server.cluster.redis.topology import redis_links
from pusher_server.cluster.wire import Transitioned, decode_transition
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import RosterFull
from tests.contract.unix_harness import UnixHarness, unix
from tests.support.redis_topologies import ClusterRedis, RedisTopology, SentinelRedis, SingleRedis
from tests.support.waiting import eventually

R = TypeVar("R")

LEASE = 10.0
#: Not a sum of the steps that `test_store_model` takes: leaves of one moment are microseconds apart in Redis.
UNDO_WINDOW = 3.0625
#: The clock of a Redis store as Lua, so that a test need not wait for a lease to end.
_CLOCK = """(function()
  local t = tonumber(redis.call('GET', KEYS[1] .. ':clock') or 1000000000)
  return {math.floor(t / 1000000), t % 1000000}
end)()"""


class StoreClient:
    """A link, what it was told, and the holder that it stands for."""

    def __init__(self, link: StoreLink, holder: str = "") -> None:
        self.link = link
        self.holder = holder
        self.entered = Entered("", [])
        #: The last batch that it was given, and up to which it confirms with each renewal.
        self.batch = 0
        self.confirmed = 0
        self.pushes: list[tuple[str, bytes]] = []
        self.lost: list[str] = []
        self._marks = 0
        link.attach(self)

    def on_push(self, address: str, body: bytes) -> None:
        self.pushes.append((address, body))

    def on_lost(self, reason: str) -> None:
        self.lost.append(reason)

    async def do(self, command: Command[R]) -> R:
        """The answer, or what it fails with."""
        async with asyncio.timeout(10):
            return await self.link.call(command)

    async def renew(self, **tallies: int) -> Renewed:
        told = await self.do(Renew(self.holder, self.confirmed, tallies))
        self.batch = max(self.batch, told.batch)
        return told

    async def enter(
        self, holder: str, *, succeeds: str = "", confirmed: int = 0, epoch: str = ""
    ) -> Entered:
        """Begin a lease under this name."""
        self.holder = holder
        self.entered = await self.do(Enter(holder, succeeds, confirmed, epoch))
        return self.entered

    def transitions(self, address: str) -> list[Transitioned]:
        found = (decode_transition(body) for at, body in self.pushes if at == address)
        return [each for each in found if each is not None]

    def changes(self, address: str) -> str:
        """What was heard of a topic, as `+key` and `-key`."""
        found = self.transitions(address)
        return " ".join(f"{'+' if each.held else '-'}{each.key}" for each in found)

    async def heard(self, address: str, changes: str) -> None:
        """Wait until it has heard these changes, and nothing else that was caused before this call."""
        self._marks += 1
        mark = (address, b"mark %d" % self._marks)
        await self.do(Publish(*mark))
        await eventually(lambda: mark in self.pushes)
        self.pushes.remove(mark)
        assert self.changes(address) == changes


class StoreHarness(Protocol):
    """What tests ask of a kind of store."""

    def link(self) -> StoreLink:
        """Another link, not open yet."""

    async def wait(self, seconds: float) -> None:
        """Time passes for the store."""

    async def restart_empty(self) -> None:
        """The store loses its memory and all links; it is there again when this returns."""


async def past_its_beginning(harness: StoreHarness) -> None:
    """In its first lease a store is not sure what is news."""
    client = StoreClient(harness.link())
    await client.link.open()
    await client.enter("zero.0.0")
    await harness.wait(LEASE + 0.1)
    await client.do(Retire(client.holder))
    client.link.close()


class MemoryLink(StoreLink):
    """Straight into a store of this process; answers and pushes come in later turns, in their order."""

    def __init__(self, harness: "MemoryHarness") -> None:
        self.stats = LinkStats()
        self.peer = "memory"
        self.subscribed: set[str] = set()
        self.listener: StoreListener | None = None
        self._is_open = False
        self._harness = harness

    @property
    def is_open(self) -> bool:
        return self._is_open

    def attach(self, listener: StoreListener) -> None:
        self.listener = listener

    async def open(self) -> None:
        self._is_open = True

    def close(self) -> None:
        self._is_open = False
        self.subscribed.clear()

    def call(self, command: Command[R]) -> "asyncio.Future[R]":
        answer: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        try:
            if not self.is_open:
                raise ClusterUnavailable("closed")
            answer.set_result(self._harness.execute(self, command))
        except (ClusterUnavailable, RosterFull) as error:
            answer.set_exception(error)
            answer.exception()
        return answer

    def publish(self, command: Publish | Remember) -> bool:
        if self.is_open:
            self.call(command)
        return self.is_open

    def push(self, address: str, body: bytes) -> None:
        if address in self.subscribed and self.listener is not None:
            asyncio.get_running_loop().call_soon(self.listener.on_push, address, body)

    def lose(self) -> None:
        if self.is_open and self.listener is not None:
            self.close()
            self.listener.on_lost("restarted")


class MemoryHarness:
    """The model itself."""

    def __init__(self) -> None:
        self.now = 1_000.0
        self.links: list[MemoryLink] = []
        self._epochs = itertools.count(1)
        self.store = self._made()

    def _made(self) -> MemoryStore:
        epoch = f"{next(self._epochs):x}"
        return MemoryStore(self._push, epoch=epoch, lease=LEASE, undo_window=UNDO_WINDOW)

    def _push(self, address: str, body: bytes) -> None:
        for each in self.links:
            each.push(address, body)

    def execute(self, link: MemoryLink, command: Any) -> Any:
        if isinstance(command, Subscribe):
            link.subscribed.add(command.address)
            return Nothing()
        if isinstance(command, Unsubscribe):
            link.subscribed.discard(command.address)
            return Nothing()
        asked: AnyCommand = command
        return self.store.execute(asked, self.now)

    def link(self) -> StoreLink:
        self.links.append(MemoryLink(self))
        return self.links[-1]

    async def wait(self, seconds: float) -> None:
        self.now += seconds

    async def restart_empty(self) -> None:
        self.store = self._made()
        for each in self.links:
            each.lose()


class RedisHarness:
    """The first store of a real Redis, under a prefix of its own, by a clock of its own."""

    _numbers = itertools.count(1)

    def __init__(self, redis: RedisTopology) -> None:
        self.redis = redis
        self.settings = replace(redis.settings, prefix=f"test-{next(self._numbers)}")
        self.now = 1_000.0
        self._set_clock()

    def _set_clock(self) -> None:
        command = ("SET", f"{{{self.settings.prefix}:0}}:clock", round(self.now * 1_000_000))
        if isinstance(self.redis, ClusterRedis):
            slot = self.redis.slot(prefix=self.settings.prefix)
            self.redis.owner_of(slot).ask(*command)
        else:
            self.redis.masters()[0].ask(*command)

    def link(self) -> StoreLink:
        return self.made_link(lease=LEASE, undo_window=UNDO_WINDOW)

    def made_link(self, *, lease: float, undo_window: float) -> StoreLink:
        """Another link with these periods, not open yet."""
        return redis_links(self.settings, lease=lease, undo_window=undo_window, clock=_CLOCK)[0]

    async def wait(self, seconds: float) -> None:
        self.now += seconds
        self._set_clock()

    async def restart_empty(self) -> None:
        await asyncio.to_thread(self.redis.restart, empty=True)
        await asyncio.to_thread(self._set_clock)


_running: dict[str, RedisTopology] = {}
_REDIS: dict[str, Callable[[], RedisTopology]] = {
    "redis": SingleRedis,
    "sentinel": SentinelRedis,
    "cluster": ClusterRedis,
}


def running_redis(kind: str) -> RedisTopology:
    """One for the whole session; `end_redis` ends it."""
    if kind not in _running:
        _running[kind] = _REDIS[kind]()
    return _running[kind]


def end_redis() -> None:
    """Everything that `running_redis` has started."""
    while _running:
        _running.popitem()[1].close()


@asynccontextmanager
async def memory() -> AsyncIterator[StoreHarness]:
    yield MemoryHarness()


def on_redis(kind: str) -> Callable[[], Any]:
    """A harness on this kind of Redis."""

    @asynccontextmanager
    async def harness() -> AsyncIterator[StoreHarness]:
        yield RedisHarness(await asyncio.to_thread(running_redis, kind))

    return harness


@asynccontextmanager
async def on_unix() -> AsyncIterator[StoreHarness]:
    async with unix(UnixHarness, lease=LEASE, undo_window=UNDO_WINDOW) as harness:
        yield harness


HARNESSES = [
    pytest.param(memory, id="memory"),
    pytest.param(on_unix, id="unix"),
    *(pytest.param(on_redis(kind), id=kind) for kind in _REDIS),
]
