"""Delivery: claims apps that have something waiting, and runs one delivery for each that this process has.

A claim is for `LEASE` seconds and renewed with every look at the outbox, several times in between. Ours ends
earlier than the outbox's: it is counted from before the question.
"""

import asyncio
import logging
from collections.abc import Collection

from pusher_server.outage import Outage
from pusher_server.webhooks.delivery.app_delivery import AppDelivery
from pusher_server.webhooks.delivery.attempt import DeliveryContext
from pusher_server.webhooks.outbox.interface import OutboxUnavailable

logger = logging.getLogger("pusher_server.webhooks")

#: Seconds for which an app is ours; a process that dies keeps its apps waiting for so long.
LEASE = 10.0
#: Seconds between two looks at the outbox, for what other processes have appended, resent or left behind.
POLL = 1.0
#: Seconds between two counts of what waits.
COUNT_EVERY = 5.0
#: Requests of all webhooks together: a target that does not answer has one of them at a time, an app half of
#: them at most (`slots`).
SLOTS = 256


class Deliverer:
    """`worker` names this process among all that use the outbox. Everything is in the running loop."""

    def __init__(self, worker: str, shared: DeliveryContext) -> None:
        self._worker = worker
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._deliveries: dict[str, AppDelivery] = {}
        #: Apps of which the outbox was told what their deliveries have left out.
        self._told: set[str] = set()
        self._woken = asyncio.Event()
        self._outage = Outage()
        self._tasks = [self._loop.create_task(self._claim()), self._loop.create_task(self._count())]

    @property
    def problem(self) -> str | None:
        """Why nothing can be delivered, in one line; None while all is well."""
        return self._outage.problem

    def wake(self, app_ids: Collection[str]) -> None:
        """Something new waits of these apps."""
        for app_id in app_ids:
            delivery = self._deliveries.get(app_id)
            if delivery is None or delivery.is_over:
                self._woken.set()
            else:
                delivery.wake()

    async def close(self, seconds: float) -> None:
        """Finish what is in flight, for no longer than `seconds`, and let others have the rest."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*(delivery.close(seconds) for delivery in self._deliveries.values()))
        await self._shared.outcomes.close(seconds)
        try:
            async with asyncio.timeout(seconds):
                await self._shared.outbox.release(self._worker)
        except (OutboxUnavailable, TimeoutError) as error:
            logger.warning(
                "claims on webhooks could not be released (%s); they run out",
                str(error) or "time-out",
            )

    async def _claim(self) -> None:
        while True:
            self._woken.clear()
            asked_at = self._loop.time()
            try:
                claimed = await self._shared.outbox.claim(self._worker, LEASE)
                if self._outage.end():
                    logger.info("webhooks are delivered again")
                self._follow(claimed, asked_at)
            except OutboxUnavailable as error:
                if self._outage.begin(str(error)):
                    logger.error("webhooks cannot be delivered now: %s", error)
                self._woken.clear()  # no sooner than in a moment
            except Exception:  # ours; the next look may go well
                logger.exception("claiming webhooks failed")
                self._woken.clear()
            timer = self._loop.call_later(POLL, self._woken.set)
            await self._woken.wait()
            timer.cancel()

    def _follow(self, claimed: list[str], asked_at: float) -> None:
        """Begin, go on or end deliveries, as the outbox said to a question of `asked_at`."""
        until = asked_at + LEASE
        for app_id, delivery in list(self._deliveries.items()):
            if delivery.is_over:
                del self._deliveries[app_id]
            elif app_id not in claimed:
                if delivery.woken_at >= asked_at:
                    self._woken.set()  # the answer may be older than what it was woken for
                else:
                    del self._deliveries[app_id]
                    delivery.cancel()
        for app_id in claimed:
            if app_id in self._deliveries:
                self._deliveries[app_id].extend(until)
                self._deliveries[app_id].look()
            else:
                self._deliveries[app_id] = AppDelivery(
                    self._worker, app_id, self._shared, until, self._told
                )

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(COUNT_EVERY)
            try:
                backlog = await self._shared.outbox.backlog()
            except OutboxUnavailable:
                continue  # the claims say so
            self._shared.stats.note_backlog(backlog, self._deliveries.keys())
