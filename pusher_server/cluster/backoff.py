"""How long to wait before the next attempt: longer each time, and never all nodes at once."""

from collections.abc import Callable

FIRST, LONGEST = 0.1, 5.0


class Backoff:
    """`random` gives numbers in 0..1.

    No pause is longer than a third of `lease` (seconds): after a store's loss of memory, nodes that come back
    are waited for as long as a lease.
    """

    def __init__(self, random: Callable[[], float], lease: float) -> None:
        self._random = random
        self._longest = min(LONGEST, lease / 3)
        self._step = FIRST

    def next(self) -> float:
        """Seconds until the next attempt: half of the step, and up to as much again by chance."""
        step, self._step = self._step, min(2 * self._step, self._longest)
        return step * (0.5 + self._random() / 2)

    def reset(self) -> None:
        """It went well."""
        self._step = FIRST
