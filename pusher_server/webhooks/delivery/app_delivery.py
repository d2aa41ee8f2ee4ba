"""Delivers the events of one app, for as long as this process has the claim.

It reads the waiting entries page by page and sorts them into one queue per webhook, which decides the next
batch. A webhook that accepts no events fills its queue and no more. Its further entries are left out: they
stay in the outbox and are read later, while reading goes on for the other webhooks.

The outbox gets the positions from which entries are left out. Beyond them events can undo each other, as in a
queue, because no process has sent them. Entries of an earlier claim may have been sent: the target may believe
them, so nothing undoes them.
"""

import asyncio
import logging
from collections import Counter

from pusher_server.app import App
from pusher_server.errors import ClusterUnavailable
from pusher_server.webhooks.delivery.attempt import (
    Attempt,
    DeliveryContext,
    webhook_of,
    webhooks_of,
    why_unwanted,
)
from pusher_server.webhooks.delivery.outcomes import MOST_OWED
from pusher_server.webhooks.delivery.target_queue import Batch, Pace, TargetQueue, room_of
from pusher_server.webhooks.outbox.interface import PAUSE, OutboxUnavailable, Pending

logger = logging.getLogger("pusher_server.webhooks")

#: Entries in one page.
PAGE = 200


class _Target:
    """One webhook's queue, and the position to read on from for it; None when nothing was left out."""

    __slots__ = ("queue", "resume_after")

    def __init__(self, pace: Pace) -> None:
        self.queue = TargetQueue(pace)
        self.resume_after: str | None = None


class AppDelivery:
    """Runs until `cancel`, or until `until`, in seconds of the running loop's clock.

    `worker` has the claim. `reported` are the apps for which the outbox has positions of left-out entries. An
    earlier delivery may have reported them; they are out of date when a new one begins.
    """

    def __init__(
        self, worker: str, app_id: str, shared: DeliveryContext, until: float, reported: set[str]
    ) -> None:
        self.app_id = app_id
        self._worker = worker
        self._reported = reported
        #: Webhooks whose positions of left-out entries were reported to the outbox.
        self._left_out: set[str] = set()
        #: When this process last appended an entry of the app.
        self.woken_at = float("-inf")
        self._shared = shared
        self._loop = asyncio.get_running_loop()
        self._targets: dict[str, _Target] = {}
        #: Positions that were read and are in a queue.
        self._here: set[str] = set()
        #: Entries read by webhook and channel; None once all that waited at the claim are read.
        self._inherited: Counter[tuple[str, str]] | None = Counter()
        #: The last position that waited at the claim.
        self._inherited_to = ""
        #: The position up to which entries were read; whether there may be more.
        self._read_to = ""
        self._more = True
        self._woken = asyncio.Event()
        self._attempts: set[asyncio.Task[None]] = set()
        self._is_closing = False
        self._until = until
        self._expiry = self._loop.call_at(until, self._expire)
        self._task = self._loop.create_task(self._run())

    @property
    def is_over(self) -> bool:
        """Whether the delivery has ended."""
        return self._task.done()

    def extend(self, until: float) -> None:
        """Go on until `until`: the claim was renewed."""
        self._until = until
        self._expiry.cancel()
        self._expiry = self._loop.call_at(until, self._expire)

    def wake(self) -> None:
        """Read new entries, which this process has appended."""
        self.woken_at = self._loop.time()
        self.look()

    def look(self) -> None:
        """Read new entries, if there are any."""
        self._more = True
        self._woken.set()

    def cancel(self) -> None:
        """End at once: the claim is lost. Requests in flight may arrive, and the next worker repeats them."""
        self._expiry.cancel()
        self._task.cancel()
        for attempt in self._attempts:
            attempt.cancel()

    async def close(self, seconds: float) -> None:
        """Start no more attempts, and wait for those in flight, for at most `seconds`."""
        self._is_closing = True
        if self._attempts:
            await asyncio.wait(self._attempts, timeout=seconds)
        self.cancel()

    def _expire(self) -> None:
        self._shared.log.claim_lost(self.app_id)
        self.cancel()

    async def _run(self) -> None:
        try:
            while True:
                self._woken.clear()
                can_read = not self._shared.outcomes.is_full and await self._read()
                self._send()
                if not can_read or not self._has_more():
                    await self._wait(can_read=can_read)
        except Exception:  # a fault of ours; the next claim starts anew
            logger.exception("delivering webhooks failed", extra={"app": self.app_id})
            self.cancel()

    async def _wait(self, *, can_read: bool) -> None:
        """Wait for `wake`, the end of an attempt, or the next batch that is due."""
        now = self._loop.time()
        pauses = [target.queue.pause(now) for target in self._targets.values()]
        if self._shared.outcomes.is_full:
            pauses = [PAUSE]
        elif not can_read:
            pauses.append(PAUSE)
        due = [pause for pause in pauses if pause is not None]
        timer = self._loop.call_later(min(due), self._woken.set) if due else None
        await self._woken.wait()
        if timer is not None:
            timer.cancel()

    # Reading

    def _has_more(self) -> bool:
        return self._more or any(map(_is_hungry, self._targets.values()))

    async def _read(self) -> bool:
        """Read a page, and one for each webhook whose left-out entries have room now; False when it fails."""
        try:
            if self._reported and not self._left_out and self.app_id in self._reported:
                await self._shared.outbox.leave_out(self._worker, self.app_id, {})
                self._reported.discard(self.app_id)
            app = await self._shared.apps.by_id(self.app_id)
            self._shape(app)
            if self._more:
                await self._read_on(app)
            for webhook_id, target in self._targets.items():
                if _is_hungry(target):
                    await self._resume(app, webhook_id, target)
            await self._report_left_out()
        except (OutboxUnavailable, ClusterUnavailable) as error:
            logger.debug("webhook events of app %s cannot be read: %s", self.app_id, error)
            return False
        return True

    def _shape(self, app: App | None) -> None:
        shared = self._shared
        # A dictionary, because an app in a database may have any number of webhooks.
        webhooks = webhooks_of(app)
        room = room_of(len(webhooks))
        for webhook_id, target in self._targets.items():
            webhook = webhooks.get(webhook_id)
            if webhook is not None and webhook.batch:
                target.queue.configure(shared.batch_events, shared.batch_window, room)
            else:
                target.queue.configure(1, 0.0, room)

    async def _read_on(self, app: App | None) -> None:
        self._more = False  # before reading: an append meanwhile sets it again
        try:
            page = await self._shared.outbox.pending(self.app_id, self._read_to, PAGE)
        except BaseException:
            self._more = True
            raise
        is_last = len(page) < PAGE
        self._more = self._more or not is_last
        if not page and self._read_to and not self._here:
            # The outbox may have been made anew, with earlier positions if a clock was set back.
            self._read_to, self._more = "", True
        for pending in page:
            webhook_id = pending.entry.webhook
            target = self._targets.get(webhook_id)
            if target is None:
                target = self._targets[webhook_id] = _Target(self._shared.pace)
                self._shape(app)
            if target.resume_after is None and not self._take(app, target, pending):
                target.resume_after = self._read_to
            self._read_to = pending.position
        if is_last and self._inherited is not None:
            self._inherited, self._inherited_to = None, self._read_to

    async def _report_left_out(self) -> None:
        """Report the positions of left-out entries when one more webhook has them; `take` moves them later."""
        now = {
            webhook_id: max(target.resume_after, self._inherited_to)
            for webhook_id, target in self._targets.items()
            if target.resume_after is not None
        }
        if now.keys() - self._left_out:
            self._reported.add(self.app_id)
            await self._shared.outbox.leave_out(self._worker, self.app_id, now)
            self._left_out = set(now)

    async def _resume(self, app: App | None, webhook_id: str, target: _Target) -> None:
        before = target.resume_after or ""
        page = await self._shared.outbox.take(self._worker, self.app_id, webhook_id, before, PAGE)
        if len(page) < PAGE:
            self._left_out.discard(webhook_id)
        for pending in page:
            if pending.entry.webhook == webhook_id and not self._take(app, target, pending):
                target.resume_after = before
                return
            before = pending.position
        target.resume_after = before if len(page) == PAGE else None

    def _take(self, app: App | None, target: _Target, pending: Pending) -> bool:
        """Put an entry into its queue, once; False when there is no room."""
        position, entry = pending.position, pending.entry
        if position in self._here or self._shared.outcomes.owes(self.app_id, position):
            return True
        if webhook_of(app, entry.webhook) is None:
            self._shared.outcomes.finish(self.app_id, [position])
            self._shared.stats.of(self.app_id).unwanted += 1
            self._shared.log.unwanted(self.app_id, entry.webhook, 1, why_unwanted(app))
            return True
        sent = self._may_have_been_sent(pending)
        if not target.queue.put(pending, self._loop.time(), may_have_been_sent=sent):
            return False
        self._here.add(position)
        undone = target.queue.undone()
        if undone:
            self._here.difference_update(undone)
            self._shared.stats.of(self.app_id).undone += len(undone)
            self._shared.outcomes.finish(self.app_id, undone)
        return True

    def _may_have_been_sent(self, pending: Pending) -> bool:
        """Whether an earlier claim may have sent the entry: its batches hold the first of a channel.

        It may have sent several batches of which the outbox has no result yet: one in flight, others not yet
        written. It may have read further than this delivery does at first.
        """
        if self._inherited is None:
            return pending.position <= self._inherited_to
        place = (pending.entry.webhook, pending.entry.channel)
        self._inherited[place] += 1
        return self._inherited[place] <= MOST_OWED + self._shared.batch_events

    # Sending

    def _send(self) -> None:
        now = self._loop.time()
        if self._is_closing or now >= self._until:
            return
        for webhook_id, target in self._targets.items():
            while not self._shared.outcomes.is_full:
                batch = target.queue.next(now)
                if batch is None:
                    break
                attempt = self._loop.create_task(self._attempt(webhook_id, target.queue, batch))
                self._attempts.add(attempt)
                attempt.add_done_callback(self._ended)

    async def _attempt(self, webhook_id: str, queue: TargetQueue, batch: Batch) -> None:
        if await Attempt(self._shared, self.app_id, webhook_id, queue, batch).run():
            self._here.difference_update(batch.positions)

    def _ended(self, attempt: asyncio.Task[None]) -> None:
        self._attempts.discard(attempt)
        self._woken.set()


def _is_hungry(target: _Target) -> bool:
    """Whether entries were left out in the outbox, and the queue has room for them."""
    return target.resume_after is not None and target.queue.has_room
