# ruff: noqa: ASYNC240 (a look at a temporary folder blocks nobody)
"""A cleaner of temporary folders removes the file of the workers' bus, and replaced workers find the bus."""

import asyncio
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from pusher_server.cluster.unix.link import UnixLink
from pusher_server.errors import ClusterUnavailable
from tests.edge.test_bus import Heard
from tests.support.team import Team, running
from tests.support.waiting import eventually

PATIENCE = 20.0


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.fixture
async def team(tmp_path: Path, short_folder: Path) -> AsyncIterator[Team]:
    """Two workers and a bus in a private temporary folder."""
    made = Team(
        tmp_path,
        {"cluster": {"bus_directory": "", "lease": 2.0}},
        environment={"TMPDIR": str(short_folder)},
    )
    async with running(made) as started:
        await started.complete()
        await attached(started, 2)
        yield started


async def attached(team: Team, times: int) -> None:
    """Wait until workers have said so this often in all."""
    await eventually(lambda: team.count("attached to unix:") >= times, PATIENCE)


def bus_path(folder: Path) -> Path:
    """Where the bus of a private folder is."""
    (path,) = folder.glob("pusher-server-*/bus")
    return path


def file_removed(path: Path) -> None:
    path.unlink()


def folder_removed(path: Path) -> None:
    shutil.rmtree(path.parent)


def another_file_in_its_place(path: Path) -> None:
    path.unlink()
    path.write_text("")


REMOVALS: list[Callable[[Path], None]] = [file_removed, folder_removed, another_file_in_its_place]


@pytest.mark.parametrize("remove", REMOVALS)
async def test_a_replaced_worker_finds_the_bus(
    team: Team, short_folder: Path, remove: Callable[[Path], None]
) -> None:
    """Again and again; those who are connected notice nothing. At the end nothing is left."""
    path = bus_path(short_folder)
    for turn in range(2):
        remove(path)
        before = team.processes()
        os.kill(before["worker 1"], signal.SIGKILL)
        await team.replaced("worker 1", before["worker 1"])
        await attached(team, 3 + turn)
        assert team.processes()["bus"] == before["bus"]
        assert team.processes()["worker 2"] == before["worker 2"]
    assert team.count("was removed, and is made again") == 2
    assert "serving without the other nodes" not in team.log
    assert await asyncio.to_thread(team.stop) == 0
    assert list(short_folder.iterdir()) == []


@pytest.mark.parametrize("remove", REMOVALS)
@pytest.mark.parametrize("bus_was_first", [True, False])
async def test_after_that_the_bus_itself_can_be_replaced(
    team: Team, short_folder: Path, remove: Callable[[Path], None], bus_was_first: bool
) -> None:
    """Be it the old bus or the new one that made the file again."""
    path = bus_path(short_folder)
    inode = path.stat().st_ino
    remove(path)
    if not bus_was_first:
        await eventually(
            lambda: path.is_socket() and path.stat().st_ino != inode,
            PATIENCE,
            not_yet=(FileNotFoundError,),
        )
    pids = team.processes()
    os.kill(pids["bus"], signal.SIGKILL)
    await team.replaced("bus", pids["bus"])
    await attached(team, 4)
    os.kill(pids["worker 1"], signal.SIGKILL)
    await team.replaced("worker 1", pids["worker 1"])
    await attached(team, 5)


async def test_the_bus_of_another_user_is_none_of_ours(
    short_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody may have taken the name in a folder that belongs to all users."""
    path = str(short_folder / "bus")
    gone = asyncio.Event()

    async def wait_for_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert await reader.read() == b""
        writer.close()
        gone.set()

    server = await asyncio.start_unix_server(wait_for_the_end, path)
    monkeypatch.setattr(os, "geteuid", lambda: 54_321)
    link = UnixLink(path)
    link.attach(Heard())
    with pytest.raises(ClusterUnavailable, match="belongs to another user"):
        await link.open()
    async with asyncio.timeout(PATIENCE):
        await gone.wait()
    server.close()
