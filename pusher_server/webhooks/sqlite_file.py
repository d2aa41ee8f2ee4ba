"""The file behind `sqlite_outbox`: opened by whoever comes, kept aside when it is broken."""

import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from pusher_server.webhooks.outbox import OutboxUnavailable

logger = logging.getLogger("pusher_server.webhooks")

T = TypeVar("T")

#: Rises when older releases could not read the file any more.
SCHEMA = 1
#: Seconds that a process waits for the others to finish writing.
PATIENCE = 5.0

_TABLES = """
CREATE TABLE IF NOT EXISTS pending (
    position INTEGER PRIMARY KEY AUTOINCREMENT, app_id TEXT NOT NULL, id TEXT NOT NULL,
    webhook TEXT NOT NULL, channel TEXT NOT NULL, event TEXT NOT NULL, decided_at REAL NOT NULL,
    UNIQUE (app_id, id, webhook)
);
CREATE INDEX IF NOT EXISTS pending_by_app ON pending (app_id, position);
CREATE TABLE IF NOT EXISTS known (
    app_id TEXT NOT NULL, id TEXT NOT NULL, webhook TEXT NOT NULL, at REAL NOT NULL,
    PRIMARY KEY (app_id, id, webhook)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS known_by_time ON known (at);
CREATE TABLE IF NOT EXISTS claims (
    app_id TEXT PRIMARY KEY, worker TEXT NOT NULL, until REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS attempts (
    number INTEGER PRIMARY KEY AUTOINCREMENT, app_id TEXT NOT NULL, webhook TEXT NOT NULL,
    line TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS attempts_by_webhook ON attempts (app_id, webhook, number);
CREATE TABLE IF NOT EXISTS dead (
    number INTEGER PRIMARY KEY AUTOINCREMENT, app_id TEXT NOT NULL, id TEXT NOT NULL,
    webhook TEXT NOT NULL, channel TEXT NOT NULL, event TEXT NOT NULL, decided_at REAL NOT NULL,
    at REAL NOT NULL, reason TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS dead_by_app ON dead (app_id, number);
CREATE TABLE IF NOT EXISTS believed (
    app_id TEXT NOT NULL, channel TEXT NOT NULL, user_id TEXT NOT NULL,
    PRIMARY KEY (app_id, channel, user_id)
) WITHOUT ROWID;
"""


class OutboxFile:
    """All calls come from one thread. `clock` gives seconds of the epoch, for names of files set aside."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        self._inode = 0

    def transact(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do `work` in one transaction. Raises OutboxUnavailable; nothing of it has happened then."""
        try:
            if self._db is not None and self._inode != _inode_of(self.path):
                self.close()  # set aside by another process, or removed
            return self._transact(self._db or self._open(), work)
        except sqlite3.DatabaseError as error:
            if not _is_broken(error):
                raise self._unavailable(error) from error
        except OSError as error:
            raise self._unavailable(error) from error
        try:
            with self._alone():
                self._set_aside()
            return self._transact(self._open(), work)
        except (sqlite3.Error, OSError) as error:
            raise self._unavailable(error) from error

    def close(self) -> None:
        """Open again by the next transaction."""
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    def _transact(self, db: sqlite3.Connection, work: Callable[[sqlite3.Connection], T]) -> T:
        db.execute("BEGIN IMMEDIATE")
        try:
            result = work(db)
            db.execute("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):
                db.execute("ROLLBACK")
            raise
        return result

    def _open(self) -> sqlite3.Connection:
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone():
            # It holds customers' data: nobody else may read it, whatever the umask.
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600))
            db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            try:
                self._prepare(db)
            except BaseException:
                db.close()
                raise
            self._inode = _inode_of(self.path)
        self._db = db
        return db

    def _prepare(self, db: sqlite3.Connection) -> None:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        (found,) = db.execute("PRAGMA quick_check(1)").fetchone()
        if found != "ok":
            raise sqlite3.DatabaseError(f"malformed: {found}")
        (schema,) = db.execute("PRAGMA user_version").fetchone()
        if schema > SCHEMA:
            raise sqlite3.OperationalError(
                f"a newer release has made it (schema {schema}, this one knows {SCHEMA})"
            )
        db.executescript(_TABLES)
        db.execute(f"PRAGMA user_version = {SCHEMA}")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Only one process at a time opens the file, or sets it aside."""
        with open(f"{self.path}.lock", "w", opener=_private) as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _set_aside(self) -> None:
        """Under another name, for whoever wants to look; unless another process has done it meanwhile."""
        self.close()
        with suppress(sqlite3.DatabaseError, FileNotFoundError):
            probe = sqlite3.connect(f"file:{self.path}?mode=rw", uri=True, isolation_level=None)
            try:
                if probe.execute("PRAGMA quick_check(1)").fetchone() == ("ok",):
                    return
            finally:
                probe.close()
        aside = f"{self.path}.broken-{int(self._clock())}"
        for suffix in ("", "-wal", "-shm"):
            with suppress(FileNotFoundError):
                os.replace(f"{self.path}{suffix}", f"{aside}{suffix}")
        logger.error(
            "webhooks.outbox: %s is broken; it is kept as %s, and a new one is begun: events that"
            " waited in it are not delivered",
            self.path,
            aside,
        )

    def _unavailable(self, error: Exception) -> OutboxUnavailable:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return OutboxUnavailable(f"webhooks.outbox: {self.path}: {reason}")


def _is_broken(error: sqlite3.DatabaseError) -> bool:
    """Not SQLite's, or damaged; no words about disks, locks and rights."""
    code = getattr(error, "sqlite_errorcode", None)
    return code in (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT) or "malformed" in str(error)


def _inode_of(path: Path) -> int:
    try:
        return path.stat().st_ino
    except FileNotFoundError:
        return 0


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
