"""From signals to kept events: who wants what is decided at once, the outbox keeps it a moment later.

`observe` runs inside whatever has happened, a client event among others, so it neither waits nor asks anybody.
What it has decided stands in memory until the outbox has it: for milliseconds as a rule, for as long as the
outbox is away otherwise, up to a bound. An app that is not in use on this node, which was told to announce a
leave there, is looked up in between.
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

#: Decisions that are appended at once.
AT_ONCE = 500
#: Bytes of events in memory; beyond them some go (`overflow`), and are counted.
MOST_BYTES = 67_108_864
#: The part of it that is made free at once: to find out whose turn it is takes 0.1 s with 55,000 events.
_FREED = 1 / 8
#: What a decision takes besides its events, and each of its entries.
_OVERHEAD, _PER_ENTRY = 1_024, 128
#: Seconds between attempts while the outbox or the apps are away.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0

#: What can be undone while it waits here: who came, or the channel of an app of which the latest counts.
_Key = Presence | tuple[str, str, Subject]


class _Undecided:
    """A signal of an app that is not in use here: who wants it has to be looked up. It has its id already."""

    __slots__ = ("app_id", "at", "event_id", "signal")

    def __init__(self, signal: Signal, event_id: str, at: float) -> None:
        self.app_id = signal.app_id
        self.signal = signal
        self.event_id = event_id
        self.at = at


class Intake:
    """`current` gives an app's value if it is in use on this node; `outbox` opens it on first use.

    `event_prefix` is unique among all processes there ever were. `wall` gives seconds of the epoch. `on_kept`
    is told of which apps something new waits.
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
        #: What is not kept yet, in order, by number.
        self._waiting: dict[int, Decision | _Undecided] = {}
        #: Of it what can be undone and was not yet handed to the outbox, which may have it even if it said no.
        self._undoable: dict[_Key, int] = {}
        #: What the outbox is being given.
        self._in_hand: Collection[int] = ()
        self._last = 0
        self._bytes = 0
        self._keeping: asyncio.Task[None] | None = None
        #: Those who wait until everything up to a number is kept.
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._outage = Outage()
        self._log_limit = LogRateLimit()

    @property
    def problem(self) -> str | None:
        """Why events cannot be kept, in one line; None while all is well."""
        return self._outage.problem

    def observe(self, signal: Signal) -> None:
        """See `Observer`. Called in the loop."""
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
        """Keep what was decided elsewhere, after everything observed so far."""
        self._put(decision)

    def new_id(self) -> str:
        """An event id that no other event has, in any process."""
        return f"{self._event_prefix}-{next(self._event_numbers):x}"

    async def kept(self) -> None:
        """Return once everything observed so far is kept, or was dropped for want of memory."""
        if self._waiting:
            kept = asyncio.get_running_loop().create_future()
            self._waiters.append((self._last, kept))
            await kept

    async def close(self, seconds: float) -> None:
        """Keep what waits, for no longer than `seconds`."""
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
        """What is left of it, once what it undoes is taken out of what waits.

        Only if both are for the same webhooks: whoever wants to hear of leaves alone gets each of them. A leave
        still counts if its coming was announced before, by an earlier run.
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
            self._undoable[key] = self._last  # of two comings in a row neither can be undone
        return decision

    def _keep_before(self, undecided: _Undecided) -> None:
        """Nothing is undone across what has to be looked up: nobody knows yet which webhooks want it."""
        presence = presence_of(undecided.signal)[0]
        if presence is not None:
            self._undoable.pop(presence, None)

    def _take_out(self, number: int) -> Decision | _Undecided | None:
        """It waits no longer; None if it was dropped meanwhile."""
        gone = self._waiting.pop(number, None)
        if gone is not None:
            self._bytes -= _cost(gone)
            self._forget(number, gone)
        return gone

    def _forget(self, number: int, waiting: Decision | _Undecided) -> None:
        """It can be undone no longer."""
        key = _keys_of(waiting)[0] if isinstance(waiting, Decision) else None
        if key is not None and self._undoable.get(key) == number:
            del self._undoable[key]

    def _drop(self) -> None:
        """Make room. The fate of what goes is known then, so nobody waits for it."""
        found = (
            overflow.Waiting(number, each.app_id, *_place_of(each), _cost(each))
            for number, each in self._waiting.items()
            if number not in self._in_hand
        )
        excess, dropped = self._bytes - MOST_BYTES + int(MOST_BYTES * _FREED), 0
        for number in overflow.to_drop(found, excess):
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
        """Append what waits, batch by batch, until nothing does."""
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        try:
            while self._waiting:
                try:
                    is_done = await self._keep_some()
                except OutboxUnavailable as error:
                    is_done = False
                    if self._outage.begin(str(error)):
                        logger.error("webhook events cannot be kept, and wait in memory: %s", error)
                except Exception:  # ours; what waits must not be forgotten over it
                    is_done = False
                    logger.exception("keeping webhook events failed")
                if is_done:
                    backoff.reset()
                else:
                    await asyncio.sleep(backoff.next())
        finally:
            self._keeping = None

    async def _keep_some(self) -> bool:
        """Append a batch. False when some of it has to wait for the apps. Raises OutboxUnavailable."""
        found = await self._decided()
        batch = {number: each for number, each in found.items() if number in self._waiting}
        decisions = [each for each in batch.values() if each is not None]
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
            self._on_kept({each.app_id for each in decisions})
        return bool(found)

    async def _decided(self) -> dict[int, Decision | None]:
        """The next of what waits, by number; None: nobody wants it. Without apps that cannot be looked up."""
        found: dict[int, Decision | None] = {}
        stuck: set[str] = set()
        for number, waiting in list(self._waiting.items()):
            if len(found) == AT_ONCE:
                break
            if waiting.app_id in stuck or number not in self._waiting:
                continue  # it may have been undone or dropped while an app was looked up
            if isinstance(waiting, Decision):
                self._forget(number, waiting)
                found[number] = waiting
                continue
            try:
                app = await self._apps.by_id(waiting.app_id)
            except ClusterUnavailable:
                stuck.add(waiting.app_id)
                continue
            found[number] = (
                None
                if app is None
                else select_targets(waiting.signal, app, waiting.event_id, waiting.at)
            )
        return found

    def _count(self, appended: Appended) -> None:
        for app_id, entries in appended.crowded_out.items():
            self._stats.of(app_id).crowded_out += entries
        for app_id, entries in appended.undone.items():
            self._stats.of(app_id).undone += entries

    def _release(self) -> None:
        """Tell those whose events are all kept."""
        oldest = next(iter(self._waiting), self._last + 1)
        for number, kept in self._waiters:
            if number < oldest and not kept.done():
                kept.set_result(None)
        self._waiters = [(number, kept) for number, kept in self._waiters if not kept.done()]


def _webhooks(decision: Decision) -> list[str]:
    return [each.webhook for each in decision.entries]


def _keys_of(decision: Decision) -> tuple[_Key | None, bool, _Key | None]:
    """Under what it can be undone itself; whether it goes with what it undoes, and under what that waits."""
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
    """Kind and channel, for the rule of crowding."""
    if isinstance(waiting, _Undecided):
        return type(waiting.signal).__name__, getattr(waiting.signal, "channel", "")
    if not waiting.entries:
        return "", "" if waiting.presence is None else waiting.presence.channel
    first = waiting.entries[0]
    return subject_of(first).kind, first.channel


def _cost(waiting: Decision | _Undecided) -> int:
    """Bytes, about; text takes up to four for each of its characters."""
    if isinstance(waiting, _Undecided):
        signal = waiting.signal
        return _OVERHEAD + (len(signal.data) if isinstance(signal, ClientEventSent) else 0)
    entries = waiting.entries
    if not entries:
        return _OVERHEAD
    # They share the text.
    return _OVERHEAD + sys.getsizeof(entries[0].event) + _PER_ENTRY * len(entries)
