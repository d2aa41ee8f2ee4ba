"""How much one turn of the loop did for a connection, counted where bytes are parsed.

Not by the server's own count, which is what is audited: every WebSocket frame that was unmasked, every request
and piece of a body that was read, and their bytes. They belong to whose reader or parser is at work.
"""

import asyncio
import os
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httptools
from websockets.frames import Frame

from pusher_server.server.http_protocol import HttpProtocol
from pusher_server.websocket import framing
from pusher_server.websocket.framing import FrameReader, Incoming

#: The largest turn of each such span of time is written down.
_SPAN = 0.1
#: Smaller ones are nothing to tell.
_LEAST = 8


@dataclass(frozen=True)
class Turn:
    """What one turn of the loop did; `at` is the monotonic clock, which all processes of a machine share."""

    at: float
    units: int
    bytes: int


class TurnCounter:
    """Counts in one process, and appends lines to a file that its processes share."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        #: Whose bytes are being read.
        self.reader: object = None
        #: What the present turn has done for each reader: units and bytes.
        self._done: dict[int, tuple[int, int]] = {}
        self._most_units = self._most_bytes = 0
        self._written = 0.0

    def count(self, units: int, size: int) -> None:
        """So much more was done in the present turn."""
        if not self._done:
            asyncio.get_running_loop().call_soon(self._end)
        before = self._done.get(id(self.reader), (0, 0))
        self._done[id(self.reader)] = before[0] + units, before[1] + size

    def _end(self) -> None:
        # Scheduled before whatever the turn itself has scheduled, so it runs ahead of the rest of a flood.
        for units, size in self._done.values():
            self._most_units = max(self._most_units, units)
            self._most_bytes = max(self._most_bytes, size)
        self._done.clear()
        now = time.monotonic()
        if now - self._written >= _SPAN and self._most_units >= _LEAST:
            os.write(self._file, f"{now} {self._most_units} {self._most_bytes}\n".encode())
            self._most_units = self._most_bytes = 0
            self._written = now


def read_turns(path: Path, since: float) -> Iterator[Turn]:
    """What was written after a moment."""
    if path.exists():
        for line in path.read_text().splitlines():
            at, units, size = line.split()
            if float(at) >= since:
                yield Turn(float(at), int(units), int(size))


def count_turns(path: str) -> None:
    """From now on, what this process parses is counted."""
    counter = TurnCounter(path)
    _count_frames(counter)
    _count_requests(counter)


def _count_frames(counter: TurnCounter) -> None:
    unmask: Callable[[bytes, bytes], bytes] = vars(framing)["apply_mask"]

    def counted(data: bytes, mask: bytes) -> bytes:
        counter.count(1, len(data) + 6)
        return unmask(data, mask)

    vars(framing)["apply_mask"] = counted
    parse: Callable[..., Generator[None, None, Frame]] = Frame.parse

    def parsed(*arguments: Any, **options: Any) -> Generator[None, None, Frame]:
        frame = yield from parse(*arguments, **options)
        counter.count(1, len(frame.data) + 6)
        return frame

    Frame.parse = parsed  # type: ignore[method-assign]
    receive = FrameReader.receive

    def received(self: FrameReader, data: bytes) -> Iterator[Incoming]:
        steps = receive(self, data)
        while True:
            counter.reader = self
            try:
                step = next(steps)
            except StopIteration:
                return
            yield step

    FrameReader.receive = received  # type: ignore[method-assign]


def _count_requests(counter: TurnCounter) -> None:
    class Counted(httptools.HttpRequestParser):
        def feed_data(self, data: Any) -> None:
            counter.reader = self
            counter.count(0, len(data))
            super().feed_data(data)

    vars(httptools)["HttpRequestParser"] = Counted
    for name in ("on_message_begin", "on_body"):
        _count_calls(counter, name)


def _count_calls(counter: TurnCounter, name: str) -> None:
    """A callback of the parser is one unit."""
    original = getattr(HttpProtocol, name)

    def counted(self: HttpProtocol, *arguments: Any) -> None:
        counter.count(1, 0)
        original(self, *arguments)

    setattr(HttpProtocol, name, counted)
