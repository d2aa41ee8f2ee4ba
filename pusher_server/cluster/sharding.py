"""The stores of a cluster: which topic belongs to which, and the memberships in all of them together."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from zlib import crc32

from pusher_server.cluster.links import StoreLink
from pusher_server.cluster.membership import StoreMembership
from pusher_server.cluster.wire import address_of
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import CONTROL, ClusterListener, Topic

logger = logging.getLogger("pusher_server.cluster")

#: Seconds that a node takes at the end to let its keys go.
_GOODBYE = 2.0


class Shards:
    """One store (Unix bus, Redis, Sentinel) or several (Redis Cluster), seen from this node.

    `node` names this process among all; `random` gives numbers in 0..1.
    `on_evicted` is told by app how many events of cache channels a store let go before their time.
    """

    def __init__(
        self,
        links: Sequence[StoreLink],
        node: str,
        *,
        lease: float,
        undo_window: float,
        random: Callable[[], float],
        on_evicted: Callable[[Mapping[str, int]], None] = lambda counts: None,
    ) -> None:
        self.node = node
        self.memberships = [
            StoreMembership(
                link,
                node,
                lease=lease,
                undo_window=undo_window,
                random=random,
                on_evicted=on_evicted,
            )
            for link in links
        ]
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def primary(self) -> StoreMembership:
        """The one that keeps what belongs to no topic: tallies."""
        return self.memberships[0]

    @property
    def problem(self) -> str | None:
        """Why the cluster cannot be asked, in one line; None while all is well."""
        troubles = {
            f"{each.link.peer}: {each.problem}" for each in self.memberships if each.problem
        }
        return "; ".join(sorted(troubles)) or None

    def at(self, topic: Topic) -> tuple[StoreMembership, str]:
        """Where a topic lives, and its address there."""
        address = address_of(topic)
        if len(self.memberships) == 1:
            return self.memberships[0], address
        return self.memberships[crc32(address.encode()) % len(self.memberships)], address

    def attach(self, listener: ClusterListener) -> None:
        """Who is told; once, before `start`."""
        for each in self.memberships:
            each.attach(listener)

    def start(self) -> None:
        """Begin to connect; in the running loop."""
        membership, address = self.at(CONTROL)
        with suppress(ClusterUnavailable):  # not connected yet: it is asked for when that is done
            membership.subscriptions.add(address)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(each.run()) for each in self.memberships]

    async def attached(self) -> None:
        """Wait until every store has been attached to. The caller bounds the wait."""
        for each in self.memberships:
            await each.ready()

    def abandon(self) -> None:
        """Do nothing more; what is held is released when the lease ends."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """Let everything go, so that others need not wait for the lease."""
        self.abandon()
        goodbyes = asyncio.gather(
            *(each.leave() for each in self.memberships), return_exceptions=True
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(goodbyes, _GOODBYE)
        for each in self.memberships:
            each.link.close()
