"""`python -m pusher_server.server.bus_process FD`: the bus of the workers, started by their supervisor."""

import asyncio
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from pusher_server import logs, standard_streams, stray_signals
from pusher_server.cluster.unix.bus import Bus
from pusher_server.server.bus_socket import BusFileWatch
from pusher_server.server.leash import READY, STOP, STOP_NOW, Leash, read_place
from pusher_server.server.loop_errors import say_once_that_no_file_is_left
from pusher_server.server.places import BusPlace

#: Seconds between two looks at the socket's file.
LOOK = 1.0


def main(number: int) -> None:
    """Serve. `number` is the leash's file descriptor."""
    stray_signals.ignore()
    # A terminal and systemd tell all processes at once, but the workers need the bus until they have drained.
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    end = socket.socket(fileno=number)
    place = read_place(end, BusPlace)
    logs.configure(place.log)
    with asyncio.Runner(loop_factory=_loop_factory(place.loop)) as runner:
        runner.run(_serve(place, end))
    standard_streams.flush_or_drop()


def _loop_factory(wanted: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    if wanted == "asyncio":
        return None
    try:
        import uvloop
    except ImportError:  # not on PyPy
        return None
    return uvloop.new_event_loop


async def _serve(place: BusPlace, end: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    told = asyncio.Event()
    abandoned = asyncio.Event()

    def on_word(word: str) -> None:
        if word in (STOP, STOP_NOW):
            told.set()

    def on_end() -> None:
        abandoned.set()
        told.set()

    say_once_that_no_file_is_left(loop)
    bus = Bus(lease=place.lease, undo_window=place.undo_window, is_first=place.is_first)
    # uvloop closes a Unix listener that nobody refers to, when garbage is next collected.
    serving = await loop.create_unix_server(bus.peer, sock=socket.socket(fileno=place.listener))
    leash = await Leash.hold(end, on_word, on_end)
    leash.say(READY)
    leash.beat(place.lease)
    looking = loop.create_task(_keep_file(bus, place))
    await told.wait()
    looking.cancel()
    if abandoned.is_set():
        await _see_off(bus, place)
    serving.close()


async def _keep_file(bus: Bus, place: BusPlace) -> None:
    """Let replaced workers find the bus, whatever becomes of its file. Until cancelled."""
    watch = BusFileWatch(place.path, place.private_directory)
    server: asyncio.Server | None = None
    while True:
        made = watch.look()
        if made is not None:
            if server is not None:
                server.close()
            server = await asyncio.get_running_loop().create_unix_server(bus.peer, sock=made)
        await asyncio.sleep(LOOK)


async def _see_off(bus: Bus, place: BusPlace) -> None:
    """The supervisor is gone: what it would have done at the end is ours."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + place.linger
    # A poll at the end of a process's life: no event to keep on the hot path.
    while bus.peers and loop.time() < deadline:  # noqa: ASYNC110 - as said above
        await asyncio.sleep(0.05)
    _remove(place)


def _remove(place: BusPlace) -> None:
    with suppress(OSError):
        Path(place.path).unlink()
        if place.private_directory:
            Path(place.private_directory).rmdir()


if __name__ == "__main__":
    main(int(sys.argv[1]))
