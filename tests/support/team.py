"""A supervisor and its processes, as the system sees them."""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from tests.support import wire
from tests.support.inprocess import KEY, app
from tests.support.serving import RunningServer
from tests.support.waiting import eventually
from tests.support.wire import Address, Wire


class Team(RunningServer):
    """A server with several workers; `folder` is where their bus listens."""

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, Any] | None = None,
        *,
        workers: int = 2,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        given = settings or {}
        self.folder = directory / "bus"
        self.folder.mkdir(exist_ok=True)
        merged = {
            "apps": [app()],
            **given,
            "server": {"shutdown_grace": 0.5, **given.get("server", {})},
            "cluster": {"bus_directory": str(self.folder), **given.get("cluster", {})},
        }
        super().__init__(directory, merged, workers=workers, environment=environment)

    @property
    def address(self) -> Address:
        """Where clients connect."""
        return Address(host=self.host, port=self.port)

    def processes(self) -> dict[str, int]:
        """`worker 1`, `worker 2`, `bus` -> pid, for those that run."""
        return processes_of(self.pid)

    async def complete(self, workers: int = 2) -> dict[str, int]:
        """Wait until all have said that they are ready; their pids."""
        await eventually(lambda: self.count("is ready") >= workers + 1, patience=20)
        found = self.processes()
        assert len(found) == workers + 1, found
        return found

    def count(self, words: str) -> int:
        """How often the log says this."""
        return self.log.count(words)

    async def replaced(self, name: str, before: int) -> int:
        """Wait until `name` is ready again as another process; its pid."""
        await eventually(lambda: self.processes().get(name, before) != before, patience=20)
        pid = self.processes()[name]
        await eventually(
            lambda: re.search(f"{name} is ready again.* pid={pid}\n", self.log) is not None
        )
        return pid


def processes_of(parent: int) -> dict[str, int]:
    """The processes that a supervisor has started and that have not ended."""
    processes = {}
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        for number in _read(children).split():
            words = _read(Path(f"/proc/{number}/cmdline")).split("\0")
            if "pusher_server.processes.bus" in words:
                processes["bus"] = int(number)
            elif "pusher_server.processes.worker" in words:
                processes[f"worker {words[-3]}"] = int(number)
    return processes


def _read(path: Path) -> str:
    """A file of /proc; nothing when its process has ended, be it in the middle of reading."""
    try:
        return path.read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def is_running(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def sockets_of(pid: int) -> int:
    """How many sockets the process has open."""
    count = 0
    for each in Path(f"/proc/{pid}/fd").iterdir():
        try:
            count += os.readlink(each).startswith("socket:")
        except OSError:  # closed meanwhile
            continue
    return count


@asynccontextmanager
async def running(team: Team) -> AsyncIterator[Team]:
    """Started, and whatever a test leaves of it is ended."""
    await asyncio.to_thread(team.start)
    pid = team.pid
    known: set[int] = set()
    try:
        yield team
        assert "Traceback" not in team.log, team.log
    finally:
        known.update(processes_of(pid).values())
        team.kill()
        for each in known:
            if is_running(each):
                os.kill(each, signal.SIGKILL)


@asynccontextmanager
async def clients(address: Address, count: int) -> AsyncIterator[list[Wire]]:
    """Established WebSocket connections."""
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(wire.connected(address, KEY)) for _ in range(count)]
