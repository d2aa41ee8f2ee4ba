"""Knows whether something works and why not, and which changes of that are news for the log."""

from collections.abc import Hashable


class Outage:
    """The trouble of one thing: it makes a line when it begins and a line when it is over."""

    def __init__(self, problem: str | None = None) -> None:
        #: Why it does not work, in one line for operators; None while it works.
        self.problem = problem
        self._kind: Hashable = problem

    def begin(self, problem: str, kind: Hashable = "") -> bool:
        """Note that it does not work. Returns whether that is news: it worked, or the `kind` is another one.

        Give a `kind` where another cause during one outage deserves a line of its own.
        """
        is_news = self.problem is None or self._kind != kind
        self.problem, self._kind = problem, kind
        return is_news

    def end(self) -> bool:
        """Note that it works. Returns whether that is news."""
        is_news = self.problem is not None
        self.problem = self._kind = None
        return is_news
