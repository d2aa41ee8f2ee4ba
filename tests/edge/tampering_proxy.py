"""A TCP proxy that loses, doubles or swaps one delivery on its way from the server."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Literal

Tampering = Literal["nothing", "lose", "double", "swap"]

MARKER = b"~~P"
#: Which delivery is tampered with: not the first, so that there is something before it.
VICTIM = 5
#: What ends a connection from outside, all of them ordinary here.
ENDED = (OSError, asyncio.IncompleteReadError)


class TamperingProxy:
    """Passes connections on to `upstream`; one delivery of the first WebSocket is tampered with."""

    def __init__(self, upstream: int, what: Tampering) -> None:
        self._upstream = upstream
        self._what = what
        self._armed = True
        self._seen = 0
        self._held = b""
        self._tasks: list[asyncio.Task[None]] = []
        self._writers: list[asyncio.StreamWriter] = []

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """The port to connect to, for as long as the context lasts."""
        listener = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield listener.sockets[0].getsockname()[1]
        finally:
            listener.close()
            for writer in self._writers:
                writer.transport.abort()  # whoever reads from it comes to an end
            await asyncio.gather(*self._tasks)

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.append(writer)
        self._tasks.append(asyncio.create_task(self._pass_on(reader, writer)))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._upstream)
        self._writers.append(up_writer)
        with contextlib.suppress(*ENDED):
            first = await reader.readuntil(b"\r\n")
            up_writer.write(first)
            self._tasks.append(asyncio.create_task(_copy(reader, up_writer)))
            await self._back(up_reader, writer, first.startswith(b"GET /app/"))

    async def _back(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, websocket: bool
    ) -> None:
        if not (websocket and self._armed):
            await _copy(reader, writer)
            return
        self._armed = False
        writer.write(await reader.readuntil(b"\r\n\r\n"))
        while True:
            for frame in self._tamper(await _frame(reader)):
                writer.write(frame)

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


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(*ENDED):
        while data := await reader.read(65_536):
            writer.write(data)
    writer.transport.abort()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    """One whole frame as a server sends it: unmasked, and here never above 64 kB."""
    head = await reader.readexactly(2)
    if head[1] == 126:
        head += await reader.readexactly(2)
        return head + await reader.readexactly(int.from_bytes(head[2:], "big"))
    return head + await reader.readexactly(head[1])
