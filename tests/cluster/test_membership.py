"""A node's standing at a store, on the model in memory: what happens when it was taken for dead."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pusher_server.cluster import membership
from pusher_server.cluster.broker import SharedBroker
from pusher_server.cluster.commands import Publish, Renew, Snapshot
from pusher_server.cluster.roster import SharedRoster
from pusher_server.cluster.sharding import Shards
from pusher_server.cluster.wire import address_of, encode_message
from pusher_server.interfaces import (
    ClusterMessage,
    EventMessage,
    Topic,
    channel_topic,
    members_topic,
    users_topic,
)
from tests.contract.stores import LEASE, UNDO_WINDOW, MemoryHarness, StoreClient
from tests.support.fakes import FakeListener
from tests.support.waiting import eventually

TOPIC = members_topic("1", "presence-x")
CHANNEL = channel_topic("1", "news")
USERS = users_topic("1")


class Node:
    """A roster with its listener."""

    def __init__(self, harness: MemoryHarness, name: str) -> None:
        self.listener = FakeListener()
        self.stores = Shards(
            [harness.link()], name, lease=LEASE, undo_window=UNDO_WINDOW, random=lambda: 0.0
        )
        self.roster = SharedRoster(self.stores)
        self.stores.attach(self.listener)
        self.stores.start()

    def heard(self) -> str:
        return " ".join(
            f"{'+' if each.held else '-'}{each.key}" for each in self.listener.transitions
        )


@pytest.fixture
def harness() -> MemoryHarness:
    return MemoryHarness()


@pytest.fixture
async def node(harness: MemoryHarness) -> AsyncIterator[Node]:
    made = Node(harness, "one.1")
    yield made
    await made.stores.stop()


async def test_clients_are_not_told_that_they_themselves_were_taken_for_dead(
    harness: MemoryHarness, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership, "BEAT", 60.0)  # asleep: it does not renew meanwhile
    await node.roster.replicate(TOPIC)
    await node.roster.track(TOPIC, "here", b"")
    other = StoreClient(harness.link())
    await other.link.open()
    await other.enter("two.1.1")
    for _ in range(3):  # never so long that the store could think that all were silent
        harness.now += LEASE * 0.4
        swept = await other.do(Renew("two.1.1", 0, {}))
    assert swept.swept, "the node was taken for dead"
    await other.do(Renew("two.1.1", 0, {}))
    before = node.stores.primary.holder
    known = len(node.listener.snapshots)
    await eventually(lambda: node.stores.primary.holder != before and node.stores.problem is None)
    await eventually(lambda: len(node.listener.snapshots) > known)
    assert "-here" not in node.heard(), "it never left for those who are here"
    await node.roster.replicate(TOPIC)
    _, snapshot, _ = node.listener.snapshots[-1]
    assert snapshot.entries == {"here": b""}


async def test_what_was_missed_is_asked_for_when_questions_have_answers(
    harness: MemoryHarness, node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when the lease ended but the link did not: a watcher's question before that is refused, and lost."""
    monkeypatch.setattr(membership, "BEAT", 60.0)  # asleep: it does not renew meanwhile
    primary, could_ask = node.stores.primary, []

    def on_missed(topic: Topic, *, doubtful: bool) -> None:
        could_ask.append(primary.problem is None)

    node.listener.on_missed = on_missed  # type: ignore[method-assign]  # a listener of its own
    await node.roster.follow(USERS)
    call, loop = primary.link.call, asyncio.get_running_loop()

    def call_slowly(command: Any) -> Any:
        """As a store that has to be asked over a network."""
        answer = call(command)
        if not isinstance(command, Snapshot):
            return answer
        later = loop.create_future()
        loop.call_soon(answer.add_done_callback, lambda done: later.set_result(done.result()))
        return later

    primary.link.call = call_slowly  # type: ignore[method-assign]  # this link only
    other = StoreClient(harness.link())
    await other.link.open()
    await other.enter("two.1.1")
    for _ in range(3):
        harness.now += LEASE * 0.4
        await other.do(Renew("two.1.1", 0, {}))
    before = primary.holder
    could_ask.clear()
    await eventually(lambda: primary.holder != before and primary.problem is None)
    await eventually(lambda: bool(could_ask))
    assert set(could_ask) == {True}


async def test_a_listener_that_fails_hurts_nobody(
    harness: MemoryHarness, node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    """The next message is told, and the link goes on."""
    broker = SharedBroker(node.stores, lambda: harness.now)
    await node.stores.primary.ready()
    await broker.subscribe(CHANNEL)
    heard = node.listener.on_message

    def fail_once(topic: Topic, message: ClusterMessage) -> None:
        node.listener.on_message = heard  # type: ignore[method-assign]  # once
        raise ValueError("a fault of ours")

    node.listener.on_message = fail_once  # type: ignore[method-assign]  # a listener of its own
    other = StoreClient(harness.link())
    await other.link.open()
    messages = [EventMessage(payload=b"%d" % number, event_id=number) for number in range(2)]
    for message in messages:
        await other.do(Publish(address_of(CHANNEL), encode_message("two.1", message)))
    await eventually(lambda: node.listener.messages == [(CHANNEL, messages[1])])
    assert [record.message for record in caplog.records] == ["a push could not be taken in"]
    assert node.stores.problem is None
    caplog.clear()  # what it asserts is no fault


async def test_publications_that_a_slow_store_did_not_take_are_told_once_a_minute(
    node: Node, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(membership, "BEAT", 0.01)
    await node.stores.primary.ready()
    stats = node.stores.primary.link.stats
    stats.dropped += 3

    def told() -> list[str]:
        return [text for each in caplog.records if "dropped, which" in (text := each.getMessage())]

    await eventually(
        lambda: (
            told() == ["memory is slow: 3 publications dropped, which the other nodes have missed"]
        )
    )
    stats.dropped += 2
    primary = node.stores.primary
    renewed_at = primary.renewed_at
    await eventually(lambda: primary.renewed_at > renewed_at + 0.05)
    assert len(told()) == 1
