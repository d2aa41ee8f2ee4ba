"""One Debian and one image for all tests; what they were is said at the end of the run.

DEPLOYMENT_STORAGE=FOLDER keeps them for the next run, which then takes seconds instead of minutes.
"""

import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.deployment.images import Buildah, Image, make_debian, run

_SAID = pytest.StashKey[list[str]]()


def pytest_configure(config: pytest.Config) -> None:
    """A list for what is to be said."""
    config.stash[_SAID] = []


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say which base ran, in every run that built one."""
    for line in config.stash[_SAID]:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A folder for hundreds of megabytes, removed at the end."""
    assert os.geteuid() == 0, (
        "Buildah, crun and debootstrap are run as root here: sudo make test-full"
    )
    folder = tmp_path_factory.mktemp("workshop")
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def buildah(workshop: Path, request: pytest.FixtureRequest) -> Iterator[Buildah]:
    """Buildah's storage with the image `base`, a Debian made from packages."""
    kept = os.environ.get("DEPLOYMENT_STORAGE")
    storage = Buildah(Path(kept) if kept else workshop / "storage")
    if not (kept and storage.has("localhost/base")):
        debian = workshop / "debian"
        make_debian(debian)
        storage.import_folder(debian, "localhost/base")
    version = run("buildah", "--version").split()[2]
    release = platform.freedesktop_os_release()
    request.config.stash[_SAID].append(
        f"The image was built by Buildah {version} (chroot) on {release['NAME']}"
        f" {release['VERSION_CODENAME']}, made by debootstrap."
    )
    yield storage
    storage.close(keep=bool(kept))


@pytest.fixture(scope="session")
def image(buildah: Buildah, request: pytest.FixtureRequest) -> Image:
    """The image of the Containerfile."""
    buildah.build("localhost/base", "localhost/pusher-server")
    built = buildah.image("localhost/pusher-server")
    megabytes = built.bytes / 1e6
    crun = run("crun", "--version").splitlines()[0].split()[-1]
    request.config.stash[_SAID].append(
        f"It has {megabytes:.0f} MB of files, and was run by crun {crun} in the network of this machine."
    )
    return built
