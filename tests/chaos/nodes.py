"""Server processes that the audit may kill, stop and start again."""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.chaos import observed_server
from tests.chaos.world import Address
from tests.support.serving import START_DEADLINE, RunningServer, free_port

_POLL = 0.05
TOP = Path(__file__).resolve().parents[2]


class ServerProcess:
    """One `pusher-server serve`, observed, in a process group of its own. `name` is for logs."""

    def __init__(
        self,
        name: str,
        directory: Path,
        settings: Mapping[str, Any],
        signals: Path,
        broken_rule: str = "",
    ) -> None:
        self.name = name
        self._directory = directory
        # It knows how to write a config and when a server is ready; the process is ours.
        self._server = RunningServer(directory, settings)
        self._server.port = free_port()
        self._log = directory / f"{name}.log"
        self._environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith("PUSHER_")},
            observed_server.FILE: str(signals),
            observed_server.BROKEN: broken_rule,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> Address:
        """Where it listens, over all its starts."""
        return ("127.0.0.1", self._server.port)

    @property
    def log(self) -> str:
        """What it has written, over all its starts."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    @property
    def pid(self) -> int:
        """Of the running process (the supervisor, where there are workers)."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    def spawn(self) -> None:
        """Start it, and do not wait."""
        config = self._server.write_config()
        command = [sys.executable, "-m", "tests.chaos.observed_server", "serve"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, "--config", str(config)],
                cwd=TOP,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,
            )

    async def ready(self) -> None:
        """Wait until it says so. Raises RuntimeError with its log."""
        deadline = time.monotonic() + START_DEADLINE
        while await asyncio.to_thread(self._server.ready_status) != 200:
            if self._process is None or self._process.poll() is not None:
                raise RuntimeError(f"{self.name} has ended:\n{self.log[-4_000:]}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} is not ready:\n{self.log[-4_000:]}")
            await asyncio.sleep(_POLL)

    async def kill(self) -> None:
        """kill -9, the main process and whatever it has started, and wait for its end."""
        if self._process is None:
            return
        process, self._process = self._process, None
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await asyncio.to_thread(process.wait)

    async def stop(self) -> None:
        """SIGTERM, and force when that does not help."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGCONT)
        self._process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(self._process.wait, 10.0)
        await self.kill()

    def children(self) -> list[tuple[int, str]]:
        """Pid and command line of the processes that the main one has started."""
        return [(pid, _command(pid)) for pid in _children(self.pid)]


def _children(pid: int) -> list[int]:
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found += [int(each) for each in task.read_text().split()]
    return found


def _command(pid: int) -> str:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    return ""
