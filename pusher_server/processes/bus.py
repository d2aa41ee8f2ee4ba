"""`python -m pusher_server.processes.bus FD`: the bus of the workers, started by their supervisor."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pusher_server import logs, standard_streams, stray_signals
from pusher_server.cluster.unix.bus import Bus
from pusher_server.processes.bus_socket import BusFileWatch
from pusher_server.processes.control_channel import READY, STOP, STOP_NOW, ControlChannel, read_spec
from pusher_server.server.loop_errors import limit_accept_errors
from pusher_server.server.specs import BusSpec

#: Seconds between two looks at the socket's file.
LOOK = 1.0


def main(number: int) -> None:
    """Serve. `number` is the control channel's file descriptor."""
    stray_signals.ignore()
    # A terminal and systemd signal all processes at once, but the workers need the bus until they have drained.
    for ignored in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(ignored, signal.SIG_IGN)
    end = socket.socket(fileno=number)
    spec = read_spec(end, BusSpec)
    logs.configure(spec.log)
    with asyncio.Runner(loop_factory=_loop_factory(spec.loop)) as runner:
        runner.run(_serve(spec, end))
    standard_streams.flush_or_drop()


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if name == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:  # not on PyPy
        return None
    return uvloop.new_event_loop


async def _serve(spec: BusSpec, end: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    ending = asyncio.Event()
    abandoned = asyncio.Event()

    def on_message(message: str) -> None:
        if message in (STOP, STOP_NOW):
            ending.set()

    def on_end() -> None:
        abandoned.set()
        ending.set()

    limit_accept_errors(loop)
    bus = Bus(lease=spec.lease, undo_window=spec.undo_window, is_first=spec.is_first)
    # uvloop closes a Unix listener without references, when garbage is next collected.
    serving = [await loop.create_unix_server(bus.peer, sock=socket.socket(fileno=spec.listener))]
    channel = await ControlChannel.hold(end, on_message, on_end)
    channel.send(READY)
    channel.beat(spec.lease)
    looking = loop.create_task(_keep_file(bus, spec, serving))
    await ending.wait()
    looking.cancel()
    if abandoned.is_set():
        await _see_off(bus, spec)
    for server in serving:
        server.close()


async def _keep_file(bus: Bus, spec: BusSpec, serving: list[asyncio.Server]) -> None:
    """Let replaced workers find the bus, also after its file was removed. Runs until cancelled.

    `serving` has the inherited listener, and gets the latest one that was made here.
    """
    watch = BusFileWatch(spec.path, spec.private_directory)
    while True:
        made = watch.look()
        if made is not None:
            for earlier in serving[1:]:
                earlier.close()
            loop = asyncio.get_running_loop()
            serving[1:] = [await loop.create_unix_server(bus.peer, sock=made)]
        await asyncio.sleep(LOOK)


async def _see_off(bus: Bus, spec: BusSpec) -> None:
    """The supervisor is gone: serve until the workers are gone too, and remove the files in its place."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + spec.linger
    # A poll at the end of a process's life: no event to keep on the hot path.
    while bus.peers and loop.time() < deadline:  # noqa: ASYNC110 - see above
        await asyncio.sleep(0.05)
    _remove(spec)


def _remove(spec: BusSpec) -> None:
    with suppress(OSError):
        Path(spec.path).unlink()
        if spec.private_directory:
            Path(spec.private_directory).rmdir()


if __name__ == "__main__":
    main(int(sys.argv[1]))
