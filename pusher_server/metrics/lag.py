"""Measures the lag of the event loop: how late timers fire. All other work of the loop is late by as much."""

from collections import deque
from collections.abc import Callable

from pusher_server.histogram import Histogram

#: Upper bounds in seconds. A turn with a full chunk takes 1 ms; one second is a server that nobody can use.
LAG_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
#: Samples that count as recent: ten seconds, at four a second.
_RECENT = 40


class LagWatch:
    """`clock` gives seconds; `tick` is due every `interval` seconds and comes when the loop gets to it."""

    def __init__(self, clock: Callable[[], float], interval: float) -> None:
        self.histogram = Histogram(LAG_BOUNDS)
        self._clock = clock
        self._interval = interval
        self._due: float | None = None
        self._recent: deque[float] = deque(maxlen=_RECENT)

    @property
    def recent(self) -> float:
        """The worst of the last ten seconds."""
        return max(self._recent, default=0.0)

    def tick(self) -> None:
        """Measure how late this call is."""
        now = self._clock()
        if self._due is not None:
            late = max(0.0, now - self._due)
            self.histogram.observe(late)
            self._recent.append(late)
        self._due = now + self._interval
