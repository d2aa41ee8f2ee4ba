"""The stranger: a process of its own that sends one flood after the other, as fast as the server takes it.

    python -m tests.abuse.flooder HOST PORT [--tls]

A line with a flood's name on standard input begins it, an empty line ends it; then a line of JSON says what was
sent. It never runs longer than `LONGEST` seconds, and ends with its standard input. Blocks are made beforehand,
and system calls carry a quarter of a megabyte, so that the server is the slower side.
"""

import json
import os
import select
import socket
import ssl
import struct
import sys
import time
from collections.abc import Callable
from contextlib import suppress

from tests.abuse.connection_floods import unchecked_context
from tests.abuse.flood import AUTH_TOKEN, KEY, OWN_CHANNEL, SECRET, Flood, Manner
from tests.abuse.floods import catalogue
from tests.chaos.frames import FrameBuffer
from tests.conformance.signing import channel_auth
from tests.edge.wire import QUERY, text, upgrade

LONGEST = 60.0
#: Seconds that a server may take for a connection of ours before it counts as refused.
_PATIENCE = 5.0
#: A slow connection's pace.
_DRIBBLE_PAUSE = 0.2
#: Seconds for each connection that the server is not waited for. Without them the kernel's work for it keeps
#: the victims from the core that they share with us, and they would measure that.
_UNANSWERED_PAUSE = 0.0003
#: Below the victim on the core that they share.
_NICE = 10
#: SO_LINGER that turns a close into a reset: nothing stays behind in TIME_WAIT.
_RESET = struct.pack("ii", 1, 0)


class Sent:
    """What a flood came to."""

    def __init__(self) -> None:
        self.bytes = 0
        self.connections = 0
        self.refused = 0


class Target:
    """Where the server is, and how one gets a connection."""

    def __init__(self, host: str, port: int, context: ssl.SSLContext | None) -> None:
        self.address = (host, port)
        self.context = context

    def plain(self) -> socket.socket:
        """A TCP connection. Raises OSError."""
        return socket.create_connection(self.address, _PATIENCE)

    def dial(self, flood: Flood) -> socket.socket:
        """As a flood needs it, still blocking. Raises OSError."""
        sock = self.plain()
        try:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.context is not None and not flood.below_tls:
                sock = self.context.wrap_socket(sock, server_hostname="localhost")
            if flood.websocket:
                self._establish(sock, flood)
            if flood.head:
                sock.sendall(flood.head)
        except OSError:
            sock.close()
            raise
        return sock

    def _establish(self, sock: socket.socket, flood: Flood) -> None:
        sock.sendall(upgrade(f"/app/{KEY}{QUERY}"))
        answer = b""
        while b"\r\n\r\n" not in answer:
            answer += _some(sock)
        frames = FrameBuffer()
        greetings = [payload for _, payload in frames.feed(answer.partition(b"\r\n\r\n")[2])]
        while not greetings:
            greetings = [payload for _, payload in frames.feed(_some(sock))]
        socket_id = json.loads(json.loads(greetings[0])["data"])["socket_id"]
        for said in flood.opening:
            # The frames are masked; the token is put in before that.
            sock.sendall(_authorized(said, socket_id))


def _some(sock: socket.socket) -> bytes:
    data = sock.recv(65_536)
    if not data:
        raise ConnectionError("the server has closed")
    return data


def _authorized(payload: bytes, socket_id: str) -> bytes:
    auth = channel_auth(KEY, SECRET, socket_id, OWN_CHANNEL)
    return text(payload.replace(AUTH_TOKEN, auth.encode()))


def _cut(sock: socket.socket) -> None:
    with suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


class Streams:
    """Connections that carry the block again and again."""

    def __init__(self, flood: Flood, target: Target, sent: Sent) -> None:
        self._flood = flood
        self._target = target
        self._sent = sent
        self._block = memoryview(flood.block)
        self._scratch = bytearray(262_144)
        self._offsets: dict[socket.socket, int] = {}
        self._next_dial = 0.0

    def step(self) -> None:
        """Replace what was closed; send and read what can be."""
        if len(self._offsets) < self._flood.connections and time.monotonic() >= self._next_dial:
            self._dial()
        reading = list(self._offsets) if self._flood.reads else []
        readable, writable, _ = select.select(reading, list(self._offsets), [], 0.05)
        for sock in readable:
            self._read(sock)
        for sock in writable:
            if sock in self._offsets:
                self._write(sock)

    def close(self) -> None:
        """Cut them all."""
        for sock in list(self._offsets):
            self._forget(sock)

    def _dial(self) -> None:
        try:
            sock = self._target.dial(self._flood)
        except OSError:
            self._sent.refused += 1
            self._next_dial = time.monotonic() + 0.01
            return
        sock.setblocking(False)
        self._sent.connections += 1
        self._offsets[sock] = 0

    def _read(self, sock: socket.socket) -> None:
        try:
            if not sock.recv_into(self._scratch):
                self._forget(sock)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            pass
        except OSError:
            self._forget(sock)

    def _write(self, sock: socket.socket) -> None:
        offset = self._offsets[sock]
        end = offset + self._flood.segment if self._flood.segment else len(self._block)
        try:
            count = sock.send(self._block[offset:end])
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            return
        except OSError:
            self._forget(sock)
            return
        self._sent.bytes += count
        self._offsets[sock] = (offset + count) % len(self._block)

    def _forget(self, sock: socket.socket) -> None:
        del self._offsets[sock]
        _cut(sock)


class Dribble:
    """Many connections that say one byte at a time."""

    def __init__(self, flood: Flood, target: Target, sent: Sent) -> None:
        self._flood = flood
        self._target = target
        self._sent = sent
        self._offsets: dict[socket.socket, int] = {}

    def step(self) -> None:
        """A byte on each, then a pause."""
        began = time.monotonic()
        if len(self._offsets) < self._flood.connections:
            with suppress(OSError):
                sock = self._target.dial(self._flood)
                sock.setblocking(False)
                self._offsets[sock] = 0
                self._sent.connections += 1
        for sock, offset in list(self._offsets.items()):
            try:
                sock.send(self._flood.block[offset : offset + 1])
            except OSError:
                del self._offsets[sock]
                _cut(sock)
                continue
            self._sent.bytes += 1
            # The last byte never comes: what is begun is not finished.
            self._offsets[sock] = min(offset + 1, len(self._flood.block) - 2)
        if len(self._offsets) == self._flood.connections:
            time.sleep(max(0.0, began + _DRIBBLE_PAUSE - time.monotonic()))

    def close(self) -> None:
        """Cut them all."""
        for sock in self._offsets:
            _cut(sock)
        self._offsets.clear()


class Churn:
    """Some connections, the block on each, the end; the next ones."""

    def __init__(self, flood: Flood, target: Target, sent: Sent) -> None:
        self._flood = flood
        self._target = target
        self._sent = sent

    def step(self) -> None:
        """So many of them that the server has always one to go on with."""
        opened: list[socket.socket] = []
        for _ in range(self._flood.connections):
            try:
                opened.append(self._target.plain())
            except OSError:
                self._sent.refused += 1
        self._sent.connections += len(opened)
        for at, sock in enumerate(opened):
            with suppress(OSError):
                opened[at] = self._say(sock)
        for sock in opened:
            if self._flood.waits:
                with suppress(OSError):
                    sock.recv(65_536)
            if self._flood.resets:
                _cut(sock)
            else:
                sock.close()
        if not self._flood.waits:
            time.sleep(_UNANSWERED_PAUSE * len(opened))

    def _say(self, sock: socket.socket) -> socket.socket:
        """Everything that is said on one connection; it may have become another one in TLS."""
        block, handshake = self._flood.block, self._flood.manner is Manner.HANDSHAKE
        context = self._target.context
        if context is not None and (handshake or (block and not self._flood.below_tls)):
            sock = context.wrap_socket(sock, server_hostname="localhost")
        if block:
            sock.sendall(block)
            self._sent.bytes += len(block)
        elif self._flood.waits:
            sock.shutdown(socket.SHUT_WR)  # the server closes its half when it has come to this one
        return sock

    def close(self) -> None:
        """Nothing stays open."""


_ENGINES: dict[Manner, type[Streams] | type[Dribble] | type[Churn]] = {
    Manner.STREAM: Streams,
    Manner.DRIBBLE: Dribble,
    Manner.CHURN: Churn,
    Manner.HANDSHAKE: Churn,
}


def flood_until_told(flood: Flood, target: Target, told: Callable[[], bool]) -> Sent:
    """Send until somebody says so, or for `LONGEST` seconds."""
    sent = Sent()
    engine = _ENGINES[flood.manner](flood, target, sent)
    end = time.monotonic() + LONGEST
    try:
        while not told() and time.monotonic() < end:
            engine.step()
    finally:
        engine.close()
    return sent


def _told() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def main(host: str, port: str, *options: str) -> None:
    """Serve lines until there are none."""
    os.nice(_NICE)
    floods = catalogue()
    target = Target(host, int(port), unchecked_context() if "--tls" in options else None)
    print("ready", flush=True)
    while line := sys.stdin.readline().strip():
        began = time.monotonic()
        sent = flood_until_told(floods[line], target, _told)
        if not sys.stdin.readline():  # the word to end it, or nobody is there any more
            return
        print(json.dumps({**vars(sent), "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
