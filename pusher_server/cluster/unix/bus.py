"""The bus: a `MemoryStore` behind a Unix socket, with the subscriptions of its peers.

One loop, one connection per worker, no client traffic. Events, transitions and answers to a worker are one
ordered stream; the frames of one turn of the loop leave in one write.

Memory is bounded. A worker that has not read its answers gets no further ones until it does (`ANSWER_BYTES`).
It is cut when publications of others pile up for it (`BACKLOG_BYTES`).

An event of 330 bytes takes 15 µs with eight to a turn, 29 with four, 72 alone. This is the measured CPU of both
workers and the bus together, coding included. Three wake-ups cost about 60, our code about 3.

A new bus starts empty, under a new epoch, and the nodes declare their keys anew.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterator
from typing import cast

import msgspec

from pusher_server.cluster.commands import (
    REFUSALS,
    AnyCommand,
    Nothing,
    Publish,
    Remember,
    Subscribe,
    Unsubscribe,
)
from pusher_server.cluster.memory.store import MemoryStore
from pusher_server.cluster.unix.framing import (
    ANSWER,
    CALL,
    EVENT,
    HEAD_BYTES,
    HELLO_FRAME,
    KIND_AT,
    REFUSAL,
    TELL,
    FrameSplitter,
    NotOurs,
    check_hello,
    credentials_behind,
    event_address,
    event_frame,
    frame,
)

logger = logging.getLogger("pusher_server.cluster")

#: With more than this unread, a worker's next commands wait.
ANSWER_BYTES = 4 * 2**20
#: With more than this unread, beside its longest answer, a worker is taken for one that does not read.
BACKLOG_BYTES = 32 * 2**20

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(AnyCommand).decode
_REFUSAL_FRAMES = {refusal: frame(REFUSAL, name.encode()) for name, refusal in REFUSALS.items()}
_FAILED = frame(REFUSAL, b"failed")
_DONE = frame(ANSWER, _encode(Nothing()))


def new_epoch() -> str:
    """52 random bits: a float holds them exactly, wherever a reader takes numbers for floats."""
    return f"{secrets.randbits(52):x}"


class Bus:
    """Serves connections that `peer` makes; its loop is the running one, its clock too unless given.

    `is_first`: these workers had no bus before.
    """

    def __init__(
        self,
        *,
        lease: float,
        undo_window: float,
        is_first: bool = False,
        clock: Callable[[], float] | None = None,
    ) -> None:
        self.epoch = new_epoch()
        self.peers: set[Peer] = set()
        self._loop = asyncio.get_running_loop()
        self._clock = clock or self._loop.time
        self._store = MemoryStore(
            self._push,
            epoch=self.epoch,
            lease=lease,
            undo_window=undo_window,
            is_first=is_first,
        )
        self._subscriptions: dict[bytes, set[Peer]] = {}
        #: The peer that publishes at the moment, with `TELL`: it does not get its own message back.
        self._sender: Peer | None = None
        self._unflushed: list[Peer] = []

    def peer(self) -> "Peer":
        """A protocol for the next connection."""
        return Peer(self)

    def _push(self, address: str, body: bytes) -> None:
        at = address.encode()
        interested = self._subscriptions.get(at)
        if interested:
            made = event_frame(at, body)
            for peer in interested:
                if peer is not self._sender:
                    self.send(peer, made)

    def pass_on(self, sender: "Peer", data: bytes, start: int, end: int) -> None:
        """An event, in the bytes in which it came. Raises NotOurs."""
        interested = self._subscriptions.get(event_address(data, start, end)[0])
        if interested:
            made: bytes | None = None
            for peer in interested:
                if peer is not sender:
                    made = made or data[start:end]
                    self.send(peer, made)

    def send(self, peer: "Peer", made: bytes) -> None:
        """Queue it for the write at the end of this turn."""
        if not peer.queue:
            if not self._unflushed:
                self._loop.call_soon(self._flush)
            self._unflushed.append(peer)
        peer.queue.append(made)
        peer.queued += len(made)

    def _flush(self) -> None:
        unflushed, self._unflushed = self._unflushed, []
        for peer in unflushed:
            try:
                peer.flush()
            except Exception:  # the others must not wait for ever
                logger.exception("a worker cannot be written to")
                peer.cut("it cannot be written to")

    def execute(self, peer: "Peer", command: AnyCommand, *, is_asked: bool) -> bytes:
        """Execute a command. Returns the answer's frame; pushes that the command causes are queued before."""
        match command:
            case Subscribe(address):
                self._subscriptions.setdefault(address.encode(), set()).add(peer)
                peer.addresses.add(address.encode())
                return _DONE
            case Unsubscribe(address):
                self._lose_interest(peer, address.encode())
                return _DONE
        try:
            publishes = isinstance(command, Publish | Remember)
            self._sender = peer if publishes and not is_asked else None
            answer = self._store.execute(command, self._clock())
        except tuple(REFUSALS.values()) as refusal:
            return _REFUSAL_FRAMES[type(refusal)]
        except Exception:
            logger.exception("a command failed: %s", type(command).__name__)
            return _FAILED
        finally:
            self._sender = None
        return frame(ANSWER, _encode(answer))

    def _lose_interest(self, peer: "Peer", address: bytes) -> None:
        peer.addresses.discard(address)
        interested = self._subscriptions.get(address)
        if interested is not None:
            interested.discard(peer)
            if not interested:
                del self._subscriptions[address]

    def gone(self, peer: "Peer") -> None:
        """Forget a peer whose connection has ended. Its leases run on: a worker may come back."""
        self.peers.discard(peer)
        for address in list(peer.addresses):
            self._lose_interest(peer, address)


class Peer(asyncio.Protocol):
    """One worker's connection."""

    def __init__(self, bus: Bus) -> None:
        self.addresses: set[bytes] = set()
        #: Frames of this turn for it, and their size.
        self.queue: list[bytes] = []
        self.queued = 0
        self._bus = bus
        self._splitter = FrameSplitter()
        #: Frames that wait until the worker has read its answers.
        self._held: list[Iterator[tuple[bytes, int, int]]] = []
        #: The kernel takes no more at the moment.
        self._full = False
        #: The longest answer since the worker last had read everything.
        self._longest = 0
        self._greeted = False
        self._ended = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=ANSWER_BYTES, low=ANSWER_BYTES // 4)
        self._bus.peers.add(self)
        self._bus.send(self, HELLO_FRAME)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        self._ended = True
        self._bus.gone(self)

    def pause_writing(self) -> None:
        """More than `ANSWER_BYTES` wait."""
        self._full = True

    def resume_writing(self) -> None:
        """The worker reads again."""
        self._full = False
        self._longest = 0
        self._continue()

    def data_received(self, data: bytes) -> None:
        """Execute the frames, in their order."""
        frames = self._splitter.feed(data)
        if self._held:
            self._held.append(frames)
        else:
            self._work(frames)

    def _work(self, frames: Iterator[tuple[bytes, int, int]]) -> None:
        try:
            for chunk, start, end in frames:
                if chunk[start + KIND_AT] == EVENT and self._greeted:
                    self._bus.pass_on(self, chunk, start, end)
                else:
                    self._command(chunk, start, end)
                    if self._full or self.queued > ANSWER_BYTES:
                        self._hold(frames)
                        return
        except (NotOurs, ValueError, RecursionError) as error:  # bad msgpack, bad UTF-8
            self.cut(f"it does not speak our language: {error}")

    def _command(self, chunk: bytes, start: int, end: int) -> None:
        if not self._greeted:
            check_hello(chunk, start, end)
            self._greeted = True
            return
        kind = chunk[start + KIND_AT]
        if kind not in (CALL, TELL):
            raise NotOurs(f"a frame of kind {kind}")
        command = _decode(memoryview(chunk)[start + HEAD_BYTES : end])
        answer = self._bus.execute(self, command, is_asked=kind == CALL)
        if kind == CALL:
            self._longest = max(self._longest, len(answer))
            self._bus.send(self, answer)

    def _hold(self, frames: Iterator[tuple[bytes, int, int]]) -> None:
        self._held.insert(0, frames)
        if self._transport is not None:
            self._transport.pause_reading()

    def _continue(self) -> None:
        """Go on with the frames that were held."""
        while self._held and not self._ended:
            self._work(self._held.pop(0))
            if self._full or self.queued > ANSWER_BYTES:
                return
        if self._transport is not None and not self._ended:
            self._transport.resume_reading()

    def flush(self) -> None:
        """Write the frames of this turn, unless the worker is too far behind."""
        queue, self.queue = self.queue, []
        size, self.queued = self.queued, 0
        transport = self._transport
        if self._ended or transport is None:
            return
        waiting = transport.get_write_buffer_size()
        if waiting and waiting + size > BACKLOG_BYTES + self._longest:
            self.cut(f"it does not read, {waiting + size} bytes wait for it")
            return
        transport.write(queue[0] if len(queue) == 1 else b"".join(queue))
        if self._held and not self._full:
            self._continue()

    def cut(self, why: str) -> None:
        """End the connection at once."""
        if not self._ended and self._transport is not None:
            self._ended = True
            worker = credentials_behind(self._transport)
            fields = {"pid": None if worker is None else worker.pid}
            logger.warning("a worker's connection is ended: %s", why, extra=fields)
            self._transport.abort()
            self._bus.gone(self)
