"""Apps from a database in a running server: the store, its cache, and the watcher of changes."""

import logging
from collections.abc import Callable, Collection, Mapping

from pusher_server.apps.database.cache import CachedApps, OnChange
from pusher_server.apps.database.url import open_store
from pusher_server.config import DatabaseSettings
from pusher_server.errors import ClusterUnavailable

logger = logging.getLogger("pusher_server.apps")


async def check(settings: DatabaseSettings) -> None:
    """Check the table once before all workers start. Raises ConfigError when it cannot be used.

    Rows whose credentials have quotes or blanks around them are logged: nobody would look them up.
    A database that is away is no error: it may be back before the first client connects.
    """
    store = open_store(settings, {})
    try:
        await store.find()
        await store.log_stray()
    except ClusterUnavailable as error:
        logger.error("%s; starting anyway", error)
    finally:
        await store.close()


class DatabaseApps:
    """`provider` serves the apps. `on_change` is that of `CachedApps`. `clock` gives rising seconds."""

    def __init__(
        self,
        settings: DatabaseSettings,
        defaults: Mapping[str, object],
        clock: Callable[[], float],
        *,
        published: Collection[str] = (),
        on_change: OnChange,
    ) -> None:
        """Open no connection yet. Apps with `published` secrets are refused. Raises ConfigError."""
        self._store = open_store(settings, defaults, published=published)
        # Imported only now: it needs packages that `open_store` has found to be installed.
        from pusher_server.apps.database.changes import ChangeWatcher, Notifications

        self.provider = CachedApps(
            self._store, clock, unknown_seconds=settings.poll_interval, on_change=on_change
        )
        announces = self._store.engine.dialect.name == "postgresql"
        self._watcher = ChangeWatcher(
            self.provider,
            clock,
            poll_interval=settings.poll_interval,
            announcer=Notifications(self._store) if announces else None,
        )

    def tick(self) -> None:
        """Poll if it is time. Called several times a second in the loop."""
        self._watcher.tick()

    def note_announced(self, app_id: str) -> None:
        """Read this app now: another node has announced its change to all nodes."""
        self._watcher.note_announced(app_id)

    def use_defaults(self, defaults: Mapping[str, object]) -> None:
        """Apply a changed `[defaults]`: read all apps again now, because they inherit from it."""
        self._store.defaults = defaults
        self._watcher.note("")

    async def close(self) -> None:
        """End the watcher and all connections to the database."""
        await self._watcher.close()
        await self._store.close()
