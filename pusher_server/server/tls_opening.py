"""Looks at the first bytes of a client on a port with TLS, so that plain HTTP gets an answer and a log line.

A failed handshake closes the socket before anything could be written. So the bytes are looked at first, and
left for the handshake.
"""

import asyncio
import socket
from contextlib import suppress

from pusher_server.server.http_heads import refusal
from pusher_server.server.misdirected import PLAIN_HTTP, MisdirectedLog, foreign_to_tls

#: Bytes that are looked at, and bytes of a plain request that are dropped. Unread ones would make the close a
#: reset, which can destroy the answer.
_OPENING_BYTES = 16
_DROPPED_BYTES = 65_536


async def is_tls(
    client: socket.socket, peer: str | None, misdirected: MisdirectedLog, end: float
) -> bool:
    """Whether TLS may follow. False: the client spoke something else, has its answer, and is closed.

    `end` is the loop's time until which the first byte has to come. Raises TimeoutError, OSError.
    """
    try:
        opening = await _opening(client, end)
    except BaseException:
        client.close()
        raise
    mistake = foreign_to_tls(opening)
    if mistake is None:
        return True
    misdirected.note(mistake, peer, port_of(client))
    with suppress(OSError):  # it may be gone
        if mistake is PLAIN_HTTP:
            client.recv(_DROPPED_BYTES)
            client.send(refusal(b"400 Bad Request", f"{mistake.text}\n".encode()))
            client.shutdown(socket.SHUT_WR)
    client.close()
    return False


async def _opening(client: socket.socket, end: float) -> bytes:
    """Wait for the first bytes, and leave them in the socket."""
    with suppress(BlockingIOError):
        return client.recv(_OPENING_BYTES, socket.MSG_PEEK)
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(client.fileno(), readable.set)
    try:
        async with asyncio.timeout_at(end):
            await readable.wait()
    finally:
        loop.remove_reader(client.fileno())
    return client.recv(_OPENING_BYTES, socket.MSG_PEEK)


def port_of(client: socket.socket) -> int | None:
    """Our port; None of a Unix socket."""
    name = client.getsockname()
    return int(name[1]) if isinstance(name, tuple) else None
