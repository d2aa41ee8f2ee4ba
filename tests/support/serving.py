"""Real server processes for tests: started with a config file of their own, stopped by their pid.

Nothing here imports the server: what is tested is the command that an operator runs. Waiting is
always for a condition with a deadline, and a failure shows what the server wrote.
"""

import asyncio
import http.client
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self

from tests.support.waiting import block_until

#: Below Linux's range for outgoing connections (32768…): nobody takes the port while we restart.
PORTS = range(20_000, 32_000)
START_DEADLINE = 20.0
STOP_DEADLINE = 15.0


def ports_of(worker: int, workers: int) -> Iterator[int]:
    """The ports of one of pytest-xdist's processes, again and again from a random one.

    No other process has them, and each comes back only after all others: between the choice of a port and
    its server's start nobody else may choose it.
    """
    ports = PORTS[worker::workers]
    first = random.SystemRandom().randrange(len(ports))
    return itertools.cycle((*ports[first:], *ports[:first]))


_ports = ports_of(
    int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")),
    int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1")),
)


def free_port() -> int:
    """A TCP port on loopback that nobody listens on."""
    for port in itertools.islice(_ports, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port in {PORTS}")


def to_toml(settings: Mapping[str, Any]) -> str:
    """TOML text of a settings tree: tables as dicts, arrays of tables as lists of dicts."""
    return "\n".join(_table_lines(settings, "")) + "\n"


def _table_lines(table: Mapping[str, Any], path: str) -> list[str]:
    lines = [
        f"{key} = {_toml_value(value)}" for key, value in table.items() if not _is_table(value)
    ]
    for key, value in table.items():
        name = f"{path}.{key}" if path else key
        if isinstance(value, Mapping):
            lines += ["", f"[{name}]", *_table_lines(value, name)]
        elif _is_table(value):
            for entry in value:
                lines += ["", f"[[{name}]]", *_table_lines(entry, name)]
    return lines


def _is_table(value: object) -> bool:
    if isinstance(value, Mapping):
        return True
    return isinstance(value, list) and bool(value) and isinstance(value[0], Mapping)


def _toml_value(value: object) -> str:
    # JSON's strings, numbers, booleans and arrays of them are valid TOML as they are.
    return json.dumps(value, ensure_ascii=False)


class RunningServer:
    """One server process on a port of its own, as a context manager (plain or async).

    `settings` is the config tree (see config.example.toml); `[server] port` is filled in here.
    """

    #: What `python -m` runs.
    module = "pusher_server"

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, Any],
        *,
        arguments: tuple[str, ...] = (),
        workers: int = 1,
        environment: Mapping[str, str] | None = None,
        open_files: int = 0,
    ) -> None:
        self.host = "127.0.0.1"
        self.port = free_port()
        self.directory = directory
        self.settings = settings
        self.arguments = arguments if workers == 1 else (*arguments, "--workers", str(workers))
        self.environment = dict(environment or {})
        #: The hard limit of open files; 0 leaves the machine's.
        self.open_files = open_files
        self.log_path = directory / f"server-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where HTTP is answered, without a trailing slash."""
        return f"http://{self.host}:{self.port}"

    @property
    def log(self) -> str:
        """Everything the server has written so far, over all its starts."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._process is None:
            raise RuntimeError("the server is not running")
        return self._process.pid

    def start(self) -> None:
        """Start the process and return when it is ready."""
        self.launch()
        try:
            self._wait_until_ready()
        except BaseException:
            self.kill()
            raise

    def launch(self) -> None:
        """Start the process and return at once."""
        config = self.write_config()
        environment = {k: v for k, v in os.environ.items() if not k.startswith("PUSHER_")}
        environment.update(self.environment)
        command = [sys.executable, "-m", self.module, "serve", "--config", str(config)]
        if self.open_files:
            limited = 'ulimit -n "$0" && exec "$@"'
            command = ["sh", "-c", limited, str(self.open_files), *command]
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [*command, *self.arguments], stdout=log, stderr=log, env=environment
            )

    def write_config(self) -> Path:
        """Write the config file for this port; returns its path."""
        server = {**self.settings.get("server", {}), "host": self.host, "port": self.port}
        operations = {"port": 0, **self.settings.get("operations", {})}
        path = self.directory / f"server-{self.port}.toml"
        path.touch(mode=0o600)  # or the server warns that others can read it
        path.write_text(to_toml({**self.settings, "server": server, "operations": operations}))
        return path

    def _wait_until_ready(self) -> None:
        block_until(self._is_ready, START_DEADLINE, show=lambda: f"ready\n{self.log}")

    def _is_ready(self) -> bool:
        is_ready = self.ready_status() == 200
        # Looked at last: what answers may be another program on its port.
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"the server ended with {self._process.returncode}:\n{self.log}")
        return is_ready

    def ready_status(self) -> int | None:
        """The status of GET /ready, None while nobody answers."""
        request = http.client.HTTPConnection(self.host, self.port, timeout=5)
        try:
            request.request("GET", "/ready")
            return request.getresponse().status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            request.close()

    def terminate(self) -> None:
        """Ask the server to stop (SIGTERM) and return at once."""
        if self._process is not None:
            self._process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Stop the server gracefully, by force after a deadline; returns its exit status."""
        if self._process is None:
            return 0
        self.terminate()
        try:
            return self._process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise RuntimeError(
                f"still running {STOP_DEADLINE} s after SIGTERM:\n{self.log}"
            ) from None
        finally:
            self._process = None

    def kill(self) -> None:
        """End the process without giving it a chance to say goodbye."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.to_thread(self.stop)

    async def restart(self) -> None:
        """Stop gracefully and start again on the same port."""
        await asyncio.to_thread(self.stop)
        await asyncio.to_thread(self.start)
