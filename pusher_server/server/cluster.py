"""Chooses broker, roster and census of a process: alone, among the workers of a machine, or on Redis."""

import random
from collections.abc import Callable, Mapping
from typing import Protocol

from pusher_server.cluster.broker import SharedBroker
from pusher_server.cluster.census import SharedCensus
from pusher_server.cluster.last_events import Evictions
from pusher_server.cluster.links import StoreLink
from pusher_server.cluster.local import LocalBroker, LocalCensus, LocalRoster
from pusher_server.cluster.roster import SharedRoster
from pusher_server.cluster.sharding import Shards
from pusher_server.cluster.unix.link import UnixLink
from pusher_server.config import ClusterSettings
from pusher_server.interfaces import Broker, Census, ClusterListener, Roster, Tallies
from pusher_server.redis.access import RedisAccess

Clock = Callable[[], float]
#: This node's connections by app id.
Here = Callable[[], Mapping[str, int]]


class Cluster(Protocol):
    """The parts that a node shares with other nodes, and their start and stop."""

    broker: Broker
    roster: Roster
    census: Census
    #: None when this process is all there is.
    tallies: Tallies | None
    #: None when this process is all there is.
    stores: Shards | None
    #: Events of cache channels that had to go before their time.
    evicted: Evictions

    def attach(self, listener: ClusterListener) -> None:
        """Set the listener of transitions and messages; once, before anything else."""

    def start(self) -> None:
        """Start, in the running loop, before the first client."""

    async def attached(self) -> None:
        """Wait until publications of the other nodes arrive here. The caller bounds the wait."""

    async def stop(self) -> None:
        """Stop, after the last client."""

    def sweep(self) -> None:
        """Do the work that waits for time to pass. Called a few times a second."""

    @property
    def problem(self) -> str | None:
        """Why other nodes cannot be reached, in one line; None while all is well."""


class LocalCluster(Cluster):
    """The cluster of one process."""

    def __init__(
        self, node_id: str, settings: ClusterSettings, *, clock: Clock, epoch: int, here: Here
    ) -> None:
        self._broker = self.broker = LocalBroker(clock)
        self.evicted = Evictions(clock)
        self._roster = LocalRoster(node_id, clock, epoch=epoch, undo_window=settings.undo_window)
        self.roster = self._roster
        self.census = LocalCensus(here)
        self.tallies = None
        self.stores = None

    def attach(self, listener: ClusterListener) -> None:
        """See `Cluster`."""
        self._roster.attach(listener)

    def start(self) -> None:
        """There is no other node to connect to."""

    async def attached(self) -> None:
        """There is nothing to wait for."""

    async def stop(self) -> None:
        """There is no other node to notify."""

    def sweep(self) -> None:
        """Settle leaves, forget events whose time is over."""
        self._roster.sweep()
        self.evicted.add(self._broker.sweep())

    @property
    def problem(self) -> str | None:
        """Nothing can be away."""
        return None


class SharedCluster(Cluster):
    """Several nodes on the same stores."""

    def __init__(
        self,
        node_id: str,
        settings: ClusterSettings,
        links: list[StoreLink],
        *,
        clock: Clock,
        here: Here,
    ) -> None:
        self.evicted = Evictions(clock)
        self._stores = self.stores = Shards(
            links,
            node_id,
            lease=settings.lease,
            undo_window=settings.undo_window,
            random=random.random,
            on_evicted=self.evicted.add,
        )
        self._broker = self.broker = SharedBroker(self._stores, clock)
        self.roster = SharedRoster(self._stores)
        self.census = SharedCensus(self._stores, here)
        self.tallies = self._stores.primary

    def attach(self, listener: ClusterListener) -> None:
        """See `Cluster`."""
        self._stores.attach(listener)

    def start(self) -> None:
        """Begin to connect."""
        self._stores.start()

    async def attached(self) -> None:
        """See `Cluster`: all stores, of a Redis Cluster too."""
        await self._stores.attached()

    async def stop(self) -> None:
        """Let go of everything, so that the others need not wait for the lease."""
        await self._stores.stop()

    def sweep(self) -> None:
        """Forget events whose time is over; the stores keep their own time."""
        self._broker.sweep()

    @property
    def problem(self) -> str | None:
        """See `Cluster`."""
        return self._stores.problem


def choose(
    node_id: str,
    settings: ClusterSettings,
    bus: str,
    *,
    clock: Clock,
    epoch: int,
    here: Here,
) -> Cluster:
    """Return the cluster of a process. `epoch` is a random number.

    `bus` is the path of the workers' bus, "" when there is none.

    Raises ConfigError when a certificate for Redis cannot be used.
    """
    if settings.redis.is_set:
        # Imported here: redis-py takes 0.05 s and 6 MB, which servers without Redis need not spend.
        from pusher_server.cluster.redis.topology import redis_links

        links = redis_links(settings.redis, lease=settings.lease, undo_window=settings.undo_window)
    elif bus:
        links = [UnixLink(bus)]
    else:
        return LocalCluster(node_id, settings, clock=clock, epoch=epoch, here=here)
    return SharedCluster(node_id, settings, links, clock=clock, here=here)


def check(settings: ClusterSettings) -> None:
    """Check the settings before any process is started. Raises ConfigError: a certificate is unusable."""
    if settings.redis.is_set:
        RedisAccess(settings.redis)
