"""The local broker's and roster's own points; what all of them promise is in `tests/contract/`."""

import pytest

from pusher_server.cluster.last_events import ENTRY_BYTES
from pusher_server.cluster.local import LocalBroker, LocalRoster
from pusher_server.interfaces import (
    EventMessage,
    Retention,
    RosterFull,
    Version,
    channel_topic,
    members_topic,
)
from tests.support.fakes import FakeClock, FakeListener

TOPIC = members_topic("1", "presence-x")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def listener() -> FakeListener:
    return FakeListener()


@pytest.fixture
def roster(clock: FakeClock, listener: FakeListener) -> LocalRoster:
    made = LocalRoster("node", clock, epoch=7, undo_window=3.0)
    made.attach(listener)
    return made


async def test_the_listener_hears_inside_the_verb(
    roster: LocalRoster, listener: FakeListener
) -> None:
    roster.declare(TOPIC, "a", b"")
    assert [each.version for each in listener.transitions] == [Version(7, 1)]
    roster.untrack(TOPIC, "a")
    assert len(listener.transitions) == 2


async def test_without_a_listener_nobody_is_told(clock: FakeClock) -> None:
    roster = LocalRoster("node", clock, epoch=7, undo_window=3.0)
    await roster.track(TOPIC, "a", b"")
    roster.untrack(TOPIC, "a")
    clock.advance(3)
    roster.sweep()
    assert await roster.count(TOPIC) == 0


async def test_a_topic_that_is_empty_takes_no_memory_and_keeps_counting(
    roster: LocalRoster, listener: FakeListener
) -> None:
    for i in range(100):
        topic = members_topic("1", f"presence-{i}")
        roster.declare(topic, "a", b"")
        roster.untrack(topic, "a")
    assert not roster._topics
    await roster.track(TOPIC, "a", b"")
    assert listener.transitions[-1].version == Version(7, 201)


async def test_a_refused_key_leaves_no_trace(roster: LocalRoster, listener: FakeListener) -> None:
    await roster.track(TOPIC, "a", b"", limit=1)
    with pytest.raises(RosterFull):
        await roster.track(TOPIC, "b", b"", limit=1)
    roster.untrack(TOPIC, "b")
    assert len(listener.transitions) == 1


def test_an_undo_window_of_0_settles_with_the_next_sweep(
    clock: FakeClock, listener: FakeListener
) -> None:
    roster = LocalRoster("node", clock, epoch=7, undo_window=0.0)
    roster.attach(listener)
    roster.declare(TOPIC, "a", b"")
    roster.untrack(TOPIC, "a")
    roster.sweep()
    assert listener.settled == [(TOPIC, "a")]


def test_a_sweep_settles_only_what_is_due(
    roster: LocalRoster, clock: FakeClock, listener: FakeListener
) -> None:
    for key in "ab":
        roster.declare(TOPIC, key, b"")
        roster.untrack(TOPIC, key)
        clock.advance(2)
    roster.sweep()
    assert listener.settled == [(TOPIC, "a")]
    roster.sweep()
    assert listener.settled == [(TOPIC, "a")]


def published(broker: LocalBroker, app_id: str, channel: str, limit: int = 0) -> None:
    message = EventMessage(payload=b"", event_id=1)
    broker.publish(channel_topic(app_id, channel), message, remember=Retention(b"", 10, limit))


async def test_what_is_over_is_let_go_though_nobody_publishes_any_more(clock: FakeClock) -> None:
    broker = LocalBroker(clock)
    for i in range(50):
        published(broker, "1", f"cache-{i}")
    clock.advance(5)
    published(broker, "2", "cache-x")
    assert broker.sweep() == {}
    assert len(broker._cached) == 51
    clock.advance(5)
    assert broker.sweep() == {}
    assert len(broker._cached) == 1
    assert await broker.cached(channel_topic("2", "cache-x")) is not None


async def test_what_had_to_go_before_its_time_is_told_once(clock: FakeClock) -> None:
    broker = LocalBroker(clock)
    for i in range(50):
        published(broker, "1", f"cache-{i}", limit=10 * (ENTRY_BYTES + 10))
        published(broker, "2", f"cache-{i}")
    assert broker.sweep() == {"1": 40}
    assert broker.sweep() == {}
