"""One thread that reads and writes the outbox's file, so that the loop never waits for a disk.

Writing calls are gathered for a moment (`window`) and committed together: a transaction costs the same for one
event as for hundreds. They return after the commit, when it is on disk. Reading calls run at once.
"""

import asyncio
import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast

from pusher_server.webhooks.outbox.interface import OutboxUnavailable
from pusher_server.webhooks.outbox.sqlite.file import SqliteFile

#: Calls in one transaction.
_TOGETHER = 1_000

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]


class _Call:
    """A call for the thread, and the future of its caller."""

    __slots__ = ("answer", "loop", "work", "writes")

    def __init__(self, work: Work[Any], *, writes: bool) -> None:
        self.work = work
        self.writes = writes
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()

    def resolve(self, result: object) -> None:
        """Give the caller the result, or an exception. Called in the thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._resolve, result)

    def _resolve(self, result: object) -> None:
        if self.answer.done():
            return  # the caller was cancelled meanwhile
        if isinstance(result, BaseException):
            self.answer.set_exception(result)
        else:
            self.answer.set_result(result)


class SqliteThread:
    """Opens the file when it is needed. `window` is in seconds. Ended by `close`."""

    def __init__(self, file: SqliteFile, window: float) -> None:
        self._file = file
        self._window = window
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._is_closed = False
        self._thread = threading.Thread(target=self._run, name="webhook outbox", daemon=True)
        self._thread.start()

    async def read(self, work: Work[T]) -> T:
        """Run `work` in the thread and return its result. Raises OutboxUnavailable, and errors of `work`."""
        return await self._call(work, writes=False)

    async def write(self, work: Work[T]) -> T:
        """As `read`, in a transaction that is on disk when this returns. `work` may run more than once."""
        return await self._call(work, writes=True)

    async def close(self) -> None:
        """Finish the earlier calls, then close the file and end the thread."""
        self._is_closed = True
        self._calls.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _call(self, work: Work[T], *, writes: bool) -> T:
        if self._is_closed:
            raise OutboxUnavailable("the outbox is closed")
        call = _Call(work, writes=writes)
        self._calls.put(call)
        return cast(T, await call.answer)

    # In the thread

    def _run(self) -> None:
        while (call := self._calls.get()) is not None:
            if call.writes:
                self._write_together(self._gathered(call))
            else:
                self._read(call)
        self._file.let_go()

    def _gathered(self, first: _Call) -> list[_Call]:
        """Gather the calls of one transaction for `window` seconds."""
        gathered = [first]
        until = time.monotonic() + self._window
        while len(gathered) < _TOGETHER:
            left = until - time.monotonic()
            try:
                call = self._calls.get(timeout=left) if left > 0 else self._calls.get_nowait()
            except Empty:
                break
            if call is None:
                self._calls.put(None)
                break
            if call.writes:
                gathered.append(call)
            else:
                self._read(call)
        return gathered

    def _read(self, call: _Call) -> None:
        try:
            result = call.work(self._file.connection())
        except sqlite3.Error as error:
            result = self._file.explained(error)
        except Exception as error:  # the caller gets it
            result = error
        call.resolve(result)

    def _write_together(self, calls: list[_Call]) -> None:
        """Commit all calls together; if one fails, each runs in a transaction of its own."""
        try:
            answers = self._transact(calls)
        except sqlite3.Error as error:
            trouble = str(self._file.explained(error))
            answers = [OutboxUnavailable(trouble) for _ in calls]
        except OutboxUnavailable as error:
            answers = [OutboxUnavailable(str(error)) for _ in calls]
        except Exception as error:
            if len(calls) > 1:
                for call in calls:
                    self._write_together([call])
                return
            answers = [error]
        for call, answer in zip(calls, answers, strict=True):
            call.resolve(answer)

    def _transact(self, calls: list[_Call]) -> list[Any]:
        while True:
            db = self._file.connection()
            try:
                db.execute("BEGIN IMMEDIATE")
                answers = [call.work(db) for call in calls]
                db.execute("COMMIT")
            except BaseException:
                if db.in_transaction:
                    with contextlib.suppress(sqlite3.Error):
                        db.execute("ROLLBACK")
                raise
            if self._file.is_current():
                return answers
            # Another process has just set this file aside, so write once more, into the new one.
