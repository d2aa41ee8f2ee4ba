"""The machine that a systemd service is installed on: files, users, and the programs that change them."""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from pusher_server.errors import ConfigError

#: Runs a program, waits for it, and raises OSError or CalledProcessError.
Runner = Callable[[tuple[str, ...]], None]

#: The mode of a folder that a group may read.
_SHARED = 0o750
#: systemd's own test of whether it runs this machine (sd_booted(3)).
_BOOTED = Path("/run/systemd/system")


def run_program(command: tuple[str, ...]) -> None:
    """Run a program without a terminal; its error output is that of the exception."""
    subprocess.run(
        command, check=True, text=True, encoding="utf-8", errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
    )  # fmt: skip


class Host:
    """A machine, seen from its root folder: "/", or that of an image which is being made.

    Paths are those that the machine itself has. Every method raises ConfigError, with the path or the
    program as its setting, when the system refuses.
    """

    def __init__(
        self,
        root: Path,
        runner: Runner = run_program,
        chown: Callable[[Path, int, int], None] = os.chown,
    ) -> None:
        self._root = root
        self._run = runner
        self._chown = chown

    @property
    def is_this_machine(self) -> bool:
        """Whether the root is "/"."""
        return self._root == Path("/")

    @property
    def runs_systemd(self) -> bool:
        """Whether systemd runs and is to be informed: not in an image, nor in most containers."""
        return self.is_this_machine and _BOOTED.is_dir()

    def place(self, path: Path) -> Path:
        """Where a path of the machine is for us."""
        return self._root / path.relative_to("/")

    def read(self, path: Path) -> str | None:
        """The text of a file, None where there is none."""
        try:
            return self.place(path).read_text("utf-8")
        except FileNotFoundError:
            return None
        except UnicodeDecodeError:
            raise ConfigError(str(path), "is not UTF-8 text; move it away") from None
        except OSError as error:
            raise _refused(path, "be read", error) from None

    def write(self, path: Path, text: str, mode: int, group: str | None = None) -> None:
        """Replace a file in one step; it belongs to root and the group, root's if None."""
        target = self.place(path)
        partial = target.with_name(f".{target.name}.new")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)
            # Nobody else reads it before its owner and mode are right.
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(descriptor, "w", encoding="utf-8") as file:
                file.write(text)
            self._chown(partial, 0, self._group_id(group))
            partial.chmod(mode)
            partial.replace(target)
        except OSError as error:
            raise _refused(path, "be written", error) from None
        finally:
            with contextlib.suppress(OSError):
                partial.unlink(missing_ok=True)

    def make_folder(self, path: Path) -> None:
        """Make a folder that only root enters, until `admit` says otherwise."""
        try:
            self.place(path.parent).mkdir(parents=True, exist_ok=True)
            self.place(path).mkdir(mode=0o700)
        except OSError as error:
            raise _refused(path, "be made", error) from None

    def admit(self, path: Path, group: str) -> None:
        """Let a group read a folder."""
        try:
            self._chown(self.place(path), 0, self._group_id(group))
            self.place(path).chmod(_SHARED)
        except OSError as error:
            raise _refused(path, "be given to its group", error) from None

    def admits(self, path: Path) -> bool:
        """Whether `admit` was done for a folder: changing the mode is its last act."""
        try:
            return self.place(path).stat().st_mode & 0o777 == _SHARED
        except OSError:
            return False

    def remove(self, path: Path) -> None:
        """Remove a file, or a folder with all that is in it; nothing, where there is none."""
        target = self.place(path)
        try:
            if target.is_dir() and not target.is_symlink():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        except OSError as error:
            raise _refused(path, "be removed", error) from None

    def remove_empty(self, folder: Path) -> None:
        """Remove a folder that has nothing in it."""
        try:
            self.place(folder).rmdir()
        except OSError as error:
            raise _refused(folder, "be removed", error) from None

    def names_in(self, folder: Path) -> set[str] | None:
        """The names in a folder, None where there is none."""
        try:
            return set(os.listdir(self.place(folder)))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _refused(folder, "be read", error) from None

    def has_user(self, name: str) -> bool:
        """Whether the machine has a user of that name."""
        return self._id_in(Path("/etc/passwd"), name) is not None

    def add_user(self, name: str) -> None:
        """Make a system user with a group of the same name, who cannot log in."""
        self.run(
            "useradd", *self._prefix, "--system", "--user-group", "--no-create-home",
            "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", name,
        )  # fmt: skip

    def remove_user(self, name: str) -> None:
        """Remove a user and the group of the same name."""
        self.run("userdel", *self._prefix, name)

    def run(self, *command: str) -> None:
        """Run a program of the system."""
        try:
            self._run(command)
        except FileNotFoundError:
            raise ConfigError(command[0], "this program is missing; install it first") from None
        except OSError as error:
            raise ConfigError(command[0], f"cannot be run: {error.strerror}") from None
        except subprocess.CalledProcessError as error:
            lines = (error.stderr or "").strip().splitlines()
            cause = lines[-1] if lines else f"exit status {error.returncode}"
            raise ConfigError(" ".join(command), f"failed: {cause}") from None

    @property
    def _prefix(self) -> tuple[str, ...]:
        return () if self.is_this_machine else ("--prefix", str(self._root))

    def _group_id(self, name: str | None) -> int:
        if name is None:
            return 0
        number = self._id_in(Path("/etc/group"), name)
        if number is None:
            raise ConfigError("/etc/group", f"has no group {name}; add it with `groupadd`")
        return number

    def _id_in(self, table: Path, name: str) -> int | None:
        """The number of a user or group; both tables have it in the third column (passwd(5), group(5))."""
        if self.is_this_machine:
            return _id_of_this_machine(table.name, name)
        rows = (line.split(":") for line in (self.read(table) or "").splitlines())
        return next((int(row[2]) for row in rows if row[0] == name and len(row) > 2), None)


def _id_of_this_machine(table: str, name: str) -> int | None:
    """The number by way of the C library, which also asks directories such as LDAP."""
    import grp
    import pwd

    try:
        return pwd.getpwnam(name).pw_uid if table == "passwd" else grp.getgrnam(name).gr_gid
    except KeyError:
        return None


def _refused(path: Path, verb: str, error: OSError) -> ConfigError:
    return ConfigError(str(path), f"cannot {verb}: {error.strerror}")
