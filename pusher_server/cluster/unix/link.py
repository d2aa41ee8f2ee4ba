"""A worker's connection to the bus."""

import asyncio
import logging
import os
from collections import deque
from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar, cast

import msgspec

from pusher_server.cluster.commands import REFUSALS, Command, Publish, Remember
from pusher_server.cluster.links import QUEUE_BYTES, LinkStats, StoreLink, StoreListener, fail
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
from pusher_server.errors import ClusterUnavailable

logger = logging.getLogger("pusher_server.cluster")

R = TypeVar("R")

#: Seconds for the bus to greet.
OPEN_TIMEOUT = 5.0

_encode = msgspec.msgpack.Encoder().encode


@lru_cache(maxsize=32)
def _decoder(answer: type) -> Callable[[bytes | memoryview], Any]:
    return msgspec.msgpack.Decoder(answer).decode


class UnixLink(StoreLink):
    """The link to the bus that listens at `path`."""

    def __init__(self, path: str) -> None:
        self.stats = LinkStats()
        self.peer = f"unix:{path}"
        self._path = path
        self._listener: StoreListener | None = None
        self._stream: _Stream | None = None
        self._opening = asyncio.Lock()

    @property
    def is_open(self) -> bool:
        """Whether commands can be sent now."""
        return self._stream is not None

    def attach(self, listener: StoreListener) -> None:
        """Set the listener of pushes; once, before `open`."""
        self._listener = listener

    async def open(self) -> None:
        """Connect and exchange greetings. Raises ClusterUnavailable."""
        async with self._opening:
            if self._stream is None:
                await self._connect()

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        stream = _Stream(self, loop)
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                await loop.create_unix_connection(lambda: stream, self._path)
                await stream.greeted
        except TimeoutError:
            stream.end("it did not greet")
            raise ClusterUnavailable(
                f"the bus at {self._path} does not answer within {OPEN_TIMEOUT:g} s"
            ) from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise ClusterUnavailable(f"no bus at {self._path}: {reason}") from None
        except BaseException:
            stream.end("given up")
            raise
        if stream.ended:  # between the greeting and here
            raise ClusterUnavailable(f"the bus at {self._path} closed the connection")
        self._stream = stream
        self.stats.opened += 1

    def close(self) -> None:
        """End the connection; open answers fail. `on_lost` is not called."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end("closed")

    def call(self, command: Command[R]) -> "asyncio.Future[R]":
        """See `StoreLink.call`."""
        self.stats.commands += 1
        if self._stream is not None:
            return self._stream.call(command)
        failed: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        fail(failed, ClusterUnavailable(f"no connection to the bus at {self._path}"))
        return failed

    def publish(self, command: Publish | Remember) -> bool:
        """See `StoreLink.publish`."""
        stream = self._stream
        if stream is None or stream.waiting() > QUEUE_BYTES:
            self.stats.dropped += 1
            return False
        self.stats.commands += 1
        if type(command) is Publish:
            stream.send(event_frame(command.address.encode(), command.body))
        else:
            stream.send(frame(TELL, _encode(command)))
        return True

    # For the stream

    def pushed(self, address: str, body: bytes) -> None:
        """Pass a push to the listener."""
        self.stats.pushes += 1
        if self._listener is not None:
            self._listener.on_push(address, body)

    def lost(self, stream: "_Stream", reason: str) -> None:
        """The connection ended by itself."""
        if self._stream is stream:
            self._stream = None
            if self._listener is not None:
                self._listener.on_lost(reason)


class _Stream(asyncio.Protocol):
    """One connection, from the greeting to its end."""

    def __init__(self, link: UnixLink, loop: asyncio.AbstractEventLoop) -> None:
        self.greeted: asyncio.Future[None] = loop.create_future()
        self._link = link
        self._loop = loop
        self._splitter = FrameSplitter()
        self._transport: asyncio.Transport | None = None
        self.ended = False
        #: Frames of this turn for the bus.
        self._queue: list[bytes] = []
        self._queued = 0
        #: Open answers with their decoders, the oldest first.
        self._open: deque[tuple[asyncio.Future[Any], Callable[[memoryview], Any]]] = deque()
        #: For each answer whose waiters have not run yet: the pushes behind it, which must not overtake them.
        self._behind: deque[list[tuple[str, bytes]]] = deque()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Greet."""
        self._transport = cast(asyncio.Transport, transport)
        bus = credentials_behind(self._transport)
        if bus is not None and bus.uid != os.geteuid():
            # A folder for all users was emptied, and another user took the name.
            self.end(f"it belongs to another user ({bus.uid})")
            return
        self._transport.write(HELLO_FRAME)

    def connection_lost(self, exc: Exception | None) -> None:
        """The bus has gone, or we have."""
        self.end("the bus closed the connection" if exc is None else f"connection lost: {exc}")

    def data_received(self, data: bytes) -> None:
        """Answers and pushes, in the bus's order."""
        try:
            for chunk, start, end in self._splitter.feed(data):
                if chunk[start + KIND_AT] == EVENT:
                    self._on_event(chunk, start, end)
                elif self.greeted.done():
                    self._on_answer(chunk, start, end)
                else:
                    check_hello(chunk, start, end)
                    self.greeted.set_result(None)
                if self.ended:
                    return
        except (NotOurs, ValueError, RecursionError) as error:  # bad msgpack, bad UTF-8
            self.end(f"the bus does not speak our language: {error}")

    def _on_event(self, chunk: bytes, start: int, end: int) -> None:
        octets, body = event_address(chunk, start, end)
        address = octets.decode()
        if self._behind:
            self._behind[-1].append((address, chunk[body:end]))
        else:
            self._link.pushed(address, chunk[body:end])

    def _on_answer(self, chunk: bytes, start: int, end: int) -> None:
        kind = chunk[start + KIND_AT]
        if kind not in (ANSWER, REFUSAL) or not self._open:
            raise NotOurs(f"a frame of kind {kind} that nobody asked for")
        answer, decode = self._open[0]
        rest = memoryview(chunk)[start + HEAD_BYTES : end]
        result = decode(rest) if kind == ANSWER else None
        self._open.popleft()
        if not answer.done():  # else cancelled by the caller
            if kind == ANSWER:
                answer.set_result(result)
            else:
                name = bytes(rest).decode(errors="replace")
                refusal = REFUSALS.get(name)
                fail(answer, refusal() if refusal else ClusterUnavailable(f"refused: {name}"))
        self._behind.append([])
        self._loop.call_soon(self._catch_up)

    def _catch_up(self) -> None:
        """Deliver the pushes behind an answer. Its waiters have run: they were scheduled before this."""
        for address, body in self._behind.popleft():
            if self.ended:
                return
            self._link.pushed(address, body)

    def call(self, command: Command[R]) -> "asyncio.Future[R]":
        """Send a command. Returns its answer."""
        answer: asyncio.Future[R] = self._loop.create_future()
        self._open.append((answer, _decoder(command.answer)))
        self.send(frame(CALL, _encode(command)))
        return answer

    def send(self, made: bytes) -> None:
        """Queue it for the write at the end of this turn."""
        if not self._queue:
            self._loop.call_soon(self._flush)
        self._queue.append(made)
        self._queued += len(made)

    def waiting(self) -> int:
        """Bytes that the bus has not taken yet."""
        transport = self._transport
        return self._queued + (0 if transport is None else transport.get_write_buffer_size())

    def _flush(self) -> None:
        queue, self._queue, self._queued = self._queue, [], 0
        if self._transport is not None and not self.ended:
            self._transport.write(queue[0] if len(queue) == 1 else b"".join(queue))

    def end(self, reason: str) -> None:
        """End the connection: all open answers fail. Does it once."""
        if self.ended:
            return
        self.ended = True
        if self._transport is not None:
            self._transport.abort()
        failure = ClusterUnavailable(f"{self._link.peer}: {reason}")
        fail(self.greeted, failure)
        while self._open:
            fail(self._open.popleft()[0], failure)
        self._link.lost(self, reason)
