"""Our own server under test: one process, the workers of one machine, or nodes on one Redis.

CONFORMANCE_CLUSTER chooses; the rows are the same, and clients and requests are spread over the processes.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path

from tests.conformance.target import own_settings
from tests.support.redis_servers import RedisServer, until
from tests.support.serving import RunningServer

#: Host and the ports at which there is a node.
Listening = tuple[str, tuple[int, ...]]
VARIABLE = "CONFORMANCE_CLUSTER"
NODES = 2


@contextmanager
def one_process(folder: Path) -> Iterator[Listening]:
    """The server as most people run it."""
    with RunningServer(folder, own_settings(folder)) as server:
        yield server.host, (server.port,)


@contextmanager
def workers(folder: Path) -> Iterator[Listening]:
    """One port; the kernel spreads the connections."""
    with RunningServer(folder, own_settings(folder), workers=NODES) as server:
        until(partial(_is_attached, server, NODES), "workers on their bus")
        yield server.host, (server.port,)


@contextmanager
def on_redis(folder: Path) -> Iterator[Listening]:
    """Nodes at ports of their own; the target hands out one after the other."""
    with ExitStack() as stack:
        redis = stack.enter_context(RedisServer())
        redis.start()
        settings = own_settings(folder)
        settings["cluster"]["redis"] = {"url": f"redis://{redis.address}/0"}
        servers = [stack.enter_context(RunningServer(folder, settings)) for _ in range(NODES)]
        for each in servers:
            until(partial(_is_attached, each, 1), "nodes on their Redis")
        yield servers[0].host, tuple(each.port for each in servers)


def _is_attached(server: RunningServer, count: int) -> bool:
    return server.log.count("attached to ") >= count


KINDS: dict[str, Callable[[Path], AbstractContextManager[Listening]]] = {
    "": one_process,
    "workers": workers,
    "redis": on_redis,
}


def kind_from_environment() -> str:
    """What is asked for."""
    kind = os.environ.get(VARIABLE, "")
    assert kind in KINDS, f"{VARIABLE} is one of {sorted(KINDS)}, not {kind!r}"
    return kind
