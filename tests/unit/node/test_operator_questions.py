"""Operators' questions: why and tail, for one node and for several; nothing is observed while nobody looks."""

import json
from typing import Any

import msgspec
import pytest

from pusher_server.diagnosis.live import FEEDS, LEASE, ROWS, TailQuestion, TailReport
from pusher_server.signals import EventPublished
from tests.support.node import NodeFixture

FEED = "0" * 32


class Watched:
    """A node that nothing else observes."""

    def __init__(self) -> None:
        self.fixture = NodeFixture(is_observed=False)
        self.operator = self.fixture.node.operator

    async def tail(self, feed: str = FEED, **filters: str) -> TailReport:
        question = TailQuestion(feed=feed, **filters)
        answer = await self.operator.answer(msgspec.json.encode(question))
        return msgspec.json.decode(answer, type=TailReport)

    async def rows(self, **filters: str) -> list[tuple[str, str, str, str]]:
        report = await self.tail(**filters)
        return [(row.kind, row.channel, row.event, row.text) for row in report.rows]

    @property
    def is_observed(self) -> bool:
        return self.fixture.parts.observers.is_observed(EventPublished)

    async def step(self, seconds: float) -> None:
        self.fixture.clock.advance(seconds)
        await self.operator.step()


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_what_happens_is_followed_in_its_order(watched: Watched) -> None:
    assert await watched.rows() == []
    client = await watched.fixture.subscriber("private-a")
    watched.fixture.publish("private-a")
    watched.fixture.publish("b")
    watched.fixture.client_event(client, "private-a")
    watched.fixture.drop(client)
    assert await watched.rows() == [
        ("connected", "", "", "1.1"),
        ("published", "private-a", "event", "1 here"),
        ("published", "b", "event", "nobody here"),
        ("client event", "private-a", "client-x", "by 1.1"),
        ("disconnected", "", "", "1.1, 1006"),
    ]
    assert await watched.rows() == []


async def test_nothing_is_observed_while_nobody_looks(watched: Watched) -> None:
    assert not watched.is_observed
    await watched.tail()
    assert watched.is_observed
    await watched.step(LEASE - 1)
    assert watched.is_observed
    await watched.tail("1" * 32)
    await watched.step(2.0)
    assert watched.is_observed
    await watched.step(LEASE)
    assert not watched.is_observed
    assert len(watched.operator.feeds) == 0
    await watched.tail()
    assert watched.is_observed


async def test_others_go_on_observing() -> None:
    fixture = NodeFixture()
    operator = fixture.node.operator
    operator.feeds.fetch(TailQuestion(feed=FEED))
    fixture.clock.advance(LEASE)
    await operator.step()
    fixture.publish("a")
    assert fixture.parts.observers.is_observed(EventPublished)
    assert [signal for signal in fixture.signals if isinstance(signal, EventPublished)]


@pytest.mark.parametrize(
    ("filters", "channels"),
    [
        ({}, ["a", "private-session.1", "private-session.2"]),
        ({"channel": "private-session.*"}, ["private-session.1", "private-session.2"]),
        ({"channel": "a"}, ["a"]),
        ({"event": "ev*"}, ["a", "private-session.1", "private-session.2"]),
        ({"event": "other"}, []),
        ({"app": "1"}, ["a", "private-session.1", "private-session.2"]),
        ({"app": "2"}, []),
        ({"channel": "[z]"}, []),
    ],
)
async def test_filters(watched: Watched, filters: dict[str, str], channels: list[str]) -> None:
    await watched.tail(**filters)
    watched.fixture.publish("a", "private-session.1", "private-session.2")
    assert [channel for _, channel, _, _ in await watched.rows(**filters)] == channels


async def test_a_reader_that_is_slow_has_a_bound_and_a_count(watched: Watched) -> None:
    await watched.tail()
    for number in range(ROWS + 40):
        watched.fixture.publish(f"c{number}")
    report = await watched.tail()
    assert (len(report.rows), report.dropped) == (ROWS, 40)
    assert (await watched.tail()).dropped == 0


async def test_feeds_are_few(watched: Watched) -> None:
    for number in range(FEEDS):
        assert not (await watched.tail(f"{number:032x}")).refused
    assert (await watched.tail("f" * 32)).refused
    assert not (await watched.tail(f"{0:032x}")).refused


async def test_no_payload_is_in_a_row(watched: Watched) -> None:
    await watched.tail()
    client = await watched.fixture.subscriber("private-a")
    watched.fixture.publish("private-a", data="hush")
    watched.fixture.client_event(client, "private-a", "hush")
    report = await watched.tail()
    assert len(report.rows) == 3
    assert "hush" not in json.dumps(msgspec.to_builtins(report))


async def test_names_of_strangers_are_cut(watched: Watched) -> None:
    await watched.tail()
    watched.fixture.publish("a" * 200)
    report = await watched.tail()
    assert len(report.rows[0].channel) == 200


async def test_why_is_answered_as_json(watched: Watched) -> None:
    answer: dict[str, Any] = json.loads(await watched.operator.answer(b'{"type":"why"}'))
    assert (answer["nodes"], answer["answered"], answer["findings"]) == (1, 1, [])


@pytest.mark.parametrize("question", [b"", b"\xff", b"[]", b'{"type":"later"}', b'{"type":"tail"}'])
async def test_a_question_of_another_release_has_no_answer(
    watched: Watched, question: bytes
) -> None:
    assert await watched.operator.answer(question) == b""
    assert await watched.operator._answer_node(question) == b""
