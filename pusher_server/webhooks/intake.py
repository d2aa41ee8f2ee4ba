"""Takes signals and stores their events: selects the webhooks at once, the outbox stores events a moment later.

`observe` runs within the cause of a signal, such as a client event, so it neither waits nor does any I/O. Its
decisions stand in memory until the outbox has stored them: usually for milliseconds, and while the outbox is
away up to a bound. A node may announce a leave in an app that is not in use there. Then the app is looked up
before its webhooks are selected.
"""

import asyncio
import logging
import sys
from collections.abc import Awaitable, Callable, Collection
from itertools import count

from msgspec import structs

from pusher_server.app import App
from pusher_server.backoff import Backoff
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import AppProvider
from pusher_server.log_rate_limit import LogRateLimit
from pusher_server.outage import Outage
from pusher_server.signals import ClientEventSent, Settled, Signal
from pusher_server.webhooks.delivery.stats import DeliveryStats
from pusher_server.webhooks.outbox import overflow
from pusher_server.webhooks.outbox.interface import (
    Appended,
    Decision,
    Outbox,
    OutboxUnavailable,
    Presence,
)
from pusher_server.webhooks.outbox.undoing import Subject, subject_of
from pusher_server.webhooks.selection import presence_of, select_targets

logger = logging.getLogger("pusher_server.webhooks")

#: Decisions in one append.
AT_ONCE = 500
#: Bytes of events in memory; beyond them some go (`overflow`), and are counted.
MOST_BYTES = 67_108_864
#: The part of it that is freed at once: to select the events to drop takes 0.1 s with 55,000 events.
_FREED = 1 / 8
#: Bytes of a decision besides its events, and of each of its entries.
_OVERHEAD, _PER_ENTRY = 1_024, 128
#: Seconds between attempts while the outbox or the apps are away.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0

#: Key of a decision that can be undone while it waits: a presence, or app, channel and subject of an event.
_Key = Presence | tuple[str, str, Subject]


class _Undecided:
    """A signal of an app that is not in use here, so its webhooks must be looked up. It has its id already."""

    __slots__ = ("app_id", "at", "event_id", "signal")

    def __init__(self, signal: Signal, event_id: str, at: float) -> None:
        self.app_id = signal.app_id
        self.signal = signal
        self.event_id = event_id
        self.at = at


class Intake:
    """`current` gives an app's value if it is in use on this node; `outbox` opens it on first use.

    `event_prefix` is unique among all processes that ever ran. `wall` gives seconds of the epoch. `on_kept`
    gets the ids of apps for which new entries were stored.
    """

    def __init__(
        self,
        current: Callable[[str], App | None],
        apps: AppProvider,
        outbox: Callable[[], Awaitable[Outbox]],
        stats: DeliveryStats,
        *,
        event_prefix: str,
        wall: Callable[[], float],
        on_kept: Callable[[Collection[str]], None],
    ) -> None:
        self._current = current
        self._apps = apps
        self._outbox = outbox
        self._stats = stats
        self._event_prefix = event_prefix
        self._event_numbers = count(1)
        self._wall = wall
        self._on_kept = on_kept
        #: Decisions that are not stored yet, in order, by number.
        self._waiting: dict[int, Decision | _Undecided] = {}
        #: The numbers of those that can be undone. Without those handed to the outbox, which may have stored
        #: them even if it reported a failure.
        self._undoable: dict[_Key, int] = {}
        #: The numbers that the outbox is storing now.
        self._in_hand: Collection[int] = ()
        self._last = 0
        self._bytes = 0
        self._keeping: asyncio.Task[None] | None = None
        #: Callers that wait until all decisions up to a number are stored.
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._outage = Outage()
        self._log_limit = LogRateLimit()

    @property
    def problem(self) -> str | None:
        """Why events cannot be stored, in one line; None while they can."""
        return self._outage.problem

    def observe(self, signal: Signal) -> None:
        """Decide on a signal. See `Observer`; called in the loop."""
        app = self._current(signal.app_id)
        if app is not None and not app.webhooks:
            return
        event_id = signal.id if isinstance(signal, Settled) else ""
        event_id = event_id or self.new_id()
        if app is None:
            self._put(_Undecided(signal, event_id, self._wall()))
        else:
            decision = select_targets(signal, app, event_id, self._wall())
            if decision is not None:
                self._put(decision)

    def decide(self, decision: Decision) -> None:
        """Store a decision that was made elsewhere, after everything observed so far."""
        self._put(decision)

    def new_id(self) -> str:
        """An event id that no other event has, in any process."""
        return f"{self._event_prefix}-{next(self._event_numbers):x}"

    async def kept(self) -> None:
        """Return once everything observed so far is stored, or was dropped because memory was full."""
        if self._waiting:
            kept = asyncio.get_running_loop().create_future()
            self._waiters.append((self._last, kept))
            await kept

    async def close(self, seconds: float) -> None:
        """Store the waiting decisions, for at most `seconds`."""
        keeping = self._keeping
        if keeping is not None:
            await asyncio.wait([keeping], timeout=seconds)
            keeping.cancel()
        if self._waiting:
            logger.error("%d webhook events were not kept and are lost", len(self._waiting))

    def _put(self, waiting: Decision | _Undecided) -> None:
        self._stats.of(waiting.app_id)  # its counters begin at 0 before anything can be lost
        self._last += 1
        if isinstance(waiting, Decision):
            waiting = self._undone(waiting)
        else:
            self._keep_before(waiting)
        self._waiting[self._last] = waiting
        self._bytes += _cost(waiting)
        if self._bytes > MOST_BYTES:
            self._drop()
        if self._keeping is None:
            self._keeping = asyncio.get_running_loop().create_task(self._keep())

    def _undone(self, decision: Decision) -> Decision:
        """Remove the waiting decision that this one undoes; returns the decision to append.

        Both must be for the same webhooks: a webhook that wants leaves alone gets each of them. A leave still
        counts if its join was announced before, by an earlier run.
        """
        key, is_undoing, undone = _keys_of(decision)
        number = None if undone is None else self._undoable.get(undone)
        before = None if number is None else self._waiting[number]
        if (
            number is not None
            and isinstance(before, Decision)
            and _webhooks(before) == _webhooks(decision)
        ):
            self._take_out(number)
            stats = self._stats.of(decision.app_id)
            stats.undone += len(before.entries)
            if is_undoing:
                stats.undone += len(decision.entries)
                decision = structs.replace(decision, only_if_believed=True)
            self._release()
        if key is not None and self._undoable.pop(key, None) is None:
            self._undoable[key] = self._last  # of two joins in a row neither can be undone
        return decision

    def _keep_before(self, undecided: _Undecided) -> None:
        """Forbid undoing across a signal whose app must be looked up: its webhooks are not known yet."""
        presence = presence_of(undecided.signal)[0]
        if presence is not None:
            self._undoable.pop(presence, None)

    def _take_out(self, number: int) -> Decision | _Undecided | None:
        """Remove a decision from those that wait; None if it was dropped before."""
        gone = self._waiting.pop(number, None)
        if gone is not None:
            self._bytes -= _cost(gone)
            self._forget(number, gone)
        return gone

    def _forget(self, number: int, waiting: Decision | _Undecided) -> None:
        """Mark a decision as one that cannot be undone any more."""
        key = _keys_of(waiting)[0] if isinstance(waiting, Decision) else None
        if key is not None and self._undoable.get(key) == number:
            del self._undoable[key]

    def _drop(self) -> None:
        """Drop decisions to make room, and release the callers that waited for them."""
        candidates = (
            overflow.Waiting(number, waiting.app_id, *_place_of(waiting), _cost(waiting))
            for number, waiting in self._waiting.items()
            if number not in self._in_hand
        )
        excess, dropped = self._bytes - MOST_BYTES + int(MOST_BYTES * _FREED), 0
        for number in overflow.to_drop(candidates, excess):
            gone = self._take_out(number)
            entries = len(gone.entries) if isinstance(gone, Decision) else 1
            if gone is not None:
                self._stats.of(gone.app_id).dropped_in_memory += entries
            dropped += entries
        self._release()
        counted = self._log_limit.due("dropped", asyncio.get_running_loop().time(), dropped)
        if counted:
            logger.error(
                "%d webhook events were dropped, of those of which most waited: no more fit into memory, and"
                " the outbox does not take them (%s)",
                counted,
                self._outage.problem or "it is too slow",
            )

    async def _keep(self) -> None:
        """Append the waiting decisions, batch by batch, until none is left."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        try:
            while self._waiting:
                try:
                    is_done = await self._keep_some()
                except OutboxUnavailable as error:
                    is_done = False
                    now = asyncio.get_running_loop().time()
                    if self._outage.begin(str(error), now=now):
                        logger.error("webhook events cannot be kept, and wait in memory: %s", error)
                except Exception:  # a fault of ours; the waiting decisions must not be lost
                    is_done = False
                    logger.exception("keeping webhook events failed")
                if is_done:
                    backoff.reset()
                else:
                    await asyncio.sleep(backoff.next())
        finally:
            self._keeping = None

    async def _keep_some(self) -> bool:
        """Append a batch. False when all of it has to wait for the apps. Raises OutboxUnavailable."""
        decided = await self._decided()
        # Some may have been undone or dropped while an app was looked up.
        batch = {
            number: decision for number, decision in decided.items() if number in self._waiting
        }
        decisions = [decision for decision in batch.values() if decision is not None]
        if decisions:
            self._in_hand = batch.keys()
            try:
                outbox = await self._outbox()
                self._count(await outbox.append(decisions))
            finally:
                self._in_hand = ()
            if self._outage.end():
                logger.info("webhook events are kept again")
        for number in batch:
            self._take_out(number)
        self._release()
        if decisions:
            self._on_kept({decision.app_id for decision in decisions})
        return bool(decided)

    async def _decided(self) -> dict[int, Decision | None]:
        """The next decisions by number, None if no webhook wants the signal.

        Signals of apps that cannot be looked up now are left out.
        """
        decided: dict[int, Decision | None] = {}
        stuck: set[str] = set()
        for number, waiting in list(self._waiting.items()):
            if len(decided) == AT_ONCE:
                break
            if waiting.app_id in stuck or number not in self._waiting:
                continue  # it may have been undone or dropped while an app was looked up
            if isinstance(waiting, Decision):
                self._forget(number, waiting)
                decided[number] = waiting
                continue
            try:
                app = await self._apps.by_id(waiting.app_id)
            except ClusterUnavailable:
                stuck.add(waiting.app_id)
                continue
            decided[number] = (
                None
                if app is None
                else select_targets(waiting.signal, app, waiting.event_id, waiting.at)
            )
        return decided

    def _count(self, appended: Appended) -> None:
        for app_id, entries in appended.crowded_out.items():
            self._stats.of(app_id).crowded_out += entries
        for app_id, entries in appended.undone.items():
            self._stats.of(app_id).undone += entries

    def _release(self) -> None:
        """Release the callers whose decisions are all stored."""
        oldest = next(iter(self._waiting), self._last + 1)
        for number, kept in self._waiters:
            if number < oldest and not kept.done():
                kept.set_result(None)
        self._waiters = [(number, kept) for number, kept in self._waiters if not kept.done()]


def _webhooks(decision: Decision) -> list[str]:
    return [entry.webhook for entry in decision.entries]


def _keys_of(decision: Decision) -> tuple[_Key | None, bool, _Key | None]:
    """The key of a decision; whether it needs no append if it undoes another one; the key of that one."""
    presence = decision.presence
    if presence is not None:
        return (presence, False, None) if decision.held else (None, True, presence)
    if not decision.entries:
        return None, False, None
    first = decision.entries[0]
    subject = subject_of(first)
    if not subject.may_be_undone:
        return None, False, None
    key = (decision.app_id, first.channel, subject)
    return key, False, key


def _place_of(waiting: Decision | _Undecided) -> tuple[str, str]:
    """Kind and channel, for the rule of `overflow`."""
    if isinstance(waiting, _Undecided):
        return type(waiting.signal).__name__, getattr(waiting.signal, "channel", "")
    if not waiting.entries:
        return "", "" if waiting.presence is None else waiting.presence.channel
    first = waiting.entries[0]
    return subject_of(first).kind, first.channel


def _cost(waiting: Decision | _Undecided) -> int:
    """Bytes of memory, roughly; text takes up to four for each of its characters."""
    if isinstance(waiting, _Undecided):
        signal = waiting.signal
        return _OVERHEAD + (len(signal.data) if isinstance(signal, ClientEventSent) else 0)
    entries = waiting.entries
    if not entries:
        return _OVERHEAD
    # The entries share the text of the event.
    return _OVERHEAD + sys.getsizeof(entries[0].event) + _PER_ENTRY * len(entries)
