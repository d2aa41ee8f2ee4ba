"""The WebSocket edge over fake transports: what a client would read, byte for byte."""

import asyncio
import json
from itertools import count
from typing import Any

from pusher_server.clients.admission import Admission
from pusher_server.clients.registry import ClientRegistry
from pusher_server.clients.request import ClientRequest
from pusher_server.config import WebsocketSettings
from pusher_server.signals import ConnectionClosed
from pusher_server.websocket.connection import WebSocketConnection
from pusher_server.websocket.edge import WebSocketEdge
from tests.support.fakes import FakeTransport
from tests.support.frames import CLOSE, PING, TEXT, ServerFrame, client_frame, server_frames
from tests.support.node import KEY, NodeFixture

SUCCESS = "pusher_internal:subscription_succeeded"
GREETING = b"HTTP/1.1 101 X\r\n\r\n"


class EdgeFixture:
    """A node with its WebSocket edge; `settings` are those of `[websocket]`."""

    def __init__(self, node_fixture: NodeFixture | None = None, **settings: Any) -> None:
        self.node_fixture = node_fixture or NodeFixture()
        self._random = count(1)
        node = self.node_fixture.node
        self.app_state = node.hub.app_state(self.node_fixture.app)
        websocket = WebsocketSettings(**settings)
        self.clients = ClientRegistry(websocket.max_connections, self.node_fixture.clock)
        apps = self.node_fixture.apps
        self.edge = WebSocketEdge(
            node,
            self.clients,
            Admission(node, apps, self.clients, lambda limit: next(self._random)),
            websocket,
            path_prefix="/ws/",
        )
        self.clients.heartbeat.tick(self.node_fixture.clock())

    def client(self, target: str | None = None, **options: Any) -> "Client":
        """Somebody whose upgrade has just been accepted."""
        return Client(self, f"/app/{KEY}?protocol=7" if target is None else target, **options)

    def closed(self) -> list[int]:
        """The codes of the connections that have ended."""
        return [
            each.code for each in self.node_fixture.signals if isinstance(each, ConnectionClosed)
        ]

    def wait(self, seconds: float) -> None:
        """Time passes, with the sweeps that belong to it."""
        for _ in range(int(seconds * 4)):
            self.node_fixture.clock.advance(0.25)
            self.clients.heartbeat.tick(self.node_fixture.clock())


class Client:
    """The far end of one transport."""

    def __init__(
        self,
        fixture: EdgeFixture,
        target: str,
        *,
        origin: str | None = None,
        secure: bool = False,
        has_halves: bool = True,
    ) -> None:
        self.transport = FakeTransport(has_halves=has_halves)
        self.ended: list[WebSocketConnection] = []
        self.connection = WebSocketConnection(
            fixture.edge, self.transport, "192.0.2.1", self.ended.append
        )
        headers = [] if origin is None else [(b"origin", origin.encode())]
        self.connection.open(ClientRequest("GET", target, headers), GREETING, secure=secure)
        self._loop = fixture.node_fixture.loop

    def feed(self, *frames: bytes) -> None:
        """These bytes arrive in one piece."""
        self.connection.data_received(b"".join(frames))

    def say(self, event: str, data: Any = None, **fields: Any) -> None:
        """Send one message."""
        self.feed(message(event, data, **fields))

    def subscribe(self, channel: str) -> None:
        self.say("pusher:subscribe", {"channel": channel, "auth": ""})

    async def read(self) -> list[ServerFrame]:
        """The frames that have come since the last call, after the loop has come to rest."""
        for _ in range(6):
            self._loop.run()
            await asyncio.sleep(0)
        data = self.transport.take()
        if data.startswith(GREETING):
            data = data[len(GREETING) :]
        return list(server_frames(data))

    async def told(self) -> list[Any]:
        """The same, readable: events by name, (code, message) of errors, control frames."""
        return [_readable(frame) for frame in await self.read()]

    async def established(self) -> "Client":
        """Read the first frame."""
        assert (await self.told())[0] == "pusher:connection_established"
        return self

    def lose(self) -> None:
        """The transport is gone."""
        self.connection.connection_lost(None)


def message(event: str, data: Any = None, **fields: Any) -> bytes:
    body = {"event": event, **fields} if data is None else {"event": event, "data": data, **fields}
    return client_frame(TEXT, json.dumps(body).encode())


def _readable(frame: ServerFrame) -> Any:
    if frame.opcode == CLOSE:
        code = int.from_bytes(frame.payload[:2]) if frame.payload else None
        return ("close", code)
    if frame.opcode != TEXT:
        return ("ping" if frame.opcode == PING else "pong", frame.payload)
    body = json.loads(frame.payload)
    if body["event"] == "pusher:error":
        return (body["data"]["code"], body["data"]["message"])
    return body["event"]
