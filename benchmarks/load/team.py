"""Our workers as their supervisor runs them, but each on a port of its own, so that a client can choose one.

    python -P benchmarks/load/team.py CONFIG PORT PORT

All else is the server's own: supervisor, bus process, workers. Run as a file, it serves any checkout of it.
"""

import os
import socket
import sys
from pathlib import Path

from msgspec import structs

from pusher_server import logs
from pusher_server.config import ServerSettings, load
from pusher_server.processes import supervisor
from pusher_server.server.listening import listen


def main(path: Path, ports: list[int]) -> int:
    """Serve until told to stop; the exit status."""

    def one_port_each(
        settings: ServerSettings, send_buffer_bytes: int, count: int
    ) -> list[list[socket.socket]]:
        return [listen(structs.replace(settings, port=port), send_buffer_bytes) for port in ports]

    # In place of the one function that makes the workers' sockets: no setting for users is worth it.
    vars(supervisor)["listen_apart"] = one_port_each
    config = load(path, os.environ, {"server.host": "127.0.0.1"})
    logs.configure(config.log)
    return supervisor.Supervisor(
        config, len(ports), config_path=path, needs_bus=True, on_started=lambda report: None
    ).run()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), [int(port) for port in sys.argv[2:]]))
