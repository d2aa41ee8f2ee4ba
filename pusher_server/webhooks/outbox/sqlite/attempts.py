"""The delivery log in the file: the latest attempts of each webhook, within bounds of number and bytes."""

import sqlite3

from pusher_server.webhooks.outbox.encoding import decode_attempt, encode_attempt
from pusher_server.webhooks.outbox.interface import AttemptRecord

#: Lines that one new line may push out for their bytes.
_AT_ONCE = 20


def record(
    db: sqlite3.Connection, app_id: str, attempt: AttemptRecord, most: int, most_bytes: int
) -> None:
    """Add a line; the oldest lines of its webhook beyond `most` are deleted. Raises sqlite3.Error."""
    db.execute(
        "INSERT INTO attempts (app, webhook, attempt) VALUES (?, ?, ?)",
        (app_id, attempt.webhook, encode_attempt(attempt)),
    )
    db.execute(
        "DELETE FROM attempts WHERE app = :app AND webhook = :webhook AND number <="
        " (SELECT number FROM attempts WHERE app = :app AND webhook = :webhook"
        " ORDER BY number DESC LIMIT 1 OFFSET :most)",
        {"app": app_id, "webhook": attempt.webhook, "most": most},
    )
    _cut(db, app_id, most_bytes)


def latest(db: sqlite3.Connection, app_id: str, webhook: str, limit: int) -> list[AttemptRecord]:
    """The attempts of one webhook, or of all with "", the newest first. Raises sqlite3.Error."""
    rows = db.execute(
        "SELECT attempt FROM attempts WHERE app = ? AND ? IN ('', webhook)"
        " ORDER BY number DESC LIMIT ?",
        (app_id, webhook, limit),
    )
    attempts = (decode_attempt(data) for (data,) in rows)
    return [attempt for attempt in attempts if attempt is not None]


def _cut(db: sqlite3.Connection, app_id: str, most: int) -> None:
    """Drop the oldest lines of the webhooks whose logs are the largest, until all have `most` bytes.

    It drops a few at a time, because each costs a query; a lowered bound is reached within a few calls.
    Raises sqlite3.Error.
    """
    for _ in range(_AT_ONCE):
        (total,) = db.execute(
            "SELECT sum(bytes) FROM log_sizes WHERE app = ?", (app_id,)
        ).fetchone()
        if (total or 0) <= most:
            return
        db.execute(
            "DELETE FROM attempts WHERE number = (SELECT min(number) FROM attempts"
            " WHERE app = :app AND webhook ="
            " (SELECT webhook FROM log_sizes WHERE app = :app ORDER BY bytes DESC LIMIT 1))",
            {"app": app_id},
        )
