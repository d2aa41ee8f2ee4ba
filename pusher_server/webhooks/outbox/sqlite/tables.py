"""The methods of an outbox in SQL. Each is a step of the caller's transaction.

Claims and remembered ids have times of a clock that only rises. So a change of the machine's time neither
ends nor keeps them. This clock starts anew with the machine: times in the future are of an earlier run.
"""

import sqlite3
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from msgspec import Struct, structs

from pusher_server.webhooks.outbox.interface import (
    Appended,
    AttemptRecord,
    Backlog,
    Dead,
    Decision,
    Entry,
    Pending,
    Presence,
)
from pusher_server.webhooks.outbox.sqlite import attempts, claims, overflow
from pusher_server.webhooks.outbox.undoing import Subject, subject_of

#: Seconds for which the id of an entry is remembered after it was delivered or given up.
REMEMBERED = 600.0

_ENTRY = "id, webhook, channel, event, decided_at"


class Bounds(Struct, frozen=True, kw_only=True):
    """Bounds: of an app `waiting` entries and `dead` letters, of a webhook `log` attempts.

    `bytes` bounds the waiting entries, and separately the dead letters; `log_bytes` bounds an app's attempts.
    `remembered` bounds an app's ids of entries that are not stored again.

    An entry is a dead letter for the reason `crowded_out` when too many waited, for `crowded_out_bytes` when
    they took too much.
    """

    waiting: int
    bytes: int
    dead: int
    log: int
    log_bytes: int
    remembered: int
    crowded_out: str
    crowded_out_bytes: str


class Tables:
    """The tables. `steady` gives rising seconds, the same in all processes; `wall` gives seconds of the epoch.

    All methods raise sqlite3.Error.
    """

    def __init__(
        self, bounds: Bounds, steady: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._bounds = bounds
        self._steady = steady
        self._wall = wall
        #: By app, the number of ids remembered since they were last counted.
        self._more_known: Counter[str] = Counter()

    def append(self, db: sqlite3.Connection, decisions: Sequence[Decision]) -> Appended:
        """Store decisions; see `Outbox`."""
        now = self._steady()
        db.execute("DELETE FROM known WHERE at < ? OR at > ?", (now - REMEMBERED, now))
        undone: Counter[str] = Counter()
        left_out = {
            app_id: claims.left_out(db, app_id)
            for app_id in {decision.app_id for decision in decisions}
        }
        for decision in decisions:
            app_id = decision.app_id
            if self._is_news(db, decision):
                for entry in decision.entries:
                    entries = self._put_news(db, app_id, entry, left_out[app_id])
                    if entries:
                        undone[app_id] += entries
        appended = sum(len(decision.entries) for decision in decisions)
        crowded_out = {app_id: self._make_room(db, app_id, appended) for app_id in left_out}
        for app_id in left_out:
            self._forget(db, app_id)
        return Appended({app_id: n for app_id, n in crowded_out.items() if n}, undone)

    def claim(self, db: sqlite3.Connection, worker: str, seconds: float) -> list[str]:
        """Claim apps with waiting entries for the worker; returns all that it has."""
        return claims.claim(db, worker, seconds, self._steady())

    def release(self, db: sqlite3.Connection, worker: str) -> None:
        """Release all claims of the worker."""
        db.execute("DELETE FROM claims WHERE worker = ?", (worker,))

    def pending(self, db: sqlite3.Connection, app_id: str, after: str, limit: int) -> list[Pending]:
        """Waiting entries beyond `after`, in order."""
        rows = db.execute(
            f"SELECT position, {_ENTRY} FROM entries WHERE app = ? AND position > ?"
            " ORDER BY position LIMIT ?",
            (app_id, int(after or 0), limit),
        )
        return [Pending(f"{position:019}", Entry(*rest)) for position, *rest in rows]

    def leave_out(
        self, db: sqlite3.Connection, worker: str, app_id: str, beyond: Mapping[str, str]
    ) -> None:
        """Replace the app's positions; no effect unless the worker has claimed the app."""
        claims.leave_out(db, worker, app_id, beyond)

    def take(
        self,
        db: sqlite3.Connection,
        worker: str,
        app_id: str,
        webhook: str,
        after: str,
        limit: int,
    ) -> list[Pending]:
        """As `pending`; moves the webhook's position behind the returned entries."""
        entries = self.pending(db, app_id, after, limit)
        last = entries[-1].position if len(entries) == limit else None
        claims.move_on(db, worker, app_id, webhook, last)
        return entries

    def finish(self, db: sqlite3.Connection, app_id: str, positions: Sequence[str]) -> None:
        """Remove entries, and remember their ids for a while."""
        self._remove(db, app_id, [int(position) for position in positions])

    def bury(
        self,
        db: sqlite3.Connection,
        app_id: str,
        positions: Sequence[str],
        reason: str,
        at: float,
    ) -> None:
        """Move them to the dead letters."""
        self._bury(db, app_id, [int(position) for position in positions], reason, at)

    def record(self, db: sqlite3.Connection, app_id: str, attempt: AttemptRecord) -> None:
        """Add a line; it pushes out the webhook's oldest beyond `log`, the largest log's beyond `log_bytes`."""
        attempts.record(db, app_id, attempt, self._bounds.log, self._bounds.log_bytes)

    def log(
        self, db: sqlite3.Connection, app_id: str, webhook: str, limit: int
    ) -> list[AttemptRecord]:
        """The latest attempts, the newest first, without those that another release wrote in another form."""
        return attempts.latest(db, app_id, webhook, limit)

    def dead(self, db: sqlite3.Connection, app_id: str, limit: int) -> list[Dead]:
        """The latest dead letters, the newest first."""
        rows = db.execute(
            f"SELECT at, reason, {_ENTRY} FROM dead WHERE app = ? ORDER BY number DESC LIMIT ?",
            (app_id, limit),
        )
        return [Dead(entry=Entry(*rest), at=at, reason=reason) for at, reason, *rest in rows]

    def resend(self, db: sqlite3.Connection, app_id: str, ids: Sequence[str] | None) -> int:
        """Let dead letters wait again, even if their ids were delivered meanwhile: the operator wants them."""
        wanted = None if ids is None else set(ids)
        rows = db.execute(
            "SELECT number, id FROM dead WHERE app = ? ORDER BY number", (app_id,)
        ).fetchall()
        numbers = [(number,) for number, id_ in rows if wanted is None or id_ in wanted]
        for number in numbers:
            row = db.execute(f"SELECT {_ENTRY} FROM dead WHERE number = ?", number).fetchone()
            entry = Entry(*row)
            self._insert(db, app_id, entry, subject_of(entry))
        db.executemany("DELETE FROM dead WHERE number = ?", numbers)
        return len(numbers)

    def backlog(self, db: sqlite3.Connection) -> dict[str, Backlog]:
        """The backlog of each app, which triggers count."""
        rows = db.execute(
            "SELECT app, entries, dead, (SELECT decided_at FROM entries WHERE entries.app = totals.app"
            " ORDER BY position LIMIT 1) FROM totals WHERE entries > 0 OR dead > 0"
        )
        return {app_id: Backlog(entries, oldest, dead) for app_id, entries, dead, oldest in rows}

    def believed(self, db: sqlite3.Connection) -> list[Presence]:
        """All presences that are believed."""
        return [Presence(*row) for row in db.execute("SELECT app, channel, user FROM believed")]

    def _is_news(self, db: sqlite3.Connection, decision: Decision) -> bool:
        """Change the believed presences; False when the entries must be dropped."""
        if decision.presence is None:
            return True
        statement = (
            "INSERT OR IGNORE INTO believed VALUES (?, ?, ?)"
            if decision.held
            else "DELETE FROM believed WHERE app = ? AND channel = ? AND user = ?"
        )
        has_changed = db.execute(statement, decision.presence).rowcount > 0
        return has_changed or not (decision.held or decision.only_if_believed)

    def _put_news(
        self, db: sqlite3.Connection, app_id: str, entry: Entry, left_out: Mapping[str, int]
    ) -> int:
        """Store the entry unless it is known or undoes an unread one; returns how many entries are not sent."""
        known = (app_id, entry.id, entry.webhook)
        if db.execute(
            "SELECT 1 FROM known WHERE app = ? AND id = ? AND webhook = ?", known
        ).fetchone():
            return 0
        subject = subject_of(entry)
        after = left_out.get(entry.webhook) if left_out else None
        undone = None if after is None or subject.undone is None else subject.undone
        if undone is not None and self._undo(db, app_id, entry, undone, after or 0):
            if subject.is_undoing:
                db.execute("INSERT INTO known VALUES (?, ?, ?, ?)", (*known, self._steady()))
                self._more_known[app_id] += 1
                return 2
            self._insert(db, app_id, entry, subject)
            return 1
        self._insert(db, app_id, entry, subject)
        return 0

    def _insert(self, db: sqlite3.Connection, app_id: str, entry: Entry, subject: Subject) -> None:
        """Store the entry unless it waits already."""
        db.execute(
            f"INSERT OR IGNORE INTO entries (app, {_ENTRY}, kind, user) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (app_id, *structs.astuple(entry), *subject),
        )

    def _undo(
        self, db: sqlite3.Connection, app_id: str, entry: Entry, undone: Subject, after: int
    ) -> bool:
        """Remove the latest entry beyond `after` that this one undoes; False when there is none."""
        if db.execute(
            "SELECT 1 FROM entries WHERE app = ? AND id = ? AND webhook = ?",
            (app_id, entry.id, entry.webhook),
        ).fetchone():
            return False
        row = db.execute(
            "SELECT position FROM entries WHERE app = ? AND webhook = ? AND kind = ? AND channel = ?"
            " AND user = ? AND position > ? ORDER BY position DESC LIMIT 1",
            (app_id, entry.webhook, undone.kind, entry.channel, undone.user_id, after),
        ).fetchone()
        if row is None:
            return False
        self._remove(db, app_id, [row[0]])
        return True

    def _forget(self, db: sqlite3.Connection, app_id: str) -> None:
        """Forget the oldest remembered ids when there are too many; they are counted only now and then."""
        bound = self._bounds.remembered
        if self._more_known[app_id] <= bound // overflow.TOLERANCE:
            return
        del self._more_known[app_id]
        (known,) = db.execute("SELECT count(*) FROM known WHERE app = ?", (app_id,)).fetchone()
        if known > bound:
            db.execute(
                "DELETE FROM known WHERE app = :app AND (id, webhook) IN"
                " (SELECT id, webhook FROM known WHERE app = :app ORDER BY at LIMIT :excess)",
                {"app": app_id, "excess": known - bound},
            )

    def _make_room(self, db: sqlite3.Connection, app_id: str, appended: int) -> int:
        """Give up entries when too many or too large ones wait; returns how many. `appended` were added."""
        most = overflow.AT_ONCE + 2 * appended
        bounds, given_up = self._bounds, 0
        excess = _totals(db, app_id).entries - bounds.waiting
        if excess > bounds.waiting // overflow.TOLERANCE:
            positions = overflow.to_give_up(db, app_id, min(excess, most), "1")
            given_up += self._give_up(db, app_id, positions, bounds.crowded_out)
        excess = _totals(db, app_id).entries_bytes - bounds.bytes
        if excess > bounds.bytes // overflow.TOLERANCE:
            positions = overflow.to_give_up(db, app_id, excess, "size")[:most]
            given_up += self._give_up(db, app_id, positions, bounds.crowded_out_bytes)
        return given_up

    def _give_up(
        self, db: sqlite3.Connection, app_id: str, positions: list[int], reason: str
    ) -> int:
        """Make entries dead letters as far as there is room, and drop the others; returns how many."""
        # They push out no other dead letters, because failed attempts matter more than untried entries.
        totals = _totals(db, app_id)
        room = max(0, self._bounds.dead - totals.dead)
        free = self._bounds.bytes - totals.dead_bytes
        kept = 0
        for position in positions[:room]:
            query = "SELECT size FROM entries WHERE position = ?"
            free -= db.execute(query, (position,)).fetchone()[0]
            if free < 0:
                break
            kept += 1
        self._bury(db, app_id, positions[:kept], reason, self._wall())
        self._remove(db, app_id, positions[kept:])
        return len(positions)

    def _bury(
        self, db: sqlite3.Connection, app_id: str, positions: list[int], reason: str, at: float
    ) -> None:
        db.executemany(
            f"INSERT INTO dead (app, {_ENTRY}, at, reason) SELECT app, {_ENTRY}, ?, ? FROM entries"
            " WHERE app = ? AND position = ?",
            [(at, reason, app_id, position) for position in positions],
        )
        self._remove(db, app_id, positions)
        db.execute(
            "DELETE FROM dead WHERE app = :app AND number <="
            " (SELECT number FROM dead WHERE app = :app ORDER BY number DESC LIMIT 1 OFFSET :most)",
            {"app": app_id, "most": self._bounds.dead},
        )
        excess = _totals(db, app_id).dead_bytes - self._bounds.bytes
        if excess > 0:
            oldest = db.execute(
                "SELECT number, size FROM dead WHERE app = ? ORDER BY number", (app_id,)
            )
            gone = []
            for number, size in oldest:
                gone.append((number,))
                excess -= size
                if excess <= 0:
                    break
            db.executemany("DELETE FROM dead WHERE number = ?", gone)

    def _remove(self, db: sqlite3.Connection, app_id: str, positions: list[int]) -> None:
        """Remove waiting entries, and remember their ids for a while."""
        now = self._steady()
        self._more_known[app_id] += len(positions)
        db.executemany(
            "INSERT OR REPLACE INTO known SELECT app, id, webhook, ? FROM entries"
            " WHERE app = ? AND position = ?",
            [(now, app_id, position) for position in positions],
        )
        db.executemany(
            "DELETE FROM entries WHERE app = ? AND position = ?",
            [(app_id, position) for position in positions],
        )


class _Totals(NamedTuple):
    """Numbers of an app's stored entries; bytes are without copies in indexes."""

    entries: int = 0
    dead: int = 0
    entries_bytes: int = 0
    dead_bytes: int = 0


def _totals(db: sqlite3.Connection, app_id: str) -> _Totals:
    """The numbers of an app, which triggers count."""
    row = db.execute(
        f"SELECT {', '.join(_Totals._fields)} FROM totals WHERE app = ?", (app_id,)
    ).fetchone()
    return _Totals(*(row or ()))
