"""Logs which nodes are gone, once for each, with the number of keys that were released for them."""

import logging
from collections.abc import Mapping

from pusher_server.cluster.commands import id_of, node_of

logger = logging.getLogger("pusher_server.cluster")


class GoneNodes:
    """Holders whose lease had ended. `node` names this process, whose own former names are no news."""

    def __init__(self, node: str) -> None:
        self._node = node
        #: Holder -> how many of its keys were released so far.
        self._released: dict[str, int] = {}

    def released(self, swept: Mapping[str, int], *, more: bool) -> None:
        """Note the keys that a store has released, by holder; log it unless there are more to come."""
        for holder, count in swept.items():
            self._released[holder] = self._released.get(holder, 0) + count
        if more:
            return
        for holder, count in self._released.items():
            if node_of(holder) != self._node:
                logger.warning(
                    "node %s is gone: %d of its keys released",
                    id_of(holder),
                    count,
                    extra={"node": self._node},
                )
        self._released.clear()
