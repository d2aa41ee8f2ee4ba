"""The file of the workers' bus, looked after by those who made it."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from pusher_server.processes.bus_socket import BusFile, BusFileWatch, BusSocket


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


def test_a_private_folder_that_somebody_else_has_taken_is_not_used(
    short_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The problem is told once, and the file is made as soon as the folder can be."""
    directory = short_folder / "private"
    directory.mkdir(0o700)
    path = str(directory / "bus")
    BusFile(path, str(directory)).make().close()
    watch = BusFileWatch(path, str(directory))
    assert watch.look() is None
    shutil.rmtree(directory)
    directory.mkdir()
    directory.chmod(0o777)
    for _ in range(3):
        assert watch.look() is None
    assert [each.levelname for each in caplog.records] == ["ERROR"]
    assert "belongs to somebody else" in caplog.text
    assert "cluster.bus_directory" in caplog.text
    directory.rmdir()
    made = watch.look()
    assert made is not None
    made.close()
    assert directory.stat().st_mode & 0o777 == 0o700


def test_the_supervisor_s_socket_is_bound_anew_when_another_has_its_name(
    short_folder: Path,
) -> None:
    """A file of the same name is not the file that we made."""
    ours = BusSocket(str(short_folder))
    first = ours.listener()
    assert ours.listener() is first
    other = BusFile(ours.path, "").make()
    again = ours.listener()
    assert again is not first
    assert ours.listener() is again
    other.close()
    ours.remove()
    assert list(short_folder.iterdir()) == []
