"""The stores of a cluster: finds the store of a topic, and runs the memberships of all stores."""

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

#: Seconds that a node takes at the end to release its keys.
_RELEASE_SECONDS = 2.0


class Shards:
    """One store (Unix bus, Redis, Sentinel) or several (Redis Cluster), seen from this node.

    `node` names this process among all; `random` gives numbers in 0..1.
    `on_evicted` gets, by app, how many events of cache channels a store let go before their time.
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
        """The store of the state without a topic, which is the tallies."""
        return self.memberships[0]

    @property
    def problem(self) -> str | None:
        """Why the cluster is unreachable, in one line; None while all is well."""
        troubles = {
            f"{membership.link.peer}: {membership.problem}"
            for membership in self.memberships
            if membership.problem
        }
        return "; ".join(sorted(troubles)) or None

    def at(self, topic: Topic) -> tuple[StoreMembership, str]:
        """The store of a topic, and its address there."""
        address = address_of(topic)
        if len(self.memberships) == 1:
            return self.memberships[0], address
        return self.memberships[crc32(address.encode()) % len(self.memberships)], address

    def attach(self, listener: ClusterListener) -> None:
        """Set the listener; once, before `start`."""
        for membership in self.memberships:
            membership.attach(listener)

    def start(self) -> None:
        """Begin to connect; in the running loop."""
        control, address = self.at(CONTROL)
        with suppress(ClusterUnavailable):  # not connected yet: it is subscribed when that is done
            control.subscriptions.add(address)
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(membership.run()) for membership in self.memberships]

    async def attached(self) -> None:
        """Wait until every store has been attached to. The caller bounds the wait."""
        for membership in self.memberships:
            await membership.ready()

    def abandon(self) -> None:
        """Do nothing more; held keys are released when the lease ends."""
        for task in self._tasks:
            task.cancel()

    async def stop(self) -> None:
        """Let everything go, so that others need not wait for the lease."""
        self.abandon()
        releases = asyncio.gather(
            *(membership.leave() for membership in self.memberships), return_exceptions=True
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(releases, _RELEASE_SECONDS)
        for membership in self.memberships:
            membership.link.close()
