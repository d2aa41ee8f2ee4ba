"""One server process, blocking sockets to throw things at it, and the check that nothing broke."""

import json
import os
import re
import socket
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

from hypothesis import settings

from tests.support import signed, wire
from tests.support.frames import CLOSE, PING, PONG, TEXT
from tests.support.inprocess import KEY, SECRET
from tests.support.serving import RunningServer
from tests.support.signing import channel_auth

PATIENCE = 5.0
#: An example takes about 2 ms, so there may be more of them than elsewhere.
many = settings(max_examples=3 * settings().max_examples)
GOLDEN = json.loads((Path(__file__).parent.parent / "golden_vectors.json").read_text())


class Line:
    """A blocking connection to the server."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.received = b""

    def send(self, *pieces: bytes) -> None:
        """Send each in a segment of its own; whoever is cut off meanwhile is content."""
        with suppress(ConnectionError):
            for piece in pieces:
                self.socket.sendall(piece)

    def finish(self) -> None:
        """Nothing more comes from us."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def more(self) -> bool:
        """Wait for more; False at the end. A server that does neither hangs: TimeoutError."""
        try:
            piece = self.socket.recv(65_536)
        except ConnectionError:
            return False
        self.received += piece
        return bool(piece)

    def until(self, count: int) -> bytes:
        """Take so many bytes."""
        while len(self.received) < count:
            assert self.more(), f"ended after {self.received!r}"
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def to_the_end(self) -> bytes:
        """Everything until the server ends the connection."""
        while self.more():
            pass
        return self.received

    def head(self) -> bytes:
        """The head of an HTTP response."""
        while b"\r\n\r\n" not in self.received:
            assert self.more(), f"ended after {self.received!r}"
        return self.until(self.received.index(b"\r\n\r\n") + 4)

    def answer(self) -> tuple[int, bytes]:
        """Status and body of an HTTP response."""
        head = self.head()
        length = next(
            (
                int(line.split(b":")[1])
                for line in head.split(b"\r\n")
                if line[:15] == b"content-length:"
            ),
            0,
        )
        return int(head.split(b" ", 2)[1]), self.until(length)

    def upgrade(self) -> str:
        """Become an established WebSocket; returns the socket id."""
        self.send(wire.upgrade(f"/app/{KEY}{wire.QUERY}"))
        assert self.head().startswith(b"HTTP/1.1 101")
        established = json.loads(self.frame()[1])
        assert established["event"] == "pusher:connection_established"
        return str(json.loads(established["data"])["socket_id"])

    def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame, which must be whole, unmasked, unextended."""
        first, second = self.until(2)
        assert first & 0xF0 == 0x80
        assert second < 128
        length = second
        if length > 125:
            length = int.from_bytes(self.until(2 if length == 126 else 8))
        return first & 0x0F, self.until(length)

    def close(self) -> None:
        """Hang up."""
        self.socket.close()


#: What operators are told of refusals, at most once a minute for each reason, on one line each.
_REFUSAL = re.compile(
    r"[0-9:.]+ WARNING ("
    r"node: subscription refused: .+  app=\S+ channel="
    r"|websocket: (connection (refused|ended)|message refused): .+  (app=\S+ )?(path=.* )?address=\S+"
    r"|server: a (client|proxy) (speaks|sends) .+  address=\S+ port=\d+"  # garbage may begin as TLS does
    r"|http: request refused: .+ address=\S+( \w+=.+)?$)"
)


class FuzzedServer:
    """The server, one faithful subscriber and one backend that outlive everything thrown."""

    def __init__(self, server: RunningServer) -> None:
        self.server = server
        self.witness = Line(server.port)
        self.socket_id = self.witness.upgrade()
        channel = "private-witness"
        auth = channel_auth(KEY, SECRET, self.socket_id, channel)
        self.witness.send(wire.subscribe(channel, auth=auth))
        self.witness.frame()
        self.backend = Line(server.port)
        self._log_size = self._size()
        self._events = 0

    def line(self) -> Line:
        """A new connection."""
        return Line(self.server.port)

    def is_well(self) -> None:
        """Nothing was logged, an event still arrives, and a new client is served."""
        self._events += 1
        data = f"event {self._events}"
        self.backend.send(signed.event("private-witness", data, "witness-event"))
        assert self.backend.answer() == (200, b"{}")
        while self._next_to_witness() != ("witness-event", data):
            pass  # something thrown was a good event for the same channel
        client = self.line()
        client.send(wire.request("/ping", Connection="close"))
        assert client.to_the_end().endswith(b"\r\n\r\nPong!")
        client.close()
        others = [line for line in self._news().splitlines() if not _REFUSAL.match(line)]
        assert not others, others

    def _next_to_witness(self) -> tuple[str, str]:
        """Event and data of the witness's next message, which any client can read."""
        opcode, payload = self.witness.frame()
        if opcode == PING:
            self.witness.send(wire.frame(PONG, payload))
            return self._next_to_witness()
        assert opcode == TEXT, (opcode, payload)
        message = checked(payload)
        return message["event"], message["data"]

    def _size(self) -> int:
        return os.stat(self.server.log_path).st_size

    def _news(self) -> str:
        """What was logged since the last call. Names in it may be of any letters, so it is cut by bytes."""
        if self._size() == self._log_size:
            return ""
        with self.server.log_path.open("rb") as log:
            log.seek(self._log_size)
            news = log.read()
        self._log_size += len(news)
        return news.decode(errors="replace")


def last_words(line: Line) -> list[dict[str, Any] | int | None]:
    """Read a WebSocket to its end: messages, then the close code, if one was said.

    Fails on anything that a client could not read, or that tells of a fault of ours.
    """
    words: list[dict[str, Any] | int | None] = []
    while line.received or line.more():
        opcode, payload = line.frame()
        assert not words or isinstance(words[-1], dict), "a frame after the close"
        if opcode == CLOSE:
            words.append(struct.unpack("!H", payload[:2])[0] if payload else None)
            payload[2:].decode()
        elif opcode == PONG:
            assert len(payload) <= 125
        else:
            assert opcode == TEXT, (opcode, payload)
            words.append(checked(payload))
    return words


def checked(payload: bytes) -> dict[str, Any]:
    """A message that every official client can read, and that is no fault of ours."""
    message = json.loads(payload.decode(), parse_constant=_refuse)
    assert isinstance(message["event"], str)
    payload.decode().encode("utf-8")
    # A lone surrogate stands only in what the sender or the receiver wrote: opaque data, and refusals of it.
    if message["event"].startswith(("pusher_internal:", "pusher:connection")):
        json.dumps(message, ensure_ascii=False).encode()
        json.dumps(json.loads(message["data"]), ensure_ascii=False).encode()
    if message["event"] == "pusher:error":
        assert message["data"]["code"] in (None, 4009, 4200, 4301), message
        # Refusals quote what was sent, so they may contain the word.
        assert not message["data"]["message"].startswith("Internal error")
    else:
        assert isinstance(message["data"], str)
    return message


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")
