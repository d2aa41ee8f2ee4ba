"""Remembers apps of a slower store, so that neither clients nor an attacker wait for it or wear it out.

A known app is answered at once, also while the store is away. A key or id that nobody has asked for yet costs
one question; who asks for the same meanwhile shares its answer, and what gathers meanwhile goes into the next
question together. So at most one question is under way, `1 / PACE` are asked in a second, and whoever comes
while more than `MOST_WAITING` wait is told to come back. Who is not there is remembered for a short while.
"""

import asyncio
import logging
from collections.abc import Callable, Collection, Mapping
from typing import Protocol

from pusher_server.app import App
from pusher_server.apps.database.schemas import FoundApp, is_valid_key
from pusher_server.errors import ClusterUnavailable, ConfigError
from pusher_server.interfaces import AppProvider
from pusher_server.outage import Outage

logger = logging.getLogger("pusher_server.apps")

#: Keys or ids in one question: 3 ms of our time on PostgreSQL, 2 ms with MariaDB and SQLite (measured).
BATCH = 200
#: Seconds between two questions while more wait: a flood gets 20 of them a second, 6 % of a core.
PACE = 0.05
#: 1 s of such questions. More are not kept waiting but sent away.
MOST_WAITING = 4_000
#: Unknown keys and ids that are remembered, 100 bytes each; the oldest go first.
MOST_UNKNOWN = 20_000
#: Apps in one question when all known ones are read again: 4 ms of our time; 200 ms for 10,000 (measured).
REFRESH_BATCH = 200
#: Seconds in which nobody asks after a question has failed.
PAUSE = 1.0

#: ("key" or "id", its text)
Name = tuple[str, str]
#: App id, its value or None when it is gone, and whether other nodes may not know of the change yet.
OnChange = Callable[[str, App | None, bool], None]


class AppSource(Protocol):
    """What is asked: `sql.SqlStore`."""

    async def find(
        self, *, keys: Collection[str] = (), ids: Collection[str] = ()
    ) -> list[FoundApp]:
        """The apps with one of these keys or ids, in the order of ids. Raises ClusterUnavailable."""


class PendingLookup:
    """A name that is being asked for, and whoever waits for it."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()
        self.error = ""


class CachedApps(AppProvider):
    """`on_change(app_id, app, is_news)` is called when a known app has another value, or None: it is gone.

    `unknown_seconds`: how long somebody who is not there is remembered. `clock` gives rising seconds.
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
        #: Key -> id. Only for keys that were asked for: then every row that has it was seen.
        self._owner: dict[str, str] = {}
        #: Name -> when it may be asked for again, the oldest first.
        self._unknown: dict[Name, float] = {}
        self._questions: dict[Name, PendingLookup] = {}
        #: Those of them that are not yet on their way.
        self._waiting: list[Name] = []
        self._asking: asyncio.Task[None] | None = None
        #: What is read later replaces what was read earlier, so nothing is read side by side.
        self._turn = asyncio.Lock()
        self._pause_until = 0.0
        self._duplicate_keys: set[str] = set()
        self._outage = Outage()
        self._answered_once = False

    @property
    def problem(self) -> str | None:
        """Why the store cannot be asked, in one line; None while all is well."""
        waiting = None if self._answered_once else "the apps have not been read yet"
        return self._outage.problem or waiting

    @property
    def ready(self) -> bool:
        """Whether it has been asked successfully since the start; known apps go on when it is away."""
        return self._answered_once

    async def by_key(self, key: str) -> App | None:
        """The app that owns this key: of several the one with the first id."""
        owner = self._owner.get(key)
        if owner is None and is_valid_key(key):
            await self._ask(("key", key))
            owner = self._owner.get(key)
        return None if owner is None else self._known[owner]

    async def by_id(self, app_id: str) -> App | None:
        """The app of this id."""
        app = self._known.get(app_id)
        if app is None and is_valid_key(app_id):
            await self._ask(("id", app_id))
            app = self._known.get(app_id)
        return app

    def forget_unknown(self) -> None:
        """Something was added: whoever was not there may be there now."""
        self._unknown.clear()

    async def refresh(
        self, ids: Collection[str] | None = None, *, told: Collection[str] = ()
    ) -> None:
        """Read known apps again, all or these; tells `on_change`. Raises ClusterUnavailable.

        `told`: apps that another node has found changed, so that this is no news for the others.
        """
        wanted = [each for each in (self._known if ids is None else ids) if each in self._known]
        for start in range(0, max(len(wanted), 1), REFRESH_BATCH):
            batch = wanted[start : start + REFRESH_BATCH]
            async with self._turn:
                found = await self._find(keys=(), ids=batch, told=told)
                there = {each.id for each in found}
                for app_id in batch:
                    if app_id not in there:
                        self._forget(app_id, is_news=app_id not in told)

    async def _ask(self, name: Name) -> None:
        """Return once it is known or known not to be there. Raises ClusterUnavailable."""
        now = self._clock()
        if self._unknown.get(name, now) > now:
            return
        question = self._questions.get(name)
        if question is None:
            if now < self._pause_until:
                raise ClusterUnavailable(self._outage.problem or "the apps cannot be read")
            if len(self._waiting) >= MOST_WAITING:
                raise ClusterUnavailable("too many unknown apps are being asked for")
            question = self._questions[name] = PendingLookup()
            self._waiting.append(name)
            if self._asking is None:
                self._asking = asyncio.get_running_loop().create_task(self._ask_all())
        await question.answered.wait()
        if question.error:
            raise ClusterUnavailable(question.error)

    async def _ask_all(self) -> None:
        """One question after the other while somebody waits."""
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
                error = await self._ask_for(batch)
                if error:  # the others would wait for the same
                    batch, self._waiting = batch + self._waiting, []
                for name in batch:
                    question = self._questions.pop(name)
                    question.error = error
                    question.answered.set()
                await asyncio.sleep(PACE)
        finally:
            self._asking = None

    async def _ask_for(self, batch: list[Name]) -> str:
        """Ask for these names; returns what went wrong, "" when nothing did."""
        keys = [text for kind, text in batch if kind == "key"]
        ids = [text for kind, text in batch if kind == "id"]
        try:
            async with self._turn:
                found = await self._find(keys=keys, ids=ids)
        except ClusterUnavailable as error:
            return str(error)
        except Exception:  # ours; whoever waits must not wait for ever
            logger.exception("looking up apps failed")
            return "looking up apps failed"
        self._note_owners(keys, found)
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
        self, *, keys: Collection[str], ids: Collection[str], told: Collection[str] = ()
    ) -> list[FoundApp]:
        """Ask the store and take what it says. Raises ClusterUnavailable."""
        try:
            found = await self._source.find(keys=keys, ids=ids)
        except (ClusterUnavailable, ConfigError) as error:
            self._pause_until = self._clock() + PAUSE
            if self._outage.begin(str(error), kind=type(error).__name__):
                logger.error("%s; known apps go on being served", error)
            raise ClusterUnavailable(str(error)) from None
        if self._outage.end():
            logger.info("the apps can be read again")
        self._answered_once, self._pause_until = True, 0.0
        for each in found:
            if each.app is not None:
                self._take(each.id, each.app, is_news=each.id not in told)
        return found

    def _take(self, app_id: str, app: App, *, is_news: bool) -> None:
        before = self._known.get(app_id)
        if before == app:
            return
        self._known[app_id] = app
        if before is None:
            return
        for pair in before.keys:
            if app.secret_of(pair.key) is None and self._owner.get(pair.key) == app_id:
                del self._owner[pair.key]
        self._on_change(app_id, app, is_news)

    def _forget(self, app_id: str, *, is_news: bool) -> None:
        gone = self._known.pop(app_id)
        for pair in gone.keys:
            if self._owner.get(pair.key) == app_id:
                del self._owner[pair.key]
        self._on_change(app_id, None, is_news)

    def _note_owners(self, keys: Collection[str], found: list[FoundApp]) -> None:
        """Whose these keys are; `found` has every app that has one of them, in the order of ids."""
        owners: Mapping[str, list[str]] = {key: [] for key in keys}
        for each in found:
            for pair in () if each.app is None else each.app.keys:
                if pair.key in owners:
                    owners[pair.key].append(each.id)
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
