"""The servers that are flooded, as operators run them, and which cores everybody gets."""

import os
import re
import ssl
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.abuse import audited_server
from tests.abuse.connection_floods import unchecked_context
from tests.abuse.flood import APP_ID, KEY, SECRET
from tests.abuse.turns import Turn, read_turns
from tests.support.processes import tls_settings, write_certificate
from tests.support.serving import RunningServer
from tests.support.team import processes_of
from tests.support.wire import Address

#: A worker that is silent for longer is killed by its supervisor: short, so that a round can show it.
LEASE = 3.0


@dataclass(frozen=True)
class Setup:
    """How the server is started; `name` is for the table."""

    name: str
    workers: int = 1
    tls: bool = False
    tables: dict[str, dict[str, Any]] = field(default_factory=dict)


SETUPS = {
    each.name: each
    for each in (
        Setup("uvloop", tables={"server": {"loop": "uvloop"}}),
        Setup("asyncio", tables={"server": {"loop": "asyncio"}}),
        Setup("workers", workers=2),
        Setup("tls", tls=True),
    )
}


@dataclass(frozen=True)
class Cores:
    """Those of the server, and those of flooder and victims."""

    server: frozenset[int]
    others: frozenset[int]


def share_cores() -> Cores:
    """The last core is ours, the others are the server's; with a single one all share it."""
    cores = sorted(os.sched_getaffinity(0))
    return Cores(frozenset(cores[:-1] or cores), frozenset(cores[-1:]))


class AuditedServer(RunningServer):
    """A server process that counts the work of its turns; `broken` names a bound that it does not keep."""

    module = "tests.abuse.audited_server"

    def __init__(self, directory: Path, setup: Setup, cores: Cores, broken: str = "") -> None:
        self.setup = setup
        self._turns = directory / "turns"
        tables = {name: dict(table) for name, table in setup.tables.items()}
        if setup.tls:
            write_certificate(directory)
            tables.setdefault("server", {})["tls"] = tls_settings(directory)
        settings: dict[str, Any] = {
            "apps": [{"id": APP_ID, "key": KEY, "secret": SECRET}],
            **tables,
            "server": {"shutdown_grace": 0.5, **tables.get("server", {})},
            "cluster": {"lease": LEASE},
        }
        environment = {
            audited_server.CORES: ",".join(map(str, sorted(cores.server))),
            audited_server.TURNS: str(self._turns),
            audited_server.BROKEN: broken,
        }
        super().__init__(directory, settings, workers=setup.workers, environment=environment)

    @property
    def address(self) -> Address:
        """Where clients connect."""
        return Address(self.host, self.port, tls=self._context)

    @property
    def _context(self) -> ssl.SSLContext | None:
        return unchecked_context() if self.setup.tls else None

    def ready_status(self) -> int | None:
        """Over TLS nobody asks: that it says where it is, is enough."""
        if not self.setup.tls:
            return super().ready_status()
        return 200 if "is running" in self.log else None

    @property
    def killed(self) -> int:
        """How many of its processes the supervisor has killed, or that have ended by themselves."""
        return len(re.findall(r"is killed|ended with", self.log))

    def turns(self, since: float) -> Iterator[Turn]:
        """The large turns of its processes after a moment."""
        return read_turns(self._turns, since)

    def processes(self) -> list[int]:
        """Those that serve clients."""
        team = processes_of(self.pid)
        return [pid for name, pid in team.items() if name != "bus"] or [self.pid]

    def memory(self) -> int:
        """Bytes of RAM that they have together."""
        pages = 0
        for pid in self.processes():
            pages += int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def serving(setup: Setup, cores: Cores, broken: str = "") -> Iterator[AuditedServer]:
    """Started, in a folder of its own, and stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="abuse-") as directory:
        server = AuditedServer(Path(directory), setup, cores, broken)
        server.start()
        try:
            yield server
        finally:
            server.kill()
