"""Apps from a database as a running server has them: the store, the memory before it, who sees changes."""

import logging
from collections.abc import Callable, Collection, Mapping

from pusher_server.apps.database.cache import CachedApps, OnChange
from pusher_server.apps.database.url import open_store
from pusher_server.config import DatabaseSettings
from pusher_server.errors import ClusterUnavailable

logger = logging.getLogger("pusher_server.apps")


async def check(settings: DatabaseSettings) -> None:
    """Before anybody serves, once for all workers: a wrong table ends the start with a ConfigError.

    A database that is away does not: it may come back before the first client does.
    """
    store = open_store(settings, {})
    try:
        await store.find()
    except ClusterUnavailable as error:
        logger.error("%s; starting anyway", error)
    finally:
        await store.close()


class DatabaseApps:
    """`provider` answers; `on_change` is called as `CachedApps` says. `clock` gives rising seconds."""

    def __init__(
        self,
        settings: DatabaseSettings,
        defaults: Mapping[str, object],
        clock: Callable[[], float],
        *,
        published: Collection[str] = (),
        on_change: OnChange,
    ) -> None:
        """Connects to nothing. Apps with `published` secrets are refused. Raises ConfigError."""
        self._store = open_store(settings, defaults, published=published)
        # Only now: it needs what `open_store` has found to be installed.
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
        """Called several times a second in the loop."""
        self._watcher.tick()

    def told(self, app_id: str) -> None:
        """Another node has found this app changed, and has told all of them: read it now."""
        self._watcher.told(app_id)

    def use_defaults(self, defaults: Mapping[str, object]) -> None:
        """`[defaults]` was read again; the apps that inherit from it change. Reads all of them now."""
        self._store.defaults = defaults
        self._watcher.note("")

    async def close(self) -> None:
        """The server ends."""
        await self._watcher.close()
        await self._store.close()
