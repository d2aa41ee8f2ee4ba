"""Rate limits for all nodes together: each node has a share of an app's limit, in proportion to its demand.

A query to the other nodes before each answer would make every request wait. So each node reports its demand
with the renewal of its lease: all requests, allowed or not. The limit is divided by these demands; the spare
part is divided equally. Shares follow within a second. Until then the nodes together may exceed a limit by a
tenth: the least that nodes get which have just become busy.
"""

from collections.abc import Callable, Mapping

from pusher_server.app import App
from pusher_server.interfaces import Action, RateLimiter, Tallies
from pusher_server.limits.local import rate_of
from pusher_server.token_bucket import TokenBucket

#: The part of a limit that all nodes together get whatever the demand, so that an idle node has tokens at once.
_AT_LEAST = 0.1
#: The weight of the latest report in a demand; the rest is the demand before.
_LATEST = 0.5
#: Tallies are whole numbers: thousandths of units per second.
_UNIT = 1_000


class _Share:
    """One app's limit of one action on this node."""

    __slots__ = ("bucket", "demand", "limit", "requested")

    def __init__(self, limit: float, fraction: float, now: float) -> None:
        self.limit = limit
        self.bucket = TokenBucket(limit * fraction, now)
        #: Units requested since the last report, and the demand per second as reported.
        self.requested = 0.0
        self.demand = 0.0

    def divide(self, elsewhere: float, nodes: int) -> None:
        """Take a new share. The shares of all nodes add up to the limit."""
        total = self.demand + elsewhere
        if total <= self.limit:
            share = self.demand + (self.limit - total) / nodes
        else:
            share = self.limit * self.demand / total
        self.bucket.rate = max(share, self.limit * _AT_LEAST / nodes)


class SharedRateLimiter(RateLimiter):
    """`clock` gives seconds. While the reports of other nodes are missing, the last shares stay."""

    def __init__(self, clock: Callable[[], float], tallies: Tallies) -> None:
        self._clock = clock
        self._shares: dict[tuple[str, Action], _Share] = {}
        self._nodes = 1
        self._reported_at = clock()
        tallies.add(self._report, self._redistribute)

    def consume(self, app: App, action: Action, cost: int) -> float:
        """0.0 when allowed, else the seconds after which it would be."""
        limit = rate_of(app, action)
        if not limit:
            return 0.0
        now = self._clock()
        share = self._shares.get((app.id, action))
        if share is None or share.limit != limit:
            share = self._shares[app.id, action] = _Share(limit, 1 / self._nodes, now)
        share.requested += cost
        return share.bucket.take(cost, now)

    def _report(self) -> dict[str, int]:
        now = self._clock()
        passed, self._reported_at = max(now - self._reported_at, 0.001), now
        for share in self._shares.values():
            latest, share.requested = share.requested / passed, 0.0
            share.demand += (latest - share.demand) * _LATEST
        return {
            _name(app_id, action): round(share.demand * _UNIT)
            for (app_id, action), share in self._shares.items()
        }

    def _redistribute(self, elsewhere: Mapping[str, int], nodes: int) -> None:
        self._nodes = nodes
        for (app_id, action), share in self._shares.items():
            share.divide(elsewhere.get(_name(app_id, action), 0) / _UNIT, nodes)


def _name(app_id: str, action: Action) -> str:
    return f"{action.value}:{app_id}"
