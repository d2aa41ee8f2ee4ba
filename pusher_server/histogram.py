"""Counts how many values were how large: plain numbers that only rise, for metrics to read."""

from bisect import bisect_left
from collections.abc import Iterable, Sequence

#: From an event's decision to its acceptance by a webhook, in seconds. A target that is near answers within
#: some 10 ms, and the last attempt begins before 290 s. The constant is here, because the packages that count
#: and export are siblings.
DELIVERY_BOUNDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)


class Histogram:
    """How many values were up to each of `bounds`, each value in one place; the last place has no bound."""

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = tuple(bounds)
        self.counts = [0] * (len(self.bounds) + 1)
        #: The sum of all values.
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def observe_since(self, times: Iterable[float], now: float) -> None:
        """Count how long ago each of `times` was; 0 for what is to come, by a clock that was set back."""
        counts, bounds = self.counts, self.bounds
        for time in times:
            past = max(0.0, now - time)
            counts[bisect_left(bounds, past)] += 1
            self.total += past
