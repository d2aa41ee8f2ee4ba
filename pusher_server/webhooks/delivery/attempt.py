"""One attempt: looks up the webhook, makes the body at the first time, sends it, and records the result."""

import asyncio
import logging
from collections.abc import Callable

from msgspec import Struct

from pusher_server.app import App, Webhook
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import AppProvider
from pusher_server.webhooks.delivery.outcomes import Outcomes
from pusher_server.webhooks.delivery.requests import SignedBody, headers_of, signed_body
from pusher_server.webhooks.delivery.sending import Answer, Send
from pusher_server.webhooks.delivery.slots import Slots
from pusher_server.webhooks.delivery.stats import DeliveryStats
from pusher_server.webhooks.delivery.target_log import TargetLog
from pusher_server.webhooks.delivery.target_queue import Batch, Pace, TargetQueue
from pusher_server.webhooks.outbox.interface import PAUSE, AttemptRecord, Outbox

logger = logging.getLogger("pusher_server.webhooks")

#: Seconds until the next attempt after a fault of ours, which is likely to occur again.
_AFTER_FAULT = 60.0
#: If two clocks diverge by more seconds, one of them was set, and not only adjusted.
_CLOCK_WAS_SET = 5.0


class DeliveryContext(Struct, frozen=True, kw_only=True):
    """Parts and settings that all deliveries share.

    `batch_events` and `batch_window` (seconds) are for webhooks that batch. `slots` bounds all requests
    together. `wall` gives seconds of the epoch.
    """

    outbox: Outbox
    apps: AppProvider
    send: Send
    batch_events: int
    batch_window: float
    pace: Pace = Pace()
    outcomes: Outcomes
    stats: DeliveryStats
    log: TargetLog
    slots: Slots
    wall: Callable[[], float]


def webhook_of(app: App | None, webhook_id: str) -> Webhook | None:
    """The webhook in its app now: of several with the same URL the first. None: the app has it no more."""
    if app is None or not app.enabled:
        return None
    return next((webhook for webhook in app.webhooks if webhook.id == webhook_id), None)


def webhooks_of(app: App | None) -> dict[str, Webhook]:
    """All of the app's webhooks by id, as `webhook_of` finds them; empty when it is disabled or gone."""
    if app is None or not app.enabled:
        return {}
    return {webhook.id: webhook for webhook in reversed(app.webhooks)}


def why_unwanted(app: App | None) -> str:
    """Why `webhook_of` returns None, as text for the log."""
    if app is None:
        return "their app does not exist any more"
    if not app.enabled:
        return "their app is disabled"
    return "their webhook was removed from the app"


class Attempt:
    """An attempt to send `batch`, which `queue` has returned."""

    def __init__(
        self,
        shared: DeliveryContext,
        app_id: str,
        webhook_id: str,
        queue: TargetQueue,
        batch: Batch,
    ) -> None:
        self._shared = shared
        self._app_id = app_id
        self._webhook_id = webhook_id
        self._queue = queue
        self._batch = batch
        self._clock = asyncio.get_running_loop().time

    async def run(self) -> bool:
        """Make the attempt. Returns whether the batch is finished; else the queue has it again."""
        try:
            async with self._shared.slots.of(self._app_id):
                return await self._attempt()
        except ClusterUnavailable as error:
            logger.debug("app %s cannot be looked up: %s", self._app_id, error)
            self._queue.postpone(self._batch, self._clock() + PAUSE)
            return False
        except Exception:  # a fault of ours; the batch must not be lost or block its channels
            logger.exception("an attempt to deliver a webhook failed", extra={"app": self._app_id})
            self._queue.postpone(self._batch, self._clock() + _AFTER_FAULT)
            return False

    async def _attempt(self) -> bool:
        shared, batch = self._shared, self._batch
        app = await shared.apps.by_id(self._app_id)
        webhook = webhook_of(app, self._webhook_id)
        if app is None or webhook is None:
            self._drop(why_unwanted(app))
            return True
        now, at = self._clock(), shared.wall()
        if batch.body is None:
            batch.made_at = now
        elif now >= batch.made_at + shared.pace.good_for:
            self._queue.drop(batch, now)
            self._bury(webhook, batch.last_reason)
            return True
        body = self._body(app, now, at)
        batch.attempts += 1
        answer = await shared.send(webhook, body.content, headers_of(webhook, body))
        return self._conclude(webhook, answer, at)

    def _body(self, app: App, now: float, wall: float) -> SignedBody:
        """The batch's body, the same in each attempt; a new one when the machine's time was set meanwhile.

        The body has the time, which receivers compare with their own clock.
        """
        batch = self._batch
        if batch.body is None or abs(wall - now - batch.wall_offset) > _CLOCK_WAS_SET:
            batch.body = signed_body(app, [pending.entry for pending in batch.pendings], wall)
            batch.wall_offset = wall - now
        return batch.body

    def _conclude(self, webhook: Webhook, answer: Answer, at: float) -> bool:
        shared, batch, now = self._shared, self._batch, self._clock()
        stats = shared.stats.of(self._app_id)
        stats.attempts += 1
        if answer.is_success:
            self._queue.done(batch, now)
            outcome = "delivered"
            stats.delivered += len(batch.pendings)
            shared.stats.latency.observe_since(
                (pending.entry.decided_at for pending in batch.pendings), shared.wall()
            )
            shared.outcomes.finish(self._app_id, batch.positions)
            shared.log.delivered(self._app_id, webhook)
        else:
            stats.failures += 1
            batch.last_reason = answer.reason
            outcome = "retry" if self._is_tried_again(webhook, answer, now) else "dead"
            if outcome == "dead":
                self._bury(webhook, answer.reason)
        shared.outcomes.record(self._app_id, self._line(webhook, answer, at, outcome))
        return outcome != "retry"

    def _is_tried_again(self, webhook: Webhook, answer: Answer, now: float) -> bool:
        """Whether the batch is retried. A denied target is not, nor a batch that is too old."""
        if answer.is_denied:
            self._queue.drop(self._batch, now)
            return False
        self._shared.log.failed(self._app_id, webhook, answer.reason)
        return self._queue.failed(self._batch, now, silent=answer.status == 0)

    def _line(self, webhook: Webhook, answer: Answer, at: float, outcome: str) -> AttemptRecord:
        entries = [pending.entry for pending in self._batch.pendings]
        return AttemptRecord(
            at=at,
            webhook=webhook.id,
            url=webhook.shown_url,
            ids=tuple(entry.id for entry in entries),
            events=tuple(entry.event for entry in entries),
            number=self._batch.attempts,
            status=answer.status,
            took=answer.took,
            outcome=outcome,
            answer=answer.text,
        )

    def _bury(self, webhook: Webhook, reason: str) -> None:
        shared, positions = self._shared, self._batch.positions
        shared.stats.of(self._app_id).dead += len(positions)
        shared.outcomes.bury(self._app_id, positions, reason, shared.wall())
        shared.log.buried(self._app_id, webhook, len(positions), reason)

    def _drop(self, why: str) -> None:
        """Finish the batch without sending it: its webhook is gone."""
        positions = self._batch.positions
        self._queue.drop(self._batch, self._clock())
        self._shared.outcomes.finish(self._app_id, positions)
        self._shared.stats.of(self._app_id).unwanted += len(positions)
        self._shared.log.unwanted(self._app_id, self._webhook_id, len(positions), why)
