"""An outbox in a file of SQLite: for one process, and for the workers of a machine, which share the file.

Everything runs in one thread of its own, so that no disk holds up the event loop. What is asked while a
transaction is being written is done together afterwards: one transaction, one `fsync`, however much it is. An
append that has returned is on the disk; `kill -9` or a power cut loses what had not returned, which is what
the last few milliseconds had brought (docs/webhooks.md has the numbers).
"""

import asyncio
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
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
from pusher_server.webhooks.sqlite_file import OutboxFile

T = TypeVar("T")
_Work = Callable[[sqlite3.Connection], object]
_Asked = tuple[_Work, "asyncio.Future[Any]"]

#: Seconds for which the id of an entry is remembered after it was delivered or given up.
REMEMBERED = 600.0
#: Verbs in one transaction at the most.
_TOGETHER = 500

_ENTRY = "id, webhook, channel, event, decided_at"
_encode = msgspec.json.Encoder().encode
_attempt = msgspec.json.Decoder(Attempt).decode


class SqliteOutbox(Outbox):
    """`clock` gives seconds of the epoch; all processes that share the file have the same.

    `waiting` and `dead_letters` are the most entries of an app that wait or are kept as dead: what is beyond
    goes, the oldest first, from waiting to dead and from dead away. `log_size` is lines of one webhook.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float],
        waiting: int = 100_000,
        dead_letters: int = 1_000,
        log_size: int = 200,
    ) -> None:
        self._file = OutboxFile(path, clock)
        self._clock = clock
        self._waiting = waiting
        self._dead_letters = dead_letters
        self._log_size = log_size
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        #: What is to be done next, in one transaction, and who waits for it.
        self._gathered: list[_Asked] = []
        self._working: asyncio.Task[None] | None = None

    # Deciding

    async def append(self, decisions: Sequence[Decision]) -> None:
        """Keep what was decided."""
        await self._run(partial(self._append, decisions))

    def _append(self, decisions: Iterable[Decision], db: sqlite3.Connection) -> None:
        grown = set()
        for decision in decisions:
            if decision.presence is not None and not _is_news(decision, decision.presence, db):
                continue
            for entry in decision.entries:
                known = db.execute(
                    "SELECT 1 FROM known WHERE app_id = ? AND id = ? AND webhook = ?",
                    (decision.app_id, entry.id, entry.webhook),
                ).fetchone()
                if known is None:
                    _put(db, decision.app_id, entry)
                    grown.add(decision.app_id)
        for app_id in grown:
            self._cut_waiting(app_id, db)

    def _cut_waiting(self, app_id: str, db: sqlite3.Connection) -> None:
        """Too many: the oldest become dead letters."""
        first, last = db.execute(
            "SELECT min(position), max(position) FROM pending WHERE app_id = ?", (app_id,)
        ).fetchone()
        if first is None or last - first < self._waiting:
            return  # positions rise by one at least, so there cannot be more
        (count,) = db.execute("SELECT count(*) FROM pending WHERE app_id = ?", (app_id,)).fetchone()
        if count > self._waiting:
            oldest = db.execute(
                "SELECT position FROM pending WHERE app_id = ? ORDER BY position LIMIT ?",
                (app_id, count - self._waiting),
            ).fetchall()
            reason = f"more than {self._waiting} events waited"
            self._bury(app_id, [position for (position,) in oldest], reason, self._clock(), db)

    # Delivering

    async def claim(self, worker: str, seconds: float) -> list[str]:
        """Apps that `worker` alone may deliver."""
        return await self._run(partial(self._claim, worker, seconds))

    def _claim(self, worker: str, seconds: float, db: sqlite3.Connection) -> list[str]:
        now = self._clock()
        db.execute(
            "DELETE FROM claims WHERE until <= ?"
            " OR (worker = ? AND app_id NOT IN (SELECT app_id FROM pending))",
            (now, worker),
        )
        db.execute(
            "INSERT OR IGNORE INTO claims (app_id, worker, until)"
            " SELECT DISTINCT app_id, ?, ? FROM pending",
            (worker, now + seconds),
        )
        db.execute("UPDATE claims SET until = ? WHERE worker = ?", (now + seconds, worker))
        found = db.execute("SELECT app_id FROM claims WHERE worker = ? ORDER BY app_id", (worker,))
        return [app_id for (app_id,) in found]

    async def release(self, worker: str) -> None:
        """Give up all claims."""
        await self._run(
            lambda db: db.execute("DELETE FROM claims WHERE worker = ?", (worker,)).rowcount
        )

    async def pending(self, app_id: str, after: str, limit: int) -> list[Pending]:
        """What waits, in order."""

        def read(db: sqlite3.Connection) -> list[Pending]:
            rows = db.execute(
                f"SELECT position, {_ENTRY} FROM pending WHERE app_id = ? AND position > ?"
                " ORDER BY position LIMIT ?",
                (app_id, int(after or 0), limit),
            )
            return [Pending(_name(position), Entry(*entry)) for position, *entry in rows]

        return await self._run(read)

    async def finish(self, app_id: str, positions: Sequence[str]) -> None:
        """They were delivered."""
        await self._run(partial(self._finish, app_id, [int(each) for each in positions]))

    def _finish(self, app_id: str, positions: Iterable[int], db: sqlite3.Connection) -> None:
        now = self._clock()
        for position in positions:
            db.execute(
                "INSERT OR REPLACE INTO known (app_id, id, webhook, at)"
                " SELECT app_id, id, webhook, ? FROM pending WHERE app_id = ? AND position = ?",
                (now, app_id, position),
            )
            db.execute("DELETE FROM pending WHERE app_id = ? AND position = ?", (app_id, position))
        db.execute("DELETE FROM known WHERE at <= ?", (now - REMEMBERED,))

    async def bury(self, app_id: str, positions: Sequence[str], reason: str, at: float) -> None:
        """They were given up."""
        await self._run(partial(self._bury, app_id, [int(each) for each in positions], reason, at))

    def _bury(
        self,
        app_id: str,
        positions: Sequence[int],
        reason: str,
        at: float,
        db: sqlite3.Connection,
    ) -> None:
        for position in positions:
            db.execute(
                f"INSERT INTO dead (app_id, {_ENTRY}, at, reason)"
                f" SELECT app_id, {_ENTRY}, ?, ? FROM pending WHERE app_id = ? AND position = ?",
                (at, reason, app_id, position),
            )
        self._finish(app_id, positions, db)
        db.execute(
            "DELETE FROM dead WHERE app_id = ? AND number <="
            " (SELECT number FROM dead WHERE app_id = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
            (app_id, app_id, self._dead_letters),
        )

    # Looking at it

    async def record(self, app_id: str, attempt: Attempt) -> None:
        """One more line."""

        def write(db: sqlite3.Connection) -> None:
            key = (app_id, attempt.webhook)
            db.execute(
                "INSERT INTO attempts (app_id, webhook, line) VALUES (?, ?, ?)",
                (*key, _encode(attempt).decode()),
            )
            db.execute(
                "DELETE FROM attempts WHERE app_id = ? AND webhook = ? AND number <= (SELECT number"
                " FROM attempts WHERE app_id = ? AND webhook = ? ORDER BY number DESC LIMIT 1 OFFSET ?)",
                (*key, *key, self._log_size),
            )

        await self._run(write)

    async def log(self, app_id: str, webhook: str = "", limit: int = 50) -> list[Attempt]:
        """The latest attempts."""

        def read(db: sqlite3.Connection) -> list[Attempt]:
            rows = db.execute(
                "SELECT line FROM attempts WHERE app_id = ? AND (webhook = ? OR ? = '')"
                " ORDER BY number DESC LIMIT ?",
                (app_id, webhook, webhook, limit),
            )
            return [_attempt(line) for (line,) in rows]

        return await self._run(read)

    async def dead(self, app_id: str, limit: int = 50) -> list[Dead]:
        """The latest dead letters."""

        def read(db: sqlite3.Connection) -> list[Dead]:
            rows = db.execute(
                f"SELECT at, reason, {_ENTRY} FROM dead WHERE app_id = ? ORDER BY number DESC LIMIT ?",
                (app_id, limit),
            )
            return [Dead(entry=Entry(*entry), at=at, reason=reason) for at, reason, *entry in rows]

        return await self._run(read)

    async def resend(self, app_id: str, ids: Sequence[str] | None = None) -> int:
        """Dead letters wait again."""

        def move(db: sqlite3.Connection) -> int:
            rows = db.execute(
                f"SELECT number, {_ENTRY} FROM dead WHERE app_id = ? ORDER BY number", (app_id,)
            ).fetchall()
            moved = 0
            for number, *columns in rows:
                entry = Entry(*columns)
                if ids is None or entry.id in ids:
                    _put(db, app_id, entry)
                    db.execute("DELETE FROM dead WHERE number = ?", (number,))
                    moved += 1
            return moved

        return await self._run(move)

    async def backlog(self) -> dict[str, Backlog]:
        """How much waits, by app."""

        def read(db: sqlite3.Connection) -> dict[str, Backlog]:
            waiting = db.execute(
                "SELECT app_id, count(*), min(decided_at) FROM pending GROUP BY app_id"
            )
            found = {app_id: Backlog(count, oldest, 0) for app_id, count, oldest in waiting}
            for app_id, count in db.execute("SELECT app_id, count(*) FROM dead GROUP BY app_id"):
                known = found.get(app_id, Backlog(0, None, 0))
                found[app_id] = Backlog(known.pending, known.oldest, count)
            return found

        return await self._run(read)

    async def believed(self) -> list[Presence]:
        """What was announced as there and not as gone."""
        return await self._run(
            lambda db: [
                Presence(*row)
                for row in db.execute("SELECT app_id, channel, user_id FROM believed")
            ]
        )

    async def close(self) -> None:
        """Do what was asked, and let go of the file."""
        if self._working is not None:
            await asyncio.gather(self._working, return_exceptions=True)
        await asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
        self._thread.shutdown(wait=False)

    async def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Done together with what else is asked meanwhile. Raises OutboxUnavailable."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        self._gathered.append((work, answer))
        if self._working is None:
            self._working = loop.create_task(self._work())
        return cast(T, await answer)

    async def _work(self) -> None:
        """One transaction after the other, until nothing is asked."""
        loop = asyncio.get_running_loop()
        try:
            while self._gathered:
                asked, self._gathered = self._gathered[:_TOGETHER], self._gathered[_TOGETHER:]
                works = [work for work, _ in asked]
                found: list[object] | Exception
                try:
                    found = await loop.run_in_executor(self._thread, self._transact, works)
                except RuntimeError:  # the thread takes nothing any more
                    found = OutboxUnavailable("the outbox is closed")
                except Exception as error:
                    found = error
                _tell([answer for _, answer in asked], found)
        finally:
            self._working = None

    def _transact(self, works: Sequence[_Work]) -> list[object]:
        return self._file.transact(lambda db: [work(db) for work in works])


def _tell(answers: Iterable[asyncio.Future[Any]], found: list[object] | Exception) -> None:
    """All or nothing was done."""
    for number, answer in enumerate(answers):
        if answer.done():
            continue  # whoever waited was cancelled
        if isinstance(found, Exception):
            answer.set_exception(type(found)(*found.args))
        else:
            answer.set_result(found[number])


def _is_news(decision: Decision, presence: Presence, db: sqlite3.Connection) -> bool:
    """Take note of what the owner believes from here on."""
    if decision.held:
        changed = db.execute(
            "INSERT OR IGNORE INTO believed (app_id, channel, user_id) VALUES (?, ?, ?)", presence
        )
        return changed.rowcount > 0
    changed = db.execute(
        "DELETE FROM believed WHERE app_id = ? AND channel = ? AND user_id = ?", presence
    )
    return changed.rowcount > 0 or not decision.only_if_believed


def _put(db: sqlite3.Connection, app_id: str, entry: Entry) -> None:
    """At the end, unless it waits already."""
    db.execute(
        f"INSERT OR IGNORE INTO pending (app_id, {_ENTRY}) VALUES (?, ?, ?, ?, ?, ?)",
        (app_id, entry.id, entry.webhook, entry.channel, entry.event, entry.decided_at),
    )


def _name(position: int) -> str:
    """Sorts as text as the number does."""
    return f"{position:019}"
