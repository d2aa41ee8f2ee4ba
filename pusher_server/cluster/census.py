"""Counts each app's connections on the other nodes: reported with each renewal of the lease.

A quota is checked against numbers of half a second ago. So nodes that fill up at the same moment may exceed it
by the connections of that time (docs/clustering.md).
"""

from collections.abc import Callable, Mapping

from pusher_server.cluster.commands import Tally
from pusher_server.cluster.sharding import Shards
from pusher_server.interfaces import Census

_PREFIX = "connections:"


class SharedCensus(Census):
    """While the store is away, the other nodes count with their last known numbers."""

    def __init__(self, stores: Shards, here: Callable[[], Mapping[str, int]]) -> None:
        """`here` gives this node's connections by app id."""
        self._stores = stores
        self._here = here
        self._elsewhere: dict[str, int] = {}
        stores.primary.add(self._report, self._receive)

    def elsewhere(self, app_id: str) -> int:
        """The connections on the other nodes, as of the last renewal."""
        return self._elsewhere.get(app_id, 0)

    async def total(self, app_id: str) -> int:
        """The connections on all nodes, read now. Raises ClusterUnavailable."""
        others = await self._stores.primary.link.call(
            Tally(_PREFIX + app_id, besides=self._stores.primary.holder)
        )
        return others + self._here().get(app_id, 0)

    def _report(self) -> dict[str, int]:
        return {_PREFIX + app_id: count for app_id, count in self._here().items()}

    def _receive(self, elsewhere: Mapping[str, int], nodes: int) -> None:
        self._elsewhere = {
            name.removeprefix(_PREFIX): count
            for name, count in elsewhere.items()
            if name.startswith(_PREFIX)
        }
