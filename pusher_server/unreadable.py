"""What others have written and nobody can read: it is left out, and the operator is told once in a while.

Redis is shared with whoever has its password, and a row of it can be damaged. A single one must neither stop an
answer nor fill the log, however often it is read.
"""

import logging
import time
from collections.abc import Callable

logger = logging.getLogger("pusher_server.cluster")

#: Seconds between two lines of one kind.
INTERVAL = 60.0


class UnreadableLog:
    """Tells of one store's. `clock` gives seconds that only rise."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        #: Kind -> until when nothing is said of it, and how many were not told.
        self._quiet: dict[str, tuple[float, int]] = {}

    def tell(self, kind: str, where: str, repair: str) -> None:
        """Say where it is and how to repair it, or count it. `kind` is one of a few fixed texts."""
        now = self._clock()
        until, untold = self._quiet.get(kind, (now, 0))
        if now < until:
            self._quiet[kind] = (until, untold + 1)
            return
        self._quiet[kind] = (now + INTERVAL, 0)
        logger.warning(
            "%s cannot be read and is left out: %s; %s",
            kind, where, repair, extra={"more": untold} if untold else {},
        )  # fmt: skip
