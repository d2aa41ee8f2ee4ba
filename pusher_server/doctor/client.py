"""A WebSocket client for the checks: one upgrade, and the messages and pings that follow.

It is the sans-I/O client of `websockets` over a stream, because its own client follows redirects and answers
pings unseen.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import httpcore
from msgspec import Struct
from websockets.client import ClientProtocol
from websockets.exceptions import InvalidStatus
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import Event
from websockets.typing import Origin
from websockets.uri import parse_uri

from pusher_server.config import json_text
from pusher_server.doctor.network import Network, Trouble, trouble_of
from pusher_server.doctor.targets import Target
from pusher_server.webhooks.delivery.connecting import FAULTS

#: Bytes of a message, at most.
_LARGEST = 1_048_576
_MOST_READ = 65_536


class Message(Struct, frozen=True):
    """A message of the server, a ping, or the end of the connection.

    `code` is that of the close frame, None when the connection ended without one.
    """

    kind: Literal["message", "ping", "end"]
    event: str = ""
    data: Mapping[str, object] = {}
    channel: str = ""
    text: str = ""
    code: int | None = None


class Upgrade(Struct):
    """The answer to an upgrade. `status` is 101 and `socket` open, or the status of another HTTP answer."""

    status: int
    headers: Mapping[str, str]
    text: str = ""
    socket: "Socket | None" = None


class Socket:
    """An open WebSocket. `clock` gives seconds that only rise; `active_at` is when bytes came last."""

    def __init__(
        self,
        stream: httpcore.AsyncNetworkStream,
        protocol: ClientProtocol,
        clock: Callable[[], float],
    ) -> None:
        self._stream = stream
        self._protocol = protocol
        self._clock = clock
        self._waiting: list[Message] = []
        self._has_ended = False
        self.active_at = clock()

    async def next(self, patience: float) -> Message:
        """Return the next message, ping or end. Raises TimeoutError after `patience` seconds."""
        async with asyncio.timeout(patience):
            while not self._waiting:
                if self._has_ended:
                    return Message("end")
                await self._read()
        return self._waiting.pop(0)

    async def send(self, text: bytes) -> None:
        """Send a text message. Raises Trouble."""
        self._protocol.send_text(text)
        await self.flush()

    async def flush(self) -> None:
        """Write what the protocol has to send, answers to pings among it. Raises Trouble."""
        data = b"".join(self._protocol.data_to_send())
        try:
            await self._stream.write(data, 5.0)
        except (*FAULTS, OSError) as error:
            raise trouble_of(error, 5.0) from None

    async def close(self) -> None:
        """Say goodbye and close the stream, whatever state it is in."""
        try:
            if not self._has_ended:
                self._protocol.send_close(1000)
                await self.flush()
        except Exception:  # whatever state it is in, the connection is not needed any more
            pass
        await self._stream.aclose()

    async def _read(self) -> None:
        try:
            data = await self._stream.read(_MOST_READ)
        except (*FAULTS, OSError):
            data = b""
        if data:
            self.active_at = self._clock()
            self._protocol.receive_data(data)
        else:
            self._protocol.receive_eof()
            self._has_ended = True
        self.take(self._protocol.events_received())
        if not self._has_ended:
            try:
                await self.flush()
            except Trouble:
                self._has_ended = True

    def take(self, events: Sequence[Event]) -> None:
        """Queue the messages that have come."""
        for event in events:
            if isinstance(event, Frame):
                self._take_frame(event)
        if self._has_ended and not any(message.kind == "end" for message in self._waiting):
            self._waiting.append(Message("end"))

    def _take_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.PING:
            self._waiting.append(Message("ping"))
        elif frame.opcode is Opcode.TEXT:
            self._waiting.append(_message(bytes(frame.data)))
        elif frame.opcode is Opcode.CLOSE:
            self._has_ended = True
            received = self._protocol.close_rcvd
            code = received.code if received else None
            self._waiting.append(Message("end", code=code))


async def upgrade(
    network: Network,
    target: Target,
    path: str,
    *,
    origin: str = "",
    verify: bool = True,
    clock: Callable[[], float],
) -> Upgrade:
    """Send one upgrade to the path below the target's prefix and return its answer. Raises Trouble.

    An answer that is no HTTP, or none at all within the limit, is a Trouble.
    """
    stream = await network.connect(target, tls=target.is_tls, verify=verify)
    uri = parse_uri(target.url(path, websocket=True))
    protocol = ClientProtocol(uri, origin=Origin(origin) if origin else None, max_size=_LARGEST)
    protocol.send_request(protocol.connect())
    socket = Socket(stream, protocol, clock)
    is_open = False
    try:
        await socket.flush()
        async with asyncio.timeout(network.limit):
            response, frames = await _response(stream, protocol)
        if protocol.handshake_exc is None:
            is_open = True
            socket.take(frames)
            return Upgrade(101, _headers(response), socket=socket)
        if not isinstance(protocol.handshake_exc, InvalidStatus):
            raise Trouble("closed", "status 101 comes without the headers of an upgrade")
        text = bytes(response.body or b"").decode("utf-8", "replace")
        return Upgrade(response.status_code, _headers(response), text)
    except (*FAULTS, OSError) as error:
        trouble = trouble_of(error, network.limit)
    except Trouble as error:
        trouble = error
    finally:
        if not is_open:
            await stream.aclose()
    if trouble.kind != "closed":
        raise trouble
    return await _ordinary_answer(network, target, path, trouble, verify=verify)


async def _ordinary_answer(
    network: Network, target: Target, path: str, trouble: Trouble, *, verify: bool
) -> Upgrade:
    """Return the answer in any form that HTTP/1 allows; the client above reads few. Raises `trouble`."""
    headers = {
        "connection": "Upgrade",
        "upgrade": "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    try:
        answer = await network.request("GET", target.url(path), headers=headers, verify=verify)
    except Trouble:
        raise trouble from None
    if answer.status == 101:
        raise trouble
    return Upgrade(answer.status, answer.headers, answer.text)


def _headers(response: Response) -> dict[str, str]:
    return {name.lower(): value for name, value in response.headers.raw_items()}


async def _response(
    stream: httpcore.AsyncNetworkStream, protocol: ClientProtocol
) -> tuple[Response, list[Frame]]:
    """Return the answer, with its body if it is no 101, and the frames that came along with it."""
    while protocol.handshake_exc is None:
        data = await stream.read(_MOST_READ)
        if data:
            protocol.receive_data(data)
        else:
            protocol.receive_eof()
        if protocol.state.name == "OPEN":
            break
        if not data and protocol.handshake_exc is None:
            break
    events = protocol.events_received()
    frames = [event for event in events if isinstance(event, Frame)]
    for event in events:
        if isinstance(event, Response):
            return event, frames
    raise Trouble("closed", "the connection is closed, or speaks no HTTP/1.1")


def _message(text: bytes) -> Message:
    """Return a text message as the Pusher protocol reads it; one of another form has no event."""
    try:
        parsed = json_text.parse_json(text.decode())
        if not isinstance(parsed, dict):
            return Message("message")
        data = parsed.get("data")
        if isinstance(data, str):
            text_of_data, data = data, None
            if text_of_data.startswith("{"):
                data = json_text.parse_json(text_of_data)
        else:
            text_of_data = ""
    except ValueError:
        return Message("message")
    return Message(
        "message",
        event=str(parsed.get("event", "")),
        data=data if isinstance(data, dict) else {},
        channel=str(parsed.get("channel", "")),
        text=text_of_data,
    )
