"""Keeps one connection's messages in order when one of them must wait.

Order is per channel (docs/decisions.md#order-within-a-connection). A message that need not wait never comes
here. A coroutine that finishes on its first step costs no task. A sign-in is a barrier for what follows it.
The mailbox exists only while something waits.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from types import coroutine
from typing import Any

Start = Callable[[], Coroutine[Any, Any, None]]

#: The key of a message that everything after it waits for.
BARRIER = None


@coroutine
def _go_on(begun: Coroutine[Any, Any, None], pending: Any) -> Generator[Any, Any, None]:
    """Continue a coroutine that has been started by hand and yielded `pending`."""
    try:
        while True:
            try:
                value = yield pending
            except BaseException as error:
                pending = begun.throw(error)
            else:
                pending = begun.send(value)
    except StopIteration:
        return


def advance(begun: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None] | None:
    """Run to the first point where it waits; None when it has finished, else what is left of it."""
    try:
        pending = begun.send(None)
    except StopIteration:
        return None
    return _rest(begun, pending)


async def _rest(begun: Coroutine[Any, Any, None], pending: Any) -> None:
    await _go_on(begun, pending)


class Mailbox:
    """The work that runs and the work that waits, by key. The work deals with its own errors.

    `timed_out` is called when something has run for `timeout` seconds; `relieved(idle)` when
    something has finished, with whether the mailbox is no longer needed.
    """

    def __init__(
        self,
        *,
        timeout: float,
        timed_out: Callable[[], None],
        relieved: Callable[[bool], None],
    ) -> None:
        self._timeout = timeout
        self._timed_out = timed_out
        self._relieved = relieved
        self._running: dict[str | None, asyncio.Task[None]] = {}
        self._queue: deque[tuple[str | None, Start]] = deque()

    def __len__(self) -> int:
        return len(self._queue)

    def blocks(self, key: str | None) -> bool:
        """Whether a message for `key` has to wait its turn.

        A message is in the queue only because something runs, so the running work alone decides.
        """
        return key in self._running or BARRIER in self._running

    def put(self, key: str | None, start: Start) -> None:
        """Start it once nothing before it blocks it."""
        self._queue.append((key, start))

    def drop(self, key: str) -> None:
        """Drop work that has not started for a channel: an unsubscribe overtakes it."""
        if self._queue:
            self._queue = deque(item for item in self._queue if item[0] != key)

    def wait_for(self, key: str | None, rest: Coroutine[Any, Any, None]) -> None:
        """Something for `key` waits: let it go on in a task, for a limited time."""
        task = asyncio.get_running_loop().create_task(rest)
        self._running[key] = task
        deadline = asyncio.get_running_loop().call_later(self._timeout, self._timed_out)
        task.add_done_callback(lambda _: self._finished(key, deadline))

    def clear(self) -> None:
        """The connection is over: stop the work that runs, forget the work that waits."""
        self._queue.clear()
        for task in self._running.values():
            task.cancel()

    def _finished(self, key: str | None, deadline: asyncio.TimerHandle) -> None:
        deadline.cancel()
        del self._running[key]
        waiting, self._queue = self._queue, deque()
        for waiting_key, start in waiting:
            if self.blocks(waiting_key):  # by what runs, or by an earlier one that still waits
                self.put(waiting_key, start)
                continue
            rest = advance(start())
            if rest is not None:
                self.wait_for(waiting_key, rest)
        self._relieved(not self._running and not self._queue)
