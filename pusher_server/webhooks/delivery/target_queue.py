"""The queue of one webhook, which decides the next batch to send (pure: time is an argument, in seconds).

The rules, which `tests/unit/webhooks/delivery/test_target_queue.py` checks over random histories:

- Entries of a channel are sent in the order of `put`. A channel has at most one open batch: from `next` until
  `done`, `drop` or a `failed` that was the last. Other channels do not wait for it.
- An entry that undoes one in no batch yet is not sent, nor is the undone one (`undoing`).
- A failed batch is due again after 1 s, 2 s, … 60 s, counted from the end of the attempt. Its last attempt is
  just before its body would be too old (docs/protocol/webhooks.md#retries). A batch that is due goes before
  a new one.
- At most `WIDTH` batches are sent at once, and a single one while the target gives no answer. So a target that
  hangs holds few of the shared slots.
"""

import heapq
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from typing import NamedTuple

from pusher_server.backoff import pause_after
from pusher_server.webhooks.delivery.requests import SignedBody
from pusher_server.webhooks.outbox.interface import Pending
from pusher_server.webhooks.outbox.undoing import Subject, subject_of

#: Requests to one webhook at a time.
WIDTH = 4
#: Open batches of one webhook: in flight, or waiting for a retry.
MOST_OPEN = 256
#: Bytes of events in the queue of one webhook, and in those of all webhooks of an app. Further events stay in
#: the outbox until there is room.
ROOM, ROOM_OF_APP = 2_097_152, 16_777_216
#: Bytes for each webhook of an app with very many: whenever there is room again, a page is read for it.
LEAST_ROOM = 16_384
#: Bytes of an entry besides its event.
_OVERHEAD = 1_024


def room_of(webhooks: int) -> int:
    """Bytes for each webhook of an app with so many of them."""
    return min(ROOM, max(LEAST_ROOM, ROOM_OF_APP // max(1, webhooks)))


class Pace(NamedTuple):
    """The times of retries, in seconds: the first pause, the longest pause, and for how long a body is good.

    Python's validator refuses a body that is 300 s old.
    """

    first: float = 1.0
    longest: float = 60.0
    good_for: float = 290.0

    @property
    def last_attempt(self) -> float:
        """Seconds from the making of a body to its last attempt, if it starts in time."""
        return self.good_for - min(1.0, self.good_for / 10)

    def pause(self, attempts: int) -> float:
        """The pause in seconds after so many attempts."""
        return pause_after(attempts, self.first, self.longest)


class Batch:
    """Entries that share one request, and the state of its attempts.

    `Attempt` counts the attempts, and sets `body` and `made_at` at the first one. `wall_offset` is how far the
    epoch's clock was ahead of the loop's when the body was made, in seconds.
    """

    __slots__ = (
        "attempts",
        "body",
        "channels",
        "last_reason",
        "made_at",
        "pendings",
        "wall_offset",
    )

    def __init__(self, pendings: Sequence[Pending]) -> None:
        self.pendings = pendings
        self.channels = {pending.entry.channel for pending in pendings}
        self.attempts = 0
        self.body: SignedBody | None = None
        self.made_at = 0.0
        self.wall_offset = 0.0
        #: The reason why the last attempt failed.
        self.last_reason = ""

    @property
    def positions(self) -> list[str]:
        """The positions of its entries."""
        return [pending.position for pending in self.pendings]


class _Waiting(NamedTuple):
    """An entry that is in no batch, numbered in the order of `put`.

    `subject` is None when the entry cannot be undone.
    """

    number: int
    pending: Pending
    subject: Subject | None


class TargetQueue:
    """Sends one event per request, and has the room of a single webhook, until `configure` changes both."""

    def __init__(self, pace: Pace = Pace()) -> None:  # noqa: B008 - it cannot change
        self._pace = pace
        self._batch_events = 1
        self._batch_window = 0.0
        #: By channel, the entries in no batch yet, in the order of `put`; no channel is empty.
        self._waiting: dict[str, deque[_Waiting]] = {}
        #: The numbers of those that can be undone, by channel and subject.
        self._undoable: dict[tuple[str, Subject], int] = {}
        #: Positions of entries that need not be sent any more.
        self._undone: list[str] = []
        self._numbers = count()
        #: The waiting channels without an open batch, in the order of sending.
        self._ready: dict[str, None] = {}
        #: When the next batch has waited for its window.
        self._ripe_at = 0.0
        self._busy: set[str] = set()
        self._open = 0
        self._flying = 0
        #: Batches for a retry: when it is due, a number against ties, the batch.
        self._again: list[tuple[float, int, Batch]] = []
        #: Bytes that the queue may hold, and bytes that are still free.
        self._whole = self._room = room_of(1)
        #: Whether the last attempt got no answer at all.
        self._is_silent = False

    @property
    def has_room(self) -> bool:
        """Whether at least half of the room is free, so that a page is worth reading."""
        return self._room >= self._whole / 2

    def configure(self, batch_events: int, batch_window: float, room: int) -> None:
        """Set the events of a batch, the seconds for which it is gathered, and the bytes of the queue."""
        self._batch_events, self._batch_window = batch_events, batch_window
        self._room += room - self._whole
        self._whole = room

    def put(self, pending: Pending, now: float, *, may_have_been_sent: bool = False) -> bool:
        """Add an entry, later than all before; False when there is no room.

        An entry that an earlier claim may have sent cannot be undone.
        """
        subject, channel = subject_of(pending.entry), pending.entry.channel
        if self._undo(channel, subject.undone) and subject.is_undoing:
            self._undone.append(pending.position)
            return True
        if self._room <= 0:
            return False
        self._room -= _cost(pending)
        number = next(self._numbers)
        known = subject if subject.may_be_undone and not may_have_been_sent else None
        self._waiting.setdefault(channel, deque()).append(_Waiting(number, pending, known))
        if known is not None and self._undoable.pop((channel, known), None) is None:
            self._undoable[channel, known] = number  # of two joins in a row neither can be undone
        if channel not in self._busy:
            if not self._ready:
                self._ripe_at = now + self._batch_window
            self._ready[channel] = None
        return True

    def undone(self) -> list[str]:
        """Positions of entries that need not be sent, since the last call."""
        undone, self._undone = self._undone, []
        return undone

    def next(self, now: float) -> Batch | None:
        """The batch to send now; None when there is none."""
        if self._flying >= (1 if self._is_silent else WIDTH):
            return None
        if self._again and self._again[0][0] <= now:
            _, _, batch = heapq.heappop(self._again)
        elif self._may_begin() and (now >= self._ripe_at or self._is_full()):
            batch = self._gathered(now)
        else:
            return None
        self._flying += 1
        return batch

    def pause(self, now: float) -> float | None:
        """Seconds after which `next` may return a batch, if nothing happens until then; None: never."""
        if self._flying >= (1 if self._is_silent else WIDTH):
            return None
        moments = [self._again[0][0]] if self._again else []
        if self._may_begin():
            moments.append(now if self._is_full() else self._ripe_at)
        return max(0.0, min(moments) - now) if moments else None

    def done(self, batch: Batch, now: float) -> None:
        """End a batch that the target has accepted."""
        self._is_silent = False
        self._landed(batch, now)

    def drop(self, batch: Batch, now: float) -> None:
        """End a batch without a retry: it is too old, or no webhook wants it any more."""
        self._landed(batch, now)

    def failed(self, batch: Batch, now: float, *, silent: bool) -> bool:
        """Note a refusal, or (`silent`) no answer. Returns whether the batch will be retried."""
        self._is_silent = silent
        last = batch.made_at + self._pace.last_attempt
        if now >= last:
            self._landed(batch, now)
            return False
        self._put_back(batch, min(now + self._pace.pause(batch.attempts), last))
        return True

    def postpone(self, batch: Batch, until: float) -> None:
        """Retry the batch at `until`: it could not be sent, for a reason that is not the target's."""
        self._put_back(batch, until)

    def _may_begin(self) -> bool:
        return bool(self._ready) and self._open < MOST_OPEN

    def _is_full(self) -> bool:
        """Whether enough entries wait for a whole batch."""
        if self._batch_events == 1:
            return True
        waiting = 0
        for channel in self._ready:
            waiting += len(self._waiting[channel])
            if waiting >= self._batch_events:
                return True
        return False

    def _gathered(self, now: float) -> Batch:
        """A new batch of ready entries, in the order of `put`."""
        taken = sorted(self._taken(), key=lambda entry: entry.number)
        batch = Batch([entry.pending for entry in taken])
        self._busy |= batch.channels
        self._open += 1
        self._ripe_at = now  # the other entries have waited long enough
        return batch

    def _taken(self) -> Iterator[_Waiting]:
        left = self._batch_events
        while left and self._ready:
            channel = next(iter(self._ready))
            del self._ready[channel]
            waiting = self._waiting[channel]
            while left and waiting:
                left -= 1
                taken = waiting.popleft()
                self._forget(channel, taken)
                yield taken
            if not waiting:
                del self._waiting[channel]

    def _undo(self, channel: str, subject: Subject | None) -> bool:
        """Remove the waiting entry of this subject; False when there is none."""
        number = None if subject is None else self._undoable.get((channel, subject))
        if number is None:
            return False
        waiting = self._waiting[channel]
        # The entry is usually near the end.
        place = next(
            place for place in range(len(waiting) - 1, -1, -1) if waiting[place].number == number
        )
        undone = waiting[place]
        del waiting[place]
        self._forget(channel, undone)
        self._room += _cost(undone.pending)
        self._undone.append(undone.pending.position)
        if not waiting:
            del self._waiting[channel]
            self._ready.pop(channel, None)
        return True

    def _forget(self, channel: str, waiting: _Waiting) -> None:
        """Mark an entry as one that cannot be undone any more."""
        key = None if waiting.subject is None else (channel, waiting.subject)
        if key is not None and self._undoable.get(key) == waiting.number:
            del self._undoable[key]

    def _put_back(self, batch: Batch, due: float) -> None:
        self._flying -= 1
        heapq.heappush(self._again, (due, next(self._numbers), batch))

    def _landed(self, batch: Batch, now: float) -> None:
        self._flying -= 1
        self._open -= 1
        self._busy -= batch.channels
        self._room += sum(map(_cost, batch.pendings))
        for channel in batch.channels:
            if channel in self._waiting:
                self._ripe_at = now  # it has waited for as long as the batch was open
                self._ready[channel] = None


def _cost(pending: Pending) -> int:
    return _OVERHEAD + sys.getsizeof(pending.entry.event)
