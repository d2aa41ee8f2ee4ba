"""What every RateLimiter promises (`interfaces.RateLimiter`).

A further implementation is one more entry in `FACTORIES`.
"""

from collections.abc import Callable, Mapping

import pytest
from msgspec import structs

from pusher_server.app import App, AppKey, AppLimits
from pusher_server.interfaces import Action, RateLimiter, Tallies
from pusher_server.limits.local import LocalRateLimiter
from pusher_server.limits.shared import SharedRateLimiter
from tests.support.fakes import FakeClock

APP = App(
    id="1",
    keys=(AppKey(key="k", secret="s"),),
    limits=AppLimits(backend_events_per_second=10, reads_per_second=4),
)
FREE = App(id="2", keys=(AppKey(key="f", secret="s"),))


class RateLimiterHarness:
    """A limiter, and how time passes for it."""

    def __init__(self, limiter: RateLimiter, wait: Callable[[float], None]) -> None:
        self.limiter = limiter
        self.wait = wait

    def publish(self, cost: int = 1, app: App = APP) -> float:
        return self.limiter.consume(app, Action.PUBLISH, cost)

    def read(self, app: App = APP) -> float:
        return self.limiter.consume(app, Action.READ, 1)


def local() -> RateLimiterHarness:
    clock = FakeClock()
    return RateLimiterHarness(LocalRateLimiter(clock), clock.advance)


class Alone(Tallies):
    """No other nodes; reports each tenth of a second that passes."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.report: Callable[[], Mapping[str, int]] = dict
        self.heard: Callable[[Mapping[str, int], int], None] = lambda elsewhere, nodes: None

    def add(
        self,
        report: Callable[[], Mapping[str, int]],
        heard: Callable[[Mapping[str, int], int], None],
    ) -> None:
        self.report, self.heard = report, heard

    def wait(self, seconds: float) -> None:
        while seconds > 0:
            self.clock.advance(min(seconds, 0.1))
            seconds -= 0.1
            self.heard(dict.fromkeys(self.report(), 0), 1)


def shared() -> RateLimiterHarness:
    """With nobody to share with, a share is the whole."""
    alone = Alone()
    return RateLimiterHarness(SharedRateLimiter(alone.clock, alone), alone.wait)


FACTORIES = [pytest.param(local, id="local"), pytest.param(shared, id="shared")]


@pytest.fixture(params=FACTORIES)
def harness(request: pytest.FixtureRequest) -> RateLimiterHarness:
    made: RateLimiterHarness = request.param()
    return made


def test_an_app_without_a_limit_is_never_refused(harness: RateLimiterHarness) -> None:
    assert all(harness.publish(1_000, FREE) == 0.0 for _ in range(100))
    assert all(harness.read(FREE) == 0.0 for _ in range(100))


def test_one_seconds_worth_is_allowed_at_once_and_no_more(harness: RateLimiterHarness) -> None:
    assert [harness.publish() == 0.0 for _ in range(12)] == [True] * 10 + [False] * 2


def test_a_refusal_says_when_to_come_back_and_keeps_its_word(harness: RateLimiterHarness) -> None:
    harness.publish(10)
    seconds = harness.publish(5)
    assert 0 < seconds <= 1
    harness.wait(seconds * 0.9)
    assert harness.publish(5) > 0
    harness.wait(seconds * 0.1 + 0.001)
    assert harness.publish(5) == 0.0


def test_a_refusal_costs_nothing(harness: RateLimiterHarness) -> None:
    harness.publish(10)
    for _ in range(100):
        assert harness.publish(10) > 0
    harness.wait(1.001)
    assert harness.publish(10) == 0.0


def test_unused_allowance_does_not_pile_up(harness: RateLimiterHarness) -> None:
    harness.wait(3_600)
    assert harness.publish(10) == 0.0
    assert harness.publish() > 0


def test_what_costs_more_than_a_second_holds_is_allowed_and_paid_for_later(
    harness: RateLimiterHarness,
) -> None:
    """A batch of 10 must get through a limit of 4 a second, or it never would."""
    assert harness.publish(30) == 0.0
    harness.wait(1.9)
    assert harness.publish() > 0
    harness.wait(0.3)
    assert harness.publish() == 0.0


def test_publishing_and_reading_are_counted_apart(harness: RateLimiterHarness) -> None:
    harness.publish(10)
    assert [harness.read() == 0.0 for _ in range(5)] == [True] * 4 + [False]


def test_apps_are_counted_apart(harness: RateLimiterHarness) -> None:
    other = structs.replace(APP, id="3")
    harness.publish(10)
    assert harness.publish() > 0
    assert harness.publish(10, other) == 0.0


def test_a_changed_limit_counts_at_once(harness: RateLimiterHarness) -> None:
    harness.publish(10)
    assert harness.publish() > 0
    raised = structs.replace(APP, limits=structs.replace(APP.limits, backend_events_per_second=20))
    assert harness.publish(20, raised) == 0.0
    assert harness.publish(1, raised) > 0
