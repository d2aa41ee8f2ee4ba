"""Frames between a worker and the bus: a length, a kind, and a content of that kind.

    u32 little-endian: bytes that follow | u8 kind | rest

    | Kind | From | Rest |
    |---|---|---|
    | `HELLO` | both, once and first | the version, as text |
    | `EVENT` | worker: publish; bus: push | u32 length of the address, the address, the body |
    | `CALL` | worker | a command, msgpack; an answer is owed |
    | `TELL` | worker | a command, msgpack; no answer |
    | `ANSWER` | bus | the answer to the oldest unanswered `CALL`, msgpack |
    | `REFUSAL` | bus | instead of that answer, a name of `commands.REFUSALS` |

Publishing and pushing are the same bytes, so the bus passes an event on as it came.
"""

import asyncio
import socket
from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple

from pusher_server.errors import PusherServerError

#: Workers of a supervisor may be of another release than its bus, when the package is replaced under them.
VERSION = b"1"

HELLO, EVENT, CALL, TELL, ANSWER, REFUSAL = range(1, 7)

#: No frame is longer; a peer that announces one speaks another protocol.
FRAME_BYTES = 256 * 2**20

_HEAD = Struct("<IB")
_EVENT_HEAD = Struct("<IBI")
_LENGTH = Struct("<I")
HEAD_BYTES = _HEAD.size
EVENT_HEAD_BYTES = _EVENT_HEAD.size
#: How the length in front counts: without itself.
_UNCOUNTED = _LENGTH.size
#: Where in a frame the kind stands.
KIND_AT = _UNCOUNTED

_pack_head = _HEAD.pack
_pack_event_head = _EVENT_HEAD.pack
_length_at = _LENGTH.unpack_from


#: Linux's credentials of a Unix socket's peer: pid, uid, gid.
_CREDENTIALS = Struct("3i")


class Credentials(NamedTuple):
    """The process at the other end of a Unix socket."""

    pid: int
    uid: int


def credentials_behind(transport: asyncio.Transport) -> Credentials | None:
    """The process that connected or listens there; None where the system does not give it (macOS)."""
    try:
        shown = transport.get_extra_info("socket").getsockopt(
            socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
        )
    except (AttributeError, OSError):  # not on macOS; the socket is closed already
        return None
    pid, uid, _ = _CREDENTIALS.unpack(shown)
    return Credentials(pid, uid)


class NotOurs(PusherServerError):
    """The bytes are no frames of this version."""


def frame(kind: int, rest: bytes) -> bytes:
    """Any frame but an event's."""
    return _pack_head(len(rest) + 1, kind) + rest


def event_frame(address: bytes, body: bytes) -> bytes:
    """The frame that publishes `body`, or pushes it."""
    size = len(address)
    return _pack_event_head(size + len(body) + 5, EVENT, size) + address + body


def event_address(data: bytes, start: int, end: int) -> tuple[bytes, int]:
    """The address of the event whose frame is `data[start:end]`, and where its body begins."""
    begin = start + EVENT_HEAD_BYTES
    if begin > end:
        raise NotOurs("an event without an address")
    body = begin + _length_at(data, begin - 4)[0]
    if body > end:
        raise NotOurs("an address that is longer than its frame")
    return data[begin:body], body


HELLO_FRAME = frame(HELLO, VERSION)


class FrameSplitter:
    """Finds the frames in the input of a socket."""

    def __init__(self) -> None:
        #: The beginning of a frame that is not there yet, and how many bytes it needs at least.
        self._begun = bytearray()
        self._needed = HEAD_BYTES

    def feed(self, chunk: bytes) -> Iterator[tuple[bytes, int, int]]:
        """Each complete frame as (data, start, end), its head included. Raises NotOurs."""
        if self._begun:
            self._begun += chunk
            if len(self._begun) < self._needed:
                return
            chunk = bytes(self._begun)
            self._begun.clear()
        start, size = 0, len(chunk)
        while True:
            rest = size - start
            if rest < HEAD_BYTES:
                self._needed = HEAD_BYTES
                break
            end = start + _UNCOUNTED + _length_at(chunk, start)[0]
            if not HEAD_BYTES <= end - start <= FRAME_BYTES:
                raise NotOurs(f"a frame of {end - start} bytes")
            if end > size:
                self._needed = end - start
                break
            yield chunk, start, end
            start = end
        if rest:
            self._begun += memoryview(chunk)[start:]


def check_hello(data: bytes, start: int, end: int) -> None:
    """Raises NotOurs unless the frame is the greeting of this version."""
    if data[start + KIND_AT] != HELLO:
        raise NotOurs("no greeting")
    version = data[start + HEAD_BYTES : end]
    if version != VERSION:
        raise NotOurs(f"version {version[:20]!r} instead of {VERSION!r}; restart the server whole")
