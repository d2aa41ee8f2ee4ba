"""Makes a store of apps from `[database]`: the extra `sql`, the URL, the driver. It opens no connection.

SQLAlchemy is imported only here: a server with its apps in the file needs neither it nor a driver.
"""

import ssl
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pusher_server.apps.database.schemas import layout
from pusher_server.config import DatabaseSettings
from pusher_server.errors import ConfigError

if TYPE_CHECKING:
    from sqlalchemy import URL

    from pusher_server.apps.database.table import SqlStore

#: Seconds for connecting, and for an answer.
PATIENCE = 5.0
#: One connection for queries, which run one after the other, and one that listens.
POOL_SIZE = 2

_EXAMPLE = (
    "write it as postgresql://user:password@host/name, mysql://user:password@host/name or"
    " sqlite:////path/to/file"
)
_ENCODED = "in a user name or password write %40 for @, %23 for #, %2F for / and %25 for %"
#: The URL's beginning -> SQLAlchemy's dialect and driver.
_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "postgresql": "postgresql+asyncpg",
    "postgres": "postgresql+asyncpg",
    "mysql": "mysql+aiomysql",
    "mariadb": "mysql+aiomysql",
}


def open_store(
    settings: DatabaseSettings,
    defaults: Mapping[str, object],
    *,
    must_exist: bool = True,
    published: Collection[str] = (),
) -> "SqlStore":
    """The store that the settings name; it connects with the first query.

    `must_exist`: an SQLite file that is not there is a mistake and not a new database. Rows with `published`
    secrets are refused. Raises ConfigError.
    """
    table = layout(settings)
    try:
        from sqlalchemy import event
        from sqlalchemy.ext.asyncio import create_async_engine
        from sqlalchemy.pool import NullPool

        from pusher_server.apps.database.table import SqlStore
    except ImportError:
        raise _extra_missing("SQLAlchemy") from None
    url = _read_url(settings.url)
    options: dict[str, Any] = {"connect_args": {}}
    if url.drivername.startswith("sqlite"):
        _check_file(url, must_exist)
        # A connection is a thread, which would have to be ended; to open a file costs little.
        options = {"poolclass": NullPool, "connect_args": {"timeout": PATIENCE}}
    elif url.drivername.startswith("postgresql"):
        url, options["connect_args"] = _postgresql(url)
    else:
        url, options["connect_args"] = _mysql(url)
    if "poolclass" not in options:
        options |= {
            "pool_size": POOL_SIZE,
            "max_overflow": 0,
            "pool_pre_ping": True,
            "pool_recycle": 600,
        }
    try:
        engine = create_async_engine(
            url, isolation_level="AUTOCOMMIT", hide_parameters=True, **options
        )
    except ImportError as error:
        raise _extra_missing(error.name or "a driver") from None
    if url.drivername.startswith("mysql"):
        event.listen(engine.sync_engine, "invalidate", _cut)
    elif url.drivername.startswith("sqlite"):
        event.listen(engine.sync_engine, "connect", _keep_bad_text)
    return SqlStore(engine, table, defaults, published)


def _cut(connection: Any, _record: object, _error: object) -> None:
    """End a connection to MySQL that the server has closed, without a goodbye.

    On uvloop a goodbye into a closed transport raises, which SQLAlchemy logs with a traceback.
    """
    connection.driver_connection.close()


def _keep_bad_text(connection: Any, _record: object) -> None:
    """Let SQLite give text that is not UTF-8 as bytes, so that one row is refused.

    Otherwise the whole query fails, with the text, maybe a secret, in the error.
    """
    connection.driver_connection.text_factory = _text_or_bytes


def _text_or_bytes(text: bytes) -> str | bytes:
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text


def _extra_missing(what: str) -> ConfigError:
    return ConfigError(
        "database.url",
        f"apps from a database need {what}, which is not installed: pip install 'pusher-server[sql]'",
    )


def _read_url(text: str) -> "URL":
    """The URL with our driver in it. No message quotes the URL: it holds a password."""
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    if not text.startswith("sqlite"):
        _check_encoding(text)
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise ConfigError(
            "database.url", f"is no database URL; {_EXAMPLE}; {_ENCODED} (percent-encoding)"
        ) from None
    kind, _, driver = url.drivername.partition("+")
    ours = _DRIVERS.get(kind)
    if ours is None:
        raise ConfigError("database.url", f"{kind!r} is no database that we know; {_EXAMPLE}")
    if driver and driver != ours.partition("+")[2]:
        raise ConfigError(
            "database.url", f"the driver {driver!r} is not used here; write {kind}://…"
        )
    if not url.database:
        raise ConfigError("database.url", f"names no database; {_EXAMPLE}")
    return url.set(drivername=ours)


def _check_encoding(text: str) -> None:
    """Raise ConfigError for an `@` or `#` that ends a password too early (RFC 3986 §2.1).

    SQLAlchemy takes the rest of the password for the host then, and other programs end the URL at `#`.
    """
    rest = text.partition("://")[2]
    place = rest.partition("?")[0]
    if "@" not in place:  # a `?` of the password, or no login
        place = rest
    login, _, _ = place.rpartition("@")
    for character in "@#":
        if character in (login if character == "@" else place):
            raise ConfigError(
                "database.url",
                f"has a {character!r} that is not percent-encoded; {_ENCODED}",
            )


def _check_file(url: "URL", must_exist: bool) -> None:
    name = url.database or ""
    if name == ":memory:" or name.startswith("file:"):
        raise ConfigError(
            "database.url", "each connection would have a database of its own; name a file"
        )
    if must_exist and not Path(name).is_file():
        raise ConfigError(
            "database.url", f"there is no file {name}; `pusher-server apps init` creates it"
        )
    if not Path(name).absolute().parent.is_dir():
        raise ConfigError("database.url", f"there is no directory for {name}")


def _postgresql(url: "URL") -> tuple["URL", dict[str, Any]]:
    """URL and arguments for asyncpg, whose name for the usual `sslmode` is `ssl`."""
    arguments: dict[str, Any] = {
        "timeout": PATIENCE,
        "command_timeout": PATIENCE,
        "server_settings": {"application_name": "pusher-server"},
        # A prepared statement fails once after the table was altered, and behind PgBouncer always.
        "statement_cache_size": 0,
        "prepared_statement_cache_size": 0,
    }
    mode = url.query.get("sslmode")
    if mode is not None:
        arguments["ssl"] = mode
    return url.difference_update_query(["sslmode"]), arguments


def _mysql(url: "URL") -> tuple["URL", dict[str, Any]]:
    """URL and arguments for aiomysql; `ssl=true` and `ssl_ca=FILE` become a TLS context with verification."""
    arguments: dict[str, Any] = {"connect_timeout": PATIENCE, "charset": "utf8mb4"}
    authority = url.query.get("ssl_ca")
    if authority is not None or "ssl" in url.query:
        try:
            arguments["ssl"] = ssl.create_default_context(
                cafile=None if authority is None else str(authority)
            )
        except OSError as error:
            raise ConfigError("database.url", f"ssl_ca cannot be used: {error.strerror}") from None
    return url.difference_update_query(["ssl", "ssl_ca"]), arguments
