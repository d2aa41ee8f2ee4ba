"""How long to wait before the next attempt: twice as long each time, up to a bound."""

from collections.abc import Callable

#: Doublings that are counted: no pause needs more, and 2.0 to the power of 1,024 is an error.
_DOUBLINGS = 64


def pause_after(attempts: int, first: float, longest: float) -> float:
    """Return the seconds to wait after so many attempts that failed: `first`, then twice as many each time."""
    return min(longest, first * 2.0 ** min(attempts - 1, _DOUBLINGS))


class Backoff:
    """Counts failures in a row. Seconds; `first` is no longer than `longest`.

    `random` gives numbers in 0..1, so that not all nodes come back at once. A pause is then half of what it
    would be without, and up to as much again by chance.
    """

    def __init__(
        self, first: float, longest: float, random: Callable[[], float] | None = None
    ) -> None:
        self._first = first
        self._longest = longest
        self._random = random
        self._failures = 0

    def next(self) -> float:
        """Note a failure. Returns the seconds until the next attempt."""
        self._failures += 1
        pause = pause_after(self._failures, self._first, self._longest)
        return pause if self._random is None else pause * (0.5 + self._random() / 2)

    def reset(self) -> None:
        """Note that it went well."""
        self._failures = 0
