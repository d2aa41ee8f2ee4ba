"""The servers that are measured: ours, soketi, the C floor, and any that runs already."""

import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from benchmarks.load import kernel, programs
from benchmarks.load.model import FLOOR, OURS, SOKETI
from benchmarks.load.scenarios import MANY_CHANNELS, PRESENCE, SLOW_READERS

TOP = Path(__file__).resolve().parents[2]
SOKETI_HOME = Path(__file__).resolve().parent / "soketi"
START_SECONDS = 30.0
EVERYTHING = frozenset({PRESENCE, SLOW_READERS, MANY_CHANNELS})


class CannotStart(Exception):
    """A server is not there or does not start; the text says what to do."""


@dataclass(frozen=True)
class Access:
    """Where a server listens and with what its app is used."""

    port: int
    host: str = "127.0.0.1"
    app: str = "app-id"
    key: str = "app-key"
    secret: str = "load-secret"

    @property
    def arguments(self) -> list[str]:
        """As the load client takes them."""
        values = zip("aPAKs", (self.host, self.port, self.app, self.key, self.secret), strict=True)
        return [word for option, value in values for word in (f"-{option}", str(value))]


@dataclass
class Contestant:
    """A server with a name. Without a command it is somebody else's, and neither started nor stopped."""

    name: str
    access: Access
    pid: int = 0
    command: list[str] = field(default_factory=list)
    environment: dict[str, str] = field(default_factory=dict)
    can: frozenset[str] = EVERYTHING
    cpu: int = 0
    #: The checkout that it runs from.
    home: Path = TOP
    process: subprocess.Popen[bytes] | None = None
    log: Path | None = None

    def start(self) -> None:
        """Start it on its core, and return when it accepts connections. Raises CannotStart."""
        if not self.command or (self.process and self.process.poll() is None):
            return
        self.log = Path(tempfile.gettempdir()) / f"load-{os.getpid()}-{self.access.port}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                self.command,
                env={**os.environ, **self.environment},
                cwd=self.home,
                stdout=log,
                stderr=log,
                preexec_fn=partial(os.sched_setaffinity, 0, {self.cpu}),
                start_new_session=True,
            )
        self.pid = self.process.pid
        end = time.monotonic() + START_SECONDS
        while not self._accepts():
            if self.process.poll() is not None or time.monotonic() > end:
                raise CannotStart(f"{self.name} does not start:\n{self._said()}")
            time.sleep(0.05)
        kernel.wait_for_rest([self.pid])

    def _said(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log else ""

    def _accepts(self) -> bool:
        with contextlib.suppress(OSError):
            socket.create_connection((self.access.host, self.access.port), 0.5).close()
            return True
        return False

    def stop(self) -> None:
        """End what we started."""
        if self.process is not None:
            kernel.end_tree(self.process.pid)
            self.process.wait()
            self.process = None
        if self.log is not None:
            self.log.unlink(missing_ok=True)

    @property
    def alive(self) -> bool:
        """Whether it still runs."""
        return self.process.poll() is None if self.process else self._accepts()


def free_port() -> int:
    """A port nobody listens on, below Linux's range for outgoing connections."""
    for _ in range(100):
        port = random.randrange(20_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise CannotStart("no free port between 20000 and 32000")


def ours(
    directory: Path,
    *,
    cpu: int,
    apps: int = 1,
    settings: Sequence[str] = (),
    home: Path = TOP,
) -> Contestant:
    """This checkout's server, or that of `home`: its default settings but for the client events' rate.

    `settings` are further lines of its configuration, tables with their heads.
    """
    access = Access(free_port())
    config = write_config(directory, access, apps=apps, settings=settings)
    command = [sys.executable, "-m", "pusher_server", "serve", "--config", str(config)]
    return Contestant(
        OURS,
        access,
        command=[*command, "--host", access.host, "--port", str(access.port)],
        cpu=cpu,
        home=home,
    )


def write_config(
    directory: Path, access: Access, *, apps: int = 1, settings: Sequence[str] = ()
) -> Path:
    """A configuration of ours with as many apps as the load is spread over."""
    config = directory / f"pusher-server-{access.port}.toml"
    names = ["", *(f"-{i}" for i in range(apps) if apps > 1)]
    lines = [*settings, "[log]", 'level = "warning"', "[defaults.limits]"]
    # The work asks for more than any client should.
    lines += ["client_events_per_second = 0", "subscriptions_per_connection = 0"]
    for name in names:
        pairs = {"id": access.app + name, "key": access.key + name, "secret": access.secret}
        lines += ["[[apps]]", *(f"{key} = {json.dumps(value)}" for key, value in pairs.items())]
    config.write_text("\n".join(lines) + "\n")
    return config


def floor(*, cpu: int) -> Contestant:
    """The least that a server can do."""
    access = Access(free_port())
    names = {"PORT": str(access.port), "APP_ID": access.app, "KEY": access.key}
    return Contestant(
        FLOOR,
        access,
        command=[str(programs.floor())],
        environment={**names, "SECRET": access.secret},
        can=frozenset(),
        cpu=cpu,
    )


def soketi_node() -> Path:
    """The Node 18 that soketi runs on. Raises CannotStart when it is not installed."""
    found = next(SOKETI_HOME.glob("node_modules/node-linux-*/bin/node"), None)
    if found is None:
        raise CannotStart("soketi is not installed: run scripts/bench-setup")
    return found


def soketi(*, cpu: int) -> Contestant:
    """soketi from npm, with room for the work: as many members as join, no limit of events."""
    access = Access(free_port())
    settings = {
        "HOST": access.host,
        "PORT": str(access.port),
        "METRICS_SERVER_PORT": str(free_port()),
        "METRICS_ENABLED": "false",
        "DEFAULT_APP_ID": access.app,
        "DEFAULT_APP_KEY": access.key,
        "DEFAULT_APP_SECRET": access.secret,
        "DEFAULT_APP_ENABLE_CLIENT_MESSAGES": "true",
        "PRESENCE_MAX_MEMBERS": "10000",
    }
    server = SOKETI_HOME / "node_modules/@soketi/soketi/bin/server.js"
    return Contestant(
        SOKETI,
        access,
        command=[str(soketi_node()), str(server), "start"],
        environment={f"SOKETI_{name}": value for name, value in settings.items()},
        cpu=cpu,
    )


def running(spec: str) -> Contestant:
    """Somebody else's server: NAME=host:port:app:key:secret:pid. Raises ValueError."""
    name, _, rest = spec.partition("=")
    parts = rest.split(":")
    if not name or len(parts) != 6 or not (parts[1].isdigit() and parts[5].isdigit()):
        raise ValueError(f"{spec!r} is not NAME=host:port:app:key:secret:pid")
    host, port, app, key, secret, pid = parts
    access = Access(int(port), socket.gethostbyname(host), app, key, secret)
    return Contestant(name, access, pid=int(pid))
