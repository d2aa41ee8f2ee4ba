"""Detects changes in the table while the server runs, so that they take effect without a restart.

The rows of known apps are read again and compared, every `poll_interval` seconds. A column with the time of the
last change would be less to read. But it misses changes without it, deleted rows and late commits.

PostgreSQL announces changes if `pusher-server apps init` has made the trigger: polling is then only a
precaution. A change of 1,000 rows at once causes one more read, not 1,000.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncConnection

from pusher_server.apps.database.cache import CachedApps
from pusher_server.apps.database.table import SqlStore, in_one_line
from pusher_server.apps.database.url import PATIENCE
from pusher_server.backoff import Backoff
from pusher_server.errors import ClusterUnavailable

logger = logging.getLogger("pusher_server.apps")

#: The name of the trigger, of its function, and of the channel of its notifications.
NOTIFICATIONS = "pusher_server_apps"
#: Seconds between two polls while notifications come.
PRECAUTION = 30.0
#: The longest wait for a database that is away. The first is the poll interval; it doubles each time.
LONGEST_PAUSE = 10.0
#: The part of our time that reading may take; larger tables are read less often.
BUSY = 0.1

#: Callback of a notification, with the app's id; "" when it could be any app.
OnNotified = Callable[[str], None]
#: Callback of a driver: connection, process, channel, payload.
Listener = Callable[[Any, int, str, object], None]


class Announcer(Protocol):
    """A source of change notifications: `Notifications`."""

    async def listen(self, on_notified: OnNotified) -> bool:
        """Start to listen, before all rows are read; returns whether `on_notified` is called from now on."""

    async def close(self) -> None:
        """End the notifications."""


class Notifications:
    """PostgreSQL's LISTEN on a connection of its own."""

    def __init__(self, store: SqlStore) -> None:
        self._store = store
        self._on_notified: OnNotified = lambda app_id: None
        self._connection: AsyncConnection | None = None

    async def listen(self, on_notified: OnNotified) -> bool:
        """Listen if the table has the trigger. Each call checks again, which tests the connection, too."""
        self._on_notified = on_notified
        had_one = self._connection is not None
        if await self._listen():
            return True
        return had_one and await self._listen()  # the old connection was lost

    async def _listen(self) -> bool:
        try:
            async with asyncio.timeout(PATIENCE):
                if self._connection is None:
                    self._connection = await self._store.engine.connect()
                if await self._has_trigger(self._connection):
                    driver = (await self._connection.get_raw_connection()).driver_connection
                    assert driver is not None
                    # Both are sets: to add a listener twice does no harm.
                    await driver.add_listener(NOTIFICATIONS, self._notified)
                    driver.add_termination_listener(self._cut)
                    return True
        except Exception as error:  # drivers raise their own errors and those of sockets
            logger.debug("cannot listen to the database: %s", in_one_line(error))
        await self.close()
        return False

    async def close(self) -> None:
        """Close the connection."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                await connection.invalidate()  # it may listen: it must not go back to the pool
                await connection.close()
            except Exception as error:
                logger.debug("a connection could not be closed: %s", in_one_line(error))

    async def _has_trigger(self, connection: AsyncConnection) -> bool:
        result = await connection.execute(
            sa.text(
                "SELECT count(*) FROM pg_trigger WHERE tgrelid = to_regclass(:table)"
                " AND tgname = :name AND tgenabled <> 'D'"
            ),
            {"table": self._store.quoted_table(), "name": NOTIFICATIONS},
        )
        return bool(result.scalar())

    def _notified(self, connection: Any, process: int, channel: str, payload: object) -> None:
        self._on_notified(str(payload))

    def _cut(self, connection: Any) -> None:
        """Have all rows read again: the connection has ended, so changes are not announced now."""
        if self._connection is not None:
            self._on_notified("")


class ChangeWatcher:
    """Has `apps` read again when it is time. `tick` is called several times a second, in the loop.

    `clock` gives rising seconds. `announcer` is there if the database can announce changes.
    """

    def __init__(
        self,
        apps: CachedApps,
        clock: Callable[[], float],
        *,
        poll_interval: float,
        announcer: Announcer | None = None,
    ) -> None:
        self._announcer = announcer
        self._apps = apps
        self._clock = clock
        self._poll_interval = poll_interval
        self._poll_at = 0.0
        self._backoff = Backoff(poll_interval, max(LONGEST_PAUSE, poll_interval))
        self._task: asyncio.Task[None] | None = None
        self._everything = True
        self._noted: set[str] = set()
        self._announced: set[str] = set()

    def tick(self) -> None:
        """Start a read if it is time or a change was noted."""
        if self._task is not None:
            return
        self._everything = self._everything or self._clock() >= self._poll_at
        if self._everything or self._noted or self._announced:
            self._task = asyncio.get_running_loop().create_task(self._read())

    def note(self, app_id: str) -> None:
        """Have the row of this app read: it has changed or is new; "" when it could be any app."""
        self._apps.forget_unknown()
        if app_id:
            self._noted.add(app_id)
        else:
            self._everything = True

    def note_announced(self, app_id: str) -> None:
        """Have the row of this app read: another node has announced its change to all nodes."""
        self._apps.forget_unknown()
        self._announced.add(app_id)

    async def close(self) -> None:
        """Cancel the read that runs, and end the notifications."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._announcer is not None:
            await self._announcer.close()

    async def _read(self) -> None:
        noted, self._noted = self._noted, set()
        announced, self._announced = self._announced, set()
        whole, self._everything = self._everything, False
        started = self._clock()
        try:
            if whole:
                # Listening comes first, so that a change during the read is announced.
                listening = self._announcer is not None and await self._announcer.listen(self.note)
                await self._apps.refresh(announced=announced)
                took = self._clock() - started
                interval = PRECAUTION if listening else self._poll_interval
                self._poll_at = started + max(interval, took / BUSY)
            else:
                await self._apps.refresh(noted | announced, announced=announced)
            self._backoff.reset()
        except ClusterUnavailable as error:  # `CachedApps` has logged it
            logger.debug("looking for changed apps failed: %s", error)
            self._poll_at = self._clock() + self._backoff.next()
        except Exception:
            logger.exception("looking for changed apps failed")
            self._poll_at = self._clock() + LONGEST_PAUSE
        finally:
            self._task = None
