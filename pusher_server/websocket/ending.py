"""The last seconds of a connection, after our close frame: it must arrive, in a bounded time.

A socket that is closed while bytes of the client are unread, or still arrive, answers them with a reset. A
reset can destroy the close frame before the client has read it. So our half ends first, and later input is
read. TLS has no halves: there the client's close frame is waited for, unless we have failed the connection.
Then no more frames of it are read (RFC 6455 §7.1.7), so the end comes when the client has fallen silent.
"""

import asyncio
from collections.abc import Iterator

from pusher_server.websocket.framing import FrameReader, Incoming

#: Seconds without input after which nothing is believed to be under way any more: longer than most round trips.
SILENCE = 0.25
#: A client that was never let in has sent no more than this when it closes.
_FAREWELL_BYTES = 65_536


class DiscardingReader:
    """Takes the place of a `FrameReader`: drops all input, and closes the transport once there is none."""

    __slots__ = ("_has_input", "_transport")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._has_input = False
        self._wait()

    def receive(self, data: bytes) -> Iterator[Incoming]:
        """Drop the input: it has no meaning any more. Yields nothing."""
        self._has_input = True
        return iter(())

    def _wait(self) -> None:
        asyncio.get_running_loop().call_later(SILENCE, self._look)

    def _look(self) -> None:
        if self._transport.is_closing():
            return
        if self._has_input:
            self._has_input = False
            self._wait()
        else:
            self._transport.close()


Reader = FrameReader | DiscardingReader


def end_our_half(
    transport: asyncio.Transport, reader: Reader | None, *, failed: bool
) -> Reader | None:
    """End our half of the connection once the close frame is written. Returns the reader of later input.

    `failed`: the client broke a rule of RFC 6455, and our close frame says so.
    """
    if transport.can_write_eof():
        try:
            transport.write_eof()  # the whole is closed when the client's end comes
        except OSError:  # asyncio's: it has reset the connection meanwhile
            transport.abort()
        return reader
    if failed:
        return DiscardingReader(transport)
    return FrameReader(_FAREWELL_BYTES) if reader is None else reader
