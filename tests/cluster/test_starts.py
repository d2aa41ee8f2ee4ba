"""Nothing is lost just after a start.

A client that is told that it subscribed gets what any process publishes from then on. Clients come before the
server does. Publications go over connections of their own, so that the kernel spreads them over the processes.
`TEST_STARTS` is how often everything is started: 10 in `make test`, 50 in `make test-full`.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec import to_builtins
from websockets.exceptions import InvalidHandshake, InvalidMessage

from tests.cluster.servers import PATIENCE, Node, clients_of, nodes_at, settings
from tests.conformance.api import Api
from tests.conformance.client import Client, connected, unique
from tests.support.redis_servers import RedisServer
from tests.support.redis_topologies import ClusterRedis, RedisTopology, SentinelRedis
from tests.support.serving import free_port
from tests.support.team import is_running, processes_of
from tests.support.waiting import eventually

STARTS = int(os.environ.get("TEST_STARTS", "2"))
#: Subscribers that come at once, and events that each of them must get.
CLIENTS, EVENTS = 6, 4


@asynccontextmanager
async def started(*nodes: Node) -> AsyncIterator[None]:
    """Started and not waited for; whatever a test leaves of them is ended."""
    known: dict[str, int] = {}
    try:
        for each in nodes:
            each.launch()
        yield
        for each in nodes:
            assert "Traceback" not in each.log, each.log
    finally:
        for each in nodes:
            known.update(
                (f"{each.port} {name}", pid) for name, pid in processes_of(each.pid).items()
            )
            each.kill()
        for pid in known.values():
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)


async def first_connection(stack: AsyncExitStack, node: Node) -> Client:
    """Connect as soon as it can be done."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return await stack.enter_async_context(connected(node.target))
        except (OSError, InvalidHandshake, InvalidMessage):
            assert time.monotonic() < deadline, node.log
            await asyncio.sleep(0.01)


async def publish(node: Node, channel: str, name: str) -> None:
    """As soon as the node listens; over a connection of its own, which must be answered with 200."""
    deadline = time.monotonic() + PATIENCE
    # Reading all certificates for each of them would hold up the others by 35 ms.
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False, verify=False) as http:
        while True:
            try:
                await Api(node.target, node.target.main, http).publish(channel, name)
                return
            except httpx.ConnectError:  # it started with the others, but has not come as far
                assert time.monotonic() < deadline, node.log
                await asyncio.sleep(0.01)


async def subscriber_loses(subscribed_to: Node, *publishers: Node) -> list[str]:
    """Which events a client that comes now does not get, though they were published after its subscription."""
    channel = unique("start-")
    async with AsyncExitStack() as stack:
        client = await first_connection(stack, subscribed_to)
        await client.subscribe(channel)
        names = [f"event-{number}" for number in range(EVENTS)]
        turns = cycle(publishers)
        await asyncio.gather(*(publish(next(turns), channel, name) for name in names))
        missing = set(names)
        try:
            while missing:
                missing.discard((await client.receive(2.0)).event)
        except AssertionError:  # nothing comes any more
            pass
        return sorted(missing)


async def losses(*nodes: Node) -> list[str]:
    """What is lost when several come at once, to each node."""
    places = [each for each in nodes for _ in range(CLIENTS // len(nodes))]
    found = await asyncio.gather(*(subscriber_loses(each, *nodes) for each in places))
    return [name for names in found for name in names]


def redis_settings(topology: RedisTopology) -> dict[str, Any]:
    """`[cluster.redis]`, without what is empty."""
    return {name: value for name, value in to_builtins(topology.settings).items() if value}


def late(folder: Path, *, bus: float) -> dict[str, str]:
    """An environment in which the bus needs so many seconds more until it serves."""
    (folder / "sitecustomize.py").write_text(
        f"import sys, time\nif 'processes.bus' in ' '.join(sys.orig_argv): time.sleep({bus})\n"
    )
    return {"PYTHONPATH": str(folder)}


# Many starts


async def test_a_start_of_workers_loses_nothing(tmp_path: Path) -> None:
    """Each time the bus is a little later."""
    for number in range(STARTS):
        environment = late(tmp_path, bus=number / STARTS)
        config = settings(bus_directory=str(tmp_path))
        node = Node(tmp_path, config, workers=2, environment=environment)
        async with started(node):
            assert await losses(node) == []


async def test_a_start_of_workers_on_redis_loses_nothing(
    redis: RedisServer, tmp_path: Path
) -> None:
    url = f"redis://{redis.address}/0"
    for _ in range(STARTS):
        node = Node(tmp_path, settings(redis={"url": url}), workers=2)
        async with started(node):
            assert await losses(node) == []


async def test_a_start_of_two_nodes_on_redis_loses_nothing(
    redis: RedisServer, tmp_path: Path
) -> None:
    url = f"redis://{redis.address}/0"
    for _ in range(max(2, STARTS // 2)):
        one, other = (Node(tmp_path, settings(redis={"url": url})) for _ in range(2))
        async with started(one, other):
            assert await losses(one, other) == []


@pytest.mark.parametrize("make", [SentinelRedis, ClusterRedis])
async def test_a_start_on_sentinel_and_redis_cluster_loses_nothing(
    make: Callable[[], RedisTopology], tmp_path: Path
) -> None:
    """Of a Redis Cluster, all stores are attached."""
    topology = await asyncio.to_thread(make)
    try:
        for _ in range(max(2, STARTS // 5)):
            config = settings(redis=redis_settings(topology))
            one, other = Node(tmp_path, config), Node(tmp_path, config)
            async with started(one, other):
                assert await losses(one, other) == []
    finally:
        await asyncio.to_thread(topology.close)


async def test_a_killed_worker_s_replacement_loses_nothing(tmp_path: Path) -> None:
    """Each worker twice: the supervisor makes one that ends again and again wait longer each time."""
    for _ in range(max(1, STARTS // 8)):
        node = Node(tmp_path, settings(bus_directory=str(tmp_path), lease=10.0), workers=2)
        async with started(node):
            assert await losses(node) == []
            for number in range(4):
                await eventually(lambda node=node: len(processes_of(node.pid)) == 3, PATIENCE)  # type: ignore[misc]
                processes = processes_of(node.pid)
                os.kill(processes["bus"], signal.SIGSTOP)  # it has other things to do
                os.kill(processes[f"worker {1 + number % 2}"], signal.SIGKILL)
                asyncio.get_running_loop().call_later(
                    0.8, os.kill, processes["bus"], signal.SIGCONT
                )
                assert await losses(node) == []


async def test_a_reload_loses_nothing(tmp_path: Path) -> None:
    node = Node(tmp_path, settings(bus_directory=str(tmp_path)), workers=2)
    async with started(node):
        assert await losses(node) == []
        for number in range(1, 3):
            os.kill(node.pid, signal.SIGHUP)
            assert await losses(node) == []
            await eventually(
                lambda number=number: node.log.count("reloaded: ") >= 2 * number, PATIENCE
            )  # type: ignore[misc]


# The first attachment takes its time


class Watched(Node):
    """A node whose operations listener is asked."""

    def __init__(self, folder: Path, config: Mapping[str, Any], *, workers: int = 1) -> None:
        self.operations = free_port()
        super().__init__(
            folder, {**config, "operations": {"port": self.operations}}, workers=workers
        )

    async def said(self, http: httpx.AsyncClient, path: str) -> tuple[int, str]:
        """What operators are told; (0, "") while nobody answers."""
        try:
            answer = await http.get(f"http://127.0.0.1:{self.operations}{path}")
        except httpx.TransportError:
            return 0, ""
        return answer.status_code, answer.text

    async def live(self, http: httpx.AsyncClient) -> None:
        """Wait until it says so."""

        async def lives() -> bool:
            return (await self.said(http, "/live"))[0] == 200

        await eventually(lives, PATIENCE, show=lambda: self.log)


@pytest.mark.parametrize("workers", [1, 2])
async def test_nobody_is_served_before_the_first_attachment(
    redis: RedisServer, tmp_path: Path, http: httpx.AsyncClient, workers: int
) -> None:
    """Operators are told: alive, and not ready. A client that has come meanwhile is served afterwards."""
    config = settings(redis={"url": f"redis://{redis.address}/0"}, start_timeout=60.0)
    redis.pause()
    node = Watched(tmp_path, config, workers=workers)
    async with started(node):
        await node.live(http)
        status, text = await node.said(http, "/ready")
        assert (status, "starting" in text) == (500, True), text
        assert (await node.said(http, "/accept-traffic"))[0] == 500
        early = asyncio.create_task(subscriber_loses(node, node))
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(early), 0.5)
        assert (await node.said(http, "/live"))[0] == 200
        redis.resume()
        assert await early == []
        assert (await node.said(http, "/ready")) == (200, "OK")


@pytest.mark.parametrize("workers", [1, 2])
async def test_after_the_start_timeout_it_serves_degraded(
    tmp_path: Path, http: httpx.AsyncClient, workers: int
) -> None:
    """With a warning, as docs/clustering.md promises."""
    away = f"redis://127.0.0.1:{free_port()}/0"
    node = Watched(tmp_path, settings(redis={"url": away}, start_timeout=1.5), workers=workers)
    async with started(node):
        await node.live(http)
        assert (await node.said(http, "/ready"))[0] == 500
        async with AsyncExitStack() as stack:
            client = await first_connection(stack, node)
            await client.subscribe("public")
        assert "cluster.start_timeout" in node.log
        status, text = await node.said(http, "/ready")
        assert (status, text.partition("degraded: ")[1]) == (200, "degraded: ")
        ready = await http.get(f"{node.url}/ready")
        assert (ready.status_code, ready.text) == (200, "degraded\n")


@pytest.mark.parametrize("workers", [1, 2])
async def test_a_signal_ends_the_wait(
    redis: RedisServer, tmp_path: Path, http: httpx.AsyncClient, workers: int
) -> None:
    """With status 0 and at once, however long the wait may be."""
    config = settings(redis={"url": f"redis://{redis.address}/0"}, start_timeout=60.0)
    redis.pause()
    node = Watched(tmp_path, config, workers=workers)
    async with started(node):
        await node.live(http)
        begun = time.monotonic()
        assert await asyncio.to_thread(node.stop) == 0
        assert time.monotonic() - begun < 10
        redis.resume()
        node.launch()  # what `started` ends


# Afterwards: a subscription that the store does not have yet


async def test_nobody_is_told_of_a_subscription_that_the_store_does_not_have(
    redis: RedisServer, tmp_path: Path
) -> None:
    """Neither the first nor the second of a channel, nor a user who signs in."""
    url, channel, user = f"redis://{redis.address}/0", unique("late-"), unique("user-")
    async with (
        nodes_at(tmp_path, url, url, lease=30.0) as (node, other),
        clients_of(node, node, node) as (first, second, signing),
    ):
        redis.pause()
        try:
            await first.request_subscription(channel)
            await second.request_subscription(channel)
            await signing.request_sign_in(f'{{"id":"{user}"}}')
            for client in (first, second, signing):
                await client.expect_nothing()
        finally:
            redis.resume()
        for client in (first, second):
            await client.expect("pusher_internal:subscription_succeeded", channel)
        await signing.expect("pusher:signin_success")
        await asyncio.gather(
            publish(other, channel, "first"), publish(other, f"#server-to-user-{user}", "second")
        )
        await first.expect("first", channel)
        await second.expect("first", channel)
        await signing.expect("second", f"#server-to-user-{user}")
