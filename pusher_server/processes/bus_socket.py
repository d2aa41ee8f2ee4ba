"""The Unix socket of the bus. The supervisor makes and keeps it, so that a new bus inherits it.

Cleaners of temporary folders remove its file, or the folder. Connections go on then, but no process finds the
bus any more. So a running bus looks after its file and makes it again (`BusFileWatch`), and the supervisor does
the same before it starts another bus.
"""

import logging
import os
import secrets
import socket
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from pusher_server.errors import ConfigError
from pusher_server.outage import Outage
from pusher_server.server.listening import SocketFile

logger = logging.getLogger("pusher_server.server")

_SETTING = "cluster.bus_directory"
_BACKLOG = 128


class BusFile(SocketFile):
    """The socket's file. `private_directory` is its folder if that is ours alone, else ""."""

    def __init__(self, path: str, private_directory: str) -> None:
        super().__init__(path)
        self._private_directory = private_directory

    def make(self) -> socket.socket:
        """Make a socket that listens there, in place of any file with that name. Raises OSError."""
        made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            with suppress(FileNotFoundError):
                os.unlink(self.path)
            made.bind(self.path)
            os.chmod(self.path, 0o600)
            made.listen(_BACKLOG)
            made.setblocking(False)
        except OSError:
            made.close()
            raise
        self.note()
        return made

    def make_again(self) -> socket.socket:
        """Make the socket again, with its folder if that is gone too. Raises OSError."""
        directory = os.path.dirname(self.path)
        with suppress(FileExistsError):
            os.mkdir(directory, 0o700)
        if self._private_directory:
            status = os.lstat(directory)
            # Below /tmp anybody may have taken the name meanwhile, to stand between us and our workers.
            ours = status.st_uid == os.geteuid() and not status.st_mode & 0o077
            if not (ours and stat.S_ISDIR(status.st_mode)):
                raise PermissionError(None, f"{directory} belongs to somebody else")
        return self.make()


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
        self._file = BusFile(self.path, self.private_directory)
        self._listener: socket.socket | None = None
        try:
            self.listener()
        except ConfigError:
            self.remove()
            raise

    def listener(self) -> socket.socket:
        """The socket, bound anew if its file is not the one that we made. Raises ConfigError."""
        if self._listener is not None and self._file.is_there:
            return self._listener
        try:
            made = self._file.make() if self._listener is None else self._file.make_again()
        except OSError as error:
            problem = _reason(error)
            raise ConfigError(_SETTING, f"cannot listen on {self.path}: {problem}") from None
        self._close()
        self._listener = made
        return made

    def _close(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def remove(self) -> None:
        """Close the socket and remove its files."""
        self._close()
        with suppress(OSError):
            os.unlink(self.path)
        if self.private_directory:
            with suppress(OSError):
                os.rmdir(self.private_directory)


class BusFileWatch:
    """A running bus's look at its file. It logs one problem once, until it is over."""

    def __init__(self, path: str, private_directory: str) -> None:
        self._file = BusFile(path, private_directory)
        self._outage = Outage()

    def look(self) -> socket.socket | None:
        """Another socket to listen on, when the file was removed; None while there is nothing to do."""
        if self._file.is_there:
            return None
        path = self._file.path
        try:
            made = self._file.make_again()
        except OSError as error:
            problem = _reason(error)
            if self._outage.begin(problem, kind=problem):
                logger.error(
                    "the workers' socket %s was removed and cannot be made again: %s. A worker that is"
                    " replaced finds no other one; name a folder of our own in %s and restart",
                    path, problem, _SETTING,
                )  # fmt: skip
            return None
        self._outage.end()
        logger.warning(
            "the workers' socket %s was removed, and is made again; if a cleaner of temporary files does that,"
            " name another folder in %s",
            path, _SETTING,
        )  # fmt: skip
        return made


def _reason(error: OSError) -> str:
    return error.strerror or "the path is too long for a socket; name a shorter folder"
