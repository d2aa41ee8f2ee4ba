"""Shares of a rate: what several nodes allow together is the limit, wherever it is asked for."""

from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

from pusher_server.app import App, AppKey, AppLimits
from pusher_server.interfaces import Action, Tallies
from pusher_server.limits.shared import SharedRateLimiter
from tests.support.fakes import FakeClock

LIMIT = 100
APP = App(
    id="1",
    keys=(AppKey(key="k", secret="s"),),
    limits=AppLimits(backend_events_per_second=LIMIT),
)
BEAT = 0.5


class Nodes:
    """Some nodes that report to each other each half second."""

    def __init__(self, count: int) -> None:
        self.clock = FakeClock()
        self.reports: list[Callable[[], Mapping[str, int]]] = []
        self.hearers: list[Callable[[Mapping[str, int], int], None]] = []
        self.limiters = [SharedRateLimiter(self.clock, self._tallies()) for _ in range(count)]

    def _tallies(self) -> Tallies:
        nodes = self

        class OfOne(Tallies):
            def add(self, report: Any, heard: Any) -> None:
                nodes.reports.append(report)
                nodes.hearers.append(heard)

        return OfOne()

    def run(self, seconds: float, *asked: int) -> list[int]:
        """Each node is asked so many times a second, evenly; how often it allowed it."""
        allowed = [0] * len(asked)
        for step in range(round(seconds * 100)):
            self.clock.advance(0.01)
            for i, rate in enumerate(asked):
                for _ in range(rate // 100):
                    allowed[i] += self.limiters[i].consume(APP, Action.PUBLISH, 1) == 0.0
            if step % 50 == 49:
                self.beat()
        return allowed

    def beat(self) -> None:
        reported = [report() for report in self.reports]
        total: Counter[str] = Counter()
        for each in reported:
            total.update(each)
        for own, heard in zip(reported, self.hearers, strict=True):
            heard({name: total[name] - own[name] for name in own}, len(self.reports))


def test_nodes_that_are_asked_too_much_allow_the_limit_together() -> None:
    nodes = Nodes(3)
    nodes.run(3, 200, 200, 200)
    allowed = nodes.run(5, 200, 200, 200)
    assert 0.95 * 5 * LIMIT <= sum(allowed) <= 1.05 * 5 * LIMIT
    assert max(allowed) - min(allowed) <= 0.1 * 5 * LIMIT


def test_one_busy_node_has_nearly_the_whole_limit() -> None:
    nodes = Nodes(3)
    nodes.run(3, 300, 0, 0)
    assert nodes.run(5, 300, 0, 0)[0] >= 0.9 * 5 * LIMIT


def test_demand_may_move_and_the_limit_holds_within_a_tenth() -> None:
    nodes = Nodes(2)
    nodes.run(3, 300, 0)
    nodes.run(2, 0, 300)
    first, second = nodes.run(5, 0, 300)
    assert first == 0
    assert 0.9 * 5 * LIMIT <= second <= 1.1 * 5 * LIMIT


def test_what_is_below_the_limit_is_all_allowed() -> None:
    nodes = Nodes(2)
    nodes.run(3, 100, 0)
    assert sum(nodes.run(5, 100, 0)) >= 0.9 * 500


def test_while_the_others_are_not_heard_the_share_stays() -> None:
    nodes = Nodes(2)
    nodes.run(3, 200, 200)
    nodes.reports.clear()
    nodes.hearers.clear()
    allowed = nodes.run(4, 200, 200)
    assert sum(allowed) <= 1.1 * 4 * LIMIT
