"""How long a process that ended has to wait before it is started again."""

from pusher_server.backoff import Backoff

#: Seconds that a process must have lived for its end to count as the first.
STEADY = 60.0
SHORTEST = 0.5
LONGEST = 30.0


class RestartDelay:
    """The first end costs nothing, further ones half a second, a whole one, and so on up to `LONGEST`."""

    def __init__(self) -> None:
        #: Ends in a row.
        self.count = 0
        self._backoff = Backoff(SHORTEST, LONGEST)

    def after(self, lived: float) -> float:
        """Return the seconds to wait for a process that has just ended after having lived so long."""
        if lived >= STEADY:
            self.count = 0
            self._backoff.reset()
        self.count += 1
        return 0.0 if self.count == 1 else self._backoff.next()
