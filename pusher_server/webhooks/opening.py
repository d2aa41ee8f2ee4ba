"""Where the outbox is, and how it is opened: a broken file does not keep the server from starting."""

import asyncio
import logging
import sqlite3
import time
from contextlib import suppress
from pathlib import Path

from pusher_server.webhooks.outbox import OutboxUnavailable
from pusher_server.webhooks.sqlite_outbox import SqliteOutbox

logger = logging.getLogger("pusher_server.webhooks")


class FileOpening:
    """`path` is the setting `webhooks.outbox`."""

    def __init__(self, path: str) -> None:
        self._path = Path(path).absolute()

    @property
    def place(self) -> str:
        """For people."""
        return str(self._path)

    def is_left(self) -> bool:
        """Whether there is a file."""
        return self._path.exists()

    async def open(self) -> SqliteOutbox:
        """Raises OutboxUnavailable."""
        return await asyncio.to_thread(self._open)

    def _open(self) -> SqliteOutbox:
        try:
            return SqliteOutbox(self._path, time.time)
        except sqlite3.OperationalError as error:
            raise OutboxUnavailable(self._trouble(str(error))) from None
        except sqlite3.DatabaseError as error:
            aside = self._path.with_name(f"{self._path.name}.broken-{int(time.time())}")
            logger.error(
                "webhooks.outbox: %s cannot be read (%s); it is kept as %s, and a new one begins",
                self._path, error, aside.name,
            )  # fmt: skip
            with suppress(OSError):
                self._path.rename(aside)
        try:
            return SqliteOutbox(self._path, time.time)
        except sqlite3.Error as error:
            raise OutboxUnavailable(self._trouble(str(error))) from None

    def _trouble(self, why: str) -> str:
        return (
            f"webhooks.outbox: {self._path} cannot be used ({why}); name a file that can be written"
        )
