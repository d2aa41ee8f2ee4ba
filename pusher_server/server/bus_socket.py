"""Where the bus listens: a Unix socket that the supervisor makes and keeps, so that a new bus inherits it."""

import os
import secrets
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

from pusher_server.errors import ConfigError

_SETTING = "cluster.bus_directory"


class BusSocket:
    """`directory`: the setting; "" makes a private one, which goes again at the end."""

    def __init__(self, directory: str) -> None:
        """Raises ConfigError naming the setting."""
        self.private_directory = ""
        if not directory:
            try:
                directory = self.private_directory = tempfile.mkdtemp(prefix="pusher-server-")
            except OSError as error:
                raise ConfigError(
                    _SETTING, f"is empty, and no temporary folder can be made: {error.strerror}"
                ) from None
        # Short: a path of more than 107 bytes is none to a socket.
        name = "bus" if self.private_directory else f"bus-{secrets.token_hex(4)}"
        self.path = str(Path(directory).absolute() / name)
        self._listener: socket.socket | None = None
        try:
            self.listener()
        except ConfigError:
            self.remove()
            raise

    def listener(self) -> socket.socket:
        """The socket, bound anew if somebody has removed its file. Raises ConfigError."""
        if self._listener is not None and os.path.exists(self.path):
            return self._listener
        self._close()
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with suppress(FileNotFoundError):
                os.unlink(self.path)
            made.bind(self.path)
            os.chmod(self.path, 0o600)
            made.listen(128)
            made.setblocking(False)
        except OSError as error:
            made.close()
            problem = error.strerror or "the path is too long for a socket; name a shorter folder"
            raise ConfigError(_SETTING, f"cannot listen on {self.path}: {problem}") from None
        self._listener = made
        return made

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def remove(self) -> None:
        """Leave nothing behind."""
        self._close()
        with suppress(OSError):
            os.unlink(self.path)
        if self.private_directory:
            with suppress(OSError):
                os.rmdir(self.private_directory)
