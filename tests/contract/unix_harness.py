"""The Unix bus for `test_store`: in this loop, on a real socket, by a clock of the test's."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

from pusher_server.cluster.unix.bus import Bus
from pusher_server.cluster.unix.link import UnixLink


class UnixHarness:
    """A bus, and links to it."""

    def __init__(self, path: Path, *, lease: float, undo_window: float) -> None:
        self.now = 1_000.0
        self.bus: Bus
        self._path = path
        self._lease = lease
        self._undo_window = undo_window
        self._server: asyncio.Server

    async def start(self) -> None:
        """With an empty memory."""
        self.bus = Bus(lease=self._lease, undo_window=self._undo_window, clock=lambda: self.now)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(self.bus.peer, str(self._path))

    async def stop(self) -> None:
        """As when the process dies."""
        self._server.close()
        for peer in list(self.bus.peers):
            peer.cut("the test ends the bus")
        await self._server.wait_closed()
        self._path.unlink(missing_ok=True)

    def link(self) -> UnixLink:
        """Another link, not open yet."""
        return UnixLink(str(self._path))

    async def wait(self, seconds: float) -> None:
        """Time passes for the bus."""
        self.now += seconds

    async def restart_empty(self) -> None:
        """It loses its memory and all links."""
        await self.stop()
        await self.start()


B = TypeVar("B", bound=UnixHarness)


@asynccontextmanager
async def unix(kind: type[B], *, lease: float, undo_window: float) -> AsyncIterator[B]:
    """A bus that runs."""
    with tempfile.TemporaryDirectory() as folder:  # a short path: a socket's has a limit
        harness = kind(Path(folder) / "bus", lease=lease, undo_window=undo_window)
        await harness.start()
        yield harness
        await harness.stop()
