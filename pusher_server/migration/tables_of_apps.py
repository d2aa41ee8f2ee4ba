"""Another server's table of apps, which stays where it is and is read from there."""

from pathlib import Path

from pusher_server.errors import ConfigError
from pusher_server.migration import laravel_websockets, sockudo, soketi
from pusher_server.migration.draft import Answers, Draft
from pusher_server.migration.sockudo_apps import write_table_of_apps

#: The first bytes of every database of SQLite (sqlite.org/fileformat2.html).
_SQLITE = b"SQLite format 3\0"


def is_sqlite(path: Path) -> bool:
    """Whether a file is a database of SQLite."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError:
        return False


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
        draft.differ(
            "max_…_per_sec",
            "0 refuses every request at soketi, and is no limit here, as -1 and NULL are",
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
