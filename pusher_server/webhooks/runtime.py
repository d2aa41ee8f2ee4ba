"""Webhooks as a running server has them, put together: signals in, requests out.

Nothing is opened, and no file made, before there is a reason to: an app that has webhooks, an event that one of
them wants, or what an earlier run has left behind. What cannot be opened is tried again; until then events
wait in memory.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from pusher_server.app import App
from pusher_server.interfaces import AppProvider, Roster
from pusher_server.outage import Outage
from pusher_server.signals import Signal
from pusher_server.webhooks.delivery.attempt import DeliveryContext
from pusher_server.webhooks.delivery.deliverer import SLOTS, Deliverer
from pusher_server.webhooks.delivery.outcomes import Outcomes
from pusher_server.webhooks.delivery.slots import Slots
from pusher_server.webhooks.delivery.stats import DeliveryStats
from pusher_server.webhooks.delivery.target_log import TargetLog
from pusher_server.webhooks.delivery.target_queue import Pace
from pusher_server.webhooks.intake import Intake
from pusher_server.webhooks.outbox.interface import PAUSE, Outbox, OutboxUnavailable
from pusher_server.webhooks.reconcile import Reconciler

if TYPE_CHECKING:
    from pusher_server.webhooks.delivery.sender import Sender

logger = logging.getLogger("pusher_server.webhooks")

#: Seconds that requests in flight, and what is still to be written, have when the server stops.
FAREWELL = 3.0


class Opening(Protocol):
    """Where the outbox is, and how to open it."""

    @property
    def place(self) -> str:
        """For people, without secrets."""

    def is_left(self) -> bool:
        """Whether an earlier run may have left something there. Asked once, before the first client."""

    async def open(self) -> Outbox:
        """Raises OutboxUnavailable."""


class DeliverySettings(Struct, frozen=True, kw_only=True):
    """How it is to be done. Times are in seconds; `lease` and `undo_window` are the cluster's.

    `denied` are networks that no request may reach.
    """

    timeout: float
    denied: tuple[str, ...] = ()
    batch_events: int
    batch_window: float
    lease: float
    undo_window: float
    pace: Pace = Pace()


class _Open(Struct, frozen=True):
    """What there is once the outbox is open."""

    outbox: Outbox
    deliverer: Deliverer
    #: Announces what has not come back.
    reconciler: "asyncio.Task[None]"


class Webhooks:
    """`current` gives an app's value if it is in use on this node; `worker` is unique among all processes."""

    def __init__(
        self,
        opening: Opening,
        terms: DeliverySettings,
        *,
        current: Callable[[str], App | None],
        apps: AppProvider,
        roster: Roster,
        worker: str,
        wall: Callable[[], float] = time.time,
    ) -> None:
        self._opening = opening
        self._terms = terms
        self._apps = apps
        self._roster = roster
        #: What became of events, for metrics.
        self.stats = DeliveryStats()
        self._worker = worker
        self._wall = wall
        self._intake = Intake(
            current,
            apps,
            self._outbox,
            self.stats,
            event_prefix=worker,
            wall=wall,
            on_kept=self._on_kept,
        )
        self._sender: Sender | None = None
        self._open: _Open | None = None
        self._turn = asyncio.Lock()
        self._insisting: asyncio.Task[None] | None = None
        self._outage = Outage()

    @property
    def problem(self) -> str | None:
        """Why webhooks do not work, in one line without secrets; None while all is well."""
        delivering = None if self._open is None else self._open.deliverer.problem
        return self._outage.problem or self._intake.problem or delivering

    @property
    def observe(self) -> Callable[[Signal], None]:
        """See `Observer`; for the kinds of `payloads.TOLD`. Neither waits nor asks anybody."""
        return self._intake.observe

    async def kept(self) -> None:
        """Return once everything observed so far survives the end of this process."""
        await self._intake.kept()

    def start(self, *, expected: bool) -> None:
        """In the running loop, before the first client. `expected`: there is an app with webhooks."""
        if expected or self._opening.is_left():
            self.expect()

    def expect(self) -> None:
        """There is an app with webhooks, so the outbox will be needed."""
        if self._open is None and self._insisting is None:
            self._insisting = asyncio.get_running_loop().create_task(self._insist())

    async def stop(self) -> None:
        """Keep what waits, finish what is in flight, and let others have the rest; takes seconds at most."""
        if self._insisting is not None:
            self._insisting.cancel()
        await self._intake.close(FAREWELL)
        if self._open is not None:
            opened, self._open = self._open, None
            opened.reconciler.cancel()
            await opened.deliverer.close(FAREWELL)
            await opened.outbox.close()
        if self._sender is not None:
            await self._sender.close()

    async def _insist(self) -> None:
        try:
            while self._open is None:
                try:
                    await self._outbox()
                except OutboxUnavailable:
                    await asyncio.sleep(PAUSE)  # it was said
        except Exception:
            logger.exception("webhooks cannot be started")
        finally:
            self._insisting = None

    async def _outbox(self) -> Outbox:
        """The outbox; opens it, and begins to deliver, if nobody has. Raises OutboxUnavailable."""
        if self._open is not None:
            return self._open.outbox
        async with self._turn:
            if self._open is None:
                self._open = await self._opened()
            return self._open.outbox

    async def _opened(self) -> _Open:
        terms = self._terms
        if self._sender is None:
            self._sender = await asyncio.to_thread(_sender, terms)
        try:
            outbox = await self._opening.open()
        except OutboxUnavailable as error:
            if self._outage.begin(str(error)):
                logger.error("no webhook is delivered, and events wait in memory: %s", error)
            raise
        logger.info("webhook events are kept in %s", self._opening.place)
        self._outage.end()
        loop = asyncio.get_running_loop()
        delivering = DeliveryContext(
            outbox=outbox,
            apps=self._apps,
            send=self._sender,
            batch_events=terms.batch_events,
            batch_window=terms.batch_window,
            pace=terms.pace,
            outcomes=Outcomes(outbox),
            stats=self.stats,
            log=TargetLog(loop.time),
            slots=Slots(SLOTS),
            wall=self._wall,
        )
        reconciler = Reconciler(
            outbox,
            self._roster,
            self._apps,
            self._intake,
            lease=terms.lease,
            undo_window=terms.undo_window,
            wall=self._wall,
        )
        return _Open(
            outbox,
            Deliverer(self._worker, delivering),
            loop.create_task(reconciler.announce()),
        )

    def _on_kept(self, app_ids: Collection[str]) -> None:
        if self._open is not None:
            self._open.deliverer.wake(app_ids)


def _sender(terms: DeliverySettings) -> "Sender":
    """Off the loop: httpx takes a while to import, and certificates to read."""
    from pusher_server.webhooks.delivery.sender import Sender

    return Sender(terms.timeout, terms.denied)
