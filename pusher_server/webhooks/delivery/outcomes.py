"""Writes the results of deliveries to the outbox.

Deliveries do not wait for the outbox's disk: their results are gathered while the last write is under way. So
after a crash, requests in flight and the entries of one write are repeated. While the outbox is away these are
at most `MOST_OWED` entries: then no more are sent.
"""

import asyncio
import logging
from collections.abc import Awaitable

from pusher_server.webhooks.outbox.interface import PAUSE, AttemptRecord, Outbox, OutboxUnavailable

logger = logging.getLogger("pusher_server.webhooks")

#: Entries whose results may be unwritten; with so many, no more are sent.
MOST_OWED = 1_000
#: Attempts that may be unwritten; further ones are not logged.
MOST_ATTEMPTS = 1_000


class Outcomes:
    """Writes to `outbox` until `close`. Everything runs in one loop."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        #: App and position -> reason and time (seconds of the epoch) of giving up; None: the entry is finished.
        self._owed: dict[tuple[str, str], tuple[str, float] | None] = {}
        self._attempts: list[tuple[str, AttemptRecord]] = []
        self._writing: asyncio.Task[None] | None = None

    def owes(self, app_id: str, position: str) -> bool:
        """Whether the entry has a result that is not yet written: it must not be sent again."""
        return (app_id, position) in self._owed

    @property
    def is_full(self) -> bool:
        """Whether no more should be sent for now."""
        return len(self._owed) >= MOST_OWED

    def finish(self, app_id: str, positions: list[str]) -> None:
        """Note entries that were delivered, or that no webhook wants any more."""
        for position in positions:
            self._owed[app_id, position] = None
        self._begin()

    def bury(self, app_id: str, positions: list[str], reason: str, at: float) -> None:
        """Note entries that were given up."""
        for position in positions:
            self._owed[app_id, position] = (reason, at)
        self._begin()

    def record(self, app_id: str, attempt: AttemptRecord) -> None:
        """Note a line for the delivery log. It is lost if the outbox is away for long."""
        if len(self._attempts) < MOST_ATTEMPTS:
            self._attempts.append((app_id, attempt))
        self._begin()

    async def close(self, seconds: float) -> None:
        """Write all results, for at most `seconds`."""
        writing = self._writing
        if writing is not None:
            await asyncio.wait([writing], timeout=seconds)
            writing.cancel()

    def _begin(self) -> None:
        if self._writing is None:
            self._writing = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        try:
            while self._owed or self._attempts:
                try:
                    await self._write_once()
                except OutboxUnavailable as error:
                    logger.debug("what became of webhook events cannot be written: %s", error)
                    await asyncio.sleep(PAUSE)
                except Exception:  # a fault of ours; the results must not be lost
                    logger.exception("writing what became of webhook events failed")
                    await asyncio.sleep(PAUSE)
        finally:
            self._writing = None

    async def _write_once(self) -> None:
        """Write all results at once, so that the outbox can use one transaction. Raises OutboxUnavailable."""
        owed, attempts = dict(self._owed), self._attempts
        self._attempts = []
        finished: dict[str, list[str]] = {}
        buried: dict[tuple[str, str, float], list[str]] = {}
        for (app_id, position), reason_and_time in owed.items():
            if reason_and_time is None:
                finished.setdefault(app_id, []).append(position)
            else:
                buried.setdefault((app_id, *reason_and_time), []).append(position)
        outbox = self._outbox
        calls: list[Awaitable[None]] = [
            *(outbox.finish(app_id, positions) for app_id, positions in finished.items()),
            *(
                outbox.bury(app_id, positions, reason, at)
                for (app_id, reason, at), positions in buried.items()
            ),
            *(outbox.record(app_id, attempt) for app_id, attempt in attempts),
        ]
        problems = [
            result
            for result in await asyncio.gather(*calls, return_exceptions=True)
            if isinstance(result, BaseException)
        ]
        for problem in problems:
            raise problem
        for key in owed:
            del self._owed[key]
