"""An outbox in an SQLite file, shared by the processes of one machine.

One thread per process does the work. What is asked while it writes goes into the next transaction together, so
a crowd costs few of them. Times in the file are seconds of the epoch: processes share them.
"""

import asyncio
import contextlib
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, TypeVar, cast

import msgspec

from pusher_server.webhooks.outbox import (
    Attempt,
    Backlog,
    Dead,
    Decision,
    Entry,
    Outbox,
    OutboxUnavailable,
    Pending,
    Presence,
)

#: Attempts and dead letters that are kept of each app.
KEPT_ATTEMPTS, KEPT_DEAD = 500, 10_000
#: Seconds for which the id of a delivered entry is remembered.
REMEMBERED = 600.0
#: Calls in one transaction.
_TOGETHER = 500

_SCHEMA = """
CREATE TABLE IF NOT EXISTS entries (
    position INTEGER PRIMARY KEY AUTOINCREMENT, app TEXT NOT NULL, id TEXT NOT NULL, webhook TEXT NOT NULL,
    channel TEXT NOT NULL, event TEXT NOT NULL, decided_at REAL NOT NULL, UNIQUE (app, id, webhook)
) STRICT;
CREATE INDEX IF NOT EXISTS waiting ON entries (app, position);
CREATE TABLE IF NOT EXISTS delivered (
    app TEXT NOT NULL, id TEXT NOT NULL, webhook TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (app, id, webhook)
) STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS oldest ON delivered (at);
CREATE TABLE IF NOT EXISTS dead (
    number INTEGER PRIMARY KEY AUTOINCREMENT, app TEXT NOT NULL, entry BLOB NOT NULL, id TEXT NOT NULL,
    at REAL NOT NULL, reason TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS attempts (
    number INTEGER PRIMARY KEY AUTOINCREMENT, app TEXT NOT NULL, webhook TEXT NOT NULL, attempt BLOB NOT NULL
) STRICT;
CREATE INDEX IF NOT EXISTS latest ON attempts (app, number);
CREATE TABLE IF NOT EXISTS believed (
    app TEXT NOT NULL, channel TEXT NOT NULL, user TEXT NOT NULL, PRIMARY KEY (app, channel, user)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS claims (app TEXT PRIMARY KEY, worker TEXT NOT NULL, until REAL NOT NULL) STRICT;
"""
_ENTRY = "id, webhook, channel, event, decided_at"

T = TypeVar("T")
_Call = tuple[Callable[[], Any], "asyncio.Future[Any]", asyncio.AbstractEventLoop]


class SqliteOutbox(Outbox):
    """`clock` gives seconds of the epoch. Raises sqlite3.Error when the file cannot be used."""

    def __init__(self, path: Path, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._path = path
        self._db = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(_SCHEMA)
        except BaseException:
            self._db.close()
            raise
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="outbox", daemon=True)
        self._thread.start()

    async def append(self, decisions: Sequence[Decision]) -> None:
        """See `Outbox`."""
        await self._ask(lambda: self._append(decisions))

    async def claim(self, worker: str, seconds: float) -> list[str]:
        """See `Outbox`."""
        return await self._ask(lambda: self._claim(worker, seconds))

    async def release(self, worker: str) -> None:
        """See `Outbox`."""
        await self._ask(lambda: self._do("DELETE FROM claims WHERE worker = ?", worker))

    async def pending(self, app_id: str, after: str, limit: int) -> list[Pending]:
        """See `Outbox`."""
        rows = await self._ask(
            lambda: self._do(
                f"SELECT position, {_ENTRY} FROM entries WHERE app = ? AND position > ?"
                " ORDER BY position LIMIT ?",
                app_id, int(after or 0), limit,
            )
        )  # fmt: skip
        return [Pending(f"{position:018}", Entry(*rest)) for position, *rest in rows]

    async def finish(self, app_id: str, positions: Sequence[str]) -> None:
        """See `Outbox`."""
        await self._ask(lambda: self._finish(app_id, positions))

    async def bury(self, app_id: str, positions: Sequence[str], reason: str, at: float) -> None:
        """See `Outbox`."""
        await self._ask(lambda: self._bury(app_id, positions, reason, at))

    async def record(self, app_id: str, attempt: Attempt) -> None:
        """See `Outbox`."""
        await self._ask(lambda: self._record(app_id, attempt))

    async def log(self, app_id: str, webhook: str = "", limit: int = 50) -> list[Attempt]:
        """See `Outbox`."""
        rows = await self._ask(
            lambda: self._do(
                "SELECT attempt FROM attempts WHERE app = ? AND (? IN ('', webhook))"
                " ORDER BY number DESC LIMIT ?",
                app_id, webhook, limit,
            )
        )  # fmt: skip
        return [msgspec.json.decode(row, type=Attempt) for (row,) in rows]

    async def dead(self, app_id: str, limit: int = 50) -> list[Dead]:
        """See `Outbox`."""
        rows = await self._ask(
            lambda: self._do(
                "SELECT entry, at, reason FROM dead WHERE app = ? ORDER BY number DESC LIMIT ?",
                app_id, limit,
            )
        )  # fmt: skip
        return [
            Dead(entry=msgspec.json.decode(entry, type=Entry), at=at, reason=reason)
            for entry, at, reason in rows
        ]

    async def resend(self, app_id: str, ids: Sequence[str] | None = None) -> int:
        """See `Outbox`."""
        return await self._ask(lambda: self._resend(app_id, ids))

    async def backlog(self) -> dict[str, Backlog]:
        """See `Outbox`."""
        return await self._ask(self._backlog)

    async def believed(self) -> list[Presence]:
        """See `Outbox`."""
        rows = await self._ask(lambda: self._do("SELECT app, channel, user FROM believed"))
        return [Presence(*row) for row in rows]

    async def close(self) -> None:
        """See `Outbox`."""
        self._calls.put(None)
        await asyncio.to_thread(self._thread.join)

    # In the thread

    async def _ask(self, call: Callable[[], T]) -> T:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._calls.put((call, answer, loop))
        return cast(T, await answer)

    def _work(self) -> None:
        while (first := self._calls.get()) is not None:
            calls: list[_Call] = [first]
            is_last = False
            while len(calls) < _TOGETHER and not self._calls.empty():
                further = self._calls.get()
                if further is None:
                    is_last = True
                    break
                calls.append(further)
            self._transact(calls)
            if is_last:
                break
        self._db.close()

    def _transact(self, calls: list[_Call]) -> None:
        """All or nothing; everybody is told the same."""
        problem: BaseException | None = None
        answers: list[Any] = []
        try:
            self._db.execute("BEGIN IMMEDIATE")
            answers = [call() for call, _, _ in calls]
            self._db.execute("COMMIT")
        except (sqlite3.Error, OSError) as error:
            problem = OutboxUnavailable(f"webhooks.outbox: {self._path}: {error}")
        except Exception as error:  # ours
            problem = error
        if problem is not None and self._db.in_transaction:
            with contextlib.suppress(sqlite3.Error):
                self._db.execute("ROLLBACK")
        for index, (_, answer, loop) in enumerate(calls):
            told = answers[index] if problem is None else problem
            with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
                loop.call_soon_threadsafe(_tell, answer, told)

    def _do(self, statement: str, *values: object) -> list[Any]:
        return self._db.execute(statement, values).fetchall()

    def _append(self, decisions: Sequence[Decision]) -> None:
        self._do("DELETE FROM delivered WHERE at < ?", self._clock() - REMEMBERED)
        for each in decisions:
            if self._is_news(each):
                for entry in each.entries:
                    self._put(each.app_id, entry)

    def _is_news(self, decision: Decision) -> bool:
        if decision.presence is None:
            return True
        if decision.held:
            return self._changed("INSERT OR IGNORE INTO believed VALUES (?, ?, ?)", decision)
        was_believed = self._changed(
            "DELETE FROM believed WHERE app = ? AND channel = ? AND user = ?", decision
        )
        return was_believed or not decision.only_if_believed

    def _changed(self, statement: str, decision: Decision) -> bool:
        presence = decision.presence
        assert presence is not None
        return self._db.execute(statement, tuple(presence)).rowcount > 0

    def _put(self, app_id: str, entry: Entry) -> None:
        known = self._do(
            "SELECT 1 FROM delivered WHERE app = ? AND id = ? AND webhook = ?",
            app_id, entry.id, entry.webhook,
        )  # fmt: skip
        if not known:
            self._do(
                f"INSERT OR IGNORE INTO entries (app, {_ENTRY}) VALUES (?, ?, ?, ?, ?, ?)",
                app_id, entry.id, entry.webhook, entry.channel, entry.event, entry.decided_at,
            )  # fmt: skip

    def _claim(self, worker: str, seconds: float) -> list[str]:
        now = self._clock()
        rows = self._do(
            "INSERT INTO claims (app, worker, until) SELECT DISTINCT app, ?, ? FROM entries WHERE true"
            " ON CONFLICT (app) DO UPDATE SET worker = excluded.worker, until = excluded.until"
            " WHERE worker = excluded.worker OR until <= ? RETURNING app",
            worker, now + seconds, now,
        )  # fmt: skip
        return [app_id for (app_id,) in rows]

    def _finish(self, app_id: str, positions: Sequence[str]) -> None:
        for position in positions:
            rows = self._do(
                "DELETE FROM entries WHERE app = ? AND position = ? RETURNING id, webhook",
                app_id, int(position),
            )  # fmt: skip
            for row in rows:
                self._do(
                    "INSERT OR REPLACE INTO delivered VALUES (?, ?, ?, ?)",
                    app_id, *row, self._clock(),
                )  # fmt: skip

    def _bury(self, app_id: str, positions: Sequence[str], reason: str, at: float) -> None:
        for position in positions:
            rows = self._do(
                f"DELETE FROM entries WHERE app = ? AND position = ? RETURNING {_ENTRY}",
                app_id, int(position),
            )  # fmt: skip
            for row in rows:
                entry = Entry(*row)
                self._do(
                    "INSERT INTO dead (app, entry, id, at, reason) VALUES (?, ?, ?, ?, ?)",
                    app_id, msgspec.json.encode(entry), entry.id, at, reason,
                )  # fmt: skip
        self._do(
            "DELETE FROM dead WHERE app = ?1 AND number <="
            " (SELECT number FROM dead WHERE app = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            app_id, KEPT_DEAD,
        )  # fmt: skip

    def _record(self, app_id: str, attempt: Attempt) -> None:
        self._do(
            "INSERT INTO attempts (app, webhook, attempt) VALUES (?, ?, ?)",
            app_id, attempt.webhook, msgspec.json.encode(attempt),
        )  # fmt: skip
        self._do(
            "DELETE FROM attempts WHERE app = ?1 AND number <="
            " (SELECT number FROM attempts WHERE app = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            app_id, KEPT_ATTEMPTS,
        )  # fmt: skip

    def _resend(self, app_id: str, ids: Sequence[str] | None) -> int:
        rows = self._do("SELECT number, entry FROM dead WHERE app = ? ORDER BY number", app_id)
        count = 0
        for number, text in rows:
            entry = msgspec.json.decode(text, type=Entry)
            if ids is None or entry.id in ids:
                count += 1
                self._put(app_id, entry)
                self._do("DELETE FROM dead WHERE number = ?", number)
        return count

    def _backlog(self) -> dict[str, Backlog]:
        waiting = {
            app_id: (count, oldest)
            for app_id, count, oldest in self._do(
                "SELECT app, count(*), min(decided_at) FROM entries GROUP BY app"
            )
        }
        dead = dict(self._do("SELECT app, count(*) FROM dead GROUP BY app"))
        return {
            app_id: Backlog(*waiting.get(app_id, (0, None)), dead.get(app_id, 0))
            for app_id in waiting.keys() | dead.keys()
        }


def _tell(answer: "asyncio.Future[Any]", told: Any) -> None:
    if answer.done():
        return
    if isinstance(told, BaseException):
        answer.set_exception(told)
    else:
        answer.set_result(told)
