"""The tables of the outbox's file: the first version of them, and the additions of later releases.

A file of an earlier release gets the missing additions when it is opened. Earlier releases of the same version
can still use such a file. The sums of `totals` are kept by triggers, which are in the file.
"""

import sqlite3
from collections.abc import Iterator

_TABLES = """
CREATE TABLE entries (
    position INTEGER PRIMARY KEY AUTOINCREMENT, app TEXT NOT NULL, id TEXT NOT NULL, webhook TEXT NOT NULL,
    channel TEXT NOT NULL, event TEXT NOT NULL, decided_at REAL NOT NULL, UNIQUE (app, id, webhook)
);
CREATE INDEX entries_of_app ON entries (app, position);
CREATE TABLE known (
    app TEXT NOT NULL, id TEXT NOT NULL, webhook TEXT NOT NULL, at REAL NOT NULL, PRIMARY KEY (app, id, webhook)
) WITHOUT ROWID;
CREATE INDEX known_since ON known (at);
CREATE TABLE dead (
    number INTEGER PRIMARY KEY AUTOINCREMENT, app TEXT NOT NULL, id TEXT NOT NULL, webhook TEXT NOT NULL,
    channel TEXT NOT NULL, event TEXT NOT NULL, decided_at REAL NOT NULL, at REAL NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX dead_of_app ON dead (app, number);
CREATE TABLE attempts (
    number INTEGER PRIMARY KEY AUTOINCREMENT, app TEXT NOT NULL, webhook TEXT NOT NULL,
    attempt BLOB NOT NULL
);
CREATE INDEX attempts_at_webhook ON attempts (app, webhook, number);
CREATE TABLE claims (app TEXT PRIMARY KEY, worker TEXT NOT NULL, until REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE believed (
    app TEXT NOT NULL, channel TEXT NOT NULL, user TEXT NOT NULL, PRIMARY KEY (app, channel, user)
) WITHOUT ROWID;
-- How many of each, kept by triggers: counting a hundred thousand takes too long.
CREATE TABLE totals (app TEXT PRIMARY KEY, entries INTEGER NOT NULL, dead INTEGER NOT NULL) WITHOUT ROWID;
CREATE TRIGGER entry_comes AFTER INSERT ON entries BEGIN
    INSERT INTO totals VALUES (new.app, 1, 0) ON CONFLICT (app) DO UPDATE SET entries = entries + 1;
END;
CREATE TRIGGER entry_goes AFTER DELETE ON entries BEGIN
    UPDATE totals SET entries = entries - 1 WHERE app = old.app;
END;
CREATE TRIGGER dead_comes AFTER INSERT ON dead BEGIN
    INSERT INTO totals VALUES (new.app, 0, 1) ON CONFLICT (app) DO UPDATE SET dead = dead + 1;
END;
CREATE TRIGGER dead_goes AFTER DELETE ON dead BEGIN
    UPDATE totals SET dead = dead - 1 WHERE app = old.app;
END;
"""

#: Bytes of a stored entry, without its copies in indexes.
_SIZE = " + ".join(
    f"length(CAST({column} AS BLOB))" for column in ("id", "webhook", "channel", "event")
)
_UNDOING = (
    "ALTER TABLE entries ADD COLUMN kind TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE entries ADD COLUMN user TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX entries_by_kind ON entries (app, webhook, kind, channel, user, position)",
    # While the worker has claimed the app, it has not read the webhook's entries beyond the position.
    "CREATE TABLE left_out (app TEXT NOT NULL, webhook TEXT NOT NULL, worker TEXT NOT NULL,"
    " position INTEGER NOT NULL, PRIMARY KEY (app, webhook)) WITHOUT ROWID",
)


def _sums(table: str, number: str, comes: str, goes: str) -> Iterator[str]:
    """Statements that make the triggers for the number and bytes of a table's rows."""
    total = f"{number}_bytes"
    yield f"DROP TRIGGER {comes}"
    yield f"DROP TRIGGER {goes}"
    yield (
        f"CREATE TRIGGER {comes} AFTER INSERT ON {table} BEGIN"
        f" INSERT INTO totals (app, entries, dead, {total})"
        f" VALUES (new.app, {int(number == 'entries')}, {int(number == 'dead')}, new.size)"
        f" ON CONFLICT (app) DO UPDATE SET {number} = {number} + 1, {total} = {total} + new.size; END"
    )
    yield (
        f"CREATE TRIGGER {goes} AFTER DELETE ON {table} BEGIN"
        f" UPDATE totals SET {number} = {number} - 1, {total} = {total} - old.size WHERE app = old.app; END"
    )


_BYTES = (
    f"ALTER TABLE entries ADD COLUMN size INTEGER GENERATED ALWAYS AS ({_SIZE}) VIRTUAL",
    f"ALTER TABLE dead ADD COLUMN size INTEGER GENERATED ALWAYS AS ({_SIZE}) VIRTUAL",
    "ALTER TABLE totals ADD COLUMN entries_bytes INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE totals ADD COLUMN dead_bytes INTEGER NOT NULL DEFAULT 0",
    "DROP INDEX entries_by_kind",
    # With the size at its end, so that `overflow` selects entries without reading events.
    "CREATE INDEX entries_by_kind_and_size"
    " ON entries (app, webhook, kind, channel, user, position, size)",
    *_sums("entries", "entries", "entry_comes", "entry_goes"),
    *_sums("dead", "dead", "dead_comes", "dead_goes"),
    "UPDATE totals SET"
    " entries_bytes = (SELECT coalesce(sum(size), 0) FROM entries WHERE entries.app = totals.app),"
    " dead_bytes = (SELECT coalesce(sum(size), 0) FROM dead WHERE dead.app = totals.app)",
)
_LOG_BYTES = (
    # The bytes of each webhook's log, kept by triggers.
    "CREATE TABLE log_sizes (app TEXT NOT NULL, webhook TEXT NOT NULL, bytes INTEGER NOT NULL,"
    " PRIMARY KEY (app, webhook)) WITHOUT ROWID",
    "CREATE TRIGGER attempt_comes AFTER INSERT ON attempts BEGIN"
    " INSERT INTO log_sizes VALUES (new.app, new.webhook, length(new.attempt))"
    " ON CONFLICT (app, webhook) DO UPDATE SET bytes = bytes + length(new.attempt); END",
    "CREATE TRIGGER attempt_goes AFTER DELETE ON attempts BEGIN"
    " UPDATE log_sizes SET bytes = bytes - length(old.attempt)"
    " WHERE app = old.app AND webhook = old.webhook;"
    " DELETE FROM log_sizes WHERE app = old.app AND webhook = old.webhook AND bytes <= 0; END",
    "INSERT INTO log_sizes SELECT app, webhook, sum(length(attempt)) FROM attempts"
    " GROUP BY app, webhook",
)
#: The additions of releases, the earliest first, each with the name of a table or index that it makes.
_ADDED = (("left_out", _UNDOING), ("entries_by_kind_and_size", _BYTES), ("log_sizes", _LOG_BYTES))


def create(db: sqlite3.Connection) -> None:
    """Make all tables, in the caller's transaction. Raises sqlite3.Error."""
    for statement in _statements(_TABLES):
        db.execute(statement)
    _add(db)


def bring_up(db: sqlite3.Connection) -> None:
    """Add what a file of an earlier release lacks; its old entries have no kind. Raises sqlite3.Error."""
    if _is_whole(db):
        return
    db.execute("BEGIN IMMEDIATE")
    try:
        _add(db)  # unless another process has done it meanwhile
        db.execute("COMMIT")
    except BaseException:
        db.execute("ROLLBACK")
        raise


def _statements(script: str) -> Iterator[str]:
    """The statements of a script, one after the other; a trigger with its body is one."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _is_whole(db: sqlite3.Connection) -> bool:
    return all(_has(db, name) for name, _ in _ADDED)


def _has(db: sqlite3.Connection, name: str) -> bool:
    row = db.execute("SELECT 1 FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    return row is not None


def _add(db: sqlite3.Connection) -> None:
    for name, statements in _ADDED:
        if not _has(db, name):
            for statement in statements:
                db.execute(statement)
