"""The path of the outbox's file."""

from collections.abc import Mapping
from pathlib import Path

from pusher_server.config import ServerSettings, WebhookSettings

#: Where services keep their state, for a user without a home.
_LAST_RESORT = "/var/lib"


def outbox_path(
    settings: WebhookSettings, server: ServerSettings, environ: Mapping[str, str]
) -> Path:
    """The path in the settings, else the default path.

    The default is in the state directory that systemd gives the service, else in that of its user. Its name
    has the address on which the server listens, so that two servers do not share a file.
    """
    if settings.outbox:
        return Path(settings.outbox).absolute()
    address = server.unix_socket.strip("/").replace("/", "-") or str(server.port)
    return _state_directory(environ) / f"outbox-{address}.sqlite3"


def _state_directory(environ: Mapping[str, str]) -> Path:
    given = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if given:
        return Path(given)
    of_user = Path(environ.get("XDG_STATE_HOME", ""))
    if not of_user.is_absolute():  # by the XDG specification other values are ignored
        home = environ.get("HOME", "")
        of_user = Path(home, ".local/state").absolute() if home else Path(_LAST_RESORT)
    return of_user / "pusher-server"
