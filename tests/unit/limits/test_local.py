"""The local limiter's own points; what all limiters promise is in `tests/contract/`."""

from msgspec import structs

from pusher_server.app import App, AppKey, AppLimits
from pusher_server.interfaces import Action
from pusher_server.limits.local import LocalRateLimiter
from tests.support.fakes import FakeClock

APP = App(
    id="1",
    keys=(AppKey(key="k", secret="s"),),
    limits=AppLimits(backend_events_per_second=2, reads_per_second=1),
)


def test_each_action_has_the_apps_own_rate() -> None:
    limiter = LocalRateLimiter(FakeClock())
    assert [limiter.consume(APP, Action.PUBLISH, 1) for _ in range(3)] == [0.0, 0.0, 0.5]
    assert [limiter.consume(APP, Action.READ, 1) for _ in range(2)] == [0.0, 1.0]


def test_a_limit_that_is_taken_away_no_longer_counts() -> None:
    limiter = LocalRateLimiter(FakeClock())
    limiter.consume(APP, Action.READ, 1)
    assert limiter.consume(structs.replace(APP, limits=AppLimits()), Action.READ, 1) == 0.0


def test_the_same_limit_in_a_changed_app_keeps_its_count() -> None:
    limiter = LocalRateLimiter(FakeClock())
    limiter.consume(APP, Action.READ, 1)
    assert limiter.consume(structs.replace(APP, name="new"), Action.READ, 1) == 1.0
