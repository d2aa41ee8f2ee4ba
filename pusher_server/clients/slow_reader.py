"""Keeps output for slow clients, and finds out whether they still acknowledge any of it."""

import asyncio
import os
import socket
import sys
from collections.abc import Sequence
from struct import unpack_from

from pusher_server.hub.batch import join

#: `tcpi_bytes_acked` in Linux's struct tcp_info (RFC 4898's tcpEStatsAppHCThruOctetsAcked).
_BYTES_ACKED = 120
_LENGTH = _BYTES_ACKED + 8


def bytes_acknowledged(transport: asyncio.Transport) -> int | None:
    """Bytes the peer has acknowledged so far; None where the system has no number (no TCP, no Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    handle = transport.get_extra_info("socket")
    if handle is None or handle.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        # The event loop's own socket object refuses such calls; a second handle on it does not.
        with socket.socket(fileno=os.dup(handle.fileno())) as probe:
            info = probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LENGTH)
    except OSError:
        return None
    if len(info) < _LENGTH:
        return None
    acknowledged: int = unpack_from("@Q", info, _BYTES_ACKED)[0]
    return acknowledged


class SlowReader:
    """A client whose write buffer is over the high-water mark, since `now`.

    Later output is kept here. A list entry for a frame that all subscribers share costs 8 bytes. A write
    that the event loop has to queue costs some 750 (measured). Output that is buffered already may be one
    large write of our own, such as a presence list. So it is allowed on top of `cap`.
    """

    __slots__ = ("_acknowledged", "_allowed", "_kept", "_kept_bytes", "_since")

    def __init__(self, now: float, *, buffered: int, cap: int) -> None:
        self._since = now
        self._allowed = cap + buffered
        #: Unknown until the first look: making one here would be a system call inside `write`.
        self._acknowledged: int | None = None
        self._kept: list[bytes] = []
        self._kept_bytes = 0

    def keep(self, data: bytes) -> None:
        """Takes the place of the transport's `write`."""
        self._kept.append(data)
        self._kept_bytes += len(data)

    def kept(self) -> Sequence[bytes]:
        """All that was kept, in few pieces."""
        return join(self._kept)

    def is_over(self, buffered: int) -> bool:
        """Whether more is waiting than is allowed; `buffered` in the transport."""
        return buffered + self._kept_bytes > self._allowed

    def is_lost(
        self, now: float, *, buffered: int, acknowledged: int | None, stall_timeout: float
    ) -> bool:
        """Whether it has fallen too far behind, or has taken nothing for `stall_timeout` seconds."""
        if self.is_over(buffered):
            return True
        # Where the system has no number, a smaller buffer is the progress that can be seen.
        latest = -buffered if acknowledged is None else acknowledged
        if self._acknowledged is None or latest > self._acknowledged:
            self._since, self._acknowledged = now, latest
            return False
        return now - self._since > stall_timeout
