"""One process of the supervisor's: started, listened to, ended. Who follows it is not said here."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from pusher_server.processes.control_channel import READING, READY, ControlChannel, spec_line

logger = logging.getLogger("pusher_server.server")

#: Seconds in which a process must have begun to serve.
START_TIMEOUT = 30.0


class Child:
    """A running process. `name` is for logs; `on_ready` is told its report."""

    def __init__(self, name: str, on_ready: Callable[[bytes], None]) -> None:
        self.name = name
        #: It has been heard, so it can be asked; it serves.
        self.answers = False
        self.ready = False
        self.born = self.heard = asyncio.get_running_loop().time()
        self._on_ready = on_ready
        #: Who waits for a reading.
        self._asked: deque[asyncio.Future[bytes]] = deque()
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
        """Start `module` of `pusher_server.server`; it inherits `descriptors` and is told `spec`."""
        child = cls(name, on_ready)
        ours, theirs = socket.socketpair()
        with theirs:
            child._process = await asyncio.create_subprocess_exec(
                *_python(), "-m", f"pusher_server.processes.{module}",
                *arguments, str(theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=(*descriptors, theirs.fileno()),
            )  # fmt: skip
        child._channel = await ControlChannel.hold(ours, child._hear, lambda: None)
        child._channel.write(spec_line(spec))
        return child

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def _hear(self, word: str) -> None:
        self.heard = asyncio.get_running_loop().time()
        self.answers = True
        said, _, report = word.partition(" ")
        if said == READY:
            self.ready = True
            self._on_ready(report.encode())
        elif said == READING and self._asked:
            answer = self._asked.popleft()
            if not answer.done():
                answer.set_result(report.encode())

    async def reading(self) -> bytes:
        """What it says of itself, as JSON. Waits for ever: the caller bounds it."""
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._asked.append(answer)
        self.say(READING)
        return await answer

    def say(self, word: str) -> None:
        """See `channel`."""
        self._channel.say(word)

    def kill(self) -> None:
        """End it, whatever state it is in."""
        if self._process.returncode is None:
            self._process.kill()

    def is_silent(self, now: float, patience: float) -> bool:
        """Whether it has not been heard for so long, or has not begun to serve in time."""
        return now - self.heard > (patience if self.ready else max(patience, START_TIMEOUT))

    async def ended(self) -> str:
        """Wait for its end; what to say about it."""
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
