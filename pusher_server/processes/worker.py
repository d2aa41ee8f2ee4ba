"""`python -m pusher_server.processes.worker INDEX FD`: one worker, started by the supervisor.

It is the same server as a single process, but its sockets are inherited. It ends when its supervisor stops
it or is gone.
"""

import asyncio
import logging
import signal
import socket
import sys
from pathlib import Path

import msgspec

from pusher_server import logs, standard_streams, stray_signals
from pusher_server.errors import ConfigError
from pusher_server.processes.control_channel import (
    ASK,
    MAKE_WAY,
    READING,
    READY,
    RELOAD,
    STOP,
    STOP_NOW,
    ControlChannel,
    read_spec,
)
from pusher_server.server.composition import Server, StartReport
from pusher_server.server.specs import WorkerSpec

logger = logging.getLogger("pusher_server.server")

#: As the command line's for a wrong setting.
_BAD_CONFIG = 2


def main(number: int) -> int:
    """Serve. Returns the exit status. `number` is the control channel's file descriptor."""
    stray_signals.ignore()
    for ignored in (signal.SIGINT, signal.SIGHUP):  # until the server takes them
        signal.signal(ignored, signal.SIG_IGN)
    end = socket.socket(fileno=number)
    spec = read_spec(end, WorkerSpec)
    logs.configure(spec.config.log)
    _name_records(spec.index)
    try:
        _Worker(spec, end).run()
    except ConfigError as error:
        logger.error("cannot start: %s", error)
        return _BAD_CONFIG
    finally:
        standard_streams.flush_or_drop()
    return 0


def _name_records(index: int) -> None:
    """Let each log record carry the worker's number, as a field like any other."""
    make = logging.getLogRecordFactory()

    def named(*args: object, **kwargs: object) -> logging.LogRecord:
        record: logging.LogRecord = make(*args, **kwargs)
        record.worker = index
        return record

    logging.setLogRecordFactory(named)


class _Worker:
    """The server, driven by the messages of the supervisor."""

    def __init__(self, spec: WorkerSpec, end: socket.socket) -> None:
        self._end = end
        self._answering: set[asyncio.Task[None]] = set()
        self._lease = spec.config.cluster.lease
        path = None if spec.config_path is None else Path(spec.config_path)
        self._server = Server(
            spec.config,
            config_path=path,
            spec=spec,
            on_begin=self._begin,
            on_started=self._started,
        )

    def run(self) -> None:
        """Serve until the end. Raises ConfigError."""
        self._server.run()

    def _begin(self) -> None:
        """Called on the loop. The supervisor can stop it and read it while it waits for the cluster."""
        self._holding = asyncio.get_running_loop().create_task(self._hold())

    async def _hold(self) -> None:
        self._channel = await ControlChannel.hold(self._end, self._obey, self._make_way)
        self._channel.beat(self._lease)

    def _started(self, report: StartReport) -> None:
        """Called on the loop, once it accepts clients."""
        self._reporting = asyncio.get_running_loop().create_task(self._report(report))

    async def _report(self, report: StartReport) -> None:
        await self._holding
        self._channel.send(f"{READY} {msgspec.json.encode(report).decode()}")

    def _make_way(self) -> None:
        """Drain without a delay, for a successor or because the supervisor is gone."""
        self._server.drain(at_once=True)

    def _obey(self, message: str) -> None:
        if message == STOP:
            self._server.drain()
        elif message == MAKE_WAY:
            self._make_way()
        elif message == STOP_NOW:
            self._server.stop_now()
        elif message == RELOAD:
            self._server.reload()
        elif message == READING:
            reading = msgspec.json.encode(self._server.collector.read())
            self._channel.send(f"{READING} {reading.decode()}")
        elif message.startswith(ASK):
            task = asyncio.get_running_loop().create_task(self._answer(message))
            self._answering.add(task)
            task.add_done_callback(self._answering.discard)

    async def _answer(self, message: str) -> None:
        """Answer an operator's question for the whole cluster."""
        _, number, question = message.split(" ", 2)
        answer = b""
        try:
            answer = await self._server.node.operator.answer(question.encode())
        except Exception:
            logger.exception("a question of the operations listener failed")
        self._channel.send(f"{ASK} {number} {answer.decode()}")


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[2])))
