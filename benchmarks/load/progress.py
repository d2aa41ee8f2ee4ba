"""One line per measured scenario while it runs: which of how many, what came out, how long it will take."""

import sys
import time
from typing import TextIO


class Progress:
    """Counts steps, and estimates the rest from how the finished ones compared with their estimates."""

    def __init__(self, estimates: list[float], out: TextIO | None = None) -> None:
        self._estimates = estimates
        self._done = 0
        self._began = time.monotonic()
        self._out = out or sys.stderr
        self.announce(f"{len(estimates)} steps, {duration(sum(estimates))} or so")

    def announce(self, text: str) -> None:
        """Show a line."""
        print(text, file=self._out, flush=True)

    def step(self, text: str) -> None:
        """One step is finished."""
        self._done += 1
        width = len(str(len(self._estimates)))
        left = self.left(time.monotonic() - self._began)
        self.announce(
            f"[{self._done:{width}}/{len(self._estimates)}] {text} · {duration(left)} left"
        )

    def left(self, elapsed: float) -> float:
        """Seconds that the rest will take, if it deviates from its estimate as the finished part did."""
        planned = sum(self._estimates[: self._done])
        rest = sum(self._estimates[self._done :])
        return rest * elapsed / planned if planned else rest


def duration(seconds: float) -> str:
    """Minutes when there are any."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
