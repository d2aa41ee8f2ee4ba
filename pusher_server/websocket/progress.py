"""Whether a slow client still takes anything: what its TCP has acknowledged."""

import asyncio
import os
import socket
import sys
from struct import unpack_from

#: `tcpi_bytes_acked` in Linux's struct tcp_info (RFC 4898's tcpEStatsAppHCThruOctetsAcked).
_BYTES_ACKED = 120
_LENGTH = _BYTES_ACKED + 8


def bytes_acknowledged(transport: asyncio.Transport) -> int | None:
    """Bytes the peer has acknowledged so far; None where the system does not tell (no TCP, no Linux)."""
    if not sys.platform.startswith("linux"):
        return None
    handle = transport.get_extra_info("socket")
    if handle is None or handle.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        # The event loop's own socket object may not be asked; a second handle on it may.
        with socket.socket(fileno=os.dup(handle.fileno())) as probe:
            info = probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _LENGTH)
    except OSError:
        return None
    if len(info) < _LENGTH:
        return None
    acknowledged: int = unpack_from("@Q", info, _BYTES_ACKED)[0]
    return acknowledged
