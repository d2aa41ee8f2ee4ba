"""The manners of flooding: each does a step at a time, so that somebody can end it in between."""

import select
import socket
import ssl
import time
from contextlib import suppress

from tests.abuse.flood import Flood, Manner
from tests.abuse.target import Target, cut

#: A slow connection's pace.
_DRIBBLE_PAUSE = 0.2
#: Seconds for each connection that the server is not waited for. Without them the kernel's work for it keeps
#: the victims from the core that they share with us, and they would measure that.
_UNANSWERED_PAUSE = 0.0003


class Sent:
    """What a flood came to."""

    def __init__(self) -> None:
        self.bytes = 0
        self.connections = 0
        self.refused = 0


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
        cut(sock)


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
                cut(sock)
                continue
            self._sent.bytes += 1
            # The last byte never comes: what is begun is not finished.
            self._offsets[sock] = min(offset + 1, len(self._flood.block) - 2)
        if len(self._offsets) == self._flood.connections:
            time.sleep(max(0.0, began + _DRIBBLE_PAUSE - time.monotonic()))

    def close(self) -> None:
        """Cut them all."""
        for sock in self._offsets:
            cut(sock)
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
                cut(sock)
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


Engine = Streams | Dribble | Churn


def engine(flood: Flood, target: Target, sent: Sent) -> Engine:
    """What sends this flood, and counts it in `sent`."""
    if flood.manner is Manner.STREAM:
        return Streams(flood, target, sent)
    if flood.manner is Manner.DRIBBLE:
        return Dribble(flood, target, sent)
    return Churn(flood, target, sent)
