"""The same line not too often: a crowd with one trouble says one thing, thousands of times a minute."""

from collections.abc import Hashable

#: Seconds between two lines about the same thing.
INTERVAL = 60.0
#: Things that are remembered, at the price of a line too many.
KEPT = 10_000


class LinePace:
    """Decides for each subject whether its line is due. Times are seconds that only rise."""

    def __init__(self, interval: float = INTERVAL, kept: int = KEPT) -> None:
        self._interval = interval
        self._kept = kept
        #: Subject -> until when it is not said again, and how often it was not.
        self._quiet: dict[Hashable, tuple[float, int]] = {}

    def due(self, subject: Hashable, now: float) -> int | None:
        """How often the line was left out since it was last said; None when it is left out now."""
        until, left_out = self._quiet.get(subject, (now, 0))
        if now < until:
            self._quiet[subject] = (until, left_out + 1)
            return None
        if len(self._quiet) >= self._kept:
            self._quiet.clear()
        self._quiet[subject] = (now + self._interval, 0)
        return left_out
