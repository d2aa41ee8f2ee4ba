"""Runtime of webhooks in a server: builds intake, outbox and delivery, and starts them when first needed.

The outbox is opened, and its file made, only for a reason. Reasons are an app with webhooks, an event that a
webhook wants, or an outbox that an earlier run has left. An outbox that cannot be opened is retried; until
then events wait in memory.
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

#: Seconds for requests in flight and for events to be stored when the server stops.
FAREWELL = 3.0


class Opening(Protocol):
    """The location of the outbox, and how to open it."""

    @property
    def place(self) -> str:
        """The location as text for people, without secrets."""

    def is_left(self) -> bool:
        """Whether an earlier run may have left an outbox. Called once, before the first client."""

    async def open(self) -> Outbox:
        """Open the outbox. Raises OutboxUnavailable."""


class DeliverySettings(Struct, frozen=True, kw_only=True):
    """Settings of the delivery. Times are in seconds; `lease` and `undo_window` are the cluster's.

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
    """The parts that exist while the outbox is open."""

    outbox: Outbox
    deliverer: Deliverer
    #: Runs `Reconciler.announce`.
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
        #: Results of deliveries, for metrics.
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
        self._open_task: asyncio.Task[None] | None = None
        self._outage = Outage()

    @property
    def problem(self) -> str | None:
        """Why webhooks do not work, in one line without secrets; None while all is well."""
        delivering = None if self._open is None else self._open.deliverer.problem
        return self._outage.problem or self._intake.problem or delivering

    @property
    def observe(self) -> Callable[[Signal], None]:
        """See `Observer`; for the kinds of `events.WEBHOOK_SIGNALS`. It neither waits nor does any I/O."""
        return self._intake.observe

    async def kept(self) -> None:
        """Return once all events observed so far survive the end of this process."""
        await self._intake.kept()

    def start(self, *, expected: bool) -> None:
        """Start in the running loop, before the first client. `expected`: an app has webhooks."""
        if expected or self._opening.is_left():
            self.expect()

    def expect(self) -> None:
        """Open the outbox soon: an app has webhooks."""
        if self._open is None and self._open_task is None:
            self._open_task = asyncio.get_running_loop().create_task(self._retry_until_open())

    async def stop(self) -> None:
        """Store waiting events, finish requests in flight, release the claims; takes seconds at most."""
        if self._open_task is not None:
            self._open_task.cancel()
        await self._intake.close(FAREWELL)
        if self._open is not None:
            opened, self._open = self._open, None
            opened.reconciler.cancel()
            await opened.deliverer.close(FAREWELL)
            await opened.outbox.close()
        if self._sender is not None:
            await self._sender.close()

    async def _retry_until_open(self) -> None:
        try:
            while self._open is None:
                try:
                    await self._outbox()
                except OutboxUnavailable:
                    await asyncio.sleep(PAUSE)  # `_opened` has logged it
        except Exception:
            logger.exception("webhooks cannot be started")
        finally:
            self._open_task = None

    async def _outbox(self) -> Outbox:
        """The outbox; the first call opens it and starts the delivery. Raises OutboxUnavailable."""
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
            if self._outage.begin(str(error), now=asyncio.get_running_loop().time()):
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
    """Make the sender, in a thread: to import httpx and read certificates takes a while."""
    from pusher_server.webhooks.delivery.sender import Sender

    return Sender(terms.timeout, terms.denied)
