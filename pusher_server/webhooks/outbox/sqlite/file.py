"""Makes and checks the outbox's file, and sets a broken one aside.

Every process of a machine opens it, at the same time as others. To make the tables and to set a broken file
aside, a process holds a lock: a file beside it. Processes that have the file open detect by device and inode
that another one has set it aside, or that it was removed.
"""

import errno
import fcntl
import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from itertools import chain, count
from pathlib import Path
from typing import Any

from pusher_server.webhooks.outbox.interface import OutboxUnavailable
from pusher_server.webhooks.outbox.sqlite.schema import bring_up, create

logger = logging.getLogger("pusher_server.webhooks")

#: The version of the tables.
VERSION = 1
#: Marks a database as an outbox ("PSOB"), so that no other database is taken for one.
_APPLICATION = 0x50534F42
#: Seconds to wait for another process's transaction.
_BUSY = 5.0
#: Bytes up to which a file is read through when it is opened: 100 ms from a cold disk.
_CHECKED = 67_108_864
#: Bytes of the write-ahead log that are kept for reuse.
_WAL_KEPT = 67_108_864


class SqliteFile:
    """The outbox at `path`, used by one thread. `clock` gives seconds of the epoch."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        #: Device and inode of the file that `_db` has open.
        self._identity: tuple[int, int] | None = None

    def connection(self) -> sqlite3.Connection:
        """A connection to the file that has the name now. Raises OutboxUnavailable."""
        if self._db is None or not self.is_current():
            self.let_go()
            self._db = self._connect()
        return self._db

    def is_current(self) -> bool:
        """Whether the last `connection` still leads to the file of this name."""
        return self._identity == self._identity_of_path()

    def let_go(self) -> None:
        """Close the file; `connection` opens and checks it again."""
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    def explained(self, error: sqlite3.Error) -> OutboxUnavailable:
        """The error for the caller; a broken file is closed, and checked when it is opened again."""
        if _is_damage(error):
            self.let_go()
        return OutboxUnavailable(self._trouble(error))

    def _identity_of_path(self) -> tuple[int, int] | None:
        try:
            status = os.stat(self.path)
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _connect(self) -> sqlite3.Connection:
        try:
            self._make_room()
            try:
                db = self._opened()
            except sqlite3.DatabaseError as error:
                if not _is_damage(error):
                    raise
                db = None
            if db is None:
                with self._locked():
                    db = self._begun()
        except (sqlite3.Error, OSError) as error:
            raise OutboxUnavailable(self._trouble(error)) from None
        return db

    def _trouble(self, error: Exception) -> str:
        """The error as one line, with the fix."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        number = getattr(error, "errno", None)
        if code == sqlite3.SQLITE_FULL or number in (errno.ENOSPC, errno.EDQUOT):
            what = "cannot be written, the disk is full; make room, or name a file on another one"
        elif code == sqlite3.SQLITE_BUSY:
            what = "is locked by another program; let only this server use it"
        elif code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM):
            what = "cannot be opened and written; name a file that the server's user can make and write"
        elif isinstance(error, OSError):
            what = f"cannot be made ({error.strerror}); name a file that the server's user can make"
        else:
            what = f"cannot be used ({error}); check its disk, or name another file"
        return f"webhooks.outbox: {self.path} {what}"

    def _make_room(self) -> None:
        """Make an empty file that only its owner may read, for customers' data. SQLite copies its mode."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _opened(self) -> sqlite3.Connection | None:
        """Open the file; None if it is empty. Raises sqlite3.Error, also for a broken file."""
        while True:
            identity = self._identity_of_path()
            db = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
            try:
                is_ready = self._is_outbox(db)
                if is_ready and self._identity_of_path() == identity:
                    self._check(db)
                    bring_up(db)
                    db.execute("PRAGMA synchronous = FULL")
                    db.execute(f"PRAGMA journal_size_limit = {_WAL_KEPT}")
                    self._identity = identity
                    return db
            except BaseException:
                db.close()
                raise
            db.close()
            if not is_ready:
                return None

    def _check(self, db: sqlite3.Connection) -> None:
        if self.path.stat().st_size <= _CHECKED:
            (verdict,) = _row(db, "PRAGMA quick_check(1)")
            if verdict != "ok":
                raise _Damaged(verdict)

    def _is_outbox(self, db: sqlite3.Connection) -> bool:
        """Whether it is an outbox; False if it is empty. Raises OutboxUnavailable for another kind of file."""
        db.execute("BEGIN")  # another process may be making the tables
        (version,) = _row(db, "PRAGMA user_version")
        (application,) = _row(db, "PRAGMA application_id")
        (tables,) = _row(db, "SELECT count(*) FROM sqlite_master")
        db.execute("COMMIT")
        if application not in (0, _APPLICATION) or (tables and not application):
            raise OutboxUnavailable(
                f"webhooks.outbox: {self.path} is another program's database; name a file of its own"
            )
        if version > VERSION:
            raise OutboxUnavailable(
                f"webhooks.outbox: {self.path}: a newer release has made it (version {version} of its"
                f" tables, this one knows {VERSION}); run that one, or name another file"
            )
        return bool(application)

    def _begun(self) -> sqlite3.Connection:
        """Open the file that another process has made meanwhile, or a new one. Called with the lock."""
        try:
            opened = self._opened()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._set_aside(str(error))
            self._make_room()
            opened = None
        if opened is not None:
            return opened
        with closing(sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN IMMEDIATE")
            create(db)
            # Later than all positions of an earlier file, which a worker may have read up to its end.
            db.execute(
                "INSERT INTO sqlite_sequence VALUES ('entries', ?)", (int(self._clock() * 1_000),)
            )
            db.execute(f"PRAGMA application_id = {_APPLICATION}")
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute("COMMIT")
        opened = self._opened()
        if opened is None:
            raise OutboxUnavailable(f"webhooks.outbox: {self.path} stays empty; name another file")
        return opened

    def _set_aside(self, why: str) -> None:
        """Rename the broken file, and SQLite's files beside it."""
        stem = f"{self.path.name}.broken-{int(self._clock())}"
        names = chain([stem], (f"{stem}-{number}" for number in count(2)))
        aside = next(path for path in map(self.path.with_name, names) if not path.exists())
        self.path.rename(aside)
        for suffix in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                Path(f"{self.path}{suffix}").rename(f"{aside}{suffix}")
        logger.error(
            "webhooks.outbox: %s is broken (%s). It is kept as %s, and a new one begins: events that"
            " waited in it are not sent",
            self.path,
            why,
            aside.name,
        )

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Lock the file against other processes. The kernel ends the lock with the process."""
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


class _Damaged(sqlite3.DatabaseError):
    """The damage that `PRAGMA quick_check` reports."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is no database, or a broken one."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _row(db: sqlite3.Connection, query: str) -> Any:
    return db.execute(query).fetchone()
