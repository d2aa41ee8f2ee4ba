"""Another server's table of apps, which stays where it is and is read from there."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pusher_server.errors import ConfigError
from pusher_server.migration import laravel_websockets, sockudo, soketi
from pusher_server.migration.draft import Answers, Draft
from pusher_server.migration.numbers import javascript_float
from pusher_server.migration.sockudo_apps import write_table_of_apps

#: The first bytes of every database of SQLite (sqlite.org/fileformat2.html).
_SQLITE = b"SQLite format 3\0"
#: Column -> the meaning of 0 there, and of less; here both are no limit. The pages have the sources.
_SIZES = (
    "max_presence_members_per_channel",
    "max_presence_member_size_in_kb",
    "max_channel_name_length",
    "max_event_channels_at_once",
    "max_event_name_length",
    "max_event_payload_in_kb",
    "max_event_batch_size",
)
_RATES = ("max_backend_events_per_sec", "max_client_events_per_sec", "max_read_req_per_sec")
_NOTHING = "lets nothing through"
_ZERO: Mapping[str, Mapping[str, str]] = {
    laravel_websockets.NAME: {"capacity": "lets nobody connect"},
    soketi.NAME: {**dict.fromkeys(_SIZES, _NOTHING), **dict.fromkeys(_RATES, "refuses every one")},
    sockudo.NAME: dict.fromkeys(_SIZES, _NOTHING),
}
_NEGATIVE: Mapping[str, Mapping[str, str]] = {
    laravel_websockets.NAME: _ZERO[laravel_websockets.NAME],
    soketi.NAME: dict.fromkeys(_SIZES, _NOTHING),
    sockudo.NAME: {},
}
#: Rows of a table are many; so many are named.
_MOST_NAMED = 20


def is_sqlite(path: Path) -> bool:
    """Whether a file is a database of SQLite."""
    try:
        if not path.is_file():  # to open a pipe would wait for its writer
            return False
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


def files(where: str) -> list[Path]:
    """The file of a database of SQLite, named by its path or URL; none for another database."""
    scheme, separator, path = where.partition(":///")
    if separator:
        return [Path(path)] if scheme.startswith("sqlite") else []
    return [] if "://" in where else [Path(where)]


def read(peer: str, where: str, answers: Answers) -> Draft:
    """The configuration for the table of `peer` at `where`: a URL, or a file of SQLite. Raises ConfigError."""
    url = where if "://" in where else f"sqlite:///{Path(where).absolute()}"
    draft = Draft(peer, answers)
    draft.take("(address)", "server.host", "0.0.0.0", "port 6001")
    draft.take("(table)", "database.url", url)
    if peer == sockudo.NAME:
        write_table_of_apps(draft, "applications")
    elif peer == soketi.NAME:
        draft.take("(table)", "database.preset", peer, "its table is read as it is")
        draft.take(
            "enable_client_messages", "defaults.client_events_on_public_channels", True, "as there"
        )
        draft.warn("allowed_origins", "soketi checks no origin: set defaults.allowed_origins")
    elif peer == laravel_websockets.NAME:
        draft.take("(table)", "database.preset", peer, "its table is read as it is")
        if url.startswith("sqlite"):
            draft.take("managers.sqlite", "database.table", "apps")
        laravel_websockets.write_defaults_of_table(draft)
    else:
        raise ConfigError(peer, "has no table of apps: name its file of settings")
    return draft


def write_differing_limits(draft: Draft, rows: Mapping[str, Mapping[str, object]]) -> None:
    """Note each row whose limit closed something at its own server and is no limit here. `rows` are by id."""
    named = list(_differing(draft.peer, rows))
    for app_id, column, value, meaning in named[:_MOST_NAMED]:
        draft.differ(
            f"app {app_id}: {column}",
            f"{value:g} {meaning} there, and is no limit here: write NULL or a number",
        )
    if len(named) > _MOST_NAMED:
        draft.differ("other apps", f"{len(named) - _MOST_NAMED} more such limits in the table")


def write_shared_keys(draft: Draft, rows: Mapping[str, Mapping[str, object]]) -> None:
    """Note each row whose key an earlier row has: only one of their apps can be reached by it."""
    owners: dict[object, str] = {}
    shared = [
        (app_id, owner, row["key"])
        for app_id, row in rows.items()
        if row.get("key") and (owner := owners.setdefault(row["key"], app_id)) != app_id
    ]
    for app_id, owner, key in shared[:_MOST_NAMED]:
        draft.refuse(
            f"app {app_id}: key",
            f"{str(key)[:60]!r} is the key of app {owner}, too: give it its own",
        )
    if len(shared) > _MOST_NAMED:
        draft.refuse("other apps", f"{len(shared) - _MOST_NAMED} more keys that two apps share")


def _differing(
    peer: str, rows: Mapping[str, Mapping[str, object]]
) -> Iterator[tuple[str, str, float, str]]:
    for app_id, row in rows.items():
        if not app_id:
            continue  # no app can have it
        for column in _ZERO[peer]:
            value = row.get(column)
            number = javascript_float(str(value)) if value is not None else None
            if number is not None and number <= 0:
                meaning = (_NEGATIVE if number < 0 else _ZERO)[peer].get(column)
                if meaning is not None:
                    yield app_id, column, number, meaning
