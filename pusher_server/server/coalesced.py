"""Coalesces many requests within a second into two: one at once, one after the second. For SIGHUP."""

import asyncio
from collections.abc import Callable

#: Seconds between two calls.
INTERVAL = 1.0


class Coalesced:
    """Calls at once, then not more often than each `interval` seconds."""

    def __init__(self, call: Callable[[], None], interval: float = INTERVAL) -> None:
        self._call = call
        self._interval = interval
        self._waiting = False
        self._resting = False

    def request(self) -> None:
        """Call now, or once more when the interval has passed. In the running loop."""
        if self._resting:
            self._waiting = True
            return
        self._resting = True
        asyncio.get_running_loop().call_later(self._interval, self._rested)
        self._call()

    def _rested(self) -> None:
        self._resting = False
        if self._waiting:
            self._waiting = False
            self.request()
