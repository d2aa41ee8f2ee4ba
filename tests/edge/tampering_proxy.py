"""A TCP proxy that loses, doubles or swaps one delivery on its way from the server."""

import asyncio
from contextlib import suppress
from typing import Literal

from tests.support.link_proxy import LinkProxy

Tampering = Literal["nothing", "lose", "double", "swap"]

MARKER = b"~~P"
#: Which delivery is tampered with: not the first, so that there is something before it.
VICTIM = 5


class TamperingProxy(LinkProxy):
    """Passes connections on to a port; one delivery of the first WebSocket is tampered with."""

    def __init__(self, upstream: int, what: Tampering) -> None:
        super().__init__(("127.0.0.1", upstream))
        self._what = what
        self._armed = True
        self._seen = 0
        self._held = b""

    async def _copy_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            writer.write(head)
            if self._armed and head.startswith(b"HTTP/1.1 101 "):
                self._armed = False
                while True:
                    for frame in self._tamper(await _frame(reader)):
                        writer.write(frame)
        await super()._copy_back(reader, writer)

    def _tamper(self, frame: bytes) -> list[bytes]:
        """What goes on in a frame's place."""
        if MARKER not in frame:
            return [frame]
        self._seen += 1
        if self._seen == VICTIM + 1 and self._what == "swap":
            return [frame, self._held]
        if self._seen != VICTIM:
            return [frame]
        self._held = frame
        return {"lose": [], "swap": [], "double": [frame, frame], "nothing": [frame]}[self._what]


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """One whole frame as a server sends it: unmasked, and here never above 64 kB."""
    head = await reader.readexactly(2)
    if head[1] == 126:
        head += await reader.readexactly(2)
        return head + await reader.readexactly(int.from_bytes(head[2:], "big"))
    return head + await reader.readexactly(head[1])
