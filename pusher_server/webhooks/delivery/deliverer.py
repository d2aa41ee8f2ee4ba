"""Claims apps with waiting entries, and runs one delivery for each app that this process has claimed.

A claim is for `LEASE` seconds; each poll of the outbox renews it, several times in a lease. This process ends
its claims earlier than the outbox does: it counts the lease from before the request.
"""

import asyncio
import logging
from collections.abc import Collection

from pusher_server.outage import Outage
from pusher_server.webhooks.delivery.app_delivery import AppDelivery
from pusher_server.webhooks.delivery.attempt import DeliveryContext
from pusher_server.webhooks.outbox.interface import OutboxUnavailable

logger = logging.getLogger("pusher_server.webhooks")

#: Seconds of a claim; if a process dies, its apps wait for so long.
LEASE = 10.0
#: Seconds between two polls of the outbox, for entries that other processes have appended, resent or left.
POLL = 1.0
#: Seconds between two counts of the waiting entries.
COUNT_EVERY = 5.0
#: Open requests of all webhooks together. A target that does not answer has one of them at a time, an app has
#: at most half of them (`slots`).
SLOTS = 256


class Deliverer:
    """`worker` is this process's unique name among all that use the outbox. Everything runs in one loop."""

    def __init__(self, worker: str, shared: DeliveryContext) -> None:
        self._worker = worker
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._deliveries: dict[str, AppDelivery] = {}
        #: Apps for which the outbox has positions of left-out entries.
        self._reported: set[str] = set()
        self._woken = asyncio.Event()
        self._outage = Outage()
        self._tasks = [self._loop.create_task(self._claim()), self._loop.create_task(self._count())]

    @property
    def problem(self) -> str | None:
        """Why webhooks cannot be delivered, in one line; None while they can."""
        return self._outage.problem

    def wake(self, app_ids: Collection[str]) -> None:
        """Deliver new entries of these apps."""
        for app_id in app_ids:
            delivery = self._deliveries.get(app_id)
            if delivery is None or delivery.is_over:
                self._woken.set()
            else:
                delivery.wake()

    async def close(self, seconds: float) -> None:
        """Finish requests in flight, for at most `seconds`, and release the claims."""
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
            requested_at = self._loop.time()
            try:
                claimed = await self._shared.outbox.claim(self._worker, LEASE)
                if self._outage.end():
                    logger.info("webhooks are delivered again")
                self._follow(claimed, requested_at)
            except OutboxUnavailable as error:
                if self._outage.begin(str(error), now=self._loop.time()):
                    logger.error("webhooks cannot be delivered now: %s", error)
                self._woken.clear()  # retry after `POLL`, not at once
            except Exception:  # a fault of ours; the next poll may succeed
                logger.exception("claiming webhooks failed")
                self._woken.clear()
            timer = self._loop.call_later(POLL, self._woken.set)
            await self._woken.wait()
            timer.cancel()

    def _follow(self, claimed: list[str], requested_at: float) -> None:
        """Start, extend or end deliveries, for the claims that were requested at `requested_at`."""
        until = requested_at + LEASE
        for app_id, delivery in list(self._deliveries.items()):
            if delivery.is_over:
                del self._deliveries[app_id]
            elif app_id not in claimed:
                if delivery.woken_at >= requested_at:
                    self._woken.set()  # the response may be older than the append
                else:
                    del self._deliveries[app_id]
                    delivery.cancel()
        for app_id in claimed:
            if app_id in self._deliveries:
                self._deliveries[app_id].extend(until)
                self._deliveries[app_id].look()
            else:
                self._deliveries[app_id] = AppDelivery(
                    self._worker, app_id, self._shared, until, self._reported
                )

    async def _count(self) -> None:
        while True:
            await asyncio.sleep(COUNT_EVERY)
            try:
                backlog = await self._shared.outbox.backlog()
            except OutboxUnavailable:
                continue  # `_claim` logs it
            self._shared.stats.note_backlog(backlog, self._deliveries.keys())
