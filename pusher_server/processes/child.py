"""One process of the supervisor: started, observed, ended. It knows nothing of its successor."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from itertools import count
from pathlib import Path

import msgspec

from pusher_server.processes.control_channel import (
    ASK,
    READING,
    READY,
    ControlChannel,
    spec_line,
)

logger = logging.getLogger("pusher_server.server")

#: Seconds in which a process must have begun to serve.
START_TIMEOUT = 30.0


class Child:
    """A running process. `name` is for logs; `on_ready` receives its report."""

    def __init__(self, name: str, on_ready: Callable[[bytes], None]) -> None:
        self.name = name
        #: `answers`: a message has come, so readings can be requested. `ready`: it serves.
        self.answers = False
        self.ready = False
        self.born = self.last_seen = asyncio.get_running_loop().time()
        self._on_ready = on_ready
        #: Futures of requested readings, in order.
        self._readings: deque[asyncio.Future[bytes]] = deque()
        #: Futures of answers to operators' questions, by their number.
        self._answers: dict[int, asyncio.Future[bytes]] = {}
        self._numbers = count(1)
        self._process: asyncio.subprocess.Process
        self._channel: ControlChannel

    @classmethod
    async def start(
        cls,
        name: str,
        module: str,
        arguments: tuple[str, ...],
        spec: msgspec.Struct,
        descriptors: tuple[int, ...],
        on_ready: Callable[[bytes], None],
    ) -> "Child":
        """Start `module` of `pusher_server.processes`; it inherits `descriptors` and reads `spec` first."""
        child = cls(name, on_ready)
        ours, theirs = socket.socketpair()
        with theirs:
            child._process = await asyncio.create_subprocess_exec(
                *_python(), "-m", f"pusher_server.processes.{module}",
                *arguments, str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(*descriptors, theirs.fileno()),
            )  # fmt: skip
        child._channel = await ControlChannel.hold(ours, child._receive, lambda: None)
        child._channel.write(spec_line(spec))
        return child

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    def _receive(self, message: str) -> None:
        self.last_seen = asyncio.get_running_loop().time()
        self.answers = True
        kind, _, report = message.partition(" ")
        if kind == READY:
            self.ready = True
            self._on_ready(report.encode())
        elif kind == READING and self._readings:
            answer = self._readings.popleft()
            if not answer.done():
                answer.set_result(report.encode())
        elif kind == ASK:
            number, _, answered = report.partition(" ")
            waiting = self._answers.get(int(number))
            if waiting is not None and not waiting.done():
                waiting.set_result(answered.encode())

    async def reading(self) -> bytes:
        """Request the process's reading, as JSON. Waits for ever: the caller bounds it."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._readings.append(answer)
        self.send(READING)
        return await answer

    async def answer(self, question: bytes) -> bytes:
        """Request the cluster's answer, as JSON; empty when there is none. The caller bounds the wait."""
        number = next(self._numbers)
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._answers[number] = answer
        try:
            self.send(f"{ASK} {number} {question.decode()}")
            return await answer
        finally:
            del self._answers[number]

    def send(self, message: str) -> None:
        """Send a message. See `ControlChannel.send`."""
        self._channel.send(message)

    def kill(self) -> None:
        """End the process in any state."""
        if self._process.returncode is None:
            self._process.kill()

    def is_silent(self, now: float, patience: float) -> bool:
        """Whether no message came for `patience` seconds, or it has not begun to serve in time."""
        return now - self.last_seen > (patience if self.ready else max(patience, START_TIMEOUT))

    async def ended(self) -> str:
        """Wait for its end. Returns its status or signal, as text for the log."""
        status = await self._process.wait()
        self._channel.drop()
        return f"status {status}" if status >= 0 else f"signal {_signal_name(-status)}"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)


def _python() -> tuple[str, ...]:
    """The interpreter, looking for our package where this process found it.

    `-m` puts the current folder first; that is right only if we came from there ourselves.
    """
    top = Path(__file__).resolve().parents[2]
    try:
        from_here = Path(os.getcwd()).resolve() == top
    except OSError:  # the folder is gone
        from_here = False
    return (sys.executable,) if from_here else (sys.executable, "-P")
