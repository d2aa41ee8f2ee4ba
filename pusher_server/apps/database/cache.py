"""Caches apps of a slower store, so that clients do not wait for it and an attacker cannot overload it.

A known app is served at once, also while the store is away. An unknown key or id costs one lookup; other
requests for it share the answer. Names that arrive during a query go together into the next one. So at most
one query runs at a time, and `1 / PACE` of them in a second. While `MOST_WAITING` names wait, further
unknown ones are refused with AppsUnavailable. An unknown name is remembered for a short time.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from pusher_server.app import App
from pusher_server.apps.database.schemas import FoundApp, is_valid_key
from pusher_server.errors import AppsUnavailable, ClusterUnavailable, ConfigError
from pusher_server.interfaces import AppProvider
from pusher_server.outage import Outage

logger = logging.getLogger("pusher_server.apps")

#: Keys or ids in one query: 3 ms of our time on PostgreSQL, 2 ms with MariaDB and SQLite (measured).
BATCH = 200
#: Seconds between two queries while more names wait: a flood gets 20 of them a second, 6 % of a core.
PACE = 0.05
#: 1 s of such queries. Further names are refused at once.
MOST_WAITING = 4_000
#: Unknown keys and ids that are remembered, 100 bytes each; the oldest go first.
MOST_UNKNOWN = 20_000
#: Apps in one query when all known ones are read again: 4 ms of our time; 200 ms for 10,000 (measured).
REFRESH_BATCH = 200
#: Seconds without lookups after a query has failed.
PAUSE = 1.0

#: ("key" or "id", its text)
Name = tuple[str, str]
#: App id, its value or None when it is gone, and whether other nodes may not know of the change yet.
OnChange = Callable[[str, App | None, bool], None]


class AppSource(Protocol):
    """The store of apps: `table.SqlStore`."""

    async def find(
        self, *, keys: Collection[str] = (), ids: Collection[str] = ()
    ) -> list[FoundApp]:
        """The apps with one of these keys or ids, in the order of ids. Raises AppsUnavailable."""


class PendingLookup:
    """A lookup of one name that is under way, for all requests that wait for it."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()
        self.error = ""


class CachedApps(AppProvider):
    """`on_change(app_id, app, is_news)` is called when a known app has another value, or None: it is gone.

    `unknown_seconds`: how long an unknown name is remembered. `clock` gives rising seconds.
    """

    def __init__(
        self,
        source: AppSource,
        clock: Callable[[], float],
        *,
        unknown_seconds: float,
        on_change: OnChange = lambda app_id, app, is_news: None,
    ) -> None:
        self._on_change = on_change
        self._source = source
        self._clock = clock
        self._unknown_seconds = unknown_seconds
        self._known: dict[str, App] = {}
        #: The secrets of the known apps; None when these have changed since it was made.
        self._secrets: set[str] | None = None
        #: Key -> id. Only for keys that were looked up: then every row with the key was read.
        self._owner: dict[str, str] = {}
        #: Name -> when it may be looked up again, the oldest first.
        self._unknown: dict[Name, float] = {}
        self._lookups: dict[Name, PendingLookup] = {}
        #: Names of lookups that no query has yet.
        self._waiting: list[Name] = []
        self._running: asyncio.Task[None] | None = None
        #: Queries run one at a time, because a later result replaces an earlier one.
        self._turn = asyncio.Lock()
        self._pause_until = 0.0
        self._duplicate_keys: set[str] = set()
        self._outage = Outage()
        self._answered_once = False

    @property
    def problem(self) -> str | None:
        """Why the store cannot be read, in one line; None while it can."""
        waiting = None if self._answered_once else "the apps have not been read yet"
        return self._outage.problem or waiting

    @property
    def ready(self) -> bool:
        """Whether a query has succeeded since the start; known apps are served also while the store is away."""
        return self._answered_once

    async def by_key(self, key: str) -> App | None:
        """The app that owns this key: of several the one with the first id."""
        owner = self._owner.get(key)
        if owner is None and is_valid_key(key):
            await self._look_up(("key", key))
            owner = self._owner.get(key)
        return None if owner is None else self._known[owner]

    async def by_id(self, app_id: str) -> App | None:
        """The app of this id."""
        app = self._known.get(app_id)
        if app is None and is_valid_key(app_id):
            await self._look_up(("id", app_id))
            app = self._known.get(app_id)
        return app

    def is_secret(self, text: str) -> bool:
        """Whether one of the known apps has this secret; others may have it, too."""
        if self._secrets is None:
            self._secrets = {pair.secret for app in self._known.values() for pair in app.keys}
        return text in self._secrets

    def forget_unknown(self) -> None:
        """Forget the unknown names: a row was added, and it may have one of them."""
        self._unknown.clear()

    async def refresh(
        self, ids: Collection[str] | None = None, *, announced: Collection[str] = ()
    ) -> None:
        """Read known apps again, all or these; calls `on_change`. Raises AppsUnavailable.

        `announced`: apps whose change another node has announced; for these `is_news` is False.
        """
        known = [
            app_id for app_id in (self._known if ids is None else ids) if app_id in self._known
        ]
        for start in range(0, max(len(known), 1), REFRESH_BATCH):
            batch = known[start : start + REFRESH_BATCH]
            async with self._turn:
                rows = await self._find(keys=(), ids=batch, announced=announced)
                there = {row.id for row in rows}
                for app_id in batch:
                    if app_id not in there:
                        self._forget(app_id, is_news=app_id not in announced)

    async def _look_up(self, name: Name) -> None:
        """Return once the name is known, or known to be unknown. Raises AppsUnavailable."""
        now = self._clock()
        if self._unknown.get(name, now) > now:
            return
        lookup = self._lookups.get(name)
        if lookup is None:
            if now < self._pause_until:
                raise AppsUnavailable(self._outage.problem or "the apps cannot be read")
            if len(self._waiting) >= MOST_WAITING:
                raise AppsUnavailable("too many unknown apps are being asked for")
            lookup = self._lookups[name] = PendingLookup()
            self._waiting.append(name)
            if self._running is None:
                self._running = asyncio.get_running_loop().create_task(self._run_lookups())
        await lookup.answered.wait()
        if lookup.error:
            raise AppsUnavailable(lookup.error)

    async def _run_lookups(self) -> None:
        """Run one query after the other while names wait."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                error = await self._look_up_all(batch)
                if error:  # the other names would fail in the same way
                    batch, self._waiting = batch + self._waiting, []
                for name in batch:
                    lookup = self._lookups.pop(name)
                    lookup.error = error
                    lookup.answered.set()
                await asyncio.sleep(PACE)
        finally:
            self._running = None

    async def _look_up_all(self, batch: list[Name]) -> str:
        """Look up these names; returns the error as text, "" when there is none."""
        keys = [text for kind, text in batch if kind == "key"]
        ids = [text for kind, text in batch if kind == "id"]
        try:
            async with self._turn:
                rows = await self._find(keys=keys, ids=ids)
        except ClusterUnavailable as error:
            return str(error)
        except Exception:  # a fault of ours; the requests must not wait for ever
            logger.exception("looking up apps failed")
            return "looking up apps failed"
        self._note_owners(keys, rows)
        there = {("key", key) for key in keys if key in self._owner}
        there |= {("id", app_id) for app_id in ids if app_id in self._known}
        until = self._clock() + self._unknown_seconds
        for name in batch:
            self._unknown.pop(name, None)
            if name not in there:
                self._unknown[name] = until
        while len(self._unknown) > MOST_UNKNOWN:
            del self._unknown[next(iter(self._unknown))]
        return ""

    async def _find(
        self, *, keys: Collection[str], ids: Collection[str], announced: Collection[str] = ()
    ) -> list[FoundApp]:
        """Query the store and keep the result. Raises AppsUnavailable."""
        try:
            rows = await self._source.find(keys=keys, ids=ids)
        except (ClusterUnavailable, ConfigError) as error:
            now = self._clock()
            self._pause_until = now + PAUSE
            if self._outage.begin(str(error), kind=type(error).__name__, now=now):
                logger.error("%s; known apps go on being served", error)
            raise AppsUnavailable(str(error)) from None
        if self._outage.end():
            logger.info("the apps can be read again")
        self._answered_once, self._pause_until = True, 0.0
        for row in rows:
            if row.app is not None:
                self._take(row.id, row.app, is_news=row.id not in announced)
        return rows

    def _take(self, app_id: str, app: App, *, is_news: bool) -> None:
        before = self._known.get(app_id)
        if before == app:
            return
        self._known[app_id], self._secrets = app, None
        if before is None:
            return
        for pair in before.keys:
            if app.secret_of(pair.key) is None and self._owner.get(pair.key) == app_id:
                del self._owner[pair.key]
        self._on_change(app_id, app, is_news)

    def _forget(self, app_id: str, *, is_news: bool) -> None:
        gone, self._secrets = self._known.pop(app_id), None
        for pair in gone.keys:
            if self._owner.get(pair.key) == app_id:
                del self._owner[pair.key]
        self._on_change(app_id, None, is_news)

    def _note_owners(self, keys: Collection[str], rows: list[FoundApp]) -> None:
        """Keep the owners of these keys; `rows` has every app with one of them, in the order of ids."""
        owners: Mapping[str, list[str]] = {key: [] for key in keys}
        for row in rows:
            for pair in () if row.app is None else row.app.keys:
                if pair.key in owners:
                    owners[pair.key].append(row.id)
        for key, ids in owners.items():
            if ids:
                self._owner[key] = ids[0]
            if len(ids) > 1 and key not in self._duplicate_keys:
                self._duplicate_keys.add(key)
                logger.error(
                    "the key %r is in the rows of the apps %s: clients get the first of them",
                    key,
                    ", ".join(map(repr, ids)),
                )
