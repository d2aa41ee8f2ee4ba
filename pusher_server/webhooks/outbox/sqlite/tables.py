"""What an outbox asks of its tables, in SQL. Each verb is a step of the caller's transaction.

Claims and what is remembered are in seconds of a clock that only rises, so setting the machine's time neither
ends nor keeps them. That clock begins anew with the machine: times that are to come are of an earlier run.
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
    """The most that is kept: of an app entries that wait and dead letters, of a webhook attempts (`log`).

    `bytes` is the most of what waits, and apart from it of the dead letters; `log_bytes` of an app's attempts.
    `remembered` is the most ids of an app that need not be kept again.

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
    """`steady` gives seconds that only rise, the same in all processes of the machine; `wall` is the epoch's.

    All verbs raise sqlite3.Error.
    """

    def __init__(
        self, bounds: Bounds, steady: Callable[[], float], wall: Callable[[], float]
    ) -> None:
        self._bounds = bounds
        self._steady = steady
        self._wall = wall
        #: By app, how many ids were remembered since they were last counted.
        self._more_known: Counter[str] = Counter()

    def append(self, db: sqlite3.Connection, decisions: Sequence[Decision]) -> Appended:
        """Keep them."""
        now = self._steady()
        db.execute("DELETE FROM known WHERE at < ? OR at > ?", (now - REMEMBERED, now))
        undone: Counter[str] = Counter()
        left_out = {
            app_id: claims.left_out(db, app_id) for app_id in {each.app_id for each in decisions}
        }
        for decision in decisions:
            app_id = decision.app_id
            if self._is_news(db, decision):
                for entry in decision.entries:
                    entries = self._put_news(db, app_id, entry, left_out[app_id])
                    if entries:
                        undone[app_id] += entries
        appended = sum(len(each.entries) for each in decisions)
        crowded_out = {app_id: self._make_room(db, app_id, appended) for app_id in left_out}
        for app_id in left_out:
            self._forget(db, app_id)
        return Appended({app_id: found for app_id, found in crowded_out.items() if found}, undone)

    def claim(self, db: sqlite3.Connection, worker: str, seconds: float) -> list[str]:
        """Apps with waiting entries that are the worker's from now on."""
        return claims.claim(db, worker, seconds, self._steady())

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

    def leave_out(
        self, db: sqlite3.Connection, worker: str, app_id: str, beyond: Mapping[str, str]
    ) -> None:
        """In the place of what was left out before; nothing if the app is another's."""
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
        """In order; what is given is left out no longer."""
        found = self.pending(db, app_id, after, limit)
        last = found[-1].position if len(found) == limit else None
        claims.move_on(db, worker, app_id, webhook, last)
        return found

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

    def record(self, db: sqlite3.Connection, app_id: str, attempt: AttemptRecord) -> None:
        """Beyond the number the oldest of the webhook goes; beyond the bytes that of the largest log."""
        attempts.record(db, app_id, attempt, self._bounds.log, self._bounds.log_bytes)

    def log(
        self, db: sqlite3.Connection, app_id: str, webhook: str, limit: int
    ) -> list[AttemptRecord]:
        """The newest first; what another release has written in its own way is left out."""
        return attempts.latest(db, app_id, webhook, limit)

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
        for number in numbers:
            row = db.execute(f"SELECT {_ENTRY} FROM dead WHERE number = ?", number).fetchone()
            entry = Entry(*row)
            self._insert(db, app_id, entry, subject_of(entry))
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

    def _put_news(
        self, db: sqlite3.Connection, app_id: str, entry: Entry, left_out: Mapping[str, int]
    ) -> int:
        """Unless it is known, or undoes what nobody has read yet; how many entries need not be sent."""
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
        """Unless it waits already."""
        db.execute(
            f"INSERT OR IGNORE INTO entries (app, {_ENTRY}, kind, user) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (app_id, *structs.astuple(entry), *subject),
        )

    def _undo(
        self, db: sqlite3.Connection, app_id: str, entry: Entry, undone: Subject, after: int
    ) -> bool:
        """Take out the latest beyond `after` that the entry undoes; False when there is none."""
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
        """The ids that were remembered first, when there are too many; counted now and then."""
        bound = self._bounds.remembered
        if self._more_known[app_id] <= bound // overflow.TOLERANCE:
            return
        del self._more_known[app_id]
        (known,) = db.execute("SELECT count(*) FROM known WHERE app = ?", (app_id,)).fetchone()
        if known > bound:
            db.execute(
                "DELETE FROM known WHERE app = ?1 AND (id, webhook) IN"
                " (SELECT id, webhook FROM known WHERE app = ?1 ORDER BY at LIMIT ?2)",
                (app_id, known - bound),
            )

    def _make_room(self, db: sqlite3.Connection, app_id: str, appended: int) -> int:
        """Give up entries when too many or too large ones wait, after so many were appended; how many."""
        most = overflow.AT_ONCE + 2 * appended
        bounds, given_up = self._bounds, 0
        excess = _totals(db, app_id).entries - bounds.waiting
        if excess > bounds.waiting // overflow.TOLERANCE:
            positions = overflow.to_give_up(db, app_id, min(excess, most))
            given_up += self._give_up(db, app_id, positions, bounds.crowded_out)
        excess = _totals(db, app_id).entries_bytes - bounds.bytes
        if excess > bounds.bytes // overflow.TOLERANCE:
            positions = overflow.bytes_to_give_up(db, app_id, excess)[:most]
            given_up += self._give_up(db, app_id, positions, bounds.crowded_out_bytes)
        return given_up

    def _give_up(
        self, db: sqlite3.Connection, app_id: str, positions: list[int], reason: str
    ) -> int:
        """As far as there is room among the dead letters they are kept; how many go."""
        # What was tried in vain is worth more than what was not.
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
            "DELETE FROM dead WHERE app = ?1 AND number <="
            " (SELECT number FROM dead WHERE app = ?1 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
            (app_id, self._bounds.dead),
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
        """From what waits; their ids are remembered for a while."""
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
    """What there is of an app; bytes as they are stored, without what indexes repeat."""

    entries: int = 0
    dead: int = 0
    entries_bytes: int = 0
    dead_bytes: int = 0


def _totals(db: sqlite3.Connection, app_id: str) -> _Totals:
    """Counted by triggers."""
    row = db.execute(
        f"SELECT {', '.join(_Totals._fields)} FROM totals WHERE app = ?", (app_id,)
    ).fetchone()
    return _Totals(*(row or ()))
