"""Broker and roster of a single node: everything in this process, nothing can be unavailable.

Also the verified fake for tests: the contract suites hold it to the same rules as the networked ones.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping

from pusher_server.cluster.last_events import LastEvent, LastEvents, keep_last
from pusher_server.cluster.wire import address_of, announcement_id
from pusher_server.interfaces import (
    MEMBERS,
    Broker,
    CachedEvent,
    Census,
    ClusterListener,
    ClusterMessage,
    EventMessage,
    Retention,
    Roster,
    RosterFull,
    Snapshot,
    Topic,
    Transition,
    Version,
)

Clock = Callable[[], float]
#: Keys in one page of a scan: under a millisecond of work.
_PAGE = 500


class _Keys:
    """One topic: its held keys, and its version number."""

    __slots__ = ("entries", "n")

    def __init__(self, n: int) -> None:
        self.entries: dict[str, bytes] = {}
        self.n = n


class LocalBroker(Broker):
    """There are no other nodes; only the cache channels' last events are kept."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        #: By app and channel.
        self._cached: LastEvents[LastEvent] = LastEvents()

    async def subscribe(self, topic: Topic) -> None:
        """Nothing to do: there are no other publishers."""

    def unsubscribe(self, topic: Topic) -> None:
        """Nothing to do: there are no other publishers."""

    def publish(
        self, topic: Topic, message: ClusterMessage, *, remember: Retention | None = None
    ) -> None:
        """Remember the event; there is no other node to publish to."""
        if remember is None or not isinstance(message, EventMessage):
            return
        keep_last(self._cached, topic, message, remember, self._clock(), remember.limit)

    async def cached(self, topic: Topic) -> CachedEvent | None:
        """The last remembered event, with the seconds it still has."""
        last = self._cached.get(topic[0], topic[2], self._clock())
        return None if last is None else last[0].event(last[1])

    def sweep(self) -> Mapping[str, int]:
        """Forget expired events. Called a few times a second.

        Returns by app how many events had to go before their time since the last call.
        """
        self._cached.sweep(self._clock())
        return self._cached.take_evicted()


class LocalCensus(Census):
    """There are no other nodes."""

    def __init__(self, here: Callable[[], Mapping[str, int]]) -> None:
        """`here` gives this node's connections by app id."""
        self._here = here

    def elsewhere(self, app_id: str) -> int:
        """There are none: 0."""
        return 0

    async def total(self, app_id: str) -> int:
        """The connections of this node."""
        return self._here().get(app_id, 0)


class LocalRoster(Roster):
    """One holder: this node. Transitions reach the listener inside the verb that causes them."""

    alone = True

    def __init__(self, node_id: str, clock: Clock, *, epoch: int, undo_window: float) -> None:
        self._node_id = node_id
        self._clock = clock
        self._undo_window = undo_window
        self._epoch = epoch
        self._topics: dict[Topic, _Keys] = {}
        #: Where a topic starts counting: past every topic that has ended, so that no version comes twice.
        self._floor = 0
        #: Released keys, when their undo window ends (the earliest first), and the version of the release.
        self._leaving: OrderedDict[tuple[Topic, str], tuple[float, int]] = OrderedDict()
        self._listener: ClusterListener | None = None

    def attach(self, listener: ClusterListener) -> None:
        """Set the listener of transitions; once, before the first verb."""
        self._listener = listener

    async def track(self, topic: Topic, key: str, value: bytes, *, limit: int = 0) -> None:
        """Hold `key`; raises RosterFull."""
        entries = self._entries(topic)
        if limit and len(entries) >= limit and key not in entries:
            raise RosterFull
        self.declare(topic, key, value)

    def declare(self, topic: Topic, key: str, value: bytes) -> None:
        """Hold `key`."""
        keys = self._topics.get(topic)
        if keys is None:
            keys = self._topics[topic] = _Keys(self._floor)
        before = keys.entries.get(key)
        is_new = before is None
        keys.entries[key] = value
        if before not in (None, value) and topic[1] is MEMBERS:
            keys.n += 1
            if self._listener is not None:
                self._listener.on_updated(topic, key, value, self._version(topic))
        if is_new:
            keys.n += 1
            is_undone = self._leaving.pop((topic, key), None) is not None
            self._emit(topic, key, value, held=True)
            if not is_undone:
                self._announce(topic, key, keys.n, held=True)

    def untrack(self, topic: Topic, key: str) -> None:
        """Let `key` go."""
        keys = self._topics.get(topic)
        if keys is None or key not in keys.entries:
            return
        value = keys.entries.pop(key)
        keys.n += 1
        self._leaving[topic, key] = (self._clock() + self._undo_window, keys.n)
        self._emit(topic, key, value, held=False)
        if not keys.entries:
            del self._topics[topic]
            self._floor = max(self._floor, keys.n)

    async def replicate(self, topic: Topic) -> None:
        """Give the listener the topic as it is now."""
        if self._listener is not None:
            snapshot = Snapshot(self._version(topic), dict(self._entries(topic)))
            self._listener.on_snapshot(topic, snapshot, doubtful=False)

    async def follow(self, topic: Topic) -> None:
        """Nothing to do: all transitions are caused here, and reach the listener anyway."""

    def forget(self, topic: Topic) -> None:
        """Nothing to do: all transitions are caused here, and reach the listener anyway."""

    async def lookup(self, topic: Topic, keys: Iterable[str]) -> Mapping[str, Mapping[str, bytes]]:
        """The holders of `keys` that are held: key -> holder -> value."""
        entries = self._entries(topic)
        return {key: {self._node_id: entries[key]} for key in keys if key in entries}

    async def count(self, topic: Topic) -> int:
        """The number of held keys."""
        return len(self._entries(topic))

    async def scan(
        self, topic: Topic, prefix: str = ""
    ) -> AsyncIterator[Mapping[str, Mapping[str, bytes]]]:
        """Every held key that starts with `prefix`, page by page."""
        keys = list(self._entries(topic))
        for start in range(0, len(keys), _PAGE):
            if start:
                await asyncio.sleep(0)
            page = [key for key in keys[start : start + _PAGE] if key.startswith(prefix)]
            if page:
                yield await self.lookup(topic, page)

    def sweep(self) -> None:
        """Announce leaves whose undo window has passed. Called a few times a second."""
        now = self._clock()
        while self._leaving:
            (topic, key), (until, n) = next(iter(self._leaving.items()))
            if until > now:
                break
            del self._leaving[topic, key]
            self._announce(topic, key, n, held=False)

    def _entries(self, topic: Topic) -> dict[str, bytes]:
        keys = self._topics.get(topic)
        return {} if keys is None else keys.entries

    def _version(self, topic: Topic) -> Version:
        keys = self._topics.get(topic)
        return Version(self._epoch, self._floor if keys is None else keys.n)

    def _emit(self, topic: Topic, key: str, value: bytes, *, held: bool) -> None:
        if self._listener is not None:
            version = self._version(topic)
            self._listener.on_transition(
                Transition(topic=topic, key=key, value=value, held=held, version=version)
            )

    def _announce(self, topic: Topic, key: str, n: int, *, held: bool) -> None:
        if self._listener is not None:
            version = f"{self._epoch:x}.{n}"
            announcement = announcement_id(address_of(topic), key, version, held=held)
            self._listener.on_announced(topic, key, held=held, announcement=announcement)
