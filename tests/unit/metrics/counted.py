"""A node whose signals are counted, and what a reading of it says."""

from dataclasses import dataclass

from pusher_server.histogram import DELIVERY_BOUNDS, Histogram
from pusher_server.metrics.catalogue import Metric
from pusher_server.metrics.collector import Collector, Sample
from pusher_server.metrics.counting import COUNTED
from pusher_server.metrics.lag import LagWatch
from pusher_server.metrics.reading import Distribution, Reading, State
from tests.support.node import NodeFixture


@dataclass
class Requests:
    """What an API counts of one app."""

    requests: int
    bytes_received: int
    bytes_sent: int


class Counted:
    """`requests` are what the API is said to have counted, `samples` what others have."""

    def __init__(self, fixture: NodeFixture) -> None:
        self.fixture = fixture
        self.requests: dict[str, Requests] = {}
        self.samples: list[Sample] = []
        self.webhook_latency = Histogram(DELIVERY_BOUNDS)
        self.not_ready: str | None = None
        self.problem: str | None = None
        self.lag = LagWatch(fixture.clock, 0.25)
        self.gathering = Collector(
            fixture.node,
            worker="1",
            lag=self.lag,
            requests=self.requests,
            sources=[lambda: self.samples],
            webhook_latency=self.webhook_latency,
            max_connections=0,
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
