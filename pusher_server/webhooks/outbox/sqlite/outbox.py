"""An outbox in an SQLite file, for one process or for all the workers of a machine, which open the same file.

When `append` returns, its entries are on disk (`synchronous = FULL`, write-ahead log). Neither `kill -9` nor a
power cut loses them, if the disk keeps its promises. Both lose decisions that are not yet appended: a call
waits `window` seconds for others to share its transaction, then for the disk. An entry that was delivered and
not yet finished is sent once more.

A file that is broken, at the start or later, is set aside, and a new one is made. A file that was removed
while the server runs is made anew, too.
"""

import sqlite3
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pusher_server.webhooks.outbox.interface import (
    Appended,
    AttemptRecord,
    Backlog,
    Dead,
    Decision,
    Outbox,
    Pending,
    Presence,
)
from pusher_server.webhooks.outbox.overflow import (
    LOG_BYTES,
    MOST_REMEMBERED,
    WAITING_BYTES,
    Overflow,
)
from pusher_server.webhooks.outbox.sqlite.file import SqliteFile
from pusher_server.webhooks.outbox.sqlite.tables import Bounds, Tables
from pusher_server.webhooks.outbox.sqlite.thread import SqliteThread

#: Seconds in which writing calls are gathered for one transaction. The measurement: four processes append 300
#: times a second each. Without a window, 99 % of the calls took less than 42 ms, because each waits for the
#: others' transactions. With 5 ms they took less than 8 ms, with 50 ms less than 53 ms. Alone, a call takes
#: 0.3 ms more than the window.
WINDOW = 0.005


class SqliteOutbox(Outbox):
    """Opens the file with the first call.

    `clock` gives seconds of the epoch, `steady` those of a clock that only rises, the same for all processes.
    `waiting` is the most entries of an app that wait; further ones become dead letters (`overflow` selects).
    `dead_letters` is the most dead letters of an app; beyond it the oldest are deleted. `waiting_bytes` is
    the most bytes of either. `log_size` is lines of one webhook, `log_bytes` is bytes of all lines of an app.
    `remembered` is the most ids of an app's delivered or dropped entries. `window` is in seconds.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], float],
        steady: Callable[[], float] = time.monotonic,
        waiting: int = 100_000,
        waiting_bytes: int = WAITING_BYTES,
        dead_letters: int = 1_000,
        log_size: int = 200,
        log_bytes: int = LOG_BYTES,
        remembered: int = MOST_REMEMBERED,
        window: float = WINDOW,
    ) -> None:
        self._overflow = Overflow(waiting, waiting_bytes, time.monotonic)
        bounds = Bounds(
            waiting=waiting,
            bytes=waiting_bytes,
            dead=dead_letters,
            log=log_size,
            log_bytes=log_bytes,
            remembered=remembered,
            crowded_out=self._overflow.reason,
            crowded_out_bytes=self._overflow.reason_bytes,
        )
        self._tables = Tables(bounds, steady, clock)
        self._file = SqliteFile(path, clock)
        self._thread = SqliteThread(self._file, window)

    async def append(self, decisions: Sequence[Decision]) -> Appended:
        """See `Outbox`."""
        tables = self._tables
        appended = await self._thread.write(lambda db: tables.append(db, decisions))
        self._overflow.note(appended.crowded_out)
        return appended

    async def claim(self, worker: str, seconds: float) -> list[str]:
        """See `Outbox`."""
        return await self._thread.write(lambda db: self._tables.claim(db, worker, seconds))

    async def release(self, worker: str) -> None:
        """See `Outbox`."""
        await self._thread.write(lambda db: self._tables.release(db, worker))

    async def pending(self, app_id: str, after: str, limit: int) -> list[Pending]:
        """See `Outbox`."""
        return await self._thread.read(lambda db: self._tables.pending(db, app_id, after, limit))

    async def leave_out(self, worker: str, app_id: str, beyond: Mapping[str, str]) -> None:
        """See `Outbox`."""
        await self._thread.write(lambda db: self._tables.leave_out(db, worker, app_id, beyond))

    async def take(
        self, worker: str, app_id: str, webhook: str, after: str, limit: int
    ) -> list[Pending]:
        """See `Outbox`."""

        def take(db: sqlite3.Connection) -> list[Pending]:
            return self._tables.take(db, worker, app_id, webhook, after, limit)

        return await self._thread.write(take)

    async def finish(self, app_id: str, positions: Sequence[str]) -> None:
        """See `Outbox`."""
        await self._thread.write(lambda db: self._tables.finish(db, app_id, positions))

    async def bury(self, app_id: str, positions: Sequence[str], reason: str, at: float) -> None:
        """See `Outbox`."""

        def bury(db: sqlite3.Connection) -> None:
            self._tables.bury(db, app_id, positions, reason, at)

        await self._thread.write(bury)

    async def record(self, app_id: str, attempt: AttemptRecord) -> None:
        """See `Outbox`."""
        await self._thread.write(lambda db: self._tables.record(db, app_id, attempt))

    async def log(self, app_id: str, webhook: str = "", limit: int = 50) -> list[AttemptRecord]:
        """See `Outbox`."""
        return await self._thread.read(lambda db: self._tables.log(db, app_id, webhook, limit))

    async def dead(self, app_id: str, limit: int = 50) -> list[Dead]:
        """See `Outbox`."""
        return await self._thread.read(lambda db: self._tables.dead(db, app_id, limit))

    async def resend(self, app_id: str, ids: Sequence[str] | None = None) -> int:
        """See `Outbox`."""
        return await self._thread.write(lambda db: self._tables.resend(db, app_id, ids))

    async def backlog(self) -> dict[str, Backlog]:
        """See `Outbox`."""
        return await self._thread.read(self._tables.backlog)

    async def believed(self) -> list[Presence]:
        """See `Outbox`."""
        return await self._thread.read(self._tables.believed)

    async def close(self) -> None:
        """See `Outbox`."""
        await self._thread.close()
