"""Knows whether something works and why not, and which changes of that are news for the log."""

from collections.abc import Hashable

#: Seconds between two lines about one trouble that lasts. The first line may have been missed.
INTERVAL = 60.0


class Outage:
    """The trouble of one thing: a line when it begins, one a minute while it lasts, and one when it is over."""

    def __init__(self, problem: str | None = None) -> None:
        #: Why it does not work, in one line for operators; None while it works.
        self.problem = problem
        self._kind: Hashable = problem
        #: When the last line was due, None before the first.
        self._line_at: float | None = None

    def begin(self, problem: str, kind: Hashable = "", now: float | None = None) -> bool:
        """Note that it does not work. Returns whether a line is due.

        It is due when it worked before, when the `kind` is another one, and a minute after the last line. For
        the last give `now`, in seconds of a clock that only rises. Give a `kind` where another cause during
        one outage deserves a line of its own.
        """
        is_due = self.problem is None or self._kind != kind
        if now is not None:
            is_due = is_due or self._line_at is None or now - self._line_at >= INTERVAL
        self.problem, self._kind = problem, kind
        if is_due:
            self._line_at = now
        return is_due

    def end(self) -> bool:
        """Note that it works. Returns whether that is news."""
        is_news = self.problem is not None
        self.problem = self._kind = self._line_at = None
        return is_news
