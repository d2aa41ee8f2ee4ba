"""Too many events wait: what is said of those that became dead letters for it."""

import logging
from collections.abc import Callable, Mapping

logger = logging.getLogger("pusher_server.webhooks")

#: Seconds between two lines.
_INTERVAL = 60.0


class Crowding:
    """`waiting` is the most that may wait of an app. `clock` gives seconds that only rise."""

    def __init__(self, waiting: int, clock: Callable[[], float]) -> None:
        #: Of the dead letters.
        self.reason = f"more than {waiting} events waited"
        self._clock = clock
        self._counted = 0
        self._quiet_until = float("-inf")

    def note(self, crowded_out: Mapping[str, int]) -> None:
        """So many of these apps; a line about it once a minute."""
        self._counted += sum(crowded_out.values())
        if self._counted and self._clock() >= self._quiet_until:
            logger.error(
                "webhook events became dead letters untried: %s of an app (%d of the oldest)",
                self.reason,
                self._counted,
                extra={"apps": ", ".join(crowded_out)},
            )
            self._quiet_until = self._clock() + _INTERVAL
            self._counted = 0
