"""What every Broker promises (`interfaces.Broker`).

A further implementation is one more entry in `FACTORIES`: a context manager that makes a
`BrokerHarness`. What shows only between nodes (delivery, its order), or while a store is away, is in
`test_nodes`.
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


class BrokerHarness:
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
async def local() -> AsyncIterator[BrokerHarness]:
    clock = FakeClock()

    async def wait(seconds: float) -> None:
        clock.advance(seconds)

    yield BrokerHarness(LocalBroker(clock), wait)


def shared(
    made: Made, *, second: float = 1.0
) -> Callable[[], AbstractAsyncContextManager[BrokerHarness]]:
    """The only node on a store, which keeps the time; in Redis that is the real one."""

    @asynccontextmanager
    async def harness() -> AsyncIterator[BrokerHarness]:
        async with made() as nodes:
            node = await nodes.peer("node")
            yield BrokerHarness(node.broker, nodes.wait if second == 1.0 else asyncio.sleep, second)

    return harness


FACTORIES = [
    pytest.param(local, id="local"),
    pytest.param(shared(on_unix), id="unix"),
    pytest.param(shared(on_redis, second=REDIS_SECOND), id="redis"),
]


@pytest.fixture(params=FACTORIES)
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[BrokerHarness]:
    async with request.param() as made:
        yield made


async def test_nothing_is_remembered_of_what_was_never_published(harness: BrokerHarness) -> None:
    assert await harness.broker.cached(TOPIC) is None


async def test_a_remembered_event_comes_back_whole(harness: BrokerHarness) -> None:
    event_id = harness.publish("a", ttl=60)
    await harness.remembers("a")
    cached = await harness.broker.cached(TOPIC)
    assert cached is not None
    assert 0 < cached.ttl <= 60 * harness.second
    assert cached == CachedEvent(payload=b"<a>", data=b"a", event_id=event_id, ttl=cached.ttl)


async def test_the_last_event_replaces_the_one_before(harness: BrokerHarness) -> None:
    for data in "abc":
        harness.publish(data)
    await harness.remembers("c")


async def test_an_event_that_is_not_to_be_remembered_changes_nothing(
    harness: BrokerHarness,
) -> None:
    harness.publish("a")
    harness.publish("b", ttl=None)
    harness.publish("c", channel_topic("1", "cache-y"))
    await harness.remembers("c", channel_topic("1", "cache-y"))
    await harness.remembers("a")


async def test_an_event_is_forgotten_when_its_time_is_over(harness: BrokerHarness) -> None:
    harness.publish("a", ttl=3)
    await harness.remembers("a")
    await harness.wait(2 * harness.second)
    cached = await harness.broker.cached(TOPIC)
    assert cached is not None
    assert 0 < cached.ttl <= harness.second
    await harness.wait(harness.second)
    await harness.remembers(None)


async def test_a_new_event_has_its_whole_time(harness: BrokerHarness) -> None:
    harness.publish("a", ttl=3)
    await harness.wait(2 * harness.second)
    harness.publish("b", ttl=3)
    await harness.wait(2 * harness.second)
    assert await harness.data() == "b"


async def test_a_shorter_time_counts_from_its_own_event_on(harness: BrokerHarness) -> None:
    """An app's `cache_ttl` may change between two events."""
    long, short = channel_topic("1", "cache-long"), channel_topic("1", "cache-short")
    harness.publish("a", long, ttl=100)
    harness.publish("b", short, ttl=1)
    await harness.remembers("b", short)
    await harness.wait(2 * harness.second)
    harness.publish("c")
    await harness.remembers("c")
    assert await harness.data(short) is None
    assert await harness.data(long) == "a"


async def test_an_app_has_so_many_bytes_and_the_oldest_go_first(harness: BrokerHarness) -> None:
    """Whoever looks finds nothing then; other apps lose nothing."""
    elsewhere = channel_topic("2", "cache-x")
    topics = [channel_topic("1", f"cache-{i}") for i in range(30)]
    harness.publish("of others", elsewhere, limit=20_000)
    for i, topic in enumerate(topics):
        harness.publish(f"{i} ".ljust(2_000), topic, limit=20_000)
    await harness.remembers("29 ".ljust(2_000), topics[29])
    kept = [i for i, topic in enumerate(topics) if await harness.data(topic) is not None]
    assert kept == list(range(30 - len(kept), 30))
    assert 4 <= len(kept) < 10
    assert await harness.data(elsewhere) == "of others"
    harness.publish("too large".ljust(20_000), topics[29], limit=20_000)
    await harness.remembers(None, topics[29])
    assert await harness.data(topics[28]) is not None


async def test_channels_and_apps_do_not_meet(harness: BrokerHarness) -> None:
    elsewhere = channel_topic("2", "cache-x")
    harness.publish("a")
    harness.publish("b", elsewhere)
    await harness.remembers("b", elsewhere)
    await harness.remembers("a")
    assert await harness.data(channel_topic("1", "cache-y")) is None


async def test_what_is_remembered_does_not_depend_on_subscriptions(harness: BrokerHarness) -> None:
    """Kept while nobody is subscribed, too (docs/protocol/channels.md#cache)."""
    await harness.broker.subscribe(TOPIC)
    harness.publish("a")
    harness.broker.unsubscribe(TOPIC)
    await harness.remembers("a")
    await harness.broker.subscribe(TOPIC)
    await harness.broker.subscribe(TOPIC)
    assert await harness.data() == "a"


async def test_other_messages_are_never_remembered(harness: BrokerHarness) -> None:
    topic = CONTROL
    harness.broker.publish(
        topic, TerminateMessage(app_id="1", user_id="u"), remember=Retention(b"x", 60)
    )
    harness.publish("a")
    await harness.remembers("a")
    assert await harness.broker.cached(topic) is None
