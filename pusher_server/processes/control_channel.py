"""The socket pair between the supervisor and one of its processes: messages, one to a line, both ways.

    | Sender | Message | Meaning |
    |---|---|---|
    | supervisor | a spec, JSON | the first line: the settings of the process |
    | | `stop` | drain and end |
    | | `stop now` | end at once |
    | | `make way` | drain without `server.drain_delay`: a successor waits |
    | | `reload` | read apps and certificates again |
    | | `reading` | send the numbers for metrics and health |
    | | `ask`, a number and an operator's question, JSON | send the cluster's answer |
    | child | `ready` and a report, JSON | it serves; before that it may wait for the cluster, `alive` |
    | | `reading` and the reading, JSON | the answer; answers come in the order of the requests |
    | | `ask`, the number and the answer, JSON | in any order; nothing behind the number: there is none |
    | | `alive` | its loop turns; each second or more often |

The end of the socket means that the other process has ended, for any reason. Messages are used instead of
signals: a terminal and systemd send their signals to all processes of a group, besides the supervisor's.
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
MAKE_WAY = "make way"
RELOAD = "reload"
READING = "reading"
ASK = "ask"
READY = "ready"
ALIVE = "alive"

#: Seconds between two `alive`, at most; at least four come within a lease.
BEAT = 1.0
#: A spec holds all apps; a line that is longer than this is no spec.
_SPEC_BYTES = 256 * 2**20


class ControlChannel(asyncio.Protocol):
    """One end. `on_message` is called with each line, `on_end` when the other process is gone."""

    def __init__(self, on_message: Callable[[str], None], on_end: Callable[[], None]) -> None:
        self._on_message = on_message
        self._on_end = on_end
        self._rest = b""
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def hold(
        cls, end: socket.socket, on_message: Callable[[str], None], on_end: Callable[[], None]
    ) -> "ControlChannel":
        """Take one end of the pair into the running loop."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.connect_accepted_socket(lambda: cls(on_message, on_end), end)
        return channel

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._on_message(line.decode())

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        self._on_end()

    def send(self, message: str) -> None:
        """Send a message to the other end, if it is still there."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(f"{message}\n".encode())

    def write(self, line: bytes) -> None:
        """Send a line that is bytes already."""
        if self._transport is not None:
            self._transport.write(line)

    def beat(self, lease: float) -> None:
        """Send `alive` from now on, so often that one late turn of the loop costs nothing."""
        self.send(ALIVE)
        asyncio.get_running_loop().call_later(min(BEAT, lease / 4), self.beat, lease)

    def drop(self) -> None:
        """Close this end."""
        if self._transport is not None:
            self._transport.close()


def spec_line(spec: msgspec.Struct) -> bytes:
    """The first line that the supervisor writes."""
    return msgspec.json.encode(spec) + b"\n"


def read_spec(end: socket.socket, kind: type[T]) -> T:
    """Read the first line, before the child has a loop. Raises PusherServerError."""
    line = b""
    # Byte by byte would be slow, and no byte after the line may be taken: messages may follow.
    while b"\n" not in (seen := end.recv(65_536, socket.MSG_PEEK)):
        if not seen or len(line) > _SPEC_BYTES:
            raise PusherServerError("the supervisor has gone")
        line += end.recv(len(seen))
    line += end.recv(seen.index(b"\n") + 1)
    return msgspec.json.decode(line, type=kind)
