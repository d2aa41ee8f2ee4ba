"""What a scrape costs, and what it grows with: apps, not connections.

`read` is what the loop waits for; with many apps the text is written in a thread.

    python -m benchmarks.bench_scrape

The goal: less than 10 ms with 10,000 connections. The loop serves nobody meanwhile.
"""

import asyncio
import statistics
import time
from collections.abc import Callable
from itertools import count

from pusher_server.app import App, AppKey
from pusher_server.cluster.local import LocalBroker, LocalCensus, LocalRoster
from pusher_server.diagnosis.evidence import Evidence
from pusher_server.histogram import DELIVERY_BOUNDS, Histogram
from pusher_server.hub.app_state import AppState
from pusher_server.hub.channel import Subscription
from pusher_server.hub.hub import Hub
from pusher_server.metrics.collector import Collector
from pusher_server.metrics.counting import COUNTED
from pusher_server.metrics.exposition import exposition
from pusher_server.metrics.lag import LagWatch
from pusher_server.metrics.process_group import single
from pusher_server.node.node import Node
from pusher_server.node.observers import Observers
from pusher_server.node.parts import NodeParts
from pusher_server.protocol.channel_name import parse_channel_name
from pusher_server.protocol.members import User

ROUNDS = 20


class _Client:
    """Established, and nothing is ever written to it."""

    def __init__(self, app_state: AppState, socket_id: str) -> None:
        self.socket_id = socket_id
        self.app_key = "key"
        self.remote = "192.0.2.1"
        self.app_state = app_state
        self.subscriptions: dict[str, Subscription] = {}
        self.user: User | None = None

    @property
    def write(self) -> Callable[[bytes], None]:
        """Nowhere."""
        return lambda data: None

    def send(self, payload: bytes) -> None:
        """See `write`."""

    def authorized(self) -> None:
        """Nobody asks."""

    def may_send_client_event(self) -> bool:
        """It does not."""
        return False

    def close(self, code: int, message: str) -> None:
        """It stays."""


def _gathering(apps: int, connections: int) -> Collector:
    """A node with that many connections, each in a channel of its own and in a common one."""
    tenants = [App(id=f"app-{n}", keys=(AppKey(key=f"key-{n}", secret="s"),)) for n in range(apps)]
    clock = time.monotonic
    hub = Hub(lambda callback: None, clock=clock)
    node = Node(
        NodeParts(
            node_id="bench",
            hub=hub,
            broker=LocalBroker(clock),
            roster=LocalRoster("bench", clock, epoch=1, undo_window=3.0),
            census=LocalCensus(hub.connection_counts),
            observers=Observers(),
            evidence=Evidence(clock),
            clock=clock,
            event_ids=count(1),
        )
    )
    lag = LagWatch(clock, 0.25)
    gathering = Collector(
        node,
        worker="1",
        lag=lag,
        requests={},
        sources=(),
        webhook_latency=Histogram(DELIVERY_BOUNDS),
        max_connections=0,
        clock=time.time,
    )
    node.observe(gathering.counting.observe, *COUNTED)
    for n in range(connections):
        client = _Client(node.hub.app_state(tenants[n % apps]), f"1.{n}")
        node.open(client)
        for name in (f"own-{n}", "common"):
            joined = node.hub.subscribe(client, parse_channel_name(name))
            node.hub.activate(joined.subscription, [])
    return gathering


async def _measure() -> None:
    print("read ms  text ms  apps  connections")
    for apps, connections in ((1, 10), (1, 10_000), (1, 50_000), (100, 10_000), (1_000, 10_000)):
        team = single(_gathering(apps, connections))
        reading, writing = [], []
        for _ in range(ROUNDS):
            began = time.perf_counter()
            sums = (await team.snapshot()).sums
            read = time.perf_counter()
            exposition(sums)
            reading.append(read - began)
            writing.append(time.perf_counter() - read)
        read_ms, text_ms = (statistics.median(each) * 1e3 for each in (reading, writing))
        print(f"{read_ms:7.2f}  {text_ms:7.2f}  {apps:4}  {connections:11}")


def main() -> None:
    """Measure and print."""
    asyncio.run(_measure())


if __name__ == "__main__":
    main()
