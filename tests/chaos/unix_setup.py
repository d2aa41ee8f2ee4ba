"""Three workers of one server, joined by the unix bus, with their faults."""

import asyncio
import contextlib
import os
import signal

from tests.chaos.setups import Fault, Setup, stopped

WORKERS = 3
#: Workers and bus end with their supervisor within this time.
ORPHANED = 10.0
_POLL = 0.05


class OnUnix(Setup):
    """One server, one address. The supervisor starts again what is killed."""

    #: The kernel spreads connections over the workers.
    repeat = 2 * WORKERS
    processes = WORKERS

    def faults(self) -> dict[str, Fault]:
        """Of workers, bus and supervisor."""
        return {
            "worker killed": self._kill_worker,
            "worker restarted": self._end_worker,
            "worker stopped": self._stop_worker,
            "worker stopped past the lease": self._stop_worker,
            "bus killed": self._kill_bus,
            "bus stopped": self._stop_bus,
            "bus stopped past the lease": self._stop_bus,
            "supervisor killed": self._kill_supervisor,
        }

    async def prepare(self) -> None:
        """One server."""
        sockets = self.directory / "bus"
        sockets.mkdir(mode=0o700)
        server = self.node(
            "server",
            server={"workers": WORKERS},
            cluster={"lease": self.timing.lease, "bus_directory": str(sockets)},
        )
        self.nodes = [server]

    def _pids(self, module: str) -> list[int]:
        return [pid for pid, command in self.nodes[0].children() if module in command]

    async def _one(self, module: str, number: int) -> int:
        """Of the processes that run this module; they may be between two starts."""
        while not (found := self._pids(module)):  # noqa: ASYNC110 (other processes)
            await asyncio.sleep(_POLL)
        return found[number % len(found)]

    async def _kill_worker(self, target: int, seconds: float) -> None:
        async with self.lock("processes"):
            pid = await self._one("processes.worker", target)
            self.killed(pid)
            os.kill(pid, signal.SIGKILL)

    async def _end_worker(self, target: int, seconds: float) -> None:
        async with self.lock("processes"):
            pid = await self._one("processes.worker", target)
            self.killed(pid)
            os.kill(pid, signal.SIGTERM)

    async def _stop_worker(self, target: int, seconds: float) -> None:
        async with self.lock("processes"):
            pid = await self._one("processes.worker", target)
            if seconds >= self.timing.lease:
                self.killed(pid)  # by the supervisor, while it is stopped
            await stopped(pid, seconds)

    async def _kill_bus(self, target: int, seconds: float) -> None:
        async with self.lock("processes"):
            os.kill(await self._one("processes.bus", 0), signal.SIGKILL)

    async def _stop_bus(self, target: int, seconds: float) -> None:
        async with self.lock("processes"):
            await stopped(await self._one("processes.bus", 0), seconds)

    async def _kill_supervisor(self, target: int, seconds: float) -> None:
        """Alone: that the others end with it is its promise."""
        async with self.lock("processes"):
            server = self.nodes[0]
            others = [pid for pid, _ in server.children()]
            self.killed(*others, alone=True)
            os.kill(server.pid, signal.SIGKILL)
            async with asyncio.timeout(ORPHANED):
                while any(map(_is_alive, others)):  # noqa: ASYNC110 (other processes)
                    await asyncio.sleep(_POLL)
            await server.kill()
            await asyncio.sleep(seconds)
            server.spawn()
            await server.ready()


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False
