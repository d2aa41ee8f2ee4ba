"""Writes apps: our table, PostgreSQL's trigger, rows. For the command line; the server only reads."""

from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import mysql
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.schema import CreateColumn, CreateTable

from pusher_server.apps.database.changes import NOTIFICATIONS
from pusher_server.apps.database.columns import Kind, writes
from pusher_server.apps.database.schemas import LONGEST_NAME, REQUIRED, Column, RowRefused
from pusher_server.apps.database.table import Row, SqlStore, Table
from pusher_server.errors import PusherServerError

#: The trigger's function, one for each schema. Its argument is the column of ids, its payload an id.
_FUNCTION = """
CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        PERFORM pg_notify('{channel}', '');
        RETURN NULL;
    END IF;
    IF TG_OP <> 'INSERT' THEN
        PERFORM pg_notify('{channel}', coalesce(left(to_jsonb(OLD) ->> TG_ARGV[0], 1000), ''));
    END IF;
    IF TG_OP <> 'DELETE' THEN
        PERFORM pg_notify('{channel}', coalesce(left(to_jsonb(NEW) ->> TG_ARGV[0], 1000), ''));
    END IF;
    RETURN NULL;
END $$
"""
#: Values of mandatory columns in a new row, for settings that are not given.
_BLANK: dict[Kind, object] = {
    Kind.NAME: "",
    Kind.TEXT: "",
    Kind.LIST: "",
    Kind.JSON: "[]",
    Kind.NUMBER: 0,
    Kind.LIMIT: -1,
    Kind.KILOBYTES: -1,
    Kind.SWITCH: True,
    Kind.CLIENT_EVENTS: True,
    Kind.AUTHENTICATION: False,
}
_ROWS = "AFTER INSERT OR UPDATE OR DELETE ON {table} FOR EACH ROW"
_WHOLE = "AFTER TRUNCATE ON {table} FOR EACH STATEMENT"


class EditRefused(PusherServerError):
    """A change cannot be made; one line gives the reason."""


class AppEditor:
    """Changes the table of a store. Every verb raises ConfigError, ClusterUnavailable, EditRefused."""

    def __init__(self, store: SqlStore) -> None:
        self.store = store
        self._layout = store.layout

    async def create(self) -> list[str]:
        """Make our table, missing columns of it, and PostgreSQL's trigger. Returns a line for each step."""
        done: list[str] = []
        if self._layout.preset == "own":
            done += await self.store.run(self._create_table)
        await self.store.find()  # raises when a table of others is not there
        if self.store.engine.dialect.name == "postgresql":
            await self.store.run(self._create_trigger)
            done.append("the database announces changes (trigger)")
        return done

    async def row(self, app_id: str) -> Row:
        """The columns of an app."""
        row = (await self.store.rows(ids=[app_id])).get(app_id)
        if row is None:
            raise EditRefused(f"there is no app {app_id!r}")
        return row

    async def add(self, settings: Mapping[str, object]) -> None:
        """Insert a row; settings by their path, such as `limits.connections`."""
        app_id = str(settings["id"])
        if await self.store.rows(ids=[app_id]):
            raise EditRefused(f"there is an app {app_id!r} already")
        table = await self.store.run(self.store.table)
        must = {column.name: column.kind for column in self._layout.columns.values()}
        blank = {name: _BLANK[must[name]] for name in table.mandatory if name in must}
        values = {**blank, **self._values(settings, table)}
        await self._check(values, app_id)

        async def insert(connection: AsyncConnection) -> None:
            await connection.execute(sa.insert(table.source).values(_typed(table, values)))

        await self.store.run(insert, changes=True)

    async def change(self, app_id: str, settings: Mapping[str, object]) -> None:
        """Write new values of some settings; None is NULL, the server's default."""
        table = await self.store.run(self.store.table)
        values = self._values(settings, table)
        row = await self.row(app_id)
        await self._check({**row, **values}, app_id)

        async def update(connection: AsyncConnection) -> None:
            mine = self.store.condition(table, "id", [app_id])
            await connection.execute(
                sa.update(table.source).where(mine).values(_typed(table, values))
            )

        await self.store.run(update, changes=True)

    async def remove(self, app_id: str) -> None:
        """Delete the row."""
        await self.row(app_id)

        async def delete(connection: AsyncConnection) -> None:
            table = await self.store.table(connection)
            await connection.execute(
                sa.delete(table.source).where(self.store.condition(table, "id", [app_id]))
            )

        await self.store.run(delete, changes=True)

    async def rotate(self, app_id: str, key: str, secret: str) -> None:
        """Write a new key pair; the current one becomes the previous one and stays valid."""
        columns = self._layout.columns
        row = await self.row(app_id)
        for setting in ("previous_key", "previous_secret"):
            if setting not in columns or columns[setting].name not in row:
                raise EditRefused(
                    f"the table {self._layout.table} has one key per app, and the old one would stop at once."
                    " Add two columns and name them in [database], columns: previous_key, previous_secret"
                )
        previous = row[columns["previous_key"].name]
        if previous is not None:
            raise EditRefused(
                f"the key {previous!r} is still kept from the last time:"
                f" `pusher-server apps remove {app_id} --key {previous}` first"
            )
        old = {f"previous_{name}": row[columns[name].name] for name in ("key", "secret")}
        await self.change(app_id, {"key": key, "secret": secret, **old})

    async def remove_key(self, app_id: str, key: str) -> None:
        """Delete the previous key pair. Raises EditRefused for another key."""
        columns = self._layout.columns
        row = await self.row(app_id)
        kept = columns.get("previous_key")
        if kept is not None and row.get(kept.name) == key:
            await self.change(app_id, {"previous_key": None, "previous_secret": None})
        elif row[columns["key"].name] == key:
            raise EditRefused(
                f"{key!r} is the current key of app {app_id!r}; `apps rotate` makes another first"
            )
        else:
            raise EditRefused(f"app {app_id!r} has no key {key!r}")

    def _values(self, settings: Mapping[str, object], table: Table) -> dict[str, object]:
        """Column -> value."""
        values: dict[str, object] = {}
        for setting, value in settings.items():
            column = self._layout.columns.get(setting)
            if column is None or column.name not in table.types:
                hint = "; `pusher-server apps init` adds it" if self._layout.preset == "own" else ""
                raise EditRefused(
                    f"the table {self._layout.table} has no column for `{setting}`{hint}"
                )
            try:
                values[column.name] = None if value is None else writes(column.kind, value)
            except ValueError as error:
                raise EditRefused(f"{setting}: {error}") from None
        return values

    async def _check(self, row: Row, app_id: str) -> None:
        """Raise EditRefused unless the server can read the row and no other app has one of its keys."""
        try:
            app = self._layout.read(row, self.store.defaults).app
        except RowRefused as refused:
            raise EditRefused(str(refused)) from None
        for other in await self.store.find(keys=[pair.key for pair in app.keys]):
            if other.id != app_id:
                raise EditRefused(f"app {other.id!r} has that key already")

    async def _create_table(self, connection: AsyncConnection) -> list[str]:
        table = _own_table(self._layout.table, self._layout.columns)
        schema, _, name = self._layout.table.rpartition(".")
        there = await connection.run_sync(
            lambda plain: sa.inspect(plain).has_table(name, schema=schema or None)
        )
        if not there:
            await connection.execute(CreateTable(table))
            return [f"created the table {self._layout.table}"]
        done = []
        there_now = await self.store.columns(connection)
        for column in table.columns:
            if column.name not in there_now:
                form = CreateColumn(column).compile(dialect=connection.dialect)
                await connection.execute(
                    sa.text(f"ALTER TABLE {self.store.quoted_table()} ADD COLUMN {form}")
                )
                done.append(f"added the column {column.name}")
        return done or [f"the table {self._layout.table} is complete"]

    async def _create_trigger(self, connection: AsyncConnection) -> None:
        schema, _, _ = self._layout.table.rpartition(".")
        quote = self.store.engine.dialect.identifier_preparer.quote
        function = ".".join(quote(part) for part in (schema, NOTIFICATIONS) if part)
        id_column = self._layout.columns["id"].name.replace("'", "''")
        table = self.store.quoted_table()
        statements = [_FUNCTION.format(function=function, channel=NOTIFICATIONS)]
        for name, events in ((NOTIFICATIONS, _ROWS), (f"{NOTIFICATIONS}_all", _WHOLE)):
            statements += [
                f"DROP TRIGGER IF EXISTS {name} ON {table}",
                f"CREATE TRIGGER {name} {events.format(table=table)}"
                f" EXECUTE FUNCTION {function}('{id_column}')",
            ]
        for statement in statements:
            await connection.exec_driver_sql(statement)


def _own_table(name: str, columns: Mapping[str, Column]) -> sa.Table:
    """Our table: id, key and secret are mandatory, every other column may be NULL."""
    schema, _, plain = name.rpartition(".")
    # MySQL compares texts without regard to case, unless the collation is a binary one.
    exact = sa.String(LONGEST_NAME).with_variant(
        mysql.VARCHAR(LONGEST_NAME, charset="ascii", collation="ascii_bin"), "mysql", "mariadb"
    )
    types: dict[Kind, Any] = {
        Kind.NAME: exact,
        Kind.SWITCH: sa.Boolean(),
        Kind.NUMBER: sa.Integer(),
        Kind.LIMIT: sa.Integer(),
        Kind.LIST: sa.Text(),
        Kind.TEXT: sa.String(LONGEST_NAME),
        Kind.JSON: sa.Text(),
    }
    return sa.Table(
        plain,
        sa.MetaData(),
        *[
            sa.Column(
                column.name,
                types[column.kind],
                primary_key=setting == "id",
                nullable=setting not in REQUIRED,
                unique=setting in ("key", "previous_key") or None,
            )
            for setting, column in columns.items()
        ],
        schema=schema or None,
    )


def _typed(table: Table, values: Mapping[str, object]) -> dict[str, object]:
    """Convert values to the types of their columns: a switch may be a small number."""
    return {name: _as_stored(table.types[name], value) for name, value in values.items()}


def _as_stored(type_: Any, value: object) -> object:
    if value is None:
        return None
    if isinstance(type_, sa.Integer):
        return int(str(int(value)) if isinstance(value, bool) else str(value))
    if isinstance(type_, sa.Boolean):
        return bool(value)
    return str(value) if isinstance(type_, sa.String) else value
