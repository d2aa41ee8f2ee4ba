"""Apps in a database, for the command line: each verb connects, does its work, and disconnects."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeVar

import click

from pusher_server.errors import ClusterUnavailable

if TYPE_CHECKING:
    from pusher_server.app import App
    from pusher_server.apps.database.editing import AppEditor
    from pusher_server.config import Config

T = TypeVar("T")


class AppsInDatabase:
    """The table that `[database]` names. Every verb raises ConfigError and click.ClickException."""

    def __init__(self, config: "Config") -> None:
        self._config = config

    def all(self) -> list["App"]:
        """All apps in the order of ids, without refused rows; these are logged."""

        async def read(editor: "AppEditor") -> list["App"]:
            rows = await editor.store.all()
            return [row.app for row in rows if row.app is not None]

        return self._do(read)

    def rows(self) -> Mapping[str, Mapping[str, object]]:
        """Id -> column -> value of all rows, as the table has them."""
        return self._do(lambda editor: editor.store.rows(all_=True))

    def one(self, app_id: str) -> "App | None":
        """The app of this id."""

        async def read(editor: "AppEditor") -> "App | None":
            rows = await editor.store.find(ids=[app_id])
            return rows[0].app if rows else None

        return self._do(read)

    def init(self) -> list[str]:
        """Make the table, columns and trigger that are missing; returns a line for each step."""
        return self._do(lambda editor: editor.create(), must_exist=False)

    def add(
        self, app_id: str, key: str, secret: str | None, settings: Mapping[str, object]
    ) -> None:
        """Insert a row."""
        row = {"id": app_id, "key": key, "secret": secret, **settings}
        self._do(lambda editor: editor.add(row))

    def change(self, app_id: str, settings: Mapping[str, object]) -> None:
        """Write new values; None is the server's default."""
        self._do(lambda editor: editor.change(app_id, settings))

    def remove(self, app_id: str) -> None:
        """Delete the row."""
        self._do(lambda editor: editor.remove(app_id))

    def rotate(self, app_id: str, key: str, secret: str | None) -> None:
        """Write a new key pair; the present one stays valid beside it."""
        assert secret is not None
        self._do(lambda editor: editor.rotate(app_id, key, secret))

    def remove_key(self, app_id: str, key: str) -> None:
        """Delete the previous key pair."""
        self._do(lambda editor: editor.remove_key(app_id, key))

    def _do(self, verb: Callable[["AppEditor"], Awaitable[T]], *, must_exist: bool = True) -> T:
        from pusher_server.apps.database.url import open_store

        store = open_store(self._config.database, self._config.defaults, must_exist=must_exist)
        from pusher_server.apps.database.editing import AppEditor, EditRefused

        async def run() -> T:
            try:
                return await verb(AppEditor(store))
            finally:
                await store.close()

        try:
            return asyncio.run(run())
        except (EditRefused, ClusterUnavailable) as error:
            raise click.ClickException(" ".join(str(error).split())) from None
