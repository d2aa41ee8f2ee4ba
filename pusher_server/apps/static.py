"""Apps from the configuration file."""

from collections.abc import Iterable

from pusher_server.app import App
from pusher_server.interfaces import AppProvider


class StaticApps(AppProvider):
    """Apps in memory. `replace` swaps all of them after the file has been read again."""

    def __init__(self, apps: Iterable[App]) -> None:
        self._by_id: dict[str, App] = {}
        self._by_key: dict[str, App] = {}
        self._secrets: set[str] = set()
        self.replace(apps)

    async def by_key(self, key: str) -> App | None:
        """The app that owns this key."""
        return self._by_key.get(key)

    async def by_id(self, app_id: str) -> App | None:
        """The app of this id."""
        return self._by_id.get(app_id)

    def is_secret(self, text: str) -> bool:
        """Whether any app has this secret."""
        return text in self._secrets

    def replace(self, apps: Iterable[App]) -> dict[str, App | None]:
        """Replace all apps; returns the changed ones by id, with None for an app that is gone."""
        before = self._by_id
        self._by_id = {app.id: app for app in apps}
        self._by_key = {pair.key: app for app in self._by_id.values() for pair in app.keys}
        self._secrets = {pair.secret for app in self._by_id.values() for pair in app.keys}
        changed: dict[str, App | None] = {}
        for app_id in before.keys() | self._by_id.keys():
            if before.get(app_id) != self._by_id.get(app_id):
                changed[app_id] = self._by_id.get(app_id)
        return changed
