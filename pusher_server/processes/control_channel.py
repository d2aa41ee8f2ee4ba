"""The socket pair between the supervisor and a process of its own: words, one to a line, both ways.

| Said by | Word | Means |
|---|---|---|
| supervisor | a place, JSON | first of all: who you are |
| | `stop` | drain and end |
| | `stop now` | end at once |
| | `reload` | read apps and certificates again |
| | `reading` | say what metrics and health need |
| child | `ready` and a report, JSON | it serves; before that it may wait for the cluster, `alive` |
| | `reading` and it, JSON | the answer; answers come in the order of the questions |
| | `alive` | its loop turns; each second or more often |

The end of the socket says that the other process has ended, however it did. Words rather than signals: a
terminal and systemd send their signals to all processes of a group, beside what the supervisor says.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import TypeVar, cast

import msgspec

from pusher_server.errors import PusherServerError

T = TypeVar("T")

STOP = "stop"
STOP_NOW = "stop now"
RELOAD = "reload"
READING = "reading"
READY = "ready"
ALIVE = "alive"

#: Seconds between two `alive`, at most; at least four come within a lease.
BEAT = 1.0
#: A place holds all apps; more than this is no place.
_SPEC_BYTES = 256 * 2**20


class ControlChannel(asyncio.Protocol):
    """One end. `on_word` is told each line, `on_end` that the other process is gone."""

    def __init__(self, on_word: Callable[[str], None], on_end: Callable[[], None]) -> None:
        self._on_word = on_word
        self._on_end = on_end
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def hold(
        cls, end: socket.socket, on_word: Callable[[str], None], on_end: Callable[[], None]
    ) -> "ControlChannel":
        """Take one end of the pair into the running loop."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.connect_accepted_socket(lambda: cls(on_word, on_end), end)
        return channel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._on_word(line.decode())

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._on_end()

    def say(self, word: str) -> None:
        """To the other end, if it is still there."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(f"{word}\n".encode())

    def write(self, line: bytes) -> None:
        """A line that is bytes already."""
        if self._transport is not None:
            self._transport.write(line)

    def beat(self, lease: float) -> None:
        """Say `alive` from now on, so often that one late turn of the loop costs nothing."""
        self.say(ALIVE)
        asyncio.get_running_loop().call_later(min(BEAT, lease / 4), self.beat, lease)

    def drop(self) -> None:
        """Let go."""
        if self._transport is not None:
            self._transport.close()


def spec_line(spec: msgspec.Struct) -> bytes:
    """What the supervisor writes first."""
    return msgspec.json.encode(spec) + b"\n"


def read_spec(end: socket.socket, kind: type[T]) -> T:
    """What the child reads first, before it has a loop. Raises PusherServerError."""
    line = b""
    # Byte by byte would be slow, and more than the line must not be taken: words may follow.
    while b"\n" not in (seen := end.recv(65_536, socket.MSG_PEEK)):
        if not seen or len(line) > _SPEC_BYTES:
            raise PusherServerError("the supervisor has gone")
        line += end.recv(len(seen))
    line += end.recv(seen.index(b"\n") + 1)
    return msgspec.json.decode(line, type=kind)
