"""What an outbox asks of its tables, in SQL. Each verb is a step of the caller's transaction."""

import sqlite3
from collections.abc import Callable, Sequence

from msgspec import Struct, structs

from pusher_server.webhooks.encoding import decode_attempt, encode_attempt
from pusher_server.webhooks.outbox import Attempt, Backlog, Dead, Decision, Entry, Pending, Presence

#: Seconds for which the id of an entry is remembered after it was delivered or given up.
REMEMBERED = 600.0

_ENTRY = "id, webhook, channel, event, decided_at"


class Bounds(Struct, frozen=True, kw_only=True):
    """The most that is kept: of an app entries that wait and dead letters, of a webhook attempts.

    `crowded_out` is why an entry is a dead letter when too many waited.
    """

    waiting: int
    dead: int
    log: int
    crowded_out: str


class Tables:
    """`clock` gives seconds of the epoch; processes of a machine share it. All verbs raise sqlite3.Error."""

    def __init__(self, bounds: Bounds, clock: Callable[[], float]) -> None:
        self._bounds = bounds
        self._clock = clock

    def append(self, db: sqlite3.Connection, decisions: Sequence[Decision]) -> dict[str, int]:
        """Keep them. By app, how many of the oldest entries became dead letters to make room."""
        db.execute("DELETE FROM known WHERE at < ?", (self._clock() - REMEMBERED,))
        for decision in decisions:
            if self._is_news(db, decision):
                for entry in decision.entries:
                    self._put(db, decision.app_id, entry)
        crowded_out = {
            app_id: self._make_room(db, app_id) for app_id in {each.app_id for each in decisions}
        }
        return {app_id: entries for app_id, entries in crowded_out.items() if entries}

    def claim(self, db: sqlite3.Connection, worker: str, seconds: float) -> list[str]:
        """Apps with waiting entries that are the worker's from now on."""
        now = self._clock()
        db.execute("DELETE FROM claims WHERE until <= ?", (now,))
        db.execute(
            "INSERT INTO claims SELECT app, ?, ? FROM totals WHERE entries > 0"
            " ON CONFLICT (app) DO UPDATE SET until = excluded.until WHERE worker = excluded.worker",
            (worker, now + seconds),
        )
        rows = db.execute(
            "SELECT app FROM claims JOIN totals USING (app) WHERE worker = ? AND entries > 0",
            (worker,),
        )
        return [app_id for (app_id,) in rows]

    def release(self, db: sqlite3.Connection, worker: str) -> None:
        """All that it has claimed."""
        db.execute("DELETE FROM claims WHERE worker = ?", (worker,))

    def pending(self, db: sqlite3.Connection, app_id: str, after: str, limit: int) -> list[Pending]:
        """In order."""
        rows = db.execute(
            f"SELECT position, {_ENTRY} FROM entries WHERE app = ? AND position > ?"
            " ORDER BY position LIMIT ?",
            (app_id, int(after or 0), limit),
        )
        return [Pending(f"{position:019}", Entry(*rest)) for position, *rest in rows]

    def finish(self, db: sqlite3.Connection, app_id: str, positions: Sequence[str]) -> None:
        """They wait no longer."""
        self._remove(db, app_id, [int(each) for each in positions])

    def bury(
        self,
        db: sqlite3.Connection,
        app_id: str,
        positions: Sequence[str],
        reason: str,
        at: float,
    ) -> None:
        """Move them to the dead letters."""
        self._bury(db, app_id, [int(each) for each in positions], reason, at)

    def record(self, db: sqlite3.Connection, app_id: str, attempt: Attempt) -> None:
        """The oldest of the webhook beyond the bound goes."""
        db.execute(
            "INSERT INTO attempts (app, webhook, attempt) VALUES (?, ?, ?)",
            (app_id, attempt.webhook, encode_attempt(attempt)),
        )
        db.execute(
            "DELETE FROM attempts WHERE app = ?1 AND webhook = ?2 AND number <= (SELECT number FROM attempts"
            " WHERE app = ?1 AND webhook = ?2 ORDER BY number DESC LIMIT 1 OFFSET ?3)",
            (app_id, attempt.webhook, self._bounds.log),
        )

    def log(self, db: sqlite3.Connection, app_id: str, webhook: str, limit: int) -> list[Attempt]:
        """The newest first; what another release has written in its own way is left out."""
        rows = db.execute(
            "SELECT attempt FROM attempts WHERE app = ? AND ? IN ('', webhook)"
            " ORDER BY number DESC LIMIT ?",
            (app_id, webhook, limit),
        )
        found = (decode_attempt(data) for (data,) in rows)
        return [each for each in found if each is not None]

    def dead(self, db: sqlite3.Connection, app_id: str, limit: int) -> list[Dead]:
        """The newest first."""
        rows = db.execute(
            f"SELECT at, reason, {_ENTRY} FROM dead WHERE app = ? ORDER BY number DESC LIMIT ?",
            (app_id, limit),
        )
        return [Dead(entry=Entry(*rest), at=at, reason=reason) for at, reason, *rest in rows]

    def resend(self, db: sqlite3.Connection, app_id: str, ids: Sequence[str] | None) -> int:
        """Whatever was delivered meanwhile: somebody wants them sent."""
        wanted = None if ids is None else set(ids)
        rows = db.execute(
            "SELECT number, id FROM dead WHERE app = ? ORDER BY number", (app_id,)
        ).fetchall()
        numbers = [(number,) for number, id_ in rows if wanted is None or id_ in wanted]
        db.executemany(
            f"INSERT OR IGNORE INTO entries (app, {_ENTRY}) SELECT app, {_ENTRY} FROM dead WHERE number = ?",
            numbers,
        )
        db.executemany("DELETE FROM dead WHERE number = ?", numbers)
        return len(numbers)

    def backlog(self, db: sqlite3.Connection) -> dict[str, Backlog]:
        """Counted by triggers."""
        rows = db.execute(
            "SELECT app, entries, dead, (SELECT decided_at FROM entries WHERE entries.app = totals.app"
            " ORDER BY position LIMIT 1) FROM totals WHERE entries > 0 OR dead > 0"
        )
        return {app_id: Backlog(entries, oldest, dead) for app_id, entries, dead, oldest in rows}

    def believed(self, db: sqlite3.Connection) -> list[Presence]:
        """All of them."""
        return [Presence(*row) for row in db.execute("SELECT app, channel, user FROM believed")]

    def _is_news(self, db: sqlite3.Connection, decision: Decision) -> bool:
        """Change what is believed; False when the entries are to be dropped."""
        if decision.presence is None:
            return True
        statement = (
            "INSERT OR IGNORE INTO believed VALUES (?, ?, ?)"
            if decision.held
            else "DELETE FROM believed WHERE app = ? AND channel = ? AND user = ?"
        )
        has_changed = db.execute(statement, decision.presence).rowcount > 0
        return has_changed or not (decision.held or decision.only_if_believed)

    def _put(self, db: sqlite3.Connection, app_id: str, entry: Entry) -> None:
        """Unless it waits already, or was delivered or given up lately."""
        db.execute(
            f"INSERT OR IGNORE INTO entries (app, {_ENTRY}) SELECT ?1, ?2, ?3, ?4, ?5, ?6 WHERE NOT EXISTS"
            " (SELECT 1 FROM known WHERE app = ?1 AND id = ?2 AND webhook = ?3)",
            (app_id, *structs.astuple(entry)),
        )

    def _make_room(self, db: sqlite3.Connection, app_id: str) -> int:
        """The oldest entries beyond the bound become dead letters; how many."""
        row = db.execute("SELECT entries FROM totals WHERE app = ?", (app_id,)).fetchone()
        excess = (row[0] if row else 0) - self._bounds.waiting
        if excess <= 0:
            return 0
        rows = db.execute(
            "SELECT position FROM entries WHERE app = ? ORDER BY position LIMIT ?", (app_id, excess)
        ).fetchall()
        self._bury(
            db, app_id, [number for (number,) in rows], self._bounds.crowded_out, self._clock()
        )
        return len(rows)

    def _bury(
        self, db: sqlite3.Connection, app_id: str, numbers: list[int], reason: str, at: float
    ) -> None:
        db.executemany(
            f"INSERT INTO dead (app, {_ENTRY}, at, reason) SELECT app, {_ENTRY}, ?, ? FROM entries"
            " WHERE app = ? AND position = ?",
            [(at, reason, app_id, number) for number in numbers],
        )
        self._remove(db, app_id, numbers)
        db.execute(
            "DELETE FROM dead WHERE app = ?1 AND number <="
            " (SELECT number FROM dead WHERE app = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            (app_id, self._bounds.dead),
        )

    def _remove(self, db: sqlite3.Connection, app_id: str, numbers: list[int]) -> None:
        """From what waits; their ids are remembered for a while."""
        now = self._clock()
        db.executemany(
            "INSERT OR REPLACE INTO known SELECT app, id, webhook, ? FROM entries"
            " WHERE app = ? AND position = ?",
            [(now, app_id, number) for number in numbers],
        )
        db.executemany(
            "DELETE FROM entries WHERE app = ? AND position = ?",
            [(app_id, number) for number in numbers],
        )
