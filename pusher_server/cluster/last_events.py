"""The last events of cache channels in one process's memory: bounded in bytes for each app, let go in time.

A tenant's valid key fills this, so entries count with the bytes that they really take. An event to 100 channels
refers to its data once. An app's oldest events go first, which no step has to search for.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Generic, TypeVar

from msgspec import Struct

from pusher_server.interfaces import CachedEvent, EventMessage, Retention, Topic
from pusher_server.log_rate_limit import LogRateLimit

logger = logging.getLogger("pusher_server.cluster")

V = TypeVar("V")

#: Bytes that an entry takes besides its own: objects, and places in two tables (measured by a test).
ENTRY_BYTES = 512
#: Events whose time is over that one publication clears away, and those that one look clears away.
PAST_AT_ONCE = 100
#: Events that one publication evicts at most: a lowered limit is reached within a few.
EVICTED_AT_ONCE = 10_000
#: Apps that one look clears up: some milliseconds of work when all of it is over.
APPS_AT_ONCE = 20
#: Where the data of an event begins (`protocol.events.channel_event`).
_BEFORE_DATA = b',"data":'


class LastEvent(Struct, frozen=True, array_like=True):
    """An event's payload around its data, which other channels may share.

    `tail` is None when the data is not found in the payload, and `head` is the whole payload then.
    """

    head: bytes
    data: bytes
    tail: bytes | None
    event_id: int

    @classmethod
    def of(cls, payload: bytes, data: bytes, event_id: int) -> "LastEvent":
        """Split a published payload; `data` is the JSON string literal in it."""
        # No text inside can hold this: its quotes would be escaped.
        start = payload.find(_BEFORE_DATA) + len(_BEFORE_DATA)
        if not payload.startswith(data, start):
            return cls(payload, data, None, event_id)
        return cls(payload[:start], data, payload[start + len(data) :], event_id)

    def event(self, ttl: float) -> CachedEvent:
        """The whole event, with the seconds that it still has."""
        payload = self.head if self.tail is None else self.head + self.data + self.tail
        return CachedEvent(payload=payload, data=self.data, event_id=self.event_id, ttl=ttl)


class _Shared:
    """Bytes that entries of one app refer to together, and how many do."""

    __slots__ = ("app_id", "data", "uses")

    def __init__(self, app_id: str, data: bytes) -> None:
        self.app_id = app_id
        self.data = data
        self.uses = 0


class _Entry(Generic[V]):
    __slots__ = ("shared", "size", "until", "value")

    def __init__(self, value: V, size: int, until: float, shared: _Shared | None) -> None:
        self.value = value
        self.size = size
        self.until = until
        self.shared = shared


class _AppEvents(Generic[V]):
    """One app's, the oldest publication first."""

    __slots__ = ("entries", "limit", "size")

    def __init__(self) -> None:
        self.entries: OrderedDict[str, _Entry[V]] = OrderedDict()
        self.size = 0
        self.limit = 0

    def put(self, key: str, entry: _Entry[V]) -> None:
        self.entries[key] = entry
        self.size += entry.size
        if entry.shared is not None:
            self.size += 0 if entry.shared.uses else len(entry.shared.data)
            entry.shared.uses += 1

    def drop(self, key: str) -> None:
        entry = self.entries.pop(key, None)
        if entry is None:
            return
        self.size -= entry.size
        if entry.shared is not None:
            entry.shared.uses -= 1
            self.size -= 0 if entry.shared.uses else len(entry.shared.data)

    def forget_past(self, now: float) -> None:
        """Let go of those whose time is over, as far as they are the oldest."""
        for _ in range(PAST_AT_ONCE):
            key = next(iter(self.entries), None)
            if key is None or self.entries[key].until > now:
                return
            self.drop(key)

    def evict(self, now: float) -> int:
        """Let the oldest go until the rest is within the limit. Returns how many still had time."""
        evicted = 0
        for _ in range(EVICTED_AT_ONCE):
            if self.size <= self.limit or not self.limit:
                break
            key, entry = next(iter(self.entries.items()))
            evicted += entry.until > now
            self.drop(key)
        return evicted


class LastEvents(Generic[V]):
    """The last events, by app and a key of the caller. `now` is in seconds of one steady clock."""

    def __init__(self) -> None:
        self._apps: OrderedDict[str, _AppEvents[V]] = OrderedDict()
        self._evicted: dict[str, int] = {}
        #: The data that the last event shared: it may go on to further channels.
        self._shared: _Shared | None = None

    def __len__(self) -> int:
        return sum(len(events.entries) for events in self._apps.values())

    def size(self, app_id: str) -> int:
        """Bytes that count for this app."""
        events = self._apps.get(app_id)
        return 0 if events is None else events.size

    def keep(
        self,
        app_id: str,
        key: str,
        value: V,
        *,
        size: int,
        until: float,
        limit: int,
        now: float,
        shared: bytes | None = None,
    ) -> None:
        """Take the place of what was kept there before, and of the oldest where bytes are short.

        `size`: bytes of key and value. `shared`: those that `value` refers to, counted once while events that
        follow each other refer to the same object. `limit`: of the app's bytes; 0 is none. An event that is
        larger than that alone is not kept.
        """
        events = self._apps.get(app_id)
        if events is None:
            events = self._apps[app_id] = _AppEvents()
        events.limit = limit
        events.drop(key)
        events.forget_past(now)
        size += ENTRY_BYTES
        if 0 < limit < size + len(shared or b""):
            self._count(app_id, 1)
        elif until > now:
            events.put(key, _Entry(value, size, until, self._sharing(app_id, shared)))
        self._count(app_id, events.evict(now))
        if not events.entries:
            del self._apps[app_id]

    def get(self, app_id: str, key: str, now: float) -> tuple[V, float] | None:
        """The value that is kept there, and the seconds that it still has."""
        events = self._apps.get(app_id)
        entry = None if events is None else events.entries.get(key)
        if entry is None or entry.until <= now:
            return None
        return entry.value, entry.until - now

    def sweep(self, now: float) -> None:
        """Let go of expired events, some apps at a time. Called again and again."""
        for _ in range(min(len(self._apps), APPS_AT_ONCE)):
            app_id, events = self._apps.popitem(last=False)
            events.forget_past(now)
            self._count(app_id, events.evict(now))
            if events.entries:
                self._apps[app_id] = events
        if self._shared is not None and not self._shared.uses:
            self._shared = None

    def take_evicted(self) -> dict[str, int]:
        """How many events of each app had to go before their time, since the last call."""
        evicted, self._evicted = self._evicted, {}
        return evicted

    def _count(self, app_id: str, evicted: int) -> None:
        if evicted:
            self._evicted[app_id] = self._evicted.get(app_id, 0) + evicted

    def _sharing(self, app_id: str, data: bytes | None) -> _Shared | None:
        if data is None:
            return None
        last = self._shared
        if last is None or last.data is not data or last.app_id != app_id:
            last = self._shared = _Shared(app_id, data)
        return last


def keep_last(
    events: LastEvents[LastEvent],
    topic: Topic,
    message: EventMessage,
    remember: Retention,
    now: float,
    limit: int,
) -> LastEvent:
    """Keep a publication by its app and channel, with the data shared among channels. Returns it."""
    app_id, _, channel = topic
    event = LastEvent.of(message.payload, remember.data, message.event_id)
    events.keep(
        app_id,
        channel,
        event,
        size=len(event.head) + len(event.tail or b"") + len(channel),
        until=now + remember.ttl,
        limit=limit,
        now=now,
        shared=remember.data,
    )
    return event


class Evictions:
    """Counts events that had to go before their time, for metrics, and logs that now and then."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.totals: dict[str, int] = {}
        self._clock = clock
        self._log_limit = LogRateLimit()

    def add(self, counts: Mapping[str, int]) -> None:
        """App id -> how many more."""
        for app_id, count in counts.items():
            self.totals[app_id] = self.totals.get(app_id, 0) + count
        if counts and self._log_limit.due("evicted", self._clock()):
            app_id = max(counts, key=lambda candidate: counts[candidate])
            logger.warning(
                "an app's cache channels outgrow its limits.cache_bytes: the oldest events are forgotten;"
                " raise the limit, or publish less to such channels",
                extra={"app": app_id, "events": counts[app_id]},
            )
