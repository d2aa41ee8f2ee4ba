"""The rate limits of a single node, per app."""

from collections.abc import Callable

from pusher_server.app import App
from pusher_server.interfaces import Action, RateLimiter
from pusher_server.token_bucket import TokenBucket


def rate_of(app: App, action: Action) -> int:
    """Units per second that the app allows for this action; 0 is no limit."""
    limits = app.limits
    if action is Action.PUBLISH:
        return limits.backend_events_per_second
    return limits.reads_per_second


class LocalRateLimiter(RateLimiter):
    """One bucket for each app and action that has a limit; a changed limit starts a new bucket."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._buckets: dict[tuple[str, Action], TokenBucket] = {}

    def consume(self, app: App, action: Action, cost: int) -> float:
        """0.0 when allowed, else the seconds after which it would be."""
        rate = rate_of(app, action)
        if not rate:
            return 0.0
        now = self._clock()
        bucket = self._buckets.get((app.id, action))
        if bucket is None or bucket.rate != rate:
            bucket = self._buckets[app.id, action] = TokenBucket(rate, now)
        return bucket.take(cost, now)
