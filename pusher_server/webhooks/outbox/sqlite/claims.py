"""Claims of workers on apps, and the entries they leave out, in SQL. Functions raise sqlite3.Error."""

import sqlite3
from collections.abc import Mapping

#: Seconds; no claim is taken for longer.
_LONGEST = 60.0


def claim(db: sqlite3.Connection, worker: str, seconds: float, now: float) -> list[str]:
    """Claim apps with waiting entries for the worker; returns all that it has. `now` is of a rising clock."""
    db.execute("DELETE FROM claims WHERE until <= ?", (now,))
    db.execute("UPDATE claims SET until = ? WHERE until > ?", (now + seconds, now + _LONGEST))
    # Positions of a worker are invalid once it may have lost the app.
    db.execute(
        "DELETE FROM left_out WHERE NOT EXISTS (SELECT 1 FROM claims"
        " WHERE claims.app = left_out.app AND claims.worker = left_out.worker)"
    )
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


def leave_out(db: sqlite3.Connection, worker: str, app_id: str, beyond: Mapping[str, str]) -> None:
    """Replace an app's positions by webhook; no effect unless the worker has claimed the app."""
    if _is_claimed(db, worker, app_id):
        db.execute("DELETE FROM left_out WHERE app = ?", (app_id,))
        db.executemany(
            "INSERT INTO left_out VALUES (?, ?, ?, ?)",
            [(app_id, webhook, worker, int(after or 0)) for webhook, after in beyond.items()],
        )


def move_on(
    db: sqlite3.Connection, worker: str, app_id: str, webhook: str, position: str | None
) -> None:
    """Move a webhook's position forward, or delete it (None); no effect unless the worker has the app."""
    if not _is_claimed(db, worker, app_id):
        return
    if position is None:
        db.execute("DELETE FROM left_out WHERE app = ? AND webhook = ?", (app_id, webhook))
    else:
        db.execute(
            "UPDATE left_out SET position = max(position, ?) WHERE app = ? AND webhook = ?",
            (int(position), app_id, webhook),
        )


def left_out(db: sqlite3.Connection, app_id: str) -> dict[str, int]:
    """By webhook, the position beyond which no worker has read its entries."""
    rows = db.execute(
        "SELECT webhook, position FROM left_out JOIN claims USING (app, worker) WHERE app = ?",
        (app_id,),
    )
    return dict(rows.fetchall())


def _is_claimed(db: sqlite3.Connection, worker: str, app_id: str) -> bool:
    row = db.execute("SELECT 1 FROM claims WHERE app = ? AND worker = ?", (app_id, worker))
    return row.fetchone() is not None
