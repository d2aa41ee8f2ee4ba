"""Limits how often a line about one subject is logged: a trouble of many clients makes one line a minute."""

from collections.abc import Hashable

#: Seconds between two lines about the same subject.
INTERVAL = 60.0
#: Subjects that are remembered. When there are more, all are forgotten, at the price of a line too many.
KEPT = 10_000


class LogRateLimit:
    """Decides for each subject whether its line is due. Pure: the caller has the clock, and writes the line."""

    def __init__(self, interval: float = INTERVAL, kept: int = KEPT) -> None:
        self._interval = interval
        self._kept = kept
        #: Subject -> until when it gets no line, and the events since its last line.
        self._quiet: dict[Hashable, tuple[float, int]] = {}

    def due(self, subject: Hashable, now: float, events: int = 1) -> int:
        """Return how many events the line stands for, or 0 when no line is to be written now.

        `events` are added to those since the subject's last line; 0 asks only whether some are left to report.
        `now` is in seconds of any one clock.
        """
        until, count = self._quiet.get(subject, (now, 0))
        count += events
        if not count:
            return 0
        if now < until:
            self._quiet[subject] = (until, count)
            return 0
        if len(self._quiet) >= self._kept:
            self._quiet.clear()
        self._quiet[subject] = (now + self._interval, 0)
        return count
