"""Reports unreadable data that others have written to the cluster's store; it is left out.

Redis is shared with all holders of its password, and one of its rows can be damaged. A single one must
neither stop an answer nor fill the log, however often it is read.
"""

import logging
import time
from collections.abc import Callable

from pusher_server.log_rate_limit import LogRateLimit

logger = logging.getLogger("pusher_server.cluster")


class UnreadableLog:
    """Reports such data of one store. `clock` gives seconds that only rise."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._limit = LogRateLimit()

    def report(self, kind: str, where: str, repair: str) -> None:
        """Write where it is and how to repair it, or count it. `kind` is one of a few fixed texts."""
        count = self._limit.due(kind, self._clock())
        if count:
            logger.warning(
                "%s cannot be read and is left out: %s; %s",
                kind, where, repair, extra={"more": count - 1} if count > 1 else {},
            )  # fmt: skip
