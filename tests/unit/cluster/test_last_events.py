"""What a tenant can make us keep for its cache channels: bounded in bytes, and let go in time."""

import logging
import sys
import tracemalloc
from collections import OrderedDict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher_server.cluster.last_events import (
    APPS_AT_ONCE,
    ENTRY_BYTES,
    PAST_AT_ONCE,
    Evictions,
    LastEvent,
    LastEvents,
    keep_last,
)
from pusher_server.interfaces import EventMessage, Retention, channel_topic
from pusher_server.protocol.events import channel_event
from tests.support.fakes import FakeClock

MIB = 2**20


def publish(
    events: LastEvents[LastEvent],
    channels: list[str],
    data: bytes,
    *,
    app: str = "1",
    limit: int = 64 * MIB,
    now: float = 0.0,
    ttl: float = 1_800.0,
) -> None:
    """One event to these channels, as the node does it."""
    remember = Retention(data, ttl, limit)
    for channel in channels:
        message = EventMessage(payload=channel_event("e", channel, data), event_id=1)
        keep_last(events, channel_topic(app, channel), message, remember, now, limit)


def names(number: int, of: int = 100) -> list[str]:
    return [f"cache-{number}-{i}" for i in range(of)]


def blob(number: int, size: int) -> bytes:
    return b'"%b"' % (b"%d" % number).ljust(size, b"x")


def test_an_event_to_a_hundred_channels_keeps_its_data_once() -> None:
    """60 requests, 6 MB in all, to 6,000 channels."""
    events: LastEvents[LastEvent] = LastEvents()
    tracemalloc.start()
    try:
        for number in range(60):
            publish(events, names(number), blob(number, 100_000))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(events) == 6_000
    assert taken < 12 * MIB
    assert taken <= events.size("1") < 2 * taken
    assert not events.take_evicted()


def test_however_it_is_filled_an_app_takes_no_more_than_its_limit() -> None:
    events: LastEvents[LastEvent] = LastEvents()
    tracemalloc.start()
    try:
        for number in range(300):
            for channel in names(number, 10):
                publish(events, [channel], blob(number, 50_000), limit=8 * MIB)
            publish(events, names(1_000 + number, 100), b'""', limit=8 * MIB)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken <= 8 * MIB + 200_000
    assert events.size("1") <= 8 * MIB
    assert events.take_evicted()["1"] > 1_000


def test_the_oldest_publication_goes_first_and_others_apps_stay() -> None:
    events: LastEvents[LastEvent] = LastEvents()
    publish(events, ["cache-of-others"], blob(0, 10), app="2")
    limit = 3 * (ENTRY_BYTES + 1_100)
    for channel in "abc":
        publish(events, [channel], blob(0, 1_000), limit=limit)
    publish(events, ["a"], blob(1, 1_000), limit=limit)  # published again: the youngest
    publish(events, ["d"], blob(0, 1_000), limit=limit)
    kept = [each for each in "abcd" if events.get("1", each, 0.0) is not None]
    assert kept == ["a", "c", "d"]
    assert events.take_evicted() == {"1": 1}
    assert events.get("2", "cache-of-others", 0.0) is not None


def test_what_is_larger_than_the_limit_alone_costs_only_itself() -> None:
    """Also what it replaces: that is no longer the last event."""
    events: LastEvents[LastEvent] = LastEvents()
    publish(events, ["a", "b"], blob(0, 100), limit=10_000)
    publish(events, ["b"], blob(0, 20_000), limit=10_000)
    assert events.get("1", "a", 0.0) is not None
    assert events.get("1", "b", 0.0) is None
    assert events.take_evicted() == {"1": 1}


def test_no_limit_is_none_and_a_lowered_one_counts_with_the_next_publication() -> None:
    events: LastEvents[LastEvent] = LastEvents()
    publish(events, names(0, 1_000), b'""', limit=0)
    assert len(events) == 1_000
    publish(events, ["x"], b'""', limit=10 * ENTRY_BYTES)
    assert events.size("1") <= 10 * ENTRY_BYTES
    assert events.take_evicted()["1"] == 1_001 - len(events)


def test_what_is_over_is_let_go_a_part_at_a_time() -> None:
    events: LastEvents[LastEvent] = LastEvents()
    for app in range(3 * APPS_AT_ONCE):
        publish(events, ["a"], b'""', app=str(app), ttl=10.0)
    publish(events, names(0, 3 * PAST_AT_ONCE), b'""', app="0", ttl=10.0)
    publish(events, ["stays"], b'""', app="1", ttl=20.0)
    looks = 0
    while len(events) > 1:
        before, looks = len(events), looks + 1
        events.sweep(10.0)
        assert before - len(events) <= APPS_AT_ONCE * PAST_AT_ONCE
    assert 3 <= looks <= 15
    assert events.get("1", "stays", 10.0) is not None
    assert events.size("0") == 0
    assert not events.take_evicted()


def test_data_that_nobody_refers_to_is_not_held() -> None:
    events: LastEvents[LastEvent] = LastEvents()
    data = blob(0, 1_000)
    before = sys.getrefcount(data)
    publish(events, ["a", "b"], data, ttl=1.0)
    events.sweep(1.0)
    events.sweep(1.0)
    assert sys.getrefcount(data) == before


KEYS = st.sampled_from("abcde")
STEPS = st.lists(
    st.tuples(
        st.sampled_from("12"),
        KEYS,
        st.integers(0, 3),  # which data
        st.sampled_from([0.0, 1.0, 5.0, 9.0]),  # time to live
        st.sampled_from([0, 1_000, 2_000, 3_500]),  # limit
        st.sampled_from([0.0, 0.5, 3.0]),  # seconds that pass
        st.booleans(),  # a sweep
    ),
    max_size=40,
)


@given(STEPS)
def test_it_is_what_a_simple_table_says(
    steps: list[tuple[str, str, int, float, int, float, bool]],
) -> None:
    """Newest values, oldest out; sizes counted anew from what is there."""
    events: LastEvents[int] = LastEvents()
    table: dict[str, OrderedDict[str, tuple[int, int, float]]] = {
        each: OrderedDict() for each in "12"
    }
    gone = dict.fromkeys("12", 0)
    now = 0.0

    def clear(kept: OrderedDict[str, tuple[int, int, float]]) -> None:
        while kept and next(iter(kept.values()))[2] <= now:
            kept.popitem(last=False)

    for value, (app, key, which, ttl, limit, passing, swept) in enumerate(steps):
        now += passing
        kept, data = table[app], b"x" * (which * 500)
        assert which == 0 or sys.getrefcount(data) == 2  # shared with nobody
        events.keep(app, key, value, size=10, until=now + ttl, limit=limit, now=now, shared=data)
        kept.pop(key, None)
        clear(kept)
        size = ENTRY_BYTES + 10 + len(data)
        if 0 < limit < size:
            gone[app] += 1
        elif ttl > 0:
            kept[key] = (value, size, now + ttl)
        while limit and sum(size for _, size, _ in kept.values()) > limit:
            _, (_, _, until) = kept.popitem(last=False)
            gone[app] += until > now
        if swept:
            events.sweep(now)
            for each in table.values():
                clear(each)
        for each_app, each_kept in table.items():
            for each_key in "abcde":
                found = events.get(each_app, each_key, now)
                expected = each_kept.get(each_key)
                alive = expected is not None and expected[2] > now
                assert (None if found is None else found[0]) == (expected[0] if alive else None)
    told = events.take_evicted()
    assert {each: told.get(each, 0) for each in "12"} == gone


def test_evictions_are_counted_and_said_once_in_a_while(caplog: pytest.LogCaptureFixture) -> None:
    clock = FakeClock()
    evictions = Evictions(clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            evictions.add({})
            evictions.add({"1": 2, "2": 7})
            clock.advance(1.0)
    assert evictions.totals == {"1": 200, "2": 700}
    assert len(caplog.records) == 2
    assert "limits.cache_bytes" in caplog.text
