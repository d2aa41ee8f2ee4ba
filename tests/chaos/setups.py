"""How the nodes under audit are joined, and how each of the faults is done to them."""

import asyncio
import contextlib
import os
import signal
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from tests.chaos.faults import Kind, kinds
from tests.chaos.nodes import ServerProcess
from tests.chaos.signal_log import Kill
from tests.chaos.world import Address, Timing, settings

#: Does a fault to the node (its number) for so many seconds, and returns when it is over.
Fault = Callable[[int, float], Awaitable[None]]


class Setup(ABC):
    """Nodes, what joins them, and the faults that they can have."""

    #: How often a question is repeated over new connections: one address may be several processes.
    repeat = 1
    #: Processes that a fault may be drawn for.
    processes = 1

    def __init__(self, directory: Path, timing: Timing, broken_rule: str = "") -> None:
        self.signals = directory / "signals.jsonl"
        self.timing = timing
        self.nodes: list[ServerProcess] = []
        #: Processes killed so far, for signals that were lost with them.
        self.kills: list[Kill] = []
        #: Processes that were out of everybody's reach for longer than a lease.
        self.absent: list[int] = []
        self.directory = directory
        self._broken_rule = broken_rule
        self.stack = AsyncExitStack()
        #: One process-level fault per node at a time: a stopped one is not killed as well.
        self._locks: dict[int | str, asyncio.Lock] = {}

    @property
    def addresses(self) -> list[Address]:
        """Where clients and backends connect."""
        return [node.address for node in self.nodes]

    @property
    def kinds(self) -> dict[str, Kind]:
        """The faults of this set-up."""
        every = kinds(self.timing)
        return {name: every[name] for name in self.faults()}

    @abstractmethod
    def faults(self) -> dict[str, Fault]:
        """By name."""

    @abstractmethod
    async def prepare(self) -> None:
        """Start what joins the nodes, and make `nodes`."""

    async def __aenter__(self) -> "Setup":
        await self.stack.__aenter__()
        try:
            await self.prepare()
            for node in self.nodes:
                self.stack.push_async_callback(node.stop)
                node.spawn()
            for node in self.nodes:
                await node.ready()
        except BaseException:
            await self.stack.aclose()
            raise
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.stack.aclose()

    def node(self, name: str, **tables: Any) -> ServerProcess:
        """A server with these tables over the common settings."""
        tree = settings(self.timing)
        for table, fields in tables.items():
            tree[table] = {**tree.get(table, {}), **fields}
        return ServerProcess(name, self.directory, tree, self.signals, self._broken_rule)

    # Faults that processes can have

    async def kill_node(self, target: int, seconds: float) -> None:
        """kill -9, and a new start later."""
        async with self.lock(target):
            node = self.nodes[target]
            self.killed(node.pid)
            await node.kill()
            await asyncio.sleep(seconds)
            node.spawn()
            await node.ready()

    async def restart_node(self, target: int, seconds: float) -> None:
        """As an operator does: SIGTERM, the end, a new start."""
        async with self.lock(target):
            node = self.nodes[target]
            self.killed(node.pid)
            await node.stop()
            await asyncio.sleep(seconds)
            node.spawn()
            await node.ready()

    async def stop_node(self, target: int, seconds: float) -> None:
        """SIGSTOP for a while."""
        async with self.lock(target):
            self.away(target, seconds)
            await stopped(self.nodes[target].pid, seconds)

    def forgets(self, kind: str) -> bool:
        """Whether what the nodes share is lost by it."""
        return self.kinds[kind].forgets

    def away(self, target: int, seconds: float) -> None:
        """Remember a node that nobody can reach for so long, nor it anybody."""
        if seconds >= self.timing.lease:
            self.absent.append(self.nodes[target].pid)

    def killed(self, *processes: int, alone: bool = False) -> None:
        """Remember processes that end, in good order or not."""
        self.kills += [Kill(process, alone) for process in processes]

    def lock(self, target: int | str) -> asyncio.Lock:
        """For faults that must not overlap: those of one node, or of one thing that all share."""
        return self._locks.setdefault(target, asyncio.Lock())


async def stopped(pid: int, seconds: float) -> None:
    """SIGSTOP, and SIGCONT after so many seconds, unless somebody has killed it meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(seconds)
        finally:
            os.kill(pid, signal.SIGCONT)


class Local(Setup):
    """One process: the audit of the audit, and of the rules that need no cluster."""

    def faults(self) -> dict[str, Fault]:
        """There is nothing to lose but the process."""
        return {
            "node stopped": self.stop_node,
            "node stopped past the lease": self.stop_node,
            "node killed": self.kill_node,
            "node restarted": self.restart_node,
        }

    def killed(self, *processes: int, alone: bool = False) -> None:
        """What the process knew was known nowhere else."""
        super().killed(*processes, alone=True)

    async def restart_node(self, target: int, seconds: float) -> None:
        """It forgets as a killed one does."""
        self.killed(self.nodes[target].pid)
        await super().restart_node(target, seconds)

    async def prepare(self) -> None:
        """Nothing joins one node."""
        self.nodes = [self.node("node-0")]
