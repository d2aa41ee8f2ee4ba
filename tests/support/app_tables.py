"""Tables of apps as operators have them: our own, soketi's, laravel-websockets', in three databases.

The tables of others are written here with the columns and types that their own migrations give them, and filled
with plain SQL: our code only reads them.
"""

import itertools
from collections.abc import AsyncIterator, Collection, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from pusher_server.apps.database.editing import AppEditor
from pusher_server.apps.database.table import SqlStore
from pusher_server.apps.database.url import open_store
from pusher_server.config import DatabaseSettings
from tests.support.databases import DatabaseServer

_numbers = itertools.count(1)

PRESETS = ("own", "soketi", "laravel-websockets")
KINDS = ("sqlite", "postgres", "mariadb")

#: soketi keeps switches as small numbers; it has no table for SQLite, so MySQL's stands in.
SOKETI = """CREATE TABLE {table} (
    id varchar(255) PRIMARY KEY, {key} varchar(255) NOT NULL, secret varchar(255) NOT NULL,
    max_connections integer NOT NULL, enable_client_messages {switch} NOT NULL, enabled {switch} NOT NULL,
    max_backend_events_per_sec integer NOT NULL, max_client_events_per_sec integer NOT NULL,
    max_read_req_per_sec integer NOT NULL, webhooks json,
    max_presence_members_per_channel integer NULL, max_presence_member_size_in_kb integer NULL,
    max_channel_name_length integer NULL, max_event_channels_at_once integer NULL,
    max_event_name_length integer NULL, max_event_payload_in_kb integer NULL,
    max_event_batch_size integer NULL, enable_user_authentication {switch} NULL
)"""
#: As Laravel's migration makes it; it has neither a switch for an app nor a second key.
LARAVEL = """CREATE TABLE {table} (
    id varchar(255) NOT NULL, {key} varchar(255) NOT NULL, secret varchar(255) NOT NULL,
    name varchar(255) NOT NULL, host varchar(255) NULL, path varchar(255) NULL,
    enable_client_messages {boolean} NOT NULL DEFAULT {no}, enable_statistics {boolean} NOT NULL DEFAULT {yes},
    capacity integer NULL, allowed_origins varchar(255) NOT NULL,
    created_at timestamp NULL, updated_at timestamp NULL
)"""
#: laravel-websockets' own file: STRING is a type that makes numbers of what looks like one.
LARAVEL_SQLITE = """CREATE TABLE {table} (
    id STRING NOT NULL, {key} STRING NOT NULL, secret STRING NOT NULL, name STRING NOT NULL,
    host STRING NULLABLE, path STRING NULLABLE, enable_client_messages BOOLEAN DEFAULT 0,
    enable_statistics BOOLEAN DEFAULT 1, capacity INTEGER NULLABLE, allowed_origins STRING NULLABLE
)"""

_WORDS = {
    "sqlite": {"key": '"key"', "switch": "tinyint(1)", "boolean": "BOOLEAN", "no": "0", "yes": "1"},
    "postgres": {
        "key": '"key"',
        "switch": "smallint",
        "boolean": "boolean",
        "no": "false",
        "yes": "true",
    },
    "mariadb": {
        "key": "`key`",
        "switch": "tinyint(1)",
        "boolean": "tinyint(1)",
        "no": "0",
        "yes": "1",
    },
}


@dataclass
class AppTable:
    """A table in a database of its own."""

    kind: str
    settings: DatabaseSettings
    engine: AsyncEngine
    #: As a config file has it.
    tree: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Of the table."""
        return (
            self.settings.table
            or {
                "own": "pusher_apps",
                "soketi": "apps",
                "laravel-websockets": "websockets_apps",
            }[self.settings.preset]
        )

    async def execute(self, statement: str, **values: object) -> None:
        """Run SQL as somebody else would; `{table}` and `{key}` are the names, quoted as here needed."""
        text = statement.format(table=self.name, **_WORDS[self.kind])
        async with self.engine.begin() as connection:
            await connection.execute(sa.text(text), values)

    async def insert(self, rows: Iterable[dict[str, object]]) -> None:
        """New rows: column -> value."""
        key = _WORDS[self.kind]["key"]
        for row in rows:
            names = ", ".join(key if name == "key" else name for name in row)
            values = ", ".join(f":{name}" for name in row)
            await self.execute(f"INSERT INTO {{table}} ({names}) VALUES ({values})", **row)

    async def update(self, app_id: str, column: str, value: object) -> None:
        """One value of one row."""
        quoted = _WORDS[self.kind]["key"] if column == "key" else column
        await self.execute(
            f"UPDATE {{table}} SET {quoted} = :value WHERE id = :id", value=value, id=app_id
        )

    async def delete(self, app_id: str) -> None:
        """One row less."""
        await self.execute("DELETE FROM {table} WHERE id = :id", id=app_id)

    def switch(self, on: bool, *, column: str = "enabled") -> object:
        """A switch in the type that this table has for it."""
        native = self.kind == "postgres" and (self.settings.preset != "soketi")
        return on if native else int(on)

    @asynccontextmanager
    async def store(
        self, *, published: Collection[str] = (), **defaults: object
    ) -> AsyncIterator[SqlStore]:
        """What reads it."""
        store = open_store(self.settings, defaults, published=published)
        try:
            yield store
        finally:
            await store.close()


@asynccontextmanager
async def made(
    kind: str,
    preset: str,
    directory: Path,
    server: DatabaseServer | None,
    *,
    announced: bool = True,
    extra: str = "",
    **settings: Any,
) -> AsyncIterator[AppTable]:
    """An empty table of this preset. `announced`: PostgreSQL's trigger is made, as by `apps init`;
    `extra`: a column that the operator has added.
    """
    url = await _new_database(kind, directory, server)
    if kind == "sqlite" and preset == "laravel-websockets":
        settings = {"table": "apps", **settings}
    chosen = DatabaseSettings(url=url, preset=preset, **settings)  # type: ignore[arg-type]  # from tests
    async_url = url.replace("sqlite:", "sqlite+aiosqlite:").replace("mysql:", "mysql+aiomysql:")
    engine = create_async_engine(async_url.replace("postgresql:", "postgresql+asyncpg:"))
    table = AppTable(kind, chosen, engine, {"url": url, "preset": preset, **settings})
    try:
        if preset == "soketi":
            await table.execute(SOKETI)
        elif preset == "laravel-websockets":
            await table.execute(LARAVEL_SQLITE if kind == "sqlite" else LARAVEL)
        if extra:
            await table.execute(f"ALTER TABLE {{table}} ADD COLUMN {extra}")
        if preset == "own" or (announced and kind == "postgres"):
            async with table.store() as store:
                await AppEditor(store).create()
            if not announced and kind == "postgres":
                await table.execute("DROP TRIGGER pusher_server_apps ON {table}")
        yield table
    finally:
        await engine.dispose()


async def _new_database(kind: str, directory: Path, server: DatabaseServer | None) -> str:
    name = f"apps_{next(_numbers)}"
    if kind == "sqlite":
        file = directory / f"{name}.db"
        file.touch()
        return f"sqlite:///{file}"
    assert server is not None
    driver, known = {
        "postgres": ("postgresql+asyncpg", "postgres"),
        "mariadb": ("mysql+aiomysql", "mysql"),
    }[kind]
    _, _, place = server.url(known).partition("://")
    engine = create_async_engine(f"{driver}://{place}", isolation_level="AUTOCOMMIT")
    async with engine.connect() as connection:
        await connection.execute(sa.text(f"CREATE DATABASE {name}"))
    await engine.dispose()
    return server.url(name)
