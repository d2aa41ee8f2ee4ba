"""Channels and connections for operators, and their orders, on one node."""

import logging
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from pusher_server.diagnosis.inventory import (
    ROWS,
    Answer,
    ChannelsQuestion,
    ConnectionsQuestion,
    KickOrder,
    PublishOrder,
)
from tests.support.node import NodeFixture


class Watched:
    """A node, and an operator."""

    def __init__(self, **options: Any) -> None:
        self.fixture = NodeFixture(**options)

    async def ask(self, question: Struct) -> Answer:
        answer = await self.fixture.node.operator.answer(msgspec.json.encode(question))
        return msgspec.json.decode(answer, type=Answer)

    async def channels(self, glob: str = "", app: str = "1") -> list[tuple[str, int]]:
        answer = await self.ask(ChannelsQuestion(app=app, channel=glob))
        return [(row.channel, row.subscribers) for row in answer.channels]

    async def sockets(self, **question: str) -> list[str]:
        answer = await self.ask(ConnectionsQuestion(app="1", **question))
        return [row.socket_id for row in answer.connections]


@pytest.fixture
def watched() -> Watched:
    return Watched()


async def test_channels_are_listed_by_a_glob(watched: Watched) -> None:
    for channel in ("a", "private-a", "private-b", "private-b"):
        await watched.fixture.subscriber(channel)
    assert await watched.channels() == [("a", 1), ("private-a", 1), ("private-b", 2)]
    assert await watched.channels("private-*") == [("private-a", 1), ("private-b", 2)]
    assert await watched.channels("*-b") == [("private-b", 2)]
    assert await watched.channels("private-?") == [("private-a", 1), ("private-b", 2)]
    assert await watched.channels("private") == []
    assert await watched.channels(app="2") == []


async def test_lists_have_a_bound(watched: Watched) -> None:
    client = watched.fixture.connect()
    for number in range(ROWS + 1):
        await watched.fixture.join(client, f"c{number:04}")
        watched.fixture.connect()
    answer = await watched.ask(ChannelsQuestion(app="1"))
    assert (len(answer.channels), answer.more) == (ROWS, True)
    answer = await watched.ask(ConnectionsQuestion(app="1"))
    assert (len(answer.connections), answer.more) == (ROWS, True)
    assert answer.connections[0].subscriptions == ROWS + 1
    assert len(answer.connections[0].channels) == 10


async def test_connections_of_a_channel_and_of_a_user(watched: Watched) -> None:
    one = await watched.fixture.subscriber("a")
    two = await watched.fixture.user("7")
    watched.fixture.connect()
    assert len(await watched.sockets()) == 3
    assert await watched.sockets(channel="a") == [one.socket_id]
    assert await watched.sockets(user="7") == [two.socket_id]
    assert await watched.sockets(channel="a", user="7") == []
    answer = await watched.ask(ConnectionsQuestion(app="1", user="7"))
    (row,) = answer.connections
    assert (row.address, row.user, row.channels) == ("192.0.2.1", "7", ("#server-to-user-7",))


async def test_an_event_is_published_as_a_backend_does(
    watched: Watched, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client = await watched.fixture.subscriber("private-a")
    answer = await watched.ask(
        PublishOrder(app="1", channel="private-a", event="e", data='{"n":7}')
    )
    watched.fixture.flush()
    assert (answer.problem, answer.count) == ("", 1)
    (message,) = client.take()
    assert (message["event"], message["data"]) == ("e", {"n": 7})
    assert "an operator has published an event" in caplog.text


@pytest.mark.parametrize(
    ("order", "problem"),
    [
        ({"app": "2"}, "there is no app '2'"),
        ({"channel": "a b"}, "Invalid channel name"),
        ({"channel": ""}, "Channel name is empty"),
        ({"channel": "private-encrypted-a"}, "only a backend has the key"),
        ({"event": ""}, "needs a name"),
        ({"event": "pusher:error"}, "does not begin with pusher:"),
        ({"event": "e" * 201}, "more than 200 characters"),
        ({"data": "x" * 200}, "more than 100 bytes"),
    ],
)
async def test_an_event_that_a_backend_may_not_publish(order: dict[str, str], problem: str) -> None:
    watched = Watched(limits={"event_data_bytes": 100, "event_name_length": 200})
    answer = await watched.ask(
        PublishOrder(**{"app": "1", "channel": "a", "event": "e", "data": "x", **order})
    )
    assert problem in answer.problem
    assert watched.fixture.broker.published == []


async def test_a_connection_is_closed(watched: Watched) -> None:
    one, two = watched.fixture.connect(), watched.fixture.connect()
    assert (await watched.ask(KickOrder(app="1", socket_id=one.socket_id))).count == 1
    assert one.closed == (4009, "The connection was ended by the server's operator")
    assert two.closed is None
    assert (await watched.ask(KickOrder(app="1", socket_id="9.9"))).count == 0
    assert (await watched.ask(KickOrder(app="2", socket_id=two.socket_id))).count == 0


async def test_all_connections_of_a_user_are_closed(watched: Watched) -> None:
    mine = [await watched.fixture.user("7") for _ in range(2)]
    other = await watched.fixture.user("8")
    assert (await watched.ask(KickOrder(app="1", user="7"))).count == 2
    assert [client.closed is None for client in (*mine, other)] == [False, False, True]
    assert (await watched.ask(KickOrder(app="1"))).count == 0


async def test_a_store_that_is_away_is_a_problem_in_words(watched: Watched) -> None:
    watched.fixture.lose_cluster()
    answer = await watched.ask(ChannelsQuestion(app="1"))
    assert answer.problem == "other nodes or the apps cannot be reached: the store is away"
