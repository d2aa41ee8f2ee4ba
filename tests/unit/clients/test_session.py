"""A session over a transport that is no WebSocket: the rules of `clients` hold with a few methods of its own.

`tests/unit/websocket` has the same rules frame by frame.
"""

import asyncio
import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from pusher_server.app import App
from pusher_server.clients.admission import Admission
from pusher_server.clients.registry import ClientRegistry
from pusher_server.clients.request import ClientRequest
from pusher_server.clients.session import CLOSE_TIMEOUT, Session
from pusher_server.config import WebsocketSettings
from pusher_server.protocol import events
from pusher_server.protocol.frames import text_frame
from pusher_server.signals import ConnectionClosed
from pusher_server.turns import UNITS
from tests.support.fakes import FakeTransport
from tests.support.frames import server_frames
from tests.support.node import KEY, NodeFixture

SUCCESS = "pusher_internal:subscription_succeeded"


class LineConnection(Session):
    """A client that sends a message in each line; it never waits for the client's end."""

    __slots__ = ()

    def open(self, request: ClientRequest) -> None:
        self._begin(request, False)

    def _greet(self, app: App) -> None:
        self.send(events.connection_established(self.socket_id, app.activity_timeout))

    def _steps(self, data: bytes) -> Iterator[int]:
        for line in data.splitlines():
            self._cost = 1
            self._serve_message(line)
            if self._dropped_over_cap():
                return
            yield self._cost

    def _write_ping(self) -> None:
        self.send(events.PING)

    def _write_end(self, code: int, message: str) -> None:
        self._begin_closing()
        self.write(text_frame(events.error(code, message)))
        self._wait_for_end()


class LineEdge:
    """The transport of one process: the path is the key."""

    def __init__(self, **settings: Any) -> None:
        self.fixture = NodeFixture(**settings.pop("app", {}))
        self.node, self.clock = self.fixture.node, self.fixture.clock
        self.settings = WebsocketSettings(**settings)
        self.clients = ClientRegistry(self.settings.max_connections, self.clock)
        numbers = count(1)
        self.admission = Admission(
            self.node, self.fixture.apps, self.clients, lambda limit: next(numbers)
        )
        self.clients.heartbeat.tick(self.clock())

    def key_of(self, upgrade: ClientRequest) -> str:
        return upgrade.target

    def closed(self) -> list[int]:
        """The codes of the connections that have ended."""
        return [
            signal.code for signal in self.fixture.signals if isinstance(signal, ConnectionClosed)
        ]

    def wait(self, seconds: float) -> None:
        """Time passes, with its sweeps."""
        for _ in range(int(seconds * 4)):
            self.clock.advance(0.25)
            self.clients.heartbeat.tick(self.clock())


class Client:
    """The far end."""

    def __init__(self, edge: LineEdge, key: str = KEY) -> None:
        self._edge = edge
        self.transport = FakeTransport()
        self.ended: list[LineConnection] = []
        self.connection = LineConnection(edge, self.transport, "192.0.2.1", self.ended.append)
        self.connection.open(ClientRequest("GET", key, []))

    def send(self, *messages: dict[str, Any]) -> None:
        """These arrive in one piece."""
        lines = "\n".join(json.dumps(message) for message in messages)
        self.connection.data_received(lines.encode())

    def subscribe(self, *channels: str) -> None:
        self.send(*({"event": "pusher:subscribe", "data": {"channel": name}} for name in channels))

    async def read(self) -> list[Any]:
        """The names of events since the last call, and the codes of errors."""
        for _ in range(6):
            self._edge.fixture.loop.run()
            await asyncio.sleep(0)
        bodies = [json.loads(frame.payload) for frame in server_frames(self.transport.take())]
        return [
            body["data"]["code"] if body["event"] == "pusher:error" else body["event"]
            for body in bodies
        ]

    async def established(self) -> "Client":
        assert await self.read() == ["pusher:connection_established"]
        return self


async def test_a_client_subscribes_and_gets_events_until_it_is_gone() -> None:
    edge = LineEdge()
    client = await Client(edge).established()
    client.subscribe("a")
    edge.fixture.publish("a")
    assert await client.read() == [SUCCESS, "event"]
    client.connection.connection_lost(None)
    assert edge.closed() == [1006]
    assert client.ended == [client.connection]
    assert not edge.clients.connections
    assert not edge.clients.heartbeat


async def test_a_refusal_is_answered_and_the_connection_stays() -> None:
    client = await Client(LineEdge()).established()
    client.subscribe("private-a", "b")
    assert await client.read() == ["pusher:subscription_error", SUCCESS]


async def test_an_unknown_app_is_refused_in_the_transports_way() -> None:
    edge = LineEdge()
    client = Client(edge, "other")
    assert await client.read() == [4001]
    assert not edge.closed(), "the node has not known it"
    edge.wait(CLOSE_TIMEOUT + 1)
    assert client.transport.is_aborted


@pytest.mark.parametrize("is_answered", [False, True])
async def test_one_that_is_closed_while_its_app_is_looked_up_is_not_let_in(
    is_answered: bool,
) -> None:
    """Also when the answer comes before the end is written."""
    edge = LineEdge()
    edge.fixture.apps.gate.close()
    client = Client(edge)
    await edge.fixture.apps.gate.reached()
    if is_answered:
        edge.fixture.apps.gate.open()
    client.connection.shutdown()
    assert await client.read() == [4200]
    edge.fixture.apps.gate.open()
    assert await client.read() == []
    assert not edge.node.hub.app_state(edge.fixture.app).connections


async def test_messages_for_a_channel_wait_in_order_and_others_do_not() -> None:
    edge = LineEdge()
    client = await Client(edge).established()
    edge.fixture.broker.subscribing.close()
    client.subscribe("a")
    client.send({"event": "pusher:ping"})
    assert await client.read() == ["pusher:pong"]
    assert client.connection.mailbox is not None
    edge.fixture.broker.subscribing.open()
    assert await client.read() == [SUCCESS]
    assert client.connection.mailbox is None


async def test_too_many_messages_that_wait_stop_the_reading() -> None:
    edge = LineEdge()
    client = await Client(edge).established()
    edge.fixture.broker.subscribing.close()
    for _ in range(65):
        client.subscribe("a")
    assert client.transport.reading
    client.subscribe("a")
    assert not client.transport.reading
    edge.fixture.broker.subscribing.open()
    await client.read()
    assert client.transport.reading


async def test_a_piece_of_many_messages_is_served_over_several_turns() -> None:
    client = await Client(LineEdge()).established()
    client.send(*[{"event": "pusher:ping"}] * (2 * UNITS))
    assert len(list(server_frames(client.transport.take()))) == UNITS
    assert not client.transport.reading
    assert await client.read() == ["pusher:pong"] * UNITS
    assert client.transport.reading


async def test_subscriptions_above_the_pace_stop_the_reading() -> None:
    edge = LineEdge(
        subscriptions_per_second=10, app={"limits": {"subscriptions_per_connection": 10}}
    )
    client = await Client(edge).established()
    for name in "abcdefghij":
        client.subscribe(name)
    assert client.transport.reading
    client.send({"event": "pusher:unsubscribe", "data": {"channel": "a"}})
    client.subscribe("a")
    assert not client.transport.reading
    edge.clock.advance(1)
    async with asyncio.timeout(5):
        while not client.transport.reading:
            await client.read()


async def test_client_events_have_an_allowance() -> None:
    edge = LineEdge(app={"limits": {"client_events_per_second": 2}})
    client = await Client(edge).established()
    assert [client.connection.may_send_client_event() for _ in range(3)] == [True, True, False]
    edge.clock.advance(1)
    assert client.connection.may_send_client_event()


async def test_silence_is_answered_with_a_ping_and_then_4201() -> None:
    edge = LineEdge(pong_timeout=10.0, app={"activity_timeout": 30})
    client = await Client(edge).established()
    edge.wait(31)
    assert await client.read() == ["pusher:ping"]
    edge.wait(11)
    assert await client.read() == [4201]


@pytest.mark.parametrize("size", [500, 1_500])
async def test_output_is_kept_for_a_slow_reader_up_to_its_cap(size: int) -> None:
    edge = LineEdge(write_buffer_bytes=1_000)
    client = await Client(edge).established()
    client.subscribe("a")
    await client.read()
    client.connection.pause_writing()
    edge.fixture.publish("a", data="x" * size)
    assert await client.read() == [], "the transport's buffer does not grow"
    client.send({"event": "pusher:ping"})
    assert client.transport.is_aborted is (size > 1_000)
    if size < 1_000:
        client.connection.resume_writing()
        assert await client.read() == ["event", "pusher:pong"]


async def test_kept_output_comes_before_the_end() -> None:
    edge = LineEdge()
    client = await Client(edge).established()
    client.subscribe("a")
    await client.read()
    client.connection.pause_writing()
    edge.fixture.publish("a")
    client.connection.shutdown()
    client.connection.close(4100, "again")
    assert await client.read() == ["event", 4200]
    assert edge.closed() == [4200]
    assert list(edge.clients.leaving) == [client.connection]


async def test_events_that_are_queued_come_before_the_end() -> None:
    edge = LineEdge()
    client = await Client(edge).established()
    client.subscribe("a")
    await client.read()
    edge.fixture.publish("a")
    client.connection.shutdown()
    await asyncio.sleep(0)  # the end is written before the turn of the fan-out
    assert await client.read() == ["event", 4200]


async def test_a_session_has_no_dictionary() -> None:
    """Each of 100,000 clients would pay for it."""
    assert not hasattr(Client(LineEdge()).connection, "__dict__")


async def test_how_a_connection_ended_is_kept_as_evidence() -> None:
    """Idle is the time since a byte went either way: input, a ping of ours, or an event on a channel."""
    edge = LineEdge()
    ended = edge.node.evidence.ended
    quiet, served, closed = [await Client(edge).established() for _ in range(3)]
    edge.clock.advance(10.0)
    for client in (quiet, served):
        client.subscribe("a" if client is quiet else "b")
    edge.clock.advance(40.0)
    channel = edge.node.hub.app_states["1"].channels["b"]
    channel.since = edge.clock()  # as the fan-out notes it
    edge.clock.advance(20.0)
    quiet.connection.connection_lost(None)
    served.connection.connection_lost(None)
    closed.connection.close(4200, "")
    await closed.read()
    assert [(row.code, row.idle, row.ended - row.opened) for row in ended] == [
        (1006, 60.0, 70.0),
        (1006, 20.0, 70.0),
        (4200, None, 70.0),
    ]
    assert {row.address for row in ended} == {"192.0.2.1"}


async def test_our_ping_counts_as_a_byte() -> None:
    """A proxy that cuts after two minutes sees it."""
    edge = LineEdge(app={"activity_timeout": 30})
    client = await Client(edge).established()
    edge.wait(45.0)
    client.connection.connection_lost(None)
    (row,) = edge.node.evidence.ended
    assert row.idle is not None
    assert 14.0 <= row.idle <= 15.0
