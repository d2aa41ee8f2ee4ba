"""Maps the columns of a table to the settings of an app, and reads their values (no I/O).

Three presets: our own table, soketi's `apps`, laravel-websockets' `websockets_apps`. Table and columns can have
other names. In all of them NULL is the server's default, and a limit of 0 or -1 is no limit.
"""

import difflib
import typing
from collections.abc import Mapping

import msgspec
from msgspec import Struct

from pusher_server.app import App, AppLimits, stray_character
from pusher_server.apps.database.columns import Kind, as_text, reads
from pusher_server.apps.database.webhook_column import read_column
from pusher_server.config import DatabaseSettings
from pusher_server.config.apps import read_app
from pusher_server.config.problems import Table
from pusher_server.errors import ConfigError, PusherServerError

#: Longer keys and ids cannot exist: it is the width of these columns in all three tables.
LONGEST_NAME = 255
#: Without these there is no app.
REQUIRED = ("id", "key", "secret")
#: The one column that holds a structure.
WEBHOOKS = "webhooks"

#: The settings that clients and backends send or sign with.
CREDENTIALS = ("id", "key", "secret", "previous_key", "previous_secret")
_IDENTITY = {**dict.fromkeys(CREDENTIALS, Kind.NAME), WEBHOOKS: Kind.JSON}


class Column(Struct, frozen=True):
    """A column's name in the table, and the form of its values."""

    name: str
    kind: Kind


class RowRefused(PusherServerError):
    """A row cannot be used: one line that names the app and the column."""

    def __init__(self, app_id: str, column: str, problem: str) -> None:
        super().__init__(f"app {app_id!r}, column {column!r}: {problem}")
        self.app_id = app_id
        self.column = column


class ReadRow(Struct, frozen=True):
    """The content of a row: the app, and a line for each webhook of it that cannot be used."""

    app: App
    left_out: tuple[str, ...] = ()


class FoundApp(Struct, frozen=True):
    """The result for a row; `app` is None when the row was refused, with a line in the log."""

    id: str
    app: App | None


class Layout(Struct, frozen=True):
    """A table: its name (`schema.table` where it is not in the default schema) and columns by setting."""

    preset: str
    table: str
    columns: Mapping[str, Column]
    #: Settings whose columns the table must have: without these there is no app, or the operator named them.
    required: tuple[str, ...] = REQUIRED

    def read(self, row: Mapping[str, object], defaults: Mapping[str, object]) -> ReadRow:
        """The app in a row: column -> value; columns may be missing. Raises RowRefused."""
        given = self._given(row)
        app_id = str(given["id"])
        webhooks, left_out = self._webhooks(row)
        table = _as_apps_table(given)
        if webhooks is not None:
            table[WEBHOOKS] = webhooks
        try:
            app = read_app(table, "row", defaults)
        except ConfigError as error:
            setting = error.setting.removeprefix("row").removeprefix(".")
            raise RowRefused(app_id, self._name(setting), error.problem) from None
        lines = [str(RowRefused(app_id, self._name(WEBHOOKS), problem)) for problem in left_out]
        return ReadRow(app, tuple(lines))

    def _name(self, setting: str) -> str:
        """The column's name, or the setting's when no column has it."""
        column = self.columns.get(setting)
        return setting if column is None else column.name

    def _webhooks(self, row: Mapping[str, object]) -> tuple[list[Table] | None, list[str]]:
        """As `read_column`."""
        value = row.get(self._name(WEBHOOKS)) if WEBHOOKS in self.columns else None
        return (None, []) if value is None else read_column(value)

    def _given(self, row: Mapping[str, object]) -> dict[str, object]:
        """Setting -> value, of the columns that are not NULL."""
        given: dict[str, object] = {}
        app_id = as_text(row.get(self.columns["id"].name) or "").rstrip(" ")
        for setting, column in self.columns.items():
            value = row.get(column.name)
            if value is None or setting == WEBHOOKS:
                continue
            try:
                given[setting] = reads(column.kind, value)
            except ValueError as error:
                raise RowRefused(app_id, column.name, str(error)) from None
        for setting in REQUIRED:
            if not given.get(setting):
                raise RowRefused(app_id, self.columns[setting].name, "is empty")
        for setting in CREDENTIALS:
            problem = stray_character(str(given.get(setting, "")))
            if problem:
                raise RowRefused(app_id, self.columns[setting].name, problem)
        for setting in ("id", "key", "previous_key"):
            if setting in given and not is_valid_key(str(given[setting])):
                name = self.columns[setting].name
                raise RowRefused(
                    app_id, name, f"write 1 to {LONGEST_NAME} ASCII characters without spaces"
                )
        return given


def is_valid_key(text: str) -> bool:
    """Whether a row can have this key or id; others of a client never reach the database.

    Only ASCII: databases differ in how they compare other texts, and some refuse them.
    """
    return (
        0 < len(text) <= LONGEST_NAME and text.isascii() and text.isprintable() and " " not in text
    )


def layout(settings: DatabaseSettings) -> Layout:
    """The preset with the operator's names over it. Raises ConfigError for a setting that does not exist."""
    table, columns = _PRESETS[settings.preset]
    chosen = dict(columns)
    kinds = {**plain_kinds(), **{setting: column.kind for setting, column in columns.items()}}
    named = _flat(settings.columns)
    for setting, name in named.items():
        if setting not in kinds:
            near = difflib.get_close_matches(setting, kinds, n=1)
            meant = f"; did you mean `{near[0]}`?" if near else ""
            raise ConfigError(f"database.columns.{setting}", f"apps have no such setting{meant}")
        chosen[setting] = Column(name, kinds[setting])
    required = (*REQUIRED, *(setting for setting in named if setting not in REQUIRED))
    return Layout(settings.preset, settings.table or table, chosen, required)


def _flat(columns: Mapping[str, str | dict[str, str]]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for setting, name in columns.items():
        if isinstance(name, str):
            flat[setting] = name
        else:
            flat |= {f"{setting}.{below}": column for below, column in name.items()}
    return flat


def _as_apps_table(given: Mapping[str, object]) -> dict[str, object]:
    """The settings in the form of an `[[apps]]` table."""
    table: dict[str, object] = {}
    limits: dict[str, object] = {}
    for setting, value in given.items():
        name, _, limit = setting.partition(".")
        if limit:
            limits[limit] = value
        elif setting not in _IDENTITY or setting == "id":
            table[name] = value
    pairs = [{"key": given["key"], "secret": given["secret"]}]
    if "previous_key" in given and "previous_secret" in given:
        pairs.append({"key": given["previous_key"], "secret": given["previous_secret"]})
    return {**table, "keys": pairs, "limits": limits}


def plain_kinds() -> dict[str, Kind]:
    """Every setting that a column can have, as our own table has it."""
    kinds = dict(_IDENTITY)
    for struct, path in ((App, ""), (AppLimits, "limits.")):
        for field in msgspec.structs.fields(struct):
            kind = _kind_of(field.type, limit=bool(path))
            if kind is not None:
                kinds.setdefault(f"{path}{field.name}", kind)
    return kinds


def _kind_of(type_: object, *, limit: bool) -> Kind | None:
    """The form of a field of `App` in a column; None for fields that need more than one column."""
    if type_ is bool:
        return Kind.SWITCH
    if type_ is int:
        return Kind.LIMIT if limit else Kind.NUMBER
    if type_ is str:
        return Kind.TEXT
    if typing.get_origin(type_) is typing.Literal:
        first, *_ = typing.get_args(type_)
        return Kind.TEXT if isinstance(first, str) else Kind.NUMBER
    if typing.get_origin(type_) is tuple and typing.get_args(type_)[0] is str:
        return Kind.LIST
    return None


def _own() -> dict[str, Column]:
    """The columns of our own table: named like the settings, limits with `max_`."""
    return {
        setting: Column(setting.replace("limits.", "max_"), kind)
        for setting, kind in plain_kinds().items()
    }


def _columns(names: Mapping[str, str | tuple[str, Kind]]) -> dict[str, Column]:
    """Columns from setting -> name, with the kind if it is not the plain one."""
    plain = plain_kinds()
    return {
        setting: Column(named, plain[setting]) if isinstance(named, str) else Column(*named)
        for setting, named in names.items()
    }


_SOKETI: dict[str, str | tuple[str, Kind]] = {
    "id": "id",
    "key": "key",
    "secret": "secret",
    "enabled": "enabled",
    "client_events": ("enable_client_messages", Kind.CLIENT_EVENTS),
    "authorization_timeout": ("enable_user_authentication", Kind.AUTHENTICATION),
    "limits.connections": "max_connections",
    "limits.backend_events_per_second": "max_backend_events_per_sec",
    "limits.client_events_per_second": "max_client_events_per_sec",
    "limits.reads_per_second": "max_read_req_per_sec",
    "limits.presence_members": "max_presence_members_per_channel",
    "limits.presence_member_bytes": ("max_presence_member_size_in_kb", Kind.KILOBYTES),
    "limits.channel_name_length": "max_channel_name_length",
    "limits.event_channels": "max_event_channels_at_once",
    "limits.event_name_length": "max_event_name_length",
    "limits.event_data_bytes": ("max_event_payload_in_kb", Kind.KILOBYTES),
    "limits.batch_events": "max_event_batch_size",
    WEBHOOKS: WEBHOOKS,
}

_LARAVEL_WEBSOCKETS: dict[str, str | tuple[str, Kind]] = {
    "id": "id",
    "key": "key",
    "secret": "secret",
    "name": "name",
    "client_events": ("enable_client_messages", Kind.CLIENT_EVENTS),
    "limits.connections": "capacity",
    "allowed_origins": "allowed_origins",
}

#: Preset -> table and columns.
_PRESETS: dict[str, tuple[str, Mapping[str, Column]]] = {
    "own": ("pusher_apps", _own()),
    "soketi": ("apps", _columns(_SOKETI)),
    "laravel-websockets": ("websockets_apps", _columns(_LARAVEL_WEBSOCKETS)),
}
