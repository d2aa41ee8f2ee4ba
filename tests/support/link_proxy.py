"""A TCP proxy in front of a server: it passes a link on, cuts it or swallows what it carries."""

import asyncio
import contextlib
from typing import Literal, Self

#: `pass`: as if it were not there. `cut`: connections end and none is accepted. `swallow`: connections stay
#: and are accepted, and nothing comes through any more: the link is half-open.
Mode = Literal["pass", "cut", "swallow"]


class LinkProxy:
    """Listens on a port of its own for as long as the context lasts; `upstream` is a host and a port."""

    def __init__(self, upstream: tuple[str, int]) -> None:
        self.port = 0
        self._upstream = upstream
        self._mode: Mode = "pass"
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._listener = await asyncio.start_server(self._accepted, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._listener.close()
        self._end_all()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def set(self, mode: Mode) -> None:
        """From now on.

        What was swallowed is gone, so the connections that it was missing from end with the swallowing.
        """
        if mode == "cut" or self._mode == "swallow":
            self._end_all()
        self._mode = mode

    def _end_all(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode == "cut":
            writer.transport.abort()
            return
        task = asyncio.get_running_loop().create_task(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        up_writer = None
        with contextlib.suppress(OSError):
            try:
                up_reader, up_writer = await asyncio.open_connection(*self._upstream)
                self._writers.add(up_writer)
                back = self._copy_back(up_reader, writer)
                await asyncio.gather(self._copy(reader, up_writer), back)
            finally:
                for each in filter(None, (writer, up_writer)):
                    self._writers.discard(each)
                    each.transport.abort()

    async def _copy_back(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """What the server sends."""
        await self._copy(reader, writer)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if self._mode != "swallow":
                    writer.write(data)
                    await writer.drain()
        writer.transport.abort()
