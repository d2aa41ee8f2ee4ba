"""The formations of our server that `cluster` compares: alone, two workers on a bus, two nodes on Redis.

All processes of a formation share one core, so that what they need is comparable with what one process needs.
"""

import contextlib
import http.client
import shutil
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import contestants, kernel
from benchmarks.load.contestants import TOP, Access, CannotStart, Contestant

ALONE, UNIX, REDIS = "1 process", "2 workers, Unix bus", "2 nodes, Redis"
#: What is appended to the name when another checkout is measured beside this one.
BEFORE = " (before)"
#: Seconds; shorter than the default of 10, so that the deaths of nodes can be waited for.
LEASE = 3.0
READY_SECONDS = 20.0
TEAM = Path(__file__).with_name("team.py")


@dataclass
class Formation:
    """Processes of ours that together are one server.

    `servers` are to be started in their order. `placed` tells, once they run, the pids of the nodes in the
    order of `ports`, and those of bus or Redis beside them.
    """

    name: str
    access: Access
    ports: tuple[int, ...]
    servers: list[Contestant]
    placed: Callable[[], tuple[list[int], list[int]]]
    nodes: tuple[int, ...] = ()
    beside: tuple[int, ...] = ()

    def start(self) -> None:
        """Start what does not run, and return when all nodes know each other. Raises CannotStart."""
        for server in self.servers:
            server.start()
        for port in self.ports:
            _wait_until_ready(self.access.host, port)
        nodes, beside = self.placed()
        self.nodes, self.beside = tuple(nodes), tuple(beside)

    def stop(self) -> None:
        """End all of it."""
        for server in reversed(self.servers):
            server.stop()

    def rest(self) -> None:
        """Return when everything has come to rest."""
        kernel.wait_for_rest([*self.nodes, *self.beside])

    @property
    def alive(self) -> bool:
        """Whether all that we started still runs."""
        return all(server.alive for server in self.servers)


def _wait_until_ready(host: str, port: int) -> None:
    end = time.monotonic() + READY_SECONDS
    said = "nothing"
    while said != "OK":
        if time.monotonic() > end:
            raise CannotStart(f"the node on port {port} is not ready: {said}")
        time.sleep(0.05)
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection(host, port, timeout=1)
            try:
                connection.request("GET", "/ready")
                said = connection.getresponse().read().decode()
            finally:
                connection.close()


def alone(directory: Path, *, cpu: int, home: Path = TOP) -> Formation:
    """One process."""
    server = contestants.ours(directory, cpu=cpu, settings=_cluster(), home=home)
    return Formation(
        ALONE, server.access, (server.access.port,), [server], lambda: ([server.pid], [])
    )


def workers(directory: Path, *, cpu: int, home: Path = TOP) -> Formation:
    """Two workers and the bus process of a supervisor."""
    access, second = Access(contestants.free_port()), contestants.free_port()
    config = contestants.write_config(directory, access, settings=_cluster())
    ports = (access.port, second)
    team = Contestant(
        UNIX,
        access,
        command=[sys.executable, "-P", str(TEAM), str(config), *map(str, ports)],
        environment={"PYTHONPATH": str(home)},
        cpu=cpu,
        home=home,
    )

    def placed() -> tuple[list[int], list[int]]:
        found = {role_of(pid): pid for pid in kernel.process_tree(team.pid)}
        try:
            return [found["worker 1"], found["worker 2"]], [found["bus"]]
        except KeyError as missing:
            raise CannotStart(f"the supervisor has no {missing}") from None

    return Formation(UNIX, access, ports, [team], placed)


def role_of(pid: int) -> str:
    """What a process of the supervisor's is: "worker 1", "bus", or "" for anything else."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return ""
    for place, word in enumerate(words):
        if word.endswith(".processes.worker"):
            return f"worker {words[place + 1]}"
        if word.endswith(".processes.bus"):
            return "bus"
    return ""


def redis_nodes(directory: Path, *, cpu: int, home: Path = TOP) -> Formation:
    """Two processes and a redis-server. Raises CannotStart when there is none."""
    program = shutil.which("redis-server")
    if program is None:
        raise CannotStart("redis-server is not installed: apt-get install redis-server")
    place = Access(contestants.free_port())
    options = {"bind": place.host, "port": place.port, "save": "", "dir": directory}
    words = [word for name, value in options.items() for word in (f"--{name}", str(value))]
    redis = Contestant(f"Redis of {REDIS}", place, command=[program, *words], cpu=cpu)
    settings = [*_cluster(), "[cluster.redis]", f'url = "redis://{place.host}:{place.port}"']
    first, second = (
        contestants.ours(directory, cpu=cpu, settings=settings, home=home) for _ in range(2)
    )
    ports = (first.access.port, second.access.port)
    return Formation(
        REDIS,
        first.access,
        ports,
        [redis, first, second],
        lambda: ([first.pid, second.pid], [redis.pid]),
    )


def _cluster() -> list[str]:
    return ["[cluster]", f"lease = {LEASE}"]


def line_up(directory: Path, *, cpu: int, before: Path | None = None) -> list[Formation]:
    """Who takes part. `before`: another checkout, whose clusters are measured beside this one's."""
    found = [make(directory, cpu=cpu) for make in (alone, workers, redis_nodes)]
    for make in (workers, redis_nodes) if before is not None else ():
        formation = make(directory, cpu=cpu, home=before or TOP)
        formation.name += BEFORE
        found.append(formation)
    return found
