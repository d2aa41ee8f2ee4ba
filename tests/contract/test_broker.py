"""What every Broker promises (`interfaces.Broker`).

A further implementation is one more entry in `FACTORIES`: a context manager that makes a `Bench`. What shows
only between nodes (delivery, its order), or while a store is away, is in `test_nodes`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from pusher_server.cluster.local import LocalBroker
from pusher_server.interfaces import (
    CONTROL,
    Broker,
    CachedEvent,
    EventMessage,
    Retention,
    TerminateMessage,
    Topic,
    channel_topic,
)
from tests.contract.nodes import Made, on_redis, on_unix
from tests.support.fakes import FakeClock
from tests.support.waiting import eventually

TOPIC = channel_topic("1", "cache-x")
#: A time to live in Redis passes really: short enough to wait for, long enough for a busy machine.
REDIS_SECOND = 0.4


class Bench:
    """A broker. `wait` lets time pass; the unit of its time to live is `second`."""

    def __init__(
        self, broker: Broker, wait: Callable[[float], Awaitable[None]], second: float = 1.0
    ) -> None:
        self.broker = broker
        self.wait = wait
        self.second = second
        self._events = 0

    def publish(
        self, data: str, topic: Topic = TOPIC, ttl: float | None = 60.0, limit: int = 0
    ) -> int:
        """Publish an event, to be remembered unless `ttl` is None; its number."""
        self._events += 1
        message = EventMessage(payload=f"<{data}>".encode(), event_id=self._events)
        retention = None if ttl is None else Retention(data.encode(), ttl * self.second, limit)
        self.broker.publish(topic, message, remember=retention)
        return self._events

    async def data(self, topic: Topic = TOPIC) -> str | None:
        """What is remembered."""
        cached = await self.broker.cached(topic)
        return None if cached is None else cached.data.decode()

    async def remembers(self, data: str | None, topic: Topic = TOPIC) -> None:
        """Wait until exactly this is remembered."""

        async def check() -> bool:
            return await self.data(topic) == data

        await eventually(check)


@asynccontextmanager
async def local() -> AsyncIterator[Bench]:
    clock = FakeClock()

    async def wait(seconds: float) -> None:
        clock.advance(seconds)

    yield Bench(LocalBroker(clock), wait)


def shared(made: Made, *, second: float = 1.0) -> Callable[[], AbstractAsyncContextManager[Bench]]:
    """The only node on a store, which keeps the time; in Redis that is the real one."""

    @asynccontextmanager
    async def bench() -> AsyncIterator[Bench]:
        async with made() as nodes:
            node = await nodes.peer("node")
            yield Bench(node.broker, nodes.wait if second == 1.0 else asyncio.sleep, second)

    return bench


FACTORIES = [
    pytest.param(local, id="local"),
    pytest.param(shared(on_unix), id="unix"),
    pytest.param(shared(on_redis, second=REDIS_SECOND), id="redis"),
]


@pytest.fixture(params=FACTORIES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    async with request.param() as made:
        yield made


async def test_nothing_is_remembered_of_what_was_never_published(bench: Bench) -> None:
    assert await bench.broker.cached(TOPIC) is None


async def test_a_remembered_event_comes_back_whole(bench: Bench) -> None:
    event_id = bench.publish("a", ttl=60)
    await bench.remembers("a")
    cached = await bench.broker.cached(TOPIC)
    assert cached is not None
    assert 0 < cached.ttl <= 60 * bench.second
    assert cached == CachedEvent(payload=b"<a>", data=b"a", event_id=event_id, ttl=cached.ttl)


async def test_the_last_event_replaces_the_one_before(bench: Bench) -> None:
    for data in "abc":
        bench.publish(data)
    await bench.remembers("c")


async def test_an_event_that_is_not_to_be_remembered_changes_nothing(bench: Bench) -> None:
    bench.publish("a")
    bench.publish("b", ttl=None)
    bench.publish("c", channel_topic("1", "cache-y"))
    await bench.remembers("c", channel_topic("1", "cache-y"))
    await bench.remembers("a")


async def test_an_event_is_forgotten_when_its_time_is_over(bench: Bench) -> None:
    bench.publish("a", ttl=3)
    await bench.remembers("a")
    await bench.wait(2 * bench.second)
    cached = await bench.broker.cached(TOPIC)
    assert cached is not None
    assert 0 < cached.ttl <= bench.second
    await bench.wait(bench.second)
    await bench.remembers(None)


async def test_a_new_event_has_its_whole_time(bench: Bench) -> None:
    bench.publish("a", ttl=3)
    await bench.wait(2 * bench.second)
    bench.publish("b", ttl=3)
    await bench.wait(2 * bench.second)
    assert await bench.data() == "b"


async def test_a_shorter_time_counts_from_its_own_event_on(bench: Bench) -> None:
    """An app's `cache_ttl` may change between two events."""
    long, short = channel_topic("1", "cache-long"), channel_topic("1", "cache-short")
    bench.publish("a", long, ttl=100)
    bench.publish("b", short, ttl=1)
    await bench.remembers("b", short)
    await bench.wait(2 * bench.second)
    bench.publish("c")
    await bench.remembers("c")
    assert await bench.data(short) is None
    assert await bench.data(long) == "a"


async def test_an_app_has_so_many_bytes_and_the_oldest_go_first(bench: Bench) -> None:
    """Whoever looks finds nothing then; other apps lose nothing."""
    elsewhere = channel_topic("2", "cache-x")
    topics = [channel_topic("1", f"cache-{i}") for i in range(30)]
    bench.publish("of others", elsewhere, limit=20_000)
    for i, topic in enumerate(topics):
        bench.publish(f"{i} ".ljust(2_000), topic, limit=20_000)
    await bench.remembers("29 ".ljust(2_000), topics[29])
    kept = [i for i, topic in enumerate(topics) if await bench.data(topic) is not None]
    assert kept == list(range(30 - len(kept), 30))
    assert 4 <= len(kept) < 10
    assert await bench.data(elsewhere) == "of others"
    bench.publish("too large".ljust(20_000), topics[29], limit=20_000)
    await bench.remembers(None, topics[29])
    assert await bench.data(topics[28]) is not None


async def test_channels_and_apps_do_not_meet(bench: Bench) -> None:
    elsewhere = channel_topic("2", "cache-x")
    bench.publish("a")
    bench.publish("b", elsewhere)
    await bench.remembers("b", elsewhere)
    await bench.remembers("a")
    assert await bench.data(channel_topic("1", "cache-y")) is None


async def test_what_is_remembered_does_not_depend_on_subscriptions(bench: Bench) -> None:
    """Kept while nobody is subscribed, too (docs/protocol/channels.md#cache)."""
    await bench.broker.subscribe(TOPIC)
    bench.publish("a")
    bench.broker.unsubscribe(TOPIC)
    await bench.remembers("a")
    await bench.broker.subscribe(TOPIC)
    await bench.broker.subscribe(TOPIC)
    assert await bench.data() == "a"


async def test_other_messages_are_never_remembered(bench: Bench) -> None:
    topic = CONTROL
    bench.broker.publish(
        topic, TerminateMessage(app_id="1", user_id="u"), remember=Retention(b"x", 60)
    )
    bench.publish("a")
    await bench.remembers("a")
    assert await bench.broker.cached(topic) is None
