"""Paths and text of a systemd service's files, and the record of those that were made."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

from pusher_server.errors import ConfigError

NAME = "pusher-server"
UNIT = Path("/etc/systemd/system/pusher-server.service")
FOLDER = Path("/etc/pusher-server")
CONFIG = FOLDER / "pusher-server.toml"
#: Says which of all this the command made, so that `--remove` takes back nothing else.
RECORD = FOLDER / "install-service.json"
#: Made by systemd for the unit's StateDirectory: the webhooks' outbox.
STATE = Path("/var/lib/pusher-server")

#: The program in the unit as it lies in this package, which can also be copied by hand.
_EXAMPLE_PROGRAM = "/opt/pusher-server/.venv/bin/pusher-server"

_CONFIG_TEXT = """\
# Written by `pusher-server install-service`, which never changes it again.
# `pusher-server default-config` prints every setting, explained. After a change:
#
#     pusher-server check-config {file}
#     systemctl restart pusher-server     (for apps and certificates: systemctl reload pusher-server)

[server]
# A reverse proxy on this machine does TLS. Without one: "0.0.0.0", and [server.tls].
host = "127.0.0.1"
port = 6001
trusted_proxies = ["127.0.0.1"]

# Made for this machine alone.
[[apps]]
id = "{PUSHER_APP_ID}"
key = "{PUSHER_APP_KEY}"
secret = "{PUSHER_APP_SECRET}"
"""


@dataclass
class Record:
    """The things that `install-service` made: user, folder, and a digest of each file's text by its path."""

    made_user: bool = False
    made_folder: bool = False
    digests: dict[str, str] = field(default_factory=dict)

    @classmethod
    def from_text(cls, text: str | None) -> "Record":
        """The record in a file's text; an empty one if there is no file. Raises ConfigError."""
        if text is None:
            return cls()
        try:
            tree = json.loads(text)
            digests = {str(path): str(digest) for path, digest in tree["digests"].items()}
            return cls(bool(tree["made_user"]), bool(tree["made_folder"]), digests)
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise ConfigError(
                str(RECORD),
                "cannot be read; remove it, then nothing counts as made by this command",
            ) from None

    def to_text(self) -> str:
        """JSON, for the file."""
        return json.dumps(asdict(self), indent=2) + "\n"

    def note(self, path: Path, text: str) -> None:
        """Remember a file that the command writes."""
        self.digests[str(path)] = digest_of(text)

    def has(self, path: Path) -> bool:
        """Whether the command wrote the file, whatever became of it since."""
        return str(path) in self.digests

    def matches(self, path: Path, text: str) -> bool:
        """Whether the file still has the text that the command wrote."""
        return self.digests.get(str(path)) == digest_of(text)


def digest_of(text: str) -> str:
    """SHA-256 in hex digits."""
    return hashlib.sha256(text.encode()).hexdigest()


def config_text(credentials: Mapping[str, str]) -> str:
    """A short config file with one app; `credentials` as `credentials.fresh` makes them."""
    return _CONFIG_TEXT.format(file=CONFIG, **credentials)


def unit_text(program: tuple[str, ...]) -> str:
    """The unit of this package, which starts `program`: an absolute path and its first arguments."""
    text = Path(__file__).with_name(f"{NAME}.service").read_text("utf-8")
    return text.replace(f"ExecStart={_EXAMPLE_PROGRAM} ", f"ExecStart={' '.join(program)} ")
