"""A Debian made by debootstrap, our image built on it by Buildah, and containers of that image run by crun."""

import configparser
import io
import json
import os
import platform
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from tests.support.containers import TOP
from tests.support.waiting import block_until

#: The authorities that this machine believes, which may be more than Debian's, and their place in a build.
_AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
_IN_A_BUILD = "/run/authorities.crt"
#: crun without control groups: those of a machine that is a container itself may be none of ours to change.
_HIDE_GROUPS = 'umount -R /sys/fs/cgroup; mount -t tmpfs none /sys/fs/cgroup && exec "$0" "$@"'
_CRUN = ("unshare", "--mount", "sh", "-c", _HIDE_GROUPS, "crun", "--cgroup-manager=disabled")
#: Seconds to start a container or to end it, apart from a drain.
PATIENCE = 30.0


def run(*command: str | Path, timeout: float = 600, **options: Any) -> str:
    """Run a program; return its output, or raise AssertionError with the end of what it wrote."""
    words = [str(word) for word in command]
    done = subprocess.run(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        stdin=subprocess.DEVNULL, timeout=timeout, check=False, **options,
    )  # fmt: skip
    assert done.returncode == 0, f"{' '.join(words)}:\n{done.stdout[-4000:]}"
    return done.stdout


def make_debian(folder: Path) -> None:
    """Make this machine's release of Debian or Ubuntu in a folder, from the mirror that apt uses."""
    suite = platform.freedesktop_os_release()["VERSION_CODENAME"]
    listed = run(
        "apt-get", "indextargets", "--format", "$(REPO_URI) $(CODENAME)", "Created-By: Packages"
    )
    mirrors = [line.split()[0] for line in listed.splitlines() if line.split()[1:] == [suite]]
    assert mirrors, f"no source of {suite} in:\n{listed}"
    run("debootstrap", "--variant=minbase", suite, folder, mirrors[0])


@dataclass(frozen=True)
class Image:
    """A built image: its name in the storage, its settings, and its files, mounted."""

    name: str
    settings: Mapping[str, Any]
    rootfs: Path
    bytes: int


def _pip_settings() -> str:
    """This machine's settings of pip, such as an index of its own, for a build."""
    settings = configparser.RawConfigParser()
    settings.read("/etc/pip.conf")
    if _AUTHORITIES.exists():
        if not settings.has_section("global"):
            settings.add_section("global")
        settings.set("global", "cert", _IN_A_BUILD)
    text = io.StringIO()
    settings.write(text)
    return text.getvalue()


class Buildah:
    """Buildah with a storage of its own."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        self._folder = folder
        self._options = ("--root", str(folder / "root"), "--runroot", str(folder / "run"))

    def __call__(self, *command: str | Path, **options: Any) -> str:
        """Run it; return its output."""
        return run("buildah", *self._options, *command, **options).strip()

    def import_folder(self, folder: Path, name: str) -> None:
        """An image with the files of a folder."""
        container = self("from", "scratch")
        mounted = self("mount", container)
        run("cp", "--archive", "--reflink=auto", f"{folder}/.", mounted)
        self("umount", container)
        self("commit", "--quiet", "--rm", container, name)

    def build(self, base: str, name: str, *, target: str = "") -> None:
        """Build the Containerfile on a base. RUN goes by chroot: it needs no engine."""
        pip = self._folder / "pip.conf"
        pip.write_text(_pip_settings())
        volumes = [f"--volume={pip}:/etc/pip.conf:ro"]
        if _AUTHORITIES.exists():
            volumes.append(f"--volume={_AUTHORITIES}:{_IN_A_BUILD}:ro")
        self(
            "build", "--isolation", "chroot", "--format", "docker", "--layers", "--build-arg", f"BASE={base}",
            *volumes, *(["--target", target] if target else []), "--tag", name, TOP,
        )  # fmt: skip

    def mount(self, name: str) -> Path:
        """The files of an image."""
        return Path(self("mount", self("from", name)))

    def image(self, name: str) -> Image:
        """An image with its files mounted."""
        tree = json.loads(self("inspect", "--type", "image", name))
        rootfs = self.mount(name)
        size = int(run("du", "--summarize", "--bytes", rootfs).split()[0])
        return Image(name, tree["Docker"]["config"], rootfs, size)

    def machine(self, name: str) -> "Machine":
        """A copy of an image's files that can be changed, and programs run in."""
        container = self("from", name)
        return Machine(self, container, Path(self("mount", container)))

    def has(self, name: str) -> bool:
        """Whether the storage has an image of that name."""
        return name in self("images", "--format", "{{.Name}}").splitlines()

    def close(self, *, keep: bool) -> None:
        """Unmount all and remove all containers; without `keep` the images, too."""
        self("umount", "--all")
        self("rm", "--all")
        if not keep:
            shutil.rmtree(self._folder)


@dataclass(frozen=True)
class Machine:
    """A machine of its own as far as files and programs go; processes and network are this machine's."""

    buildah: "Buildah"
    name: str
    root: Path

    def __call__(self, *command: str) -> str:
        """Run a program on it as root; return its output, or raise AssertionError."""
        return self.buildah(
            "run", "--isolation", "chroot", "--user", "0:0", self.name, "--", *command
        )

    def launch(self, *command: str, **options: Any) -> subprocess.Popen[bytes]:
        """Start a program on it as root, and return at once."""
        words = ["chroot", str(self.root), *command]
        return subprocess.Popen(words, stdin=subprocess.DEVNULL, **options)


class Container:
    """One container of an image, as docs/containers.md starts it: read-only and without rights."""

    def __init__(
        self,
        image: Image,
        folder: Path,
        name: str,
        environment: Mapping[str, str],
        *,
        files: Mapping[str, Path] | None = None,
        network: str = "",
    ) -> None:
        """`files`: by their path inside. `network`: a namespace's path; without one, this machine's own."""
        self.name = f"{name}-{os.getpid()}"
        self._folder = folder / name
        self._folder.mkdir()
        self._image = image
        (self._folder / "state").mkdir()
        os.chown(self._folder / "state", 10001, 10001)
        self._write_config(environment, files or {}, network)
        self._log = self._folder / "log"
        self._process: subprocess.Popen[bytes] | None = None

    def _write_config(
        self, environment: Mapping[str, str], files: Mapping[str, Path], network: str
    ) -> None:
        """The bundle's config.json (OCI runtime specification 1.0)."""
        settings = self._image.settings
        user, group = map(int, settings["User"].split(":"))
        binds = [
            {"destination": to, "source": str(source), "type": "bind", "options": ["bind", "ro"]}
            for to, source in files.items()
        ]
        state = {
            "destination": next(iter(settings["Volumes"])), "source": str(self._folder / "state"),
            "type": "bind", "options": ["bind", "rw", "nosuid", "nodev"],
        }  # fmt: skip
        namespaces = [{"type": kind} for kind in ("pid", "ipc", "uts", "mount")]
        if network:
            namespaces.append({"type": "network", "path": network})
        process = {
            "user": {"uid": user, "gid": group},
            "args": [*settings["Entrypoint"], *settings["Cmd"]],
            "env": [*settings["Env"], *(f"{name}={value}" for name, value in environment.items())],
            "cwd": settings["WorkingDir"],
            "noNewPrivileges": True,
            "capabilities": {},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1024, "hard": 4096}],
        }
        tree = {
            "ociVersion": "1.0.2",
            "process": process,
            "root": {"path": str(self._image.rootfs), "readonly": True},
            "hostname": self.name,
            "mounts": [
                {"destination": "/proc", "type": "proc", "source": "proc"},
                {
                    "destination": "/dev",
                    "type": "tmpfs",
                    "source": "tmpfs",
                    "options": ["nosuid", "mode=755"],
                },
                {
                    "destination": "/tmp",
                    "type": "tmpfs",
                    "source": "tmpfs",
                    "options": ["nosuid", "nodev"],
                },
                state,
                *binds,
            ],
            "linux": {"namespaces": namespaces},
        }
        (self._folder / "config.json").write_text(json.dumps(tree))

    @property
    def log(self) -> str:
        """What it has written."""
        return self._log.read_text(errors="replace") if self._log.exists() else ""

    def launch(self) -> subprocess.Popen[bytes]:
        """Start it and return at once."""
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_CRUN, "run", "--bundle", self._folder, self.name],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip
        return self._process

    def start(self, text: str) -> Self:
        """Start it and return when it has written `text`."""
        process = self.launch()

        def started() -> bool:
            assert process.poll() is None, (
                f"{self.name} ended with {process.returncode}:\n{self.log}"
            )
            return text in self.log

        block_until(started, PATIENCE, show=lambda: self.log)
        return self

    def execute(self, *command: str) -> subprocess.CompletedProcess[str]:
        """Run a program in it, as its user."""
        return subprocess.run(
            [*_CRUN, "exec", "--user", self._image.settings["User"], self.name, *command],
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=PATIENCE, check=False,
        )  # fmt: skip

    def stop(self, signal: str) -> None:
        """Send the signal that ends it, and return at once."""
        run(*_CRUN, "kill", self.name, signal)

    def wait(self, patience: float = PATIENCE) -> int:
        """Its exit status, once it has ended."""
        assert self._process is not None
        return self._process.wait(patience)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None and self._process.poll() is None:
            run(*_CRUN, "delete", "--force", self.name)
            self._process.wait(PATIENCE)
