"""The process of the workers' bus, started as its supervisor starts it."""

import socket
import subprocess
import sys
from pathlib import Path

from pusher_server.config import LogSettings
from pusher_server.processes.control_channel import READY, spec_line
from pusher_server.server.specs import BusSpec

#: Garbage is collected at every chance, not in a moment that nobody can foresee.
EAGER = """
import gc, sys
gc.set_threshold(1, 1, 1)
from pusher_server.processes import bus
bus.main(int(sys.argv[1]))
"""
PATIENCE = 20.0


def test_a_collection_of_garbage_leaves_the_bus_listening(tmp_path: Path) -> None:
    """uvloop closes a Unix listener that nobody refers to any more; asyncio keeps it."""
    path = tmp_path / "bus"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()
    ours, theirs = socket.socketpair()
    spec = BusSpec(
        listener=listener.fileno(),
        path=str(path),
        private_directory="",
        lease=10.0,
        undo_window=1.0,
        linger=0.0,
        loop="uvloop",
        log=LogSettings(),
        is_first=True,
    )
    descriptors = (listener.fileno(), theirs.fileno())
    process = subprocess.Popen(
        [sys.executable, "-c", EAGER, str(theirs.fileno())], pass_fds=descriptors
    )
    try:
        listener.close()  # so that only the process can answer
        theirs.close()
        ours.settimeout(PATIENCE)
        with ours, ours.makefile() as words:  # at the end of it the bus is abandoned, and ends
            ours.sendall(spec_line(spec))
            assert words.readline() == f"{READY}\n"
            for _ in range(3):
                words.readline()  # its loop turns, and collects what it makes
                with socket.socket(socket.AF_UNIX) as client:
                    client.connect(str(path))
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
