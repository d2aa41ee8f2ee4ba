"""One thread that works on the outbox's file, so that the loop never waits for a disk.

What is written is gathered for a moment (`window`) and committed together: a transaction costs the same for one
event as for hundreds. Whoever asked is told after the commit, when it is on disk. Reading is done at once.
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
    """Something to do, and whoever waits for it."""

    __slots__ = ("answer", "loop", "work", "writes")

    def __init__(self, work: Work[Any], *, writes: bool) -> None:
        self.work = work
        self.writes = writes
        self.loop = asyncio.get_running_loop()
        self.answer: asyncio.Future[Any] = self.loop.create_future()

    def tell(self, told: object) -> None:
        """The answer, or an exception. From the thread."""
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._settle, told)

    def _settle(self, told: object) -> None:
        if self.answer.done():
            return  # given up meanwhile
        if isinstance(told, BaseException):
            self.answer.set_exception(told)
        else:
            self.answer.set_result(told)


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
        """What `work` returns. Raises OutboxUnavailable, and what `work` raises."""
        return await self._ask(work, writes=False)

    async def write(self, work: Work[T]) -> T:
        """The same, in a transaction that is on disk when this returns. `work` may be run more than once."""
        return await self._ask(work, writes=True)

    async def close(self) -> None:
        """Do what was asked before, then let go of the file."""
        self._is_closed = True
        self._calls.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _ask(self, work: Work[T], *, writes: bool) -> T:
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
        """What is to be written in the same transaction."""
        found = [first]
        until = time.monotonic() + self._window
        while len(found) < _TOGETHER:
            left = until - time.monotonic()
            try:
                call = self._calls.get(timeout=left) if left > 0 else self._calls.get_nowait()
            except Empty:
                break
            if call is None:
                self._calls.put(None)
                break
            if call.writes:
                found.append(call)
            else:
                self._read(call)
        return found

    def _read(self, call: _Call) -> None:
        try:
            told = call.work(self._file.connection())
        except sqlite3.Error as error:
            told = self._file.explained(error)
        except Exception as error:  # whoever asked shall know
            told = error
        call.tell(told)

    def _write_together(self, calls: list[_Call]) -> None:
        """All or none; but a call that cannot be done does not take the others with it."""
        try:
            answers = self._transact(calls)
        except sqlite3.Error as error:
            trouble = str(self._file.explained(error))
            answers = [OutboxUnavailable(trouble) for _ in calls]
        except OutboxUnavailable as error:
            answers = [OutboxUnavailable(str(error)) for _ in calls]
        except Exception as error:
            if len(calls) > 1:
                for each in calls:
                    self._write_together([each])
                return
            answers = [error]
        for call, answer in zip(calls, answers, strict=True):
            call.tell(answer)

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
            # It went into a file that another process has just set aside: once more, into the new one.
