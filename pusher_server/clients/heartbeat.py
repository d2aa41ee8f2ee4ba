"""One sweep for the deadlines of all connections: no timer per connection, nothing to do while idle.

A connection stands in the wheel at the sweep of its next check, so each is looked at about twice per activity
timeout. Slow readers stand in a list of their own, looked at in every sweep.
"""

import logging
from math import inf
from typing import Protocol

logger = logging.getLogger("pusher_server.websocket")

#: Seconds between two sweeps.
INTERVAL = 0.25


class Watched(Protocol):
    """The part of a connection that the sweep calls. `now` is in seconds."""

    def check(self, now: float, silence: float = inf) -> float | None:
        """Apply the deadlines that are due. Returns when to check again, None when it is over.

        A client is pinged after `silence` seconds without input, if its own time for that is longer.
        """

    def check_writing(self, now: float) -> None:
        """Drop a client that has read too slowly for too long."""


class Heartbeat:
    """The wheel and the list. `tick` is called every `INTERVAL`."""

    def __init__(self) -> None:
        #: By the number of the sweep: seconds in units of `INTERVAL`.
        self._wheel: dict[int, dict[Watched, None]] = {}
        self._slots: dict[Watched, int] = {}
        self._slow: dict[Watched, None] = {}
        self._swept = 0

    def __len__(self) -> int:
        return len(self._slots)

    def watch(self, connection: Watched, at: float) -> None:
        """Check it at `at`, or within two intervals after."""
        self.forget(connection)
        slot = max(int(at / INTERVAL) + 1, self._swept + 1)
        self._slots[connection] = slot
        self._wheel.setdefault(slot, {})[connection] = None

    def forget(self, connection: Watched) -> None:
        """Remove a connection that is over."""
        slot = self._slots.pop(connection, None)
        if slot is not None:
            group = self._wheel[slot]
            del group[connection]
            if not group:
                del self._wheel[slot]

    def look(self, connection: Watched, now: float, silence: float) -> None:
        """Check it now, if it is still watched; see `Watched.check`."""
        if connection in self._slots:
            self._check(connection, now, silence)

    def writing_paused(self, connection: Watched) -> None:
        """The write buffer of a connection is over the high-water mark."""
        self._slow[connection] = None

    def writing_resumed(self, connection: Watched) -> None:
        """The write buffer of a connection has drained."""
        self._slow.pop(connection, None)

    def tick(self, now: float) -> None:
        """Check the connections that are due."""
        for connection in list(self._slow):
            connection.check_writing(now)
        until = int(now / INTERVAL)
        if not self._swept:
            self._swept = min([until, *self._wheel]) - 1
        while self._swept < until:
            self._swept += 1
            for connection in list(self._wheel.get(self._swept, ())):
                if self._slots.get(connection) != self._swept:
                    continue  # forgotten, or put off, by the check of another
                self._check(connection, now)

    def _check(self, connection: Watched, now: float, silence: float = inf) -> None:
        again_at: float | None = now + 1
        try:
            again_at = connection.check(now, silence)
        except Exception:  # one that fails is looked at again, and costs the others nothing
            logger.exception("checking a connection failed")
        if again_at is None:
            self.forget(connection)
        else:
            self.watch(connection, again_at)
