"""What broker and roster promise between nodes, and while their store is away (`interfaces`)."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from itertools import pairwise

import pytest

from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import (
    CONTROL,
    EventMessage,
    Retention,
    RosterFull,
    Snapshot,
    TerminateMessage,
    Topic,
    channel_topic,
    members_topic,
    users_topic,
)
from tests.contract.nodes import LEASE, PARAMETERS, UNDO_WINDOW, Nodes, Peer
from tests.support.fakes import FakeListener
from tests.support.waiting import eventually

CHANNEL = channel_topic("1", "a")
MEMBERS = members_topic("1", "presence-x")
USERS = users_topic("1")


@pytest.fixture(params=PARAMETERS)
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[Nodes]:
    async with request.param() as made:
        yield made


@pytest.fixture
async def one(nodes: Nodes) -> Peer:
    return await nodes.peer("one")


@pytest.fixture
async def two(nodes: Nodes, one: Peer) -> Peer:
    return await nodes.peer("two")


def event(number: int, *, except_socket: str | None = None) -> EventMessage:
    return EventMessage(payload=b"%d" % number, event_id=number, except_socket=except_socket)


def numbers(peer: Peer, topic: Topic = CHANNEL) -> list[int]:
    """Of the events that the node was brought on a topic."""
    return [
        message.event_id
        for at, message in peer.listener.messages
        if at == topic and isinstance(message, EventMessage)
    ]


class Ledger(FakeListener):
    """Notes snapshots and transitions of one kind in the order in which they are told."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[str] = []

    def on_snapshot(self, topic: Topic, snapshot: Snapshot, *, doubtful: bool) -> list[str]:
        self.told.append(f"{snapshot.version.n}: {','.join(snapshot.entries)}")
        return super().on_snapshot(topic, snapshot, doubtful=doubtful)


# Messages


async def test_messages_reach_the_other_nodes_whole_in_order_and_not_their_sender(
    one: Peer, two: Peer
) -> None:
    await one.broker.subscribe(CHANNEL)
    await two.broker.subscribe(CHANNEL)
    for number in range(200):
        one.broker.publish(CHANNEL, event(number, except_socket="1.2"))
    await eventually(lambda: len(numbers(two)) == 200)
    assert numbers(two) == list(range(200))
    assert two.listener.messages[0] == (CHANNEL, event(0, except_socket="1.2"))
    await one.flushed()
    assert one.listener.messages == []


async def test_a_node_is_brought_what_it_has_subscribed_to_only(one: Peer, two: Peer) -> None:
    other = channel_topic("1", "b")
    await two.broker.subscribe(other)
    one.broker.publish(CHANNEL, event(1))
    one.broker.publish(other, event(2))
    await eventually(lambda: numbers(two, other) == [2])
    assert numbers(two) == []


async def test_every_node_hears_the_control_topic_unasked(one: Peer, two: Peer) -> None:
    message = TerminateMessage(app_id="1", user_id="u")
    one.broker.publish(CONTROL, message)
    await eventually(lambda: two.listener.messages == [(CONTROL, message)])


async def test_who_unsubscribes_and_subscribes_again_misses_nothing(one: Peer, two: Peer) -> None:
    """It takes effect lazily, so that a page reload costs nothing."""
    await two.broker.subscribe(CHANNEL)
    two.broker.unsubscribe(CHANNEL)
    await two.broker.subscribe(CHANNEL)
    one.broker.publish(CHANNEL, event(1))
    await eventually(lambda: numbers(two) == [1])


async def test_who_unsubscribes_is_brought_nothing_after_a_while(one: Peer, two: Peer) -> None:
    await two.broker.subscribe(CHANNEL)
    two.broker.unsubscribe(CHANNEL)
    sent = 0

    async def nothing_comes() -> bool:
        nonlocal sent
        sent += 1
        one.broker.publish(CHANNEL, event(sent))
        await one.flushed()
        await two.flushed()
        await two.renewed()
        return bool(numbers(two)) and numbers(two)[-1] < sent

    await eventually(nothing_comes)


async def test_the_last_event_of_a_cache_channel_is_known_on_every_node(
    one: Peer, two: Peer
) -> None:
    one.broker.publish(CHANNEL, event(1), remember=Retention(b'"1"', 60))
    await one.flushed()
    cached = await two.broker.cached(CHANNEL)
    assert cached is not None
    assert (cached.payload, cached.data, cached.event_id) == (b"1", b'"1"', 1)
    two.broker.publish(CHANNEL, event(2), remember=Retention(b'"2"', 60))
    await two.flushed()
    cached = await one.broker.cached(CHANNEL)
    assert cached is not None
    assert cached.event_id == 2


# Who holds what


async def test_a_key_on_two_nodes_is_one_key(nodes: Nodes, one: Peer, two: Peer) -> None:
    await one.roster.replicate(MEMBERS)
    await two.roster.replicate(MEMBERS)
    await one.roster.track(MEMBERS, "a", b"1")
    await two.roster.track(MEMBERS, "a", b"2")
    one.roster.untrack(MEMBERS, "a")
    await one.flushed()
    assert one.changes(MEMBERS) == "+a"
    assert await one.roster.lookup(MEMBERS, ["a"]) == {"a": {"two": b"2"}}
    two.roster.untrack(MEMBERS, "a")
    await eventually(lambda: one.changes(MEMBERS) == two.changes(MEMBERS) == "+a -a")
    await nodes.wait(UNDO_WINDOW)
    settled = one.listener.settled + two.listener.settled
    assert settled == [(MEMBERS, "a")], "told to exactly one node"


async def test_the_value_given_last_is_known_on_every_node_and_outlives_an_outage(
    nodes: Nodes, one: Peer, two: Peer
) -> None:
    """A node that declares again does not bring back its own older value."""
    await one.roster.replicate(MEMBERS)
    await two.roster.replicate(MEMBERS)
    await one.roster.track(MEMBERS, "a", b"old")
    await two.roster.track(MEMBERS, "a", b"new")
    version = (await two.snapshot(MEMBERS)).version
    await eventually(lambda: one.listener.updates == [(MEMBERS, "a", b"new", version)])
    assert two.listener.updates == one.listener.updates
    assert one.changes(MEMBERS) == two.changes(MEMBERS) == "+a"
    await nodes.away()
    await nodes.back()
    for each in (one, two):
        assert (await each.snapshot(MEMBERS)).entries == {"a": b"new"}


async def test_a_limit_counts_the_keys_of_all_nodes(one: Peer, two: Peer) -> None:
    results = await asyncio.gather(
        *(node.roster.track(MEMBERS, f"{node.name}{i}", b"", limit=3) for i in range(5) for node in (one, two)),
        return_exceptions=True,
    )  # fmt: skip
    assert sum(isinstance(each, RosterFull) for each in results) == 7
    assert await one.roster.count(MEMBERS) == await two.roster.count(MEMBERS) == 3


async def test_both_nodes_hear_the_same_transitions_in_version_order(one: Peer, two: Peer) -> None:
    await one.roster.replicate(MEMBERS)
    await two.roster.replicate(MEMBERS)
    for i in range(50):
        for node in (one, two):
            node.roster.declare(MEMBERS, f"{node.name}{i}", b"")
            if i % 3 == 0:
                node.roster.untrack(MEMBERS, f"{node.name}{i}")
        await asyncio.sleep(0)
    count = 2 * (50 + 17)
    await eventually(
        lambda: len(one.transitions(MEMBERS)) == len(two.transitions(MEMBERS)) == count
    )
    heard = [
        [(each.version, each.key, each.held) for each in node.transitions(MEMBERS)]
        for node in (one, two)
    ]
    assert heard[0] == heard[1]
    for (before, *_), (after, *_) in pairwise(heard[0]):
        assert after > before


async def test_the_listener_has_the_list_before_following_returns_and_then_every_transition(
    nodes: Nodes, one: Peer
) -> None:
    """Taken again and again amid changes: from each list and what follows, the next list can be told."""
    two = await nodes.peer("two")
    ledger = Ledger()
    two.stores.attach(ledger)

    async def changes() -> None:
        for i in range(60):
            await one.roster.track(MEMBERS, str(i), b"")
            if i % 2:
                one.roster.untrack(MEMBERS, str(i - 1))

    busy = asyncio.create_task(changes())
    while not busy.done():
        known = len(ledger.snapshots)
        await two.roster.replicate(MEMBERS)
        assert len(ledger.snapshots) > known, "the listener has it when the verb returns"
    await busy
    final = await one.snapshot(MEMBERS)
    await eventually(lambda: _known(ledger) == set(final.entries))
    assert not any(doubtful for _, _, doubtful in ledger.snapshots)
    # Whatever was told between two lists lies between their versions.
    last = ledger.snapshots[-1][1].version
    after = [each for each in ledger.transitions if each.version > last]
    assert [each.version.n for each in after] == list(range(last.n + 1, last.n + 1 + len(after)))


def _known(ledger: Ledger) -> set[str]:
    """The last list, with the transitions after it."""
    _, snapshot, _ = ledger.snapshots[-1]
    known = set(snapshot.entries)
    for each in ledger.transitions:
        if each.version > snapshot.version:
            (known.add if each.held else known.discard)(each.key)
    return known


async def test_who_forgets_hears_what_it_causes_itself_only(one: Peer, two: Peer) -> None:
    await two.roster.replicate(MEMBERS)
    await one.roster.track(MEMBERS, "a", b"")
    await eventually(lambda: two.changes(MEMBERS) == "+a")
    two.roster.forget(MEMBERS)
    await one.roster.track(MEMBERS, "b", b"")
    await two.roster.track(MEMBERS, "c", b"")
    one.roster.untrack(MEMBERS, "a")
    await one.flushed()
    await two.flushed()
    assert two.changes(MEMBERS) == "+a +c"


# The store is away


@pytest.mark.parametrize(
    "ask",
    [
        lambda node: node.roster.lookup(MEMBERS, ["a"]),
        lambda node: node.roster.count(MEMBERS),
        lambda node: anext(node.roster.scan(MEMBERS)),
        lambda node: node.roster.follow(MEMBERS),
        lambda node: node.broker.subscribe(CHANNEL),
        lambda node: node.broker.cached(CHANNEL),
        lambda node: node.census.total("1"),
    ],
    ids=["lookup", "count", "scan", "follow", "subscribe", "cached", "total"],
)
async def test_questions_fail_at_once_while_the_store_is_away(
    nodes: Nodes, one: Peer, ask: Callable[[Peer], Awaitable[object]]
) -> None:
    await nodes.away()
    with pytest.raises(ClusterUnavailable):
        async with asyncio.timeout(1):
            await ask(one)
    await nodes.back()
    assert await one.roster.count(MEMBERS) == 0


async def test_a_subscription_that_failed_is_made_good_when_the_store_is_back(
    nodes: Nodes, one: Peer, two: Peer
) -> None:
    await nodes.away()
    with pytest.raises(ClusterUnavailable):
        await two.broker.subscribe(CHANNEL)
    await nodes.back()
    one.broker.publish(CHANNEL, event(1))
    await eventually(lambda: numbers(two) == [1])


async def test_subscriptions_outlive_an_outage_and_ended_ones_do_not(
    nodes: Nodes, one: Peer, two: Peer
) -> None:
    ended = channel_topic("1", "ended")
    await two.broker.subscribe(CHANNEL)
    await two.broker.subscribe(ended)
    await nodes.away()
    two.broker.unsubscribe(ended)
    await nodes.back()
    one.broker.publish(ended, event(1))
    one.broker.publish(CHANNEL, event(2))
    await eventually(lambda: numbers(two) == [2])
    assert numbers(two, ended) == []


async def test_what_cannot_be_sent_is_counted_dropped_and_not_sent_later(
    nodes: Nodes, one: Peer, two: Peer
) -> None:
    await two.broker.subscribe(CHANNEL)
    await nodes.away()
    for number in range(3):
        one.broker.publish(CHANNEL, event(number))
    assert one.link.stats.dropped == 3
    await nodes.back()
    one.broker.publish(CHANNEL, event(3))
    await eventually(lambda: numbers(two) == [3])


async def test_a_cache_channel_answers_from_what_this_node_published_last(
    nodes: Nodes, one: Peer, two: Peer
) -> None:
    """For as long as that counts; nothing is known of what others published."""
    one.broker.publish(CHANNEL, event(1), remember=Retention(b'"1"', 5))
    await one.flushed()
    await nodes.away()
    cached = await one.broker.cached(CHANNEL)
    assert cached is not None
    assert (cached.event_id, cached.payload, cached.data) == (1, b"1", b'"1"')
    assert 0 < cached.ttl <= 5
    with pytest.raises(ClusterUnavailable):
        await two.broker.cached(CHANNEL)
    one.broker.publish(CHANNEL, event(2), remember=Retention(b'"2"', 10))
    cached = await one.broker.cached(CHANNEL)
    assert cached is not None
    assert cached.event_id == 2
    nodes.store.now += 10  # the store is not there, so only the node's clock counts
    with pytest.raises(ClusterUnavailable):
        await one.broker.cached(CHANNEL)
    await nodes.back()


async def test_tracking_waits_for_the_store_and_so_does_following_a_list(
    nodes: Nodes, one: Peer, two: Peer
) -> None:
    await nodes.away()
    tracked = asyncio.create_task(one.roster.track(MEMBERS, "a", b"1", limit=1))
    taken = asyncio.create_task(one.roster.replicate(MEMBERS))
    done, _ = await asyncio.wait([tracked, taken], timeout=0.3)
    assert not done
    await nodes.back()
    async with asyncio.timeout(10):
        await tracked
        await taken
    assert [(each.key, each.held) for each in one.transitions(MEMBERS)] == [
        ("a", True)
    ] or one.listener.snapshots[-1][1].entries == {"a": b"1"}
    assert await two.roster.lookup(MEMBERS, ["a"]) == {"a": {"one": b"1"}}


async def test_who_lets_go_while_tracking_waits_is_not_held_afterwards(
    nodes: Nodes, one: Peer
) -> None:
    await nodes.away()
    tracked = asyncio.create_task(one.roster.track(MEMBERS, "a", b"1"))
    await asyncio.wait([tracked], timeout=0.1)
    one.roster.untrack(MEMBERS, "a")
    await nodes.back()
    with pytest.raises(ClusterUnavailable):
        async with asyncio.timeout(10):
            await tracked
    assert await one.roster.count(MEMBERS) == 0


async def test_what_a_node_holds_is_declared_again_and_is_no_news(
    nodes: Nodes, one: Peer, two: Peer
) -> None:
    await two.roster.replicate(MEMBERS)
    for key in "abc":
        await one.roster.track(MEMBERS, key, key.encode())
    await eventually(lambda: len(one.listener.joined) == 3)
    await nodes.away()
    one.roster.untrack(MEMBERS, "c")
    one.roster.declare(MEMBERS, "d", b"d")
    await nodes.back()

    async def right() -> bool:
        return await two.roster.lookup(MEMBERS, "abcd") == {
            key: {"one": key.encode()} for key in "abd"
        }

    await eventually(right)
    for _ in range(4):  # for a lease, what is news is not sure
        await nodes.wait(LEASE / 3)
        for each in (one, two):
            await each.renewed()
    await eventually(lambda: len(one.listener.joined) == 4)
    assert one.listener.joined == [(MEMBERS, key) for key in "abcd"]
    assert two.listener.joined == []
    assert one.listener.settled + two.listener.settled == [(MEMBERS, "c")]


async def test_a_batch_is_confirmed_when_what_was_told_is_kept(
    nodes: Nodes, one: Peer, two: Peer
) -> None:
    """And is told once meanwhile, while the lease goes on."""
    may_confirm = asyncio.Event()
    one.listener.kept = may_confirm.wait  # type: ignore[method-assign,assignment] # an outbox that takes its time
    await one.roster.track(MEMBERS, "a", b"")
    await eventually(lambda: one.listener.joined == [(MEMBERS, "a")])
    await one.roster.track(MEMBERS, "b", b"")
    for _ in range(3):
        await one.renewed()
    assert one.listener.joined == [(MEMBERS, "a")]
    may_confirm.set()
    await eventually(lambda: one.listener.joined == [(MEMBERS, "a"), (MEMBERS, "b")])


async def test_what_a_node_announced_and_could_not_keep_another_announces_under_the_same_id(
    nodes: Nodes, one: Peer, two: Peer
) -> None:
    one.listener.kept = asyncio.Event().wait  # type: ignore[method-assign,assignment] # never
    await one.roster.track(MEMBERS, "a", b"")
    await eventually(lambda: one.listener.joined == [(MEMBERS, "a")])
    nodes.kill(one)
    for _ in range(4):
        await nodes.wait(LEASE / 3)
        await two.renewed()
    await eventually(lambda: two.listener.joined == [(MEMBERS, "a")])
    assert two.listener.ids[0] == one.listener.ids[0]


async def test_a_list_that_is_followed_is_told_anew_after_an_outage(
    nodes: Nodes, one: Peer, two: Peer
) -> None:
    await two.roster.replicate(MEMBERS)
    await one.roster.track(MEMBERS, "a", b"1")
    await eventually(lambda: two.changes(MEMBERS) == "+a")
    before = len(two.listener.snapshots)
    await nodes.away()
    one.roster.declare(MEMBERS, "b", b"2")
    await nodes.back()

    def known() -> set[str]:
        topic, snapshot, doubtful = two.listener.snapshots[-1]
        assert topic == MEMBERS
        assert doubtful, "the store lost its memory: who is missing may only be late"
        later = [each for each in two.transitions(MEMBERS) if each.version > snapshot.version]
        return set(snapshot.entries) | {each.key for each in later if each.held}

    await eventually(lambda: len(two.listener.snapshots) > before and known() == {"a", "b"})


async def test_who_follows_without_a_list_is_told_that_something_was_missed(
    nodes: Nodes, one: Peer, two: Peer
) -> None:
    await two.roster.follow(USERS)
    await one.roster.track(USERS, "u", b"1")
    await eventually(lambda: two.changes(USERS) == "+u")
    missed = len(two.listener.missed)
    await nodes.away()
    await nodes.back()
    await eventually(lambda: len(two.listener.missed) > missed)
    assert set(two.listener.missed) == {USERS}
    assert two.listener.snapshots == []


async def test_who_has_forgotten_is_told_nothing_after_an_outage(nodes: Nodes, one: Peer) -> None:
    await one.roster.replicate(MEMBERS)
    await one.roster.follow(USERS)
    one.roster.forget(MEMBERS)
    one.roster.forget(USERS)
    before = (len(one.listener.snapshots), len(one.listener.missed))
    await nodes.away()
    await nodes.back()
    await one.renewed()
    assert (len(one.listener.snapshots), len(one.listener.missed)) == before


async def test_a_node_that_stops_lets_go_at_once(nodes: Nodes, one: Peer, two: Peer) -> None:
    await two.roster.replicate(MEMBERS)
    await one.roster.track(MEMBERS, "a", b"")
    await eventually(lambda: two.changes(MEMBERS) == "+a")
    await one.stores.stop()
    nodes.peers.remove(one)
    await eventually(lambda: two.changes(MEMBERS) == "+a -a")
