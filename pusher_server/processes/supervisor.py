"""Several workers on one machine: the process that starts them, watches them and outlives them.

    supervisor ── bus process           (unless Redis takes its place)
              ├── worker 1, its socket
              └── worker 2, its socket

It holds the listening sockets, so that a worker's replacement finds the clients that have been waiting. Each
worker has a socket of its own (`SO_REUSEPORT`). A shared one is emptied by the worker that wakes up first
(measured: 364 to 36). The supervisor serves no client itself and knows nothing of channels.
"""

import asyncio
import logging
import os
import secrets
import signal
import socket
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct, structs

from pusher_server.config import Config, load
from pusher_server.errors import ConfigError
from pusher_server.metrics.process_group import Probe, ProcessGroup
from pusher_server.metrics.reading import Reading
from pusher_server.processes.answering import answer
from pusher_server.processes.bus_socket import BusSocket
from pusher_server.processes.child import Child
from pusher_server.processes.control_channel import MAKE_WAY, RELOAD, STOP, STOP_NOW
from pusher_server.processes.restarts import RestartDelay
from pusher_server.server import cluster
from pusher_server.server.coalesced import Coalesced
from pusher_server.server.composition import StartReport
from pusher_server.server.listening import ListeningFileWatch, listen_apart, raise_file_limit
from pusher_server.server.loop_errors import limit_accept_errors
from pusher_server.server.operations import operations_listener
from pusher_server.server.operations_listener import OperationsListener
from pusher_server.server.specs import BusSpec, WorkerSpec
from pusher_server.server.tls import Certificate

logger = logging.getLogger("pusher_server.server")

#: Seconds that a process has to end at once, or the bus at the end, before it is killed.
_LAST_SECONDS = 2.0
#: Starts of each worker before a server that has never served gives up.
_ATTEMPTS = 3
#: A worker that has to wait longer than this leaves new clients to the others.
_SHORT_WAIT = 1.0

#: Not a crash: the process was stopped.
_ON_ITS_OWN = "ended with status 0"

Phase = Literal["starting", "ready", "waiting", "ended"]


class WorkerState(Struct):
    """The state of a supervised process. `since` is Unix time of the phase's begin."""

    name: str
    phase: Phase = "starting"
    since: float = 0.0
    pid: int = 0
    starts: int = 0


class _Slot:
    """A place in the group, and the process that has it at the moment."""

    def __init__(self, name: str, listeners: list[socket.socket], labels: dict[str, int]) -> None:
        self.state = WorkerState(name)
        self.listeners = listeners
        #: The fields of its log lines.
        self.labels = labels
        self.restarts = RestartDelay()
        self.child: Child | None = None
        self.was_ready = False
        #: The process that has it now gets no successor.
        self.closed = asyncio.Event()

    def turns(self, phase: Phase) -> None:
        """Begin another phase."""
        self.state.phase = phase
        self.state.since = time.time()


async def _reading(child: Child) -> Reading:
    return msgspec.json.decode(await child.reading(), type=Reading)


class Supervisor:
    """`on_started` is called once, when the workers listen."""

    def __init__(
        self,
        config: Config,
        count: int,
        *,
        config_path: Path | None,
        needs_bus: bool,
        on_started: Callable[[StartReport], None],
    ) -> None:
        """Raises ConfigError when a certificate cannot be used."""
        self._on_started = on_started
        self._config = config
        self._config_path = config_path
        self._count = count
        self._needs_bus = needs_bus
        self._workers: list[_Slot] = []
        self._bus: _Slot | None = None
        self._bus_socket: BusSocket | None = None
        self._report: StartReport | None = None
        self._announced = False
        self._stopping = False
        self._status = 0
        self._operations: OperationsListener | None = None
        #: While `server.unix_socket` is looked after; workers are replaced one by one when it was made again.
        self._unix_file: ListeningFileWatch | None = None
        self._replacing: asyncio.Task[None] | None = None
        if config.server.tls.certificate:
            Certificate(config.server.tls)
        cluster.check(config.cluster)

    @property
    def states(self) -> list[WorkerState]:
        """The states of all workers, and of the bus if there is one."""
        slots = self._workers if self._bus is None else [*self._workers, self._bus]
        return [slot.state for slot in slots]

    def run(self) -> int:
        """Serve until stopped. Returns the exit status. Raises ConfigError when an address cannot be had."""
        raise_file_limit()
        server = self._config.server
        listeners = listen_apart(server, self._config.websocket.send_buffer_bytes, self._count)
        try:
            if server.unix_socket:
                self._unix_file = ListeningFileWatch(server)
            self._operations = operations_listener(
                self._config.operations,
                ProcessGroup(self._processes),
                self._answer,
                port=server.port,
            )
            if self._needs_bus:
                self._bus_socket = BusSocket(self._config.cluster.bus_directory)
                self._bus = _Slot("bus", [], {})
            self._workers = [
                _Slot(f"worker {index}", own, {"worker": index})
                for index, own in enumerate(listeners, 1)
            ]
            asyncio.run(self._main())
        finally:
            if self._bus_socket is not None:
                self._bus_socket.remove()
            if server.unix_socket:
                Path(server.unix_socket).unlink(missing_ok=True)
        return self._status

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        limit_accept_errors(loop)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        loop.add_signal_handler(signal.SIGHUP, Coalesced(self.reload).request)
        watching = loop.create_task(self._watch())
        if self._operations is not None:
            await self._operations.open()
        async with asyncio.TaskGroup() as group:
            if self._bus is not None:
                group.create_task(self._keep(self._bus, self._start_bus))
            await asyncio.gather(*(self._keep(slot, self._start_worker) for slot in self._workers))
            if self._bus is not None:
                self._close(self._bus, STOP)
        watching.cancel()
        if self._operations is not None:
            await self._operations.close()

    # One process after the other in a slot

    async def _keep(self, slot: _Slot, start: Callable[[_Slot], Awaitable[Child]]) -> None:
        """Start it, and start it again, until it is to be over."""
        loop = asyncio.get_running_loop()
        while not slot.closed.is_set():
            slot.turns("starting")
            slot.state.starts += 1
            try:
                child = await start(slot)
            except (OSError, ConfigError) as error:  # no processes left, the bus's folder is gone
                how, lived = f"could not be started ({error})", 0.0
            else:
                slot.child, slot.state.pid = child, child.pid
                logger.debug("%s starts", slot.state.name, extra={**slot.labels, "pid": child.pid})
                if slot.closed.is_set():  # in this very moment
                    self._close(slot, STOP)
                how = "ended with " + await child.ended()
                lived = loop.time() - child.born
            slot.child = None
            slot.state.pid = 0
            if not slot.closed.is_set():
                await self._wait(slot, how, slot.restarts.after(lived))
        slot.turns("ended")

    async def _wait(self, slot: _Slot, how: str, delay: float) -> None:
        """Between an end and the next start."""
        slot.turns("waiting")
        again = f"starts again in {delay:g} s" if delay else "starts again"
        level = logging.WARNING if how == _ON_ITS_OWN else logging.ERROR
        logger.log(level, "%s %s, %s", slot.state.name, how, again, extra=slot.labels)
        if self._is_hopeless():
            logger.error("no worker could be started; the last one %s", how)
            self._status = 1
            self.stop()
            return
        self._announce()
        deaf = delay > _SHORT_WAIT and not self._share_sockets
        if deaf:
            for listener in slot.listeners:
                with suppress(OSError):
                    listener.shutdown(socket.SHUT_RD)  # the kernel chooses others from now on
        with suppress(TimeoutError):
            await asyncio.wait_for(slot.closed.wait(), delay)
        if deaf and not slot.closed.is_set():
            for listener in slot.listeners:
                listener.listen(self._config.server.backlog)

    @property
    def _share_sockets(self) -> bool:
        return self._workers[0].listeners is self._workers[-1].listeners

    def _is_hopeless(self) -> bool:
        return not any(slot.was_ready for slot in self._workers) and all(
            slot.restarts.count >= _ATTEMPTS for slot in self._workers
        )

    async def _start_worker(self, slot: _Slot) -> Child:
        descriptors = tuple(listener.fileno() for listener in slot.listeners)
        index = slot.labels["worker"]
        spec = WorkerSpec(
            index=index,
            count=self._count,
            node_id=secrets.token_hex(8),
            listeners=descriptors,
            bus=self._bus_socket.path if self._bus_socket is not None else "",
            config=self._config,
            config_path=None if self._config_path is None else str(self._config_path),
        )

        def on_ready(report: bytes) -> None:
            self._report = self._report or msgspec.json.decode(report, type=StartReport)
            self._on_ready(slot)

        return await Child.start(
            slot.state.name, "worker", (str(index),), spec, descriptors, on_ready
        )

    async def _start_bus(self, slot: _Slot) -> Child:
        assert self._bus_socket is not None
        listener = self._bus_socket.listener()
        spec = BusSpec(
            listener=listener.fileno(),
            path=self._bus_socket.path,
            private_directory=self._bus_socket.private_directory,
            lease=self._config.cluster.lease,
            undo_window=self._config.cluster.undo_window,
            linger=self._config.server.shutdown_grace + 2 * _LAST_SECONDS,
            loop=self._config.server.loop,
            log=self._config.log,
            is_first=not slot.was_ready,
        )
        return await Child.start(
            slot.state.name, "bus", (), spec, (listener.fileno(),),
            lambda report: self._on_ready(slot),
        )  # fmt: skip

    def _on_ready(self, slot: _Slot) -> None:
        slot.turns("ready")
        word = "ready again" if slot.was_ready else "ready"
        fields = {**slot.labels, "pid": slot.state.pid}
        logger.info("%s is %s", slot.state.name, word, extra=fields)
        slot.was_ready = True
        self._announce()

    def _announce(self) -> None:
        """Report the start once, when each worker listens or has failed at least once."""
        settled = all(slot.was_ready or slot.restarts.count for slot in self._workers)
        if self._report is not None and settled and not self._announced:
            self._announced = True
            operations = "" if self._operations is None else self._operations.url
            report = structs.replace(self._report, workers=self._count, operations=operations)
            self._on_started(report)

    # Metrics and health

    def _processes(self) -> list[Probe]:
        """The workers, each with the request for its reading if it can answer."""
        return [
            Probe(
                name=str(slot.labels["worker"]),
                phase=slot.state.phase,
                starts=slot.state.starts,
                read=partial(_reading, slot.child)
                if slot.child is not None and slot.child.answers
                else None,
            )
            for slot in self._workers
        ]

    async def _answer(self, question: bytes) -> bytes:
        return await answer([slot.child for slot in self._workers if slot.child], question)

    # Watching

    async def _watch(self) -> None:
        """Kill a process that is silent for longer than a lease: it would hold clients without serving them."""
        loop = asyncio.get_running_loop()
        lease = self._config.cluster.lease
        step = min(1.0, lease / 4)
        while True:
            before = loop.time()
            await asyncio.sleep(step)
            self._look_after_file()
            now = loop.time()
            if now - before > 2 * step:
                # We were away ourselves, the machine asleep or overloaded: their messages are still unread.
                continue
            for slot in [*self._workers, *([self._bus] if self._bus else [])]:
                if slot.child is not None and slot.child.is_silent(now, lease):
                    silence = now - slot.child.last_seen
                    logger.error(
                        "%s has been silent for %.1f s and is killed",
                        slot.state.name, silence, extra=slot.labels,
                    )  # fmt: skip
                    slot.child.last_seen = now  # once
                    slot.child.kill()

    def _look_after_file(self) -> None:
        """Workers have the socket whose file was removed: each gets the new one by being replaced."""
        if self._replacing is not None and not self._replacing.done():
            return  # a file that is removed again is seen when they all serve
        made = None if self._unix_file is None or self._stopping else self._unix_file.look()
        if made is not None:
            (removed,) = self._workers[0].listeners
            self._workers[0].listeners[:] = [made]  # all have this list
            removed.close()
            self._replacing = asyncio.get_running_loop().create_task(self._replace_all())

    async def _replace_all(self) -> None:
        """One after the other, so that there is always one that serves."""
        for slot in self._workers:
            child = slot.child
            if child is not None:
                child.send(MAKE_WAY)
            while slot.child is child or slot.state.phase != "ready":
                if self._stopping:
                    return
                await asyncio.sleep(0.1)

    # Called for the operator

    def reload(self) -> None:
        """SIGHUP: check the file first, so that a bad one makes one line; then let the workers reload."""
        try:
            config = load(self._config_path, os.environ, self._config.overrides)
            if self._config.server.tls.certificate:
                Certificate(self._config.server.tls)
        except ConfigError as error:
            logger.error("not reloaded, the old settings stay: %s", error)
            return
        self._config = structs.replace(self._config, apps=config.apps)
        for slot in self._workers:
            if slot.child is not None:
                slot.child.send(RELOAD)

    def stop(self) -> None:
        """Let the workers drain, then end; when called again, end at once."""
        if not self._stopping:
            self._stopping = True
            logger.info("stopping %d workers", self._count)
            for slot in self._workers:
                for listener in slot.listeners:
                    listener.close()
                self._close(slot, STOP)
        else:
            for slot in self._workers:
                self._close(slot, STOP_NOW)

    def _close(self, slot: _Slot, message: str) -> None:
        """Leave the slot empty from now on, and send its process `message`."""
        slot.closed.set()
        child = slot.child
        if child is not None:
            child.send(message)
            if message == STOP_NOW or slot is self._bus:
                asyncio.get_running_loop().call_later(_LAST_SECONDS, child.kill)
