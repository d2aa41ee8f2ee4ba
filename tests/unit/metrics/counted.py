"""A node whose signals are counted, and what a reading of it says."""

from pusher_server.histogram import DELIVERY_BOUNDS, Histogram
from pusher_server.metrics.catalogue import Metric
from pusher_server.metrics.collector import Collector, LinkReading, WebhookReading
from pusher_server.metrics.counting import COUNTED
from pusher_server.metrics.lag import LagWatch
from pusher_server.metrics.reading import Distribution, Reading, State
from tests.support.node import NodeFixture


class Counted:
    """`links` and `webhooks` are what the cluster's and the apps' are said to be."""

    def __init__(self, fixture: NodeFixture) -> None:
        self.fixture = fixture
        self.links: list[LinkReading] = []
        self.webhooks: list[WebhookReading] = []
        self.evicted: dict[str, int] = {}
        self.webhook_latency = Histogram(DELIVERY_BOUNDS)
        self.not_ready: str | None = None
        self.problem: str | None = None
        self.lag = LagWatch(fixture.clock, 0.25)
        self.gathering = Collector(
            fixture.node,
            worker="1",
            lag=self.lag,
            links=lambda: self.links,
            webhooks=lambda: self.webhooks,
            webhook_latency=self.webhook_latency,
            max_connections=0,
            evicted=lambda: self.evicted,
            clock=fixture.clock,
            not_ready=[lambda: self.not_ready],
            problems=[lambda: self.problem],
        )
        fixture.node.observe(self.gathering.counting.observe, *COUNTED)

    def value(self, metric: Metric, *labels: str) -> float:
        """One number; 0 where nothing has happened."""
        found = dict(self.gathering.read().numbers.get(metric.name, []))
        return found.get(labels, 0)


def reading(
    node: str = "a",
    *,
    state: State | None = None,
    histogram: list[int] | None = None,
    **numbers: dict[tuple[str, ...], float],
) -> Reading:
    """What a process says; `numbers` by the ends of metrics' names."""
    return Reading(
        node=node,
        state=state or State(),
        numbers={f"pusher_server_{name}": list(each.items()) for name, each in numbers.items()},
        histograms={
            "pusher_server_event_loop_lag_seconds": Distribution(histogram or [0] * 12, 1.5)
        },
    )
