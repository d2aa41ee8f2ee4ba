"""Real database servers for tests: made in a directory of their own, started on a free port, ended by pid.

Nothing of the machine's own configuration is read and no service is touched. As root they run as `nobody`,
because neither of them runs as root.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from tests.support.serving import free_port
from tests.support.waiting import block_until

#: Seconds within which a server must accept connections, or must have ended.
DEADLINE = 30.0
USER, PASSWORD = "pusher", "not-a-secret"


class DatabaseServer:
    """A server process as a context manager. `url(name)` is where a database of that name is."""

    scheme: str
    #: Ends it without waiting for its clients.
    stopping = signal.SIGTERM

    def __init__(self) -> None:
        self.port = free_port()
        # Not below pytest's own directory, into which only its owner may look.
        self.directory = Path(tempfile.mkdtemp(prefix="pusher-server-db-"))
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, database: str) -> str:
        """For `database.url`."""
        return f"{self.scheme}://{USER}:{PASSWORD}@127.0.0.1:{self.port}/{database}"

    def initialize(self) -> None:
        """Make the data directory."""
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        """What serves it in the foreground."""
        raise NotImplementedError

    @property
    def log(self) -> str:
        """What the server has written."""
        path = self.directory / "log"
        return path.read_text(errors="replace") if path.exists() else ""

    def start(self) -> None:
        """Start the process and return once it accepts connections."""
        with (self.directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=log, **_unprivileged(self.directory)
            )
        try:
            block_until(self._is_ready, DEADLINE, show=lambda: f"the database starts\n{self.log}")
        except BaseException:
            self.stop()
            raise

    def _is_ready(self) -> bool:
        if self._process is not None and self._process.poll() is not None:
            raise RuntimeError(f"the database does not start:\n{self.log}")
        return self._accepts()

    def _accepts(self) -> bool:
        """Whether it can be used."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        """End it; what is committed stays, clients see their connections break."""
        if self._process is not None:
            self._process.send_signal(self.stopping)
            try:
                self._process.wait(DEADLINE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def run(self, *command: str) -> None:
        """Run a tool of the server as the server's user."""
        done = subprocess.run(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            **_unprivileged(self.directory),
        )
        if done.returncode != 0:
            raise RuntimeError(f"{command[0]} failed:\n{done.stdout}")

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.directory, nobody.pw_uid, nobody.pw_gid)
        try:
            self.initialize()
            self.start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


class PostgresServer(DatabaseServer):
    """PostgreSQL, the newest version that Debian's packages have put here."""

    scheme = "postgresql"
    stopping = signal.SIGINT

    def __init__(self) -> None:
        super().__init__()
        folders = Path("/usr/lib/postgresql").glob("*/bin")
        found = sorted(folders, key=lambda folder: int(folder.parent.name))
        if not found:
            raise RuntimeError("PostgreSQL is missing: scripts/debian-packages postgres")
        self._bin = found[-1]

    def initialize(self) -> None:
        """With a superuser of our name, whose password counts."""
        password = self.directory / "password"
        password.write_text(PASSWORD)
        password.chmod(0o644)
        self.run(
            *(str(self._bin / "initdb"), "--no-sync", "--encoding=UTF8", "--locale=C"),
            *("--auth=scram-sha-256", f"--username={USER}", f"--pwfile={password}"),
            *("-D", str(self.directory / "data")),
        )

    def command(self) -> Sequence[str]:
        """Nothing has to survive the machine, so nothing waits for the disk."""
        settings = {
            "port": self.port,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": self.directory,
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "shared_buffers": "16MB",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        return [str(self._bin / "postgres"), "-D", str(self.directory / "data"), *options]

    def _accepts(self) -> bool:
        asked = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(asked).returncode == 0


class MariaServer(DatabaseServer):
    """MariaDB from Debian's package without a service."""

    scheme = "mysql"

    def initialize(self) -> None:
        """The system tables, and one user who may do everything."""
        self.run(
            *("mariadb-install-db", "--no-defaults", "--auth-root-authentication-method=normal"),
            *("--skip-test-db", f"--datadir={self.directory / 'data'}"),
        )
        (self.directory / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n"
            f"GRANT ALL ON *.* TO '{USER}'@'%';\n"
        )

    def command(self) -> Sequence[str]:
        """Small, and without waiting for the disk."""
        return [
            *("/usr/sbin/mariadbd", "--no-defaults", f"--datadir={self.directory / 'data'}"),
            *(f"--port={self.port}", "--bind-address=127.0.0.1", "--skip-name-resolve"),
            f"--socket={self.directory / 'socket'}",
            *(f"--pid-file={self.directory / 'pid'}", f"--init-file={self.directory / 'init.sql'}"),
            *("--innodb-flush-log-at-trx-commit=0", "--innodb-buffer-pool-size=16M"),
        ]


def _unprivileged(directory: Path) -> dict[str, Any]:
    """How a process is started that must not be root's."""
    if os.geteuid() != 0:
        return {"cwd": directory}
    return {"cwd": directory, "user": "nobody", "group": "nogroup", "extra_groups": []}
