"""What every Roster promises (`interfaces.Roster`).

A further implementation is one more entry in `FACTORIES`: a context manager that makes a
`RosterHarness`. What shows only between nodes, or while a store is away, is in `test_nodes`.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import pairwise

import pytest

from pusher_server.cluster.local import LocalRoster
from pusher_server.interfaces import (
    Roster,
    RosterFull,
    Snapshot,
    Topic,
    Transition,
    channels_topic,
    members_topic,
)
from tests.contract.nodes import SHARED, UNDO_WINDOW, Made
from tests.support.fakes import FakeClock, FakeListener
from tests.support.waiting import eventually

TOPIC = members_topic("1", "presence-x")
OTHER = members_topic("1", "presence-y")


class RosterHarness:
    """A roster with its listener. `wait` lets time pass, and what is due happen.

    `flush` lets everything be heard that was caused before.
    """

    def __init__(
        self,
        roster: Roster,
        listener: FakeListener,
        node_id: str,
        undo_window: float,
        *,
        wait: Callable[[float], Awaitable[None]],
        flush: Callable[[], Awaitable[None]],
    ) -> None:
        self.roster = roster
        self.listener = listener
        self.node_id = node_id
        self.undo_window = undo_window
        self.wait = wait
        self.flush = flush

    def transitions(self, topic: Topic = TOPIC) -> list[Transition]:
        """What the listener has heard of a topic, in order."""
        return [each for each in self.listener.transitions if each.topic == topic]

    def changes(self, topic: Topic = TOPIC) -> str:
        """The same, as `+key` and `-key`."""
        return " ".join(
            f"{'+' if each.held else '-'}{each.key}" for each in self.transitions(topic)
        )

    async def heard(self, changes: str, topic: Topic = TOPIC) -> None:
        """The listener has heard exactly this of what was caused before."""
        await self.flush()
        assert self.changes(topic) == changes

    async def snapshot(self, topic: Topic = TOPIC) -> Snapshot:
        """The topic as the listener gets it now."""
        await self.roster.replicate(topic)
        return self.listener.snapshot_of(topic)

    async def keys(self, topic: Topic = TOPIC) -> list[str]:
        return list((await self.snapshot(topic)).entries)


@asynccontextmanager
async def local() -> AsyncIterator[RosterHarness]:
    clock, listener = FakeClock(), FakeListener()
    roster = LocalRoster("node", clock, epoch=7, undo_window=3.0)
    roster.attach(listener)

    async def wait(seconds: float) -> None:
        clock.advance(seconds)
        roster.sweep()

    async def flush() -> None:
        """Everything is told inside the verb that causes it."""

    yield RosterHarness(roster, listener, "node", 3.0, wait=wait, flush=flush)


def shared(made: Made) -> Callable[[], AbstractAsyncContextManager[RosterHarness]]:
    """The only node on a store."""

    @asynccontextmanager
    async def harness() -> AsyncIterator[RosterHarness]:
        async with made() as nodes:
            node = await nodes.peer("node")
            yield RosterHarness(
                node.roster,
                node.listener,
                node.name,
                UNDO_WINDOW,
                wait=nodes.wait,
                flush=node.flushed,
            )

    return harness


FACTORIES = [
    pytest.param(local, id="local"),
    *(pytest.param(shared(made), id=name) for name, made in SHARED),
]


@pytest.fixture(params=FACTORIES)
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[RosterHarness]:
    async with request.param() as made:
        yield made


async def test_the_first_hold_is_a_transition(harness: RosterHarness) -> None:
    await harness.roster.track(TOPIC, "a", b"1")
    await harness.heard("+a")
    version = (await harness.snapshot()).version
    assert harness.transitions() == [
        Transition(topic=TOPIC, key="a", value=b"1", held=True, version=version)
    ]


async def test_a_repeat_updates_the_value_and_is_no_transition(harness: RosterHarness) -> None:
    await harness.roster.track(TOPIC, "a", b"1")
    first = await harness.snapshot()
    await harness.roster.track(TOPIC, "a", b"1")
    assert await harness.snapshot() == first
    await harness.roster.track(TOPIC, "a", b"2")
    harness.roster.declare(TOPIC, "a", b"3")
    harness.roster.declare(TOPIC, "b", b"")
    await harness.heard("+a +b")
    assert (await harness.snapshot(TOPIC)).entries == {"a": b"3", "b": b""}


async def test_another_value_of_a_member_is_a_version_of_its_own(harness: RosterHarness) -> None:
    """Told to those who follow the topic, before the verb that waits for it returns."""
    await harness.roster.replicate(TOPIC)
    await harness.roster.track(TOPIC, "a", b"1")
    await harness.roster.track(TOPIC, "a", b"2")
    ((topic, key, value, version),) = harness.listener.updates
    assert (topic, key, value) == (TOPIC, "a", b"2")
    assert version > harness.transitions()[-1].version
    harness.roster.declare(TOPIC, "a", b"2")
    harness.roster.declare(TOPIC, "a", b"3")
    await harness.heard("+a")
    assert [value for _, _, value, _ in harness.listener.updates] == [b"2", b"3"]
    await harness.roster.track(TOPIC, "b", b"")
    assert harness.transitions()[-1].version > harness.listener.updates[-1][3]
    await harness.heard("+a +b")


async def test_other_values_than_members_are_nobody_s_news(harness: RosterHarness) -> None:
    """A channel's number of subscribers changes with each of them."""
    counts = channels_topic("1")
    await harness.roster.replicate(counts)
    await harness.roster.track(counts, "a", b"1")
    first = (await harness.snapshot(counts)).version
    await harness.roster.track(counts, "a", b"2")
    assert (await harness.snapshot(counts)).version == first
    assert (await harness.roster.lookup(counts, ["a"])) == {"a": {harness.node_id: b"2"}}
    await harness.heard("+a", counts)
    assert harness.listener.updates == []


async def test_declaring_is_tracking_without_an_answer(harness: RosterHarness) -> None:
    harness.roster.declare(TOPIC, "a", b"1")
    await harness.heard("+a")
    (transition,) = harness.transitions()
    assert transition.value == b"1"
    assert await harness.keys() == ["a"]


async def test_letting_go_is_a_transition_with_the_last_value(harness: RosterHarness) -> None:
    await harness.roster.track(TOPIC, "a", b"1")
    await harness.roster.track(TOPIC, "a", b"2")
    harness.roster.untrack(TOPIC, "a")
    await harness.heard("+a -a")
    last = harness.transitions()[-1]
    assert (last.value, last.held) == (b"2", False)
    assert await harness.keys() == []


async def test_letting_go_of_what_is_not_held_is_nothing(harness: RosterHarness) -> None:
    harness.roster.untrack(TOPIC, "x")
    await harness.roster.track(TOPIC, "a", b"")
    harness.roster.untrack(TOPIC, "x")
    harness.roster.untrack(TOPIC, "a")
    harness.roster.untrack(TOPIC, "a")
    harness.roster.declare(TOPIC, "b", b"")
    await harness.heard("+a -a +b")


async def test_verbs_take_effect_in_the_order_in_which_they_are_called(
    harness: RosterHarness,
) -> None:
    for _ in range(3):
        harness.roster.declare(TOPIC, "a", b"")
        harness.roster.untrack(TOPIC, "a")
    await harness.roster.track(TOPIC, "a", b"")
    await harness.heard("+a -a +a -a +a -a +a")


async def test_a_full_topic_takes_no_further_key(harness: RosterHarness) -> None:
    await harness.roster.track(TOPIC, "a", b"", limit=2)
    await harness.roster.track(TOPIC, "b", b"", limit=2)
    with pytest.raises(RosterFull):
        await harness.roster.track(TOPIC, "c", b"", limit=2)
    assert await harness.keys() == ["a", "b"]
    await harness.heard("+a +b")


async def test_a_key_that_is_held_does_not_count_again(harness: RosterHarness) -> None:
    await harness.roster.track(TOPIC, "a", b"", limit=1)
    await harness.roster.track(TOPIC, "a", b"2", limit=1)
    assert (await harness.snapshot(TOPIC)).entries == {"a": b"2"}


async def test_there_is_room_again_after_a_leave(harness: RosterHarness) -> None:
    await harness.roster.track(TOPIC, "a", b"", limit=1)
    harness.roster.untrack(TOPIC, "a")
    await harness.roster.track(TOPIC, "b", b"", limit=1)
    assert await harness.keys() == ["b"]


async def test_a_limit_of_0_is_none_and_a_limit_counts_one_topic(harness: RosterHarness) -> None:
    for key in "abc":
        await harness.roster.track(TOPIC, key, b"", limit=0)
    await harness.roster.track(OTHER, "a", b"", limit=1)
    assert await harness.roster.count(TOPIC) == 3


async def test_a_limit_holds_for_those_who_come_at_the_same_time(harness: RosterHarness) -> None:
    results = await asyncio.gather(
        *(harness.roster.track(TOPIC, str(i), b"", limit=3) for i in range(10)),
        return_exceptions=True,
    )
    assert results.count(None) == 3
    assert sum(isinstance(each, RosterFull) for each in results) == 7
    assert await harness.roster.count(TOPIC) == 3


async def test_a_join_is_announced_once_and_before_its_leave(harness: RosterHarness) -> None:
    await harness.roster.track(TOPIC, "a", b"")
    harness.roster.declare(TOPIC, "a", b"2")
    harness.roster.untrack(TOPIC, "a")
    harness.roster.declare(TOPIC, "b", b"")
    await eventually(lambda: harness.listener.joined == [(TOPIC, "a"), (TOPIC, "b")])
    assert harness.listener.settled == []
    await harness.wait(harness.undo_window)
    await eventually(lambda: harness.listener.settled == [(TOPIC, "a")])
    assert harness.listener.joined == [(TOPIC, "a"), (TOPIC, "b")]
    assert len(set(harness.listener.ids)) == 3


async def test_a_leave_is_settled_once_after_the_undo_window(harness: RosterHarness) -> None:
    await harness.roster.track(TOPIC, "a", b"")
    harness.roster.untrack(TOPIC, "a")
    await harness.heard("+a -a")
    await harness.wait(harness.undo_window / 2)
    assert harness.listener.settled == []
    await harness.wait(harness.undo_window / 2)
    await eventually(lambda: harness.listener.settled == [(TOPIC, "a")])
    await harness.wait(2 * harness.undo_window)
    assert harness.listener.settled == [(TOPIC, "a")]


async def test_who_comes_back_in_time_has_returned_and_is_never_settled(
    harness: RosterHarness,
) -> None:
    await harness.roster.track(TOPIC, "a", b"")
    harness.roster.untrack(TOPIC, "a")
    await harness.wait(harness.undo_window / 2)
    await harness.roster.track(TOPIC, "a", b"")
    await harness.heard("+a -a +a")
    await harness.wait(2 * harness.undo_window)
    await eventually(lambda: harness.listener.joined == [(TOPIC, "a")])
    assert harness.listener.settled == []


async def test_who_comes_back_late_has_not_returned(harness: RosterHarness) -> None:
    await harness.roster.track(TOPIC, "a", b"")
    harness.roster.untrack(TOPIC, "a")
    await harness.wait(harness.undo_window)
    await eventually(lambda: len(harness.listener.settled) == 1)
    await harness.roster.track(TOPIC, "a", b"")
    await harness.heard("+a -a +a")
    await eventually(lambda: harness.listener.joined == 2 * [(TOPIC, "a")])


async def test_the_window_counts_from_the_last_leave(harness: RosterHarness) -> None:
    harness.roster.declare(TOPIC, "a", b"")
    for _ in range(3):
        harness.roster.untrack(TOPIC, "a")
        await harness.wait(harness.undo_window * 0.6)
        harness.roster.declare(TOPIC, "a", b"")
    harness.roster.untrack(TOPIC, "a")
    await harness.wait(harness.undo_window * 0.6)
    assert harness.listener.settled == []
    await harness.wait(harness.undo_window * 0.4)
    await eventually(lambda: harness.listener.settled == [(TOPIC, "a")])


async def test_leaves_settle_in_the_order_in_which_they_happened(harness: RosterHarness) -> None:
    """A page that goes: `member_removed` stands before `channel_vacated` (docs/protocol/webhooks.md#events)."""
    for key in "abc":
        harness.roster.declare(TOPIC, key, b"")
    for key in "bca":
        harness.roster.untrack(TOPIC, key)
    await harness.wait(harness.undo_window)
    await eventually(lambda: len(harness.listener.settled) == 3)
    assert [key for _, key in harness.listener.settled] == ["b", "c", "a"]


async def test_coming_back_concerns_one_topic_only(harness: RosterHarness) -> None:
    harness.roster.declare(TOPIC, "a", b"")
    harness.roster.untrack(TOPIC, "a")
    harness.roster.declare(OTHER, "a", b"")
    await harness.heard("+a", OTHER)
    await harness.wait(harness.undo_window)
    await eventually(lambda: harness.listener.settled == [(TOPIC, "a")])
    assert harness.listener.joined == [(TOPIC, "a"), (OTHER, "a")]


async def test_versions_rise_by_one_and_never_repeat(harness: RosterHarness) -> None:
    """Not even after the topic was empty and others were, too."""
    held: list[bool] = []
    for key in "abc":
        harness.roster.declare(TOPIC, key, b"")
    for key in "ab":
        harness.roster.untrack(TOPIC, key)
    harness.roster.untrack(TOPIC, "c")
    for i in range(10):
        harness.roster.declare(OTHER, str(i), b"")
    for i in range(10):
        harness.roster.untrack(OTHER, str(i))
    for key in "ab":
        harness.roster.declare(TOPIC, key, b"")
    await harness.heard("+a +b +c -a -b -c +a +b")
    await eventually(lambda: len(harness.transitions(OTHER)) == 20)
    for topic in (TOPIC, OTHER):
        transitions = harness.transitions(topic)
        members: set[str] = set()
        for before, after in pairwise(transitions):
            (members.add if before.held else members.discard)(before.key)
            assert after.version.epoch == before.version.epoch
            assert after.version.n > before.version.n
            if members:  # an empty topic may forget its number, but not go back
                assert after.version.n == before.version.n + 1
            held.append(bool(members))
    assert not all(held), "the case of an empty topic has been seen"


async def test_a_version_contains_its_change(harness: RosterHarness) -> None:
    await harness.roster.track(TOPIC, "a", b"")
    assert (await harness.snapshot()).version == harness.transitions()[-1].version
    await harness.roster.track(TOPIC, "b", b"")
    first, second = harness.transitions()
    assert second.version > first.version
    harness.roster.untrack(TOPIC, "a")
    harness.roster.untrack(TOPIC, "b")
    await harness.heard("+a +b -a -b")
    empty = await harness.snapshot(TOPIC)
    assert empty.entries == {}
    assert empty.version >= harness.transitions()[-1].version
    await harness.roster.track(TOPIC, "c", b"")
    assert harness.transitions()[-1].version > empty.version


async def test_a_snapshot_is_in_the_order_of_joining(harness: RosterHarness) -> None:
    for key in ("c", "a", "b", "10", "9"):
        await harness.roster.track(TOPIC, key, b"")
    await harness.roster.track(TOPIC, "a", b"new")
    harness.roster.untrack(TOPIC, "c")
    await harness.roster.track(TOPIC, "c", b"")
    assert await harness.keys() == ["a", "b", "10", "9", "c"]


async def scanned(roster: Roster, topic: Topic, prefix: str = "") -> dict[str, dict[str, bytes]]:
    """All pages of a scan."""
    return {
        key: dict(holders)
        async for page in roster.scan(topic, prefix)
        for key, holders in page.items()
    }


async def test_a_snapshot_stays_as_it_was_taken(harness: RosterHarness) -> None:
    await harness.roster.track(TOPIC, "a", b"1")
    snapshot = await harness.snapshot(TOPIC)
    await harness.roster.track(TOPIC, "a", b"2")
    await harness.roster.track(TOPIC, "b", b"")
    assert snapshot.entries == {"a": b"1"}


async def test_the_snapshot_of_a_topic_that_nobody_knows_is_empty(harness: RosterHarness) -> None:
    assert (await harness.snapshot(TOPIC)).entries == {}
    assert await harness.roster.count(TOPIC) == 0
    assert await scanned(harness.roster, TOPIC) == {}
    assert await harness.roster.lookup(TOPIC, ["a"]) == {}


async def test_looking_up_finds_holders_of_what_is_held(harness: RosterHarness) -> None:
    await harness.roster.track(TOPIC, "a", b"1")
    await harness.roster.track(TOPIC, "b", b"2")
    assert await harness.roster.lookup(TOPIC, ["b", "x"]) == {"b": {harness.node_id: b"2"}}
    assert await harness.roster.lookup(TOPIC, []) == {}


async def test_scanning_goes_by_prefix(harness: RosterHarness) -> None:
    for key in ("presence-a", "presence-b", "private-c"):
        await harness.roster.track(TOPIC, key, key.encode())
    await harness.roster.track(OTHER, "presence-z", b"")
    assert await scanned(harness.roster, TOPIC, "presence-") == {
        "presence-a": {harness.node_id: b"presence-a"},
        "presence-b": {harness.node_id: b"presence-b"},
    }
    assert set(await scanned(harness.roster, TOPIC)) == {"presence-a", "presence-b", "private-c"}
    assert await scanned(harness.roster, TOPIC, "x") == {}


async def test_a_large_topic_is_scanned_in_pages_each_key_once(harness: RosterHarness) -> None:
    keys = [str(i) for i in range(2_500)]
    for key in keys:
        harness.roster.declare(TOPIC, key, b"")
    pages = [list(page) async for page in harness.roster.scan(TOPIC)]
    assert len(pages) > 1
    assert sorted(key for page in pages for key in page) == sorted(keys)


async def test_others_get_their_turn_between_the_pages(harness: RosterHarness) -> None:
    for i in range(2_500):
        harness.roster.declare(TOPIC, str(i), b"")
    seen = 0
    async for page in harness.roster.scan(TOPIC):
        seen += len(page)
        for i in range(2_500):  # all that is left goes meanwhile
            harness.roster.untrack(TOPIC, str(i))
    assert 0 < seen < 2_500


async def test_ones_own_transitions_come_followed_or_forgotten(harness: RosterHarness) -> None:
    await harness.roster.follow(TOPIC)
    harness.roster.declare(TOPIC, "a", b"")
    harness.roster.forget(TOPIC)
    harness.roster.untrack(TOPIC, "a")
    await harness.heard("+a -a")


async def test_apps_do_not_meet(harness: RosterHarness) -> None:
    elsewhere = members_topic("2", TOPIC[2])
    await harness.roster.track(TOPIC, "a", b"1")
    await harness.roster.track(elsewhere, "a", b"2")
    harness.roster.untrack(elsewhere, "a")
    await harness.heard("+a -a", elsewhere)
    await harness.heard("+a")
    assert (await harness.snapshot(TOPIC)).entries == {"a": b"1"}
