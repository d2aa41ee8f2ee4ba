"""The outbox's file: made, checked, and set aside when it is broken.

Every process of a machine opens it, at the same time as others. What must happen once, making the tables and
setting a broken file aside, happens under a lock, a file beside it. Whoever has the file open notices by
device and inode that another process has set it aside, or that it was removed.
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

#: The shape of the tables.
VERSION = 1
#: Says that a database is an outbox ("PSOB"), so that nobody else's is taken for one.
_APPLICATION = 0x50534F42
#: Seconds to wait for another process's transaction.
_BUSY = 5.0
#: Bytes up to which a file is read through when it is opened: 100 ms from a cold disk.
_CHECKED = 67_108_864
#: Bytes of the write-ahead log that are kept for the next time.
_WAL_KEPT = 67_108_864


class SqliteFile:
    """The outbox at `path`, used by one thread. `clock` gives seconds of the epoch."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path = path
        self._clock = clock
        self._db: sqlite3.Connection | None = None
        #: Device and inode of what `_db` leads to.
        self._identity: tuple[int, int] | None = None

    def connection(self) -> sqlite3.Connection:
        """To the file that has the name now, opened if need be. Raises OutboxUnavailable."""
        if self._db is None or not self.is_current():
            self.let_go()
            self._db = self._connect()
        return self._db

    def is_current(self) -> bool:
        """Whether what `connection` gave last is still the file of this name."""
        return self._identity == self._found()

    def let_go(self) -> None:
        """Close it; `connection` opens it again, and looks whether it is sound."""
        db, self._db = self._db, None
        if db is not None:
            with suppress(sqlite3.Error):
                db.close()

    def explained(self, error: sqlite3.Error) -> OutboxUnavailable:
        """What is wrong, for whoever asked; what is broken will be opened again."""
        if _is_damage(error):
            self.let_go()
        return OutboxUnavailable(self._trouble(error))

    def _found(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self.path)
        except OSError:
            return None
        return found.st_dev, found.st_ino

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
        """One line that says what to do."""
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
        """An empty file that only its owner reads: it holds customers' data. SQLite's own beside it follow."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))

    def _opened(self) -> sqlite3.Connection | None:
        """None if there is nothing in it yet. Raises sqlite3.Error, also for what is broken."""
        while True:
            identity = self._found()
            db = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
            try:
                is_ready = self._is_outbox(db)
                if is_ready and self._found() == identity:
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
        """False if it is empty. Raises OutboxUnavailable when it is not ours to use."""
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
        """What is there by now, or a new one. With the lock."""
        try:
            found = self._opened()
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
            self._set_aside(str(error))
            self._make_room()
            found = None
        if found is not None:
            return found
        with closing(sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = WAL")
            db.execute("BEGIN IMMEDIATE")
            create(db)
            # Later than all positions of an earlier file: somebody may have read that one up to its end.
            db.execute(
                "INSERT INTO sqlite_sequence VALUES ('entries', ?)", (int(self._clock() * 1_000),)
            )
            db.execute(f"PRAGMA application_id = {_APPLICATION}")
            db.execute(f"PRAGMA user_version = {VERSION}")
            db.execute("COMMIT")
        found = self._opened()
        if found is None:
            raise OutboxUnavailable(f"webhooks.outbox: {self.path} stays empty; name another file")
        return found

    def _set_aside(self, why: str) -> None:
        """Under another name, with what SQLite keeps beside it."""
        stem = f"{self.path.name}.broken-{int(self._clock())}"
        names = chain([stem], (f"{stem}-{number}" for number in count(2)))
        aside = next(each for each in map(self.path.with_name, names) if not each.exists())
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
        """Alone among the processes that open it. The kernel ends it with the process."""
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)


class _Damaged(sqlite3.DatabaseError):
    """What `PRAGMA quick_check` has found."""

    sqlite_errorcode = sqlite3.SQLITE_CORRUPT


def _is_damage(error: sqlite3.Error) -> bool:
    """The file is no database, or a broken one."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


def _row(db: sqlite3.Connection, question: str) -> Any:
    return db.execute(question).fetchone()
