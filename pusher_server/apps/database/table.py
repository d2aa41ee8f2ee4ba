"""Reads rows of an SQL table as apps. Every call queries the database; `cache` keeps the results.

A fault in a row concerns that row only and is logged once. A fault in the table is a ConfigError. A database
that does not answer is AppsUnavailable.
"""

import asyncio
import logging
import warnings
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from typing import Any, TypeVar

import sqlalchemy as sa
from msgspec import Struct
from sqlalchemy.engine.interfaces import ReflectedColumn
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SAWarning
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from pusher_server.app import App
from pusher_server.apps.database.columns import as_text
from pusher_server.apps.database.schemas import CREDENTIALS, FoundApp, Layout, RowRefused
from pusher_server.apps.database.url import PATIENCE, POOL_SIZE
from pusher_server.config.risks import app_risks
from pusher_server.errors import AppsUnavailable, ConfigError

logger = logging.getLogger("pusher_server.apps")

T = TypeVar("T")
#: Characters that come along with pasted credentials, and how many rows with them are logged at the start.
_STRAY = "\"'` \t\r\n"
_MOST_LOGGED = 20
Row = Mapping[str, Any]


class Table(Struct, frozen=True):
    """The table in the database: its columns' types by name, and the columns that a new row must fill."""

    source: sa.TableClause
    types: Mapping[str, Any]
    mandatory: frozenset[str]


class SqlStore:
    """One table. `defaults` is `[defaults]`, for columns that are NULL.

    `published` are secrets that anybody can read: rows that have them are refused.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        layout: Layout,
        defaults: Mapping[str, object],
        published: Collection[str] = (),
    ) -> None:
        self.engine = engine
        self.layout = layout
        self._published = published
        self._defaults = defaults
        self._table: Table | None = None
        #: Id -> the row as last read, and its app: an unchanged row costs a comparison alone.
        self._read: dict[str, tuple[Row, FoundApp]] = {}
        self._logged: set[str] = set()

    @property
    def defaults(self) -> Mapping[str, object]:
        """The values of columns that are NULL."""
        return self._defaults

    @defaults.setter
    def defaults(self, defaults: Mapping[str, object]) -> None:
        self._defaults = defaults
        self._read.clear()

    async def find(
        self, *, keys: Collection[str] = (), ids: Collection[str] = ()
    ) -> list[FoundApp]:
        """The apps that have one of these keys or ids, at most one per id, in the order of ids.

        With neither, it only checks that the table can be read. Raises ConfigError, AppsUnavailable.
        """
        rows = await self.rows(keys=keys, ids=ids)
        for app_id in ids:
            if app_id not in rows:
                self._read.pop(app_id, None)
        return [self._result(app_id, row) for app_id, row in rows.items()]

    async def all(self) -> list[FoundApp]:
        """Every row, in the order of ids. Raises as `find`."""
        return [self._result(app_id, row) for app_id, row in (await self.rows(all_=True)).items()]

    async def log_stray(self) -> None:
        """Log the rows, the first 20, whose credentials have a quote, a blank or a line end around them.

        A client's right key never finds such a row, so its refusal would never be seen. Raises as `find`.
        """

        async def select(connection: AsyncConnection) -> list[Row]:
            table = await self.table(connection)
            names = [name for name in CREDENTIALS if self._has(table, name)]
            forms = [f"{character}%" for character in _STRAY]
            # Columns of fixed width end in blanks, which reading removes.
            forms += [f"%{character}" for character in _STRAY if character != " "]
            stray = [self._text_column(table, name).like(form) for name in names for form in forms]
            result = await connection.execute(
                self._select(table).where(sa.or_(*stray)).limit(_MOST_LOGGED)
            )
            return [dict(row) for row in result.mappings()]

        for app_id, row in self._by_id(await self.run(select)).items():
            self._result(app_id, row)

    async def rows(
        self, *, keys: Collection[str] = (), ids: Collection[str] = (), all_: bool = False
    ) -> dict[str, Row]:
        """Id -> column -> value, as the table has it. Raises as `find`."""

        async def select(connection: AsyncConnection) -> list[Row]:
            table = await self.table(connection)
            rows: list[Row] = []
            for condition in self._conditions(table, keys, ids, all_):
                result = await connection.execute(self._select(table).where(condition))
                rows += [dict(row) for row in result.mappings()]
            return rows

        return self._by_id(await self.run(select))

    async def run(
        self, work: Callable[[AsyncConnection], Awaitable[T]], *, changes: bool = False
    ) -> T:
        """Run `work` with a connection, within `PATIENCE`. Raises ConfigError, AppsUnavailable.

        The database may have closed idle connections: then the work is retried with a fresh one. Work that
        `changes` something is retried only if it has not begun.
        """
        begun = False

        async def attempt() -> T:
            nonlocal begun
            async with self.engine.connect() as connection:
                begun = True
                return await work(connection)

        try:
            async with asyncio.timeout(PATIENCE):
                for _ in range(
                    POOL_SIZE
                ):  # as many may have been idle; a failed one leaves the pool
                    try:
                        return await attempt()
                    except Exception as error:
                        if not _is_lost(error) or (changes and begun):
                            raise
                return await attempt()
        except ConfigError:
            self._table = None
            raise
        except Exception as error:  # drivers raise their own errors and those of sockets
            self._table = None  # it may have been altered
            raise AppsUnavailable(
                f"the database of the apps cannot be asked: {in_one_line(error)}"
            ) from None

    async def table(self, connection: AsyncConnection) -> Table:
        """The table with those of our columns that it has. Raises ConfigError when it cannot serve."""
        if self._table is None:
            columns = await self.columns(connection)
            schema, _, name = self.layout.table.rpartition(".")
            known = {column.name for column in self.layout.columns.values()}
            source = sa.table(
                name,
                *[sa.column(column) for column in columns if column in known],
                schema=schema or None,
            )
            mandatory = [
                name
                for name, column in columns.items()
                if not column["nullable"] and column["default"] is None
            ]
            types = {name: column["type"] for name, column in columns.items()}
            self._table = Table(source, types, frozenset(mandatory))
        return self._table

    async def columns(self, connection: AsyncConnection) -> dict[str, ReflectedColumn]:
        """All columns of the table by name. Raises ConfigError when one is missing that must be there."""
        reflected = await connection.run_sync(_reflected, self.layout.table)
        columns = {str(column["name"]): column for column in reflected}
        if not columns:
            hint = "; `pusher-server apps init` creates it" if self.layout.preset == "own" else ""
            raise ConfigError(
                "database.table", f"the database has no table {self.layout.table!r}{hint}"
            )
        for setting in self.layout.required:
            column = self.layout.columns[setting].name
            if column not in columns:
                raise ConfigError(
                    f"database.columns.{setting}",
                    f"the table {self.layout.table!r} has no column {column!r}; name the one it has",
                )
        self._warn_of_missing(columns)
        return columns

    def quoted_table(self) -> str:
        """The table's name as it stands in SQL."""
        quote = self.engine.dialect.identifier_preparer.quote
        return ".".join(quote(part) for part in self.layout.table.split("."))

    async def close(self) -> None:
        """End all connections."""
        await self.engine.dispose()

    def condition(
        self, table: Table, setting: str, values: Collection[str]
    ) -> sa.ColumnElement[bool]:
        """Whether the setting's column holds one of these texts."""
        column = self._text_column(table, setting)
        # One parameter that expands, so that the statement is compiled once for any number of values.
        texts = sa.bindparam(setting, list(values), type_=sa.String(), expanding=True, unique=True)
        return column.in_(texts)

    def _text_column(self, table: Table, setting: str) -> sa.ColumnElement[Any]:
        """The setting's column, as text where PostgreSQL needs that; the other databases convert."""
        name = self.layout.columns[setting].name
        column: sa.ColumnElement[Any] = table.source.c[name]
        if self.engine.dialect.name == "postgresql" and not isinstance(
            table.types[name], sa.String
        ):
            return sa.cast(column, sa.Text)
        return column

    def _conditions(
        self, table: Table, keys: Collection[str], ids: Collection[str], all_: bool
    ) -> list[sa.ColumnElement[bool]]:
        conditions: list[sa.ColumnElement[bool]] = []
        if keys:
            # All rows of the ids that have these keys, because one of all rows of an id is chosen.
            id_column = table.source.c[self.layout.columns["id"].name]
            with_key = [
                self.condition(table, setting, keys)
                for setting in ("key", "previous_key")
                if self._has(table, setting)
            ]
            conditions.append(id_column.in_(sa.select(id_column).where(sa.or_(*with_key))))
        if ids:
            conditions.append(self.condition(table, "id", ids))
        return [sa.true()] if all_ else conditions or [sa.false()]

    def _has(self, table: Table, setting: str) -> bool:
        column = self.layout.columns.get(setting)
        return column is not None and column.name in table.types

    def _select(self, table: Table) -> sa.Select[Any]:
        order = [table.source.c[self.layout.columns[setting].name] for setting in ("id", "key")]
        return sa.select(*table.source.c).order_by(*order)

    def _by_id(self, rows: Sequence[Row]) -> dict[str, Row]:
        """The first row of each id, sorted by id: databases have other orders of texts than Python."""
        id_column = self.layout.columns["id"].name
        chosen: dict[str, Row] = {}
        for row in rows:
            app_id = as_text(row[id_column]).rstrip(" ")
            if not _is_same(chosen.setdefault(app_id, row), row):
                self._warn_once(
                    f"the id {app_id!r} stands in two rows of {self.layout.table}; one counts"
                )
        return dict(sorted(chosen.items()))

    def _result(self, app_id: str, row: Row) -> FoundApp:
        before = self._read.get(app_id)
        if before is not None and _is_same(before[0], row):
            return before[1]
        result = FoundApp(app_id, self._app_in(row))
        self._read[app_id] = (row, result)
        return result

    def _app_in(self, row: Row) -> App | None:
        """The app in a row; None when the row is refused. Faults are logged."""
        try:
            read = self.layout.read(row, self._defaults)
            if any(pair.secret in self._published for pair in read.app.keys):
                raise RowRefused(
                    read.app.id,
                    self.layout.columns["secret"].name,
                    "is the published example's, which works on loopback only; give it one of its own",
                )
        except RowRefused as refused:
            logger.error("a row of %s is refused: %s", self.layout.table, refused)
            return None
        except Exception as error:  # one bad row must not stop the others
            app_id = as_text(row.get(self.layout.columns["id"].name))
            logger.error(
                "a row of %s is refused: app %r holds what cannot be read (%s); write its columns again",
                self.layout.table, app_id, type(error).__name__,
            )  # fmt: skip
            return None
        for line in app_risks(read.app):
            self._warn_once(line)
        for line in read.left_out:
            logger.error("a row of %s has an unusable webhook: %s", self.layout.table, line)
        return read.app

    def _warn_of_missing(self, columns: Collection[str]) -> None:
        """Log the columns of the preset that the table does not have, once."""
        missing = [
            column.name for column in self.layout.columns.values() if column.name not in columns
        ]
        if missing:
            hint = "; `pusher-server apps init` adds it" if self.layout.preset == "own" else ""
            self._warn_once(
                f"the table {self.layout.table!r} has no column {', '.join(missing)}:"
                f" [defaults] apply instead{hint}"
            )

    def _warn_once(self, line: str) -> None:
        """Log the line once; the next poll would repeat it."""
        if line not in self._logged:
            self._logged.add(line)
            logger.warning(line)


def _is_same(row: Row, other: Row) -> bool:
    """Whether both rows are the same. NaN, which a database may hold, does not equal itself."""
    try:
        if row == other:
            return True
    except ArithmeticError:  # to compare a signalling NaN is an error
        pass
    return repr(row) == repr(other)


def _reflected(connection: sa.Connection, table: str) -> list[ReflectedColumn]:
    schema, _, name = table.rpartition(".")
    with warnings.catch_warnings():
        # Types that SQLAlchemy does not know belong to columns of others, or can be read as text.
        warnings.simplefilter("ignore", SAWarning)
        try:
            return sa.inspect(connection).get_columns(name, schema or None)
        except NoSuchTableError:
            return []


def _is_lost(error: Exception) -> bool:
    """Whether a lost connection is the reason. The error may come from the driver or its transport.

    uvloop's transport raises RuntimeError where asyncio's is silent; asyncpg raises DBAPIError.
    """
    if isinstance(error, DBAPIError):
        return error.connection_invalidated
    return isinstance(error, OSError | EOFError | RuntimeError) and not isinstance(
        error, TimeoutError
    )


def in_one_line(error: Exception) -> str:
    """The message of a driver's error, without statement, parameters and URL."""
    if isinstance(error, TimeoutError) and not str(error):
        return f"no answer within {PATIENCE:g} seconds"
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return " ".join(str(cause).split())[:300] or type(cause).__name__
