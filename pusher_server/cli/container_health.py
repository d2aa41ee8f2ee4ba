"""Asks the server in this container whether it lives, as the health check of the image.

It imports the standard library only, because it runs every 30 seconds beside the server.
"""

import http.client
import os
import sys
import time
import tomllib
from collections.abc import Mapping
from pathlib import Path

from pusher_server.cli.config_file import USUAL_NAME

_PORT = 9_601
#: Seconds for all answers; the image allows five.
_TIMEOUT = 4.0
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "::": "::1"}


def places(environ: Mapping[str, str], config: Path) -> list[tuple[str, int]]:
    """Hosts and ports at which the operations listener may be, the likeliest first.

    A variable of ours decides. Without one the server may have been started with `--env-style soketi`,
    so soketi's port comes first. The port of the config file, or the default, comes second.
    """
    settings = _settings(config)
    host = environ.get("PUSHER_SERVER__OPERATIONS__HOST") or settings.get("host")
    host = _LOOPBACK.get(host, host) if isinstance(host, str) and host else "127.0.0.1"
    ours = _port(environ.get("PUSHER_SERVER__OPERATIONS__PORT"))
    if ours is not None:
        return [(host, ours)]
    soketis = _port(environ.get("SOKETI_METRICS_SERVER_PORT"))
    ports = [soketis, _port(settings.get("port")) or _PORT]
    return [(host, port) for port in dict.fromkeys(ports) if port is not None]


def lives(host: str, port: int, timeout: float) -> bool:
    """Whether a server at this place answers GET /live with 200 within `timeout` seconds."""
    connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", "/live")
        return connection.getresponse().status == 200
    except (OSError, ValueError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    """The status of the process: 0 for a server that lives, else 1 with one line."""
    candidates = places(os.environ, Path(USUAL_NAME))
    end = time.monotonic() + _TIMEOUT
    for host, port in candidates:
        if lives(host, port, max(0.1, end - time.monotonic())):
            return 0
    shown = " nor ".join(f"{host}:{port}" for host, port in candidates)
    sys.stderr.write(
        f"no server that lives is at {shown}; set PUSHER_SERVER__OPERATIONS__PORT to operations.port\n"
    )
    return 1


def _settings(config: Path) -> dict[str, object]:
    """`[operations]` of a config file; nothing for a file that cannot be read, which is the server's to say."""
    try:
        operations = tomllib.loads(config.read_text("utf-8")).get("operations")
    except (OSError, ValueError, RecursionError):
        return {}
    return operations if isinstance(operations, dict) else {}


def _port(value: object) -> int | None:
    try:
        port = int(str(value))
    except ValueError:
        return None
    return port if 0 < port < 65_536 else None


if __name__ == "__main__":
    sys.exit(main())
