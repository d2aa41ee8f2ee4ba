"""What waits for one webhook, and what may be sent to it next (pure: time is an argument, in seconds).

The rules, which `tests/unit/webhooks/delivery/test_target_queue.py` checks over random histories:

- Entries of a channel leave in the order in which they were offered. A channel has at most one batch open:
  from `next` until `done`, `drop` or a `failed` that was the last. Other channels do not wait for it.
- What undoes an entry that is in no batch yet, and that entry, are not sent (`undoing`).
- A batch that failed is due again after 1 s, 2 s, … 60 s, counted from the end of the attempt, and a last time
  just before its body would be too old (docs/protocol/webhooks.md#retries). A batch that is due goes before
  a new one.
- At most `WIDTH` batches are sent at once, and a single one while the target gives no answer: what hangs keeps
  little of what is shared.
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
#: Batches that were tried and are to be tried again, of one webhook.
MOST_OPEN = 256
#: Bytes of events that are kept here of one webhook, and of all of an app; what is beyond stays in the outbox
#: until there is room.
ROOM, ROOM_OF_APP = 2_097_152, 16_777_216
#: Bytes that each of very many webhooks has: each time there is room again, a page is read for it.
LEAST_ROOM = 16_384
#: What an entry takes besides its event.
_OVERHEAD = 1_024


def room_of(webhooks: int) -> int:
    """Bytes for each webhook of an app that has so many."""
    return min(ROOM, max(LEAST_ROOM, ROOM_OF_APP // max(1, webhooks)))


class Pace(NamedTuple):
    """When what failed is tried again. Seconds: the first pause, the longest, and for how long a body is good.

    Python's validator refuses what is 300 s old.
    """

    first: float = 1.0
    longest: float = 60.0
    good_for: float = 290.0

    @property
    def last_attempt(self) -> float:
        """Seconds from the making of a body to its last attempt, should its turn come in time."""
        return self.good_for - min(1.0, self.good_for / 10)

    def pause(self, attempts: int) -> float:
        """Seconds after so many attempts."""
        return pause_after(attempts, self.first, self.longest)


class Batch:
    """Entries that share one request, and what has been tried.

    Whoever makes the attempts counts them; `body` and `made_at` are set at the first one. `wall_offset` is how
    far the epoch's clock was ahead of ours when the body was made, in seconds.
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
        self.channels = {each.entry.channel for each in pendings}
        self.attempts = 0
        self.body: SignedBody | None = None
        self.made_at = 0.0
        self.wall_offset = 0.0
        #: Why the last attempt went wrong.
        self.last_reason = ""

    @property
    def positions(self) -> list[str]:
        """Of its entries."""
        return [each.position for each in self.pendings]


class _Waiting(NamedTuple):
    """An entry that is in no batch, numbered in the order of offering.

    `subject` is what it tells, if that can be undone.
    """

    number: int
    pending: Pending
    subject: Subject | None


class TargetQueue:
    """An event per request, and room as for a single webhook, until `configure` says otherwise."""

    def __init__(self, pace: Pace = Pace()) -> None:  # noqa: B008 - it cannot change
        self._pace = pace
        self._batch_events = 1
        self._batch_window = 0.0
        #: By channel, what is in no batch yet, in the order of offering; none is empty.
        self._waiting: dict[str, deque[_Waiting]] = {}
        #: Of it what can be undone: by channel and subject, its number.
        self._undoable: dict[tuple[str, Subject], int] = {}
        #: Positions of entries that need not be sent any more.
        self._undone: list[str] = []
        self._numbers = count()
        #: Of those channels the ones without an open batch, first come first served.
        self._ready: dict[str, None] = {}
        #: When the next batch has been gathered for long enough.
        self._ripe_at = 0.0
        self._busy: set[str] = set()
        self._open = 0
        self._flying = 0
        #: When it is due, a number against ties, the batch.
        self._again: list[tuple[float, int, Batch]] = []
        #: Bytes that there may be, and how many more.
        self._whole = self._room = room_of(1)
        #: The last attempt got no answer at all.
        self._is_silent = False

    @property
    def has_room(self) -> bool:
        """Whether it is worth reading more for it."""
        return self._room >= self._whole / 2

    def configure(self, batch_events: int, batch_window: float, room: int) -> None:
        """How many events the next batches may hold, for how many seconds they are gathered; bytes in all."""
        self._batch_events, self._batch_window = batch_events, batch_window
        self._room += room - self._whole
        self._whole = room

    def put(self, pending: Pending, now: float, *, may_have_been_sent: bool = False) -> bool:
        """One more entry, later than all before; False when there is no room.

        Nothing undoes what may have been sent by somebody else before.
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
            self._undoable[channel, known] = number  # of two comings in a row neither can be undone
        if channel not in self._busy:
            if not self._ready:
                self._ripe_at = now + self._batch_window
            self._ready[channel] = None
        return True

    def undone(self) -> list[str]:
        """Positions of what was offered and need not be sent, since the last time."""
        undone, self._undone = self._undone, []
        return undone

    def next(self, now: float) -> Batch | None:
        """What is to be sent now; None when nothing is."""
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
        """Seconds after which `next` may have something, if nothing happens until then; None: never."""
        if self._flying >= (1 if self._is_silent else WIDTH):
            return None
        moments = [self._again[0][0]] if self._again else []
        if self._may_begin():
            moments.append(now if self._is_full() else self._ripe_at)
        return max(0.0, min(moments) - now) if moments else None

    def done(self, batch: Batch, now: float) -> None:
        """The target has taken it."""
        self._is_silent = False
        self._landed(batch, now)

    def drop(self, batch: Batch, now: float) -> None:
        """It is not to be tried again: its turn came too late, or nobody wants it any more."""
        self._landed(batch, now)

    def failed(self, batch: Batch, now: float, *, silent: bool) -> bool:
        """The target has not taken it, or (`silent`) not even answered. Whether it is to be tried again."""
        self._is_silent = silent
        last = batch.made_at + self._pace.last_attempt
        if now >= last:
            self._landed(batch, now)
            return False
        self._put_back(batch, min(now + self._pace.pause(batch.attempts), last))
        return True

    def postpone(self, batch: Batch, until: float) -> None:
        """It could not be tried; that was not the target's fault."""
        self._put_back(batch, until)

    def _may_begin(self) -> bool:
        return bool(self._ready) and self._open < MOST_OPEN

    def _is_full(self) -> bool:
        """Whether there is enough for a whole batch."""
        if self._batch_events == 1:
            return True
        found = 0
        for channel in self._ready:
            found += len(self._waiting[channel])
            if found >= self._batch_events:
                return True
        return False

    def _gathered(self, now: float) -> Batch:
        """A new batch of what is ready, in the order in which it was offered."""
        taken = sorted(self._taken(), key=lambda each: each.number)
        batch = Batch([each.pending for each in taken])
        self._busy |= batch.channels
        self._open += 1
        self._ripe_at = now  # what is left has waited long enough
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
        """Take out what waits of it; whether there was anything."""
        number = None if subject is None else self._undoable.get((channel, subject))
        if number is None:
            return False
        waiting = self._waiting[channel]
        # It is near the end as a rule.
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
        """It can be undone no longer."""
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
