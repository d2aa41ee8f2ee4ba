"""One Redis process of one's own: on a free port of loopback, ended by `close`.

Its files are in a temporary folder, and it runs as an unprivileged user when we are root. Everything here
blocks: from a running loop, call it with `asyncio.to_thread`. `redis_topologies` puts several together.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import hiredis

from tests.support.serving import free_port
from tests.support.waiting import block_until

#: Seconds for a server to do what it was told.
PATIENCE = 60.0


def until(condition: Callable[[], bool], what: str) -> None:
    """Return once it holds; a server that is not there yet counts as "not yet"."""
    block_until(condition, PATIENCE, show=lambda: what, not_yet=(OSError, hiredis.HiredisError))


class RedisServer:
    """One process. `options` are those of redis.conf, with `_` for `-` in their names."""

    host = "127.0.0.1"

    def __init__(
        self, *, program: str = "redis-server", options: Mapping[str, object] | None = None
    ) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix="redis-"))
        self._program = program
        self.options = dict(options or {})
        self.user = "redis" if _exists("redis") else "nobody"
        self._process: subprocess.Popen[bytes] | None = None
        if os.getuid() == 0:
            shutil.chown(self.folder, self.user)

    @property
    def is_running(self) -> bool:
        """Started and not killed."""
        return self._process is not None

    @property
    def log(self) -> str:
        """What it has logged."""
        return (self.folder / "log").read_text("utf-8", errors="replace")

    @property
    def address(self) -> str:
        """`host:port`."""
        return f"{self.host}:{self.port}"

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        assert self._process is None
        unprivileged: dict[str, Any] = {}
        if os.getuid() == 0:
            user = pwd.getpwnam(self.user)
            unprivileged = {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, str(self._write_config())],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                **unprivileged,
            )
        until(self._answers, f"{self._program} on port {self.port}")
        return self

    def _write_config(self) -> Path:
        """Once: Sentinels and replicas rewrite theirs."""
        path = self.folder / "redis.conf"
        if not path.exists():
            options = {"bind": self.host, "port": self.port, **self.options}
            if self._program == "redis-server":
                defaults = {
                    "save": '""',
                    "repl-diskless-sync-delay": 0,
                    "enable-debug-command": "yes",
                }
                options = defaults | options
            lines = (f"{name.replace('_', '-')} {value}" for name, value in options.items())
            path.write_text("\n".join(lines) + "\n", "utf-8")
            if os.getuid() == 0:
                shutil.chown(path, self.user)
        return path

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self._program} did not start:\n{self.log}"
        with socket.create_connection((self.host, self._reachable_port()), 1.0):
            return True

    def _reachable_port(self) -> int:
        tls = self.options.get("tls_port")
        return int(str(tls)) if tls is not None else self.port

    def ask(self, *command: str | int) -> Any:
        """One command on a connection of its own; a ReplyError is raised."""
        password = self.options.get("requirepass")
        commands: list[tuple[str | int, ...]] = [("AUTH", str(password))] if password else []
        reader = hiredis.Reader()
        answers: list[Any] = []
        with socket.create_connection((self.host, self.port), PATIENCE) as link:
            for each in [*commands, command]:
                link.sendall(hiredis.pack_command(tuple(each)))  # type: ignore[arg-type] # its stub knows one
            while len(answers) <= len(commands):
                data = link.recv(65_536)
                if not data:
                    raise ConnectionResetError("Redis closed the connection")
                reader.feed(data)
                while len(answers) <= len(commands) and (answer := reader.gets()) is not False:
                    answers.append(answer)
        if isinstance(answers[-1], Exception):
            raise answers[-1]
        return answers[-1]

    def kill(self) -> None:
        """As a crash does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def restart(self, *, empty: bool = True) -> None:
        """Crash and start anew, with what it knew or without."""
        dump = self.folder / "dump.rdb"
        if empty:
            dump.unlink(missing_ok=True)
        else:
            self.ask("SAVE")
        self.kill()
        self.start()

    def pause(self) -> None:
        """It hangs."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """End it and remove its files."""
        if self._process is not None:
            self.resume()
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _exists(user: str) -> bool:
    try:
        pwd.getpwnam(user)
    except KeyError:
        return False
    return True


#: Starts a server of a program with options of redis.conf.
StartRedis = Callable[..., RedisServer]
