# ruff: noqa: ASYNC240 (a look at a temporary folder blocks nobody)
"""Serving on a Unix socket: the path is ours only when nobody else's is there."""

import asyncio
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import signed, wire
from tests.support.inprocess import KEY, app
from tests.support.processes import UnixServer
from tests.support.serving import to_toml
from tests.support.team import processes_of
from tests.support.waiting import eventually
from tests.support.wire import QUERY, Address


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of the socket."""
    return tmp_path / "pusher.sock"


def settings(path: Path) -> dict[str, object]:
    """Serve a TLS-only app there: over a Unix socket the proxy's word about TLS counts."""
    return {"server": {"unix_socket": str(path)}, "apps": [app(tls_only=True)]}


async def test_it_serves_and_removes_its_socket(tmp_path: Path, path: Path) -> None:
    """Every user's proxy may connect; at the end nothing is left."""
    server = UnixServer(tmp_path, settings(path))
    async with server:
        address = Address(path=path)
        assert path.stat().st_mode & 0o777 == 0o666
        said = {"X_Forwarded_Proto": "https", "X_Forwarded_For": "203.0.113.7"}
        async with wire.connected(address, KEY, **said) as client, wire.opened(address) as backend:
            await client.join("c")
            await backend.send(signed.event("c"))
            assert (await backend.answer()).status == 200
            await client.expect("my-event")
        async with wire.opened(address) as client:
            await client.handshake(f"/app/{KEY}{QUERY}")
            await client.expect_refusal(4000)
    assert not path.exists()
    assert "Traceback" not in server.log


async def test_the_socket_of_a_dead_server_is_replaced(tmp_path: Path, path: Path) -> None:
    """After a crash nobody has to remove anything by hand."""
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    assert path.exists()
    async with UnixServer(tmp_path, settings(path)), wire.opened(Address(path=path)) as client:
        assert (await client.ask("/up")).status == 200


async def refused(tmp_path: Path, path: Path) -> str:
    """Start a server that must not start; returns its one line."""
    config = tmp_path / "second.toml"
    config.write_text(to_toml(settings(path)))
    command = [sys.executable, "-m", "pusher_server", "serve", "--config", str(config)]
    ended = await asyncio.to_thread(
        subprocess.run, command, capture_output=True, text=True, timeout=20, check=False
    )
    assert ended.returncode == 2, ended
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "server.unix_socket" in ended.stderr
    return ended.stderr


async def test_the_socket_of_a_living_server_is_left_alone(tmp_path: Path, path: Path) -> None:
    """The second one says who is there, and the first goes on."""
    async with UnixServer(tmp_path, settings(path)):
        said = await refused(tmp_path, path)
        assert f"another program is listening on {path}" in said
        async with wire.opened(Address(path=path)) as client:
            assert (await client.ask("/up")).status == 200


@pytest.mark.parametrize("kind", ["file", "folder", "missing folder", "too long"])
async def test_a_path_that_cannot_be_a_socket(tmp_path: Path, path: Path, kind: str) -> None:
    """Said in one line; what was there is still there."""
    if kind == "file":
        path.write_text("precious")
    elif kind == "folder":
        path.mkdir()
    elif kind == "missing folder":
        path = path / "below" / "nothing"
    else:
        path = path.with_name("x" * 150)
    await refused(tmp_path, path)
    if kind == "file":
        assert path.read_text() == "precious"
    if kind == "folder":
        assert path.is_dir()
    assert os.path.exists(tmp_path / "second.toml")


async def answers_again(path: Path) -> None:
    """Wait until a new client is served there."""

    async def answer() -> bool:
        async with wire.opened(Address(path=path)) as client:
            return (await client.ask("/up")).status == 200

    await eventually(answer, 20.0, not_yet=(OSError,))


def listeners(pid: int, path: Path) -> int:
    """How many of the process's files listen on this path, removed or not."""
    lines = [line.split() for line in Path("/proc/net/unix").read_text().splitlines()]
    inodes = {
        f"socket:[{fields[6]}]"
        for fields in lines
        if fields[3:4] + fields[7:] == ["00010000", str(path)]
    }
    links = Path(f"/proc/{pid}/fd").iterdir()
    return sum(os.readlink(each) in inodes for each in links)


async def test_a_removed_socket_is_made_again(tmp_path: Path, path: Path) -> None:
    """As after a cleaner of temporary files; clients that are connected stay, and the end leaves nothing."""
    server = UnixServer(tmp_path, settings(path))
    async with server:
        said = {"X_Forwarded_Proto": "https", "X_Forwarded_For": "203.0.113.7"}
        async with wire.connected(Address(path=path), KEY, **said) as client:
            for turn in range(1, 5):
                path.unlink()
                await answers_again(path)
                await client.expect_alive()
                assert server.log.count("was removed, and is made again") == turn
                # The last one before it is kept; each may be there twice, for the loop.
                assert listeners(server.pid, path) <= 4
    assert not path.exists()
    assert "Traceback" not in server.log


async def test_workers_get_a_removed_socket_anew(tmp_path: Path, path: Path) -> None:
    """One after the other; each of them accepts from the new one at the end.

    A file that is removed again while they are being replaced has to wait for its turn.
    """
    server = UnixServer(tmp_path, settings(path), workers=2)
    async with server:
        await answers_again(path)
        before = processes_of(server.pid)
        for turn in range(1, 3):
            path.unlink()
            await eventually(lambda count=turn: server.log.count("is made again") == count, 30)
            assert server.log.count("is ready again") == 2 * turn - 2
            await answers_again(path)
        await eventually(lambda: server.log.count("is ready again") == 4, 30)
        now = processes_of(server.pid)
        assert all(now[name] != before[name] for name in ("worker 1", "worker 2"))
        await answers_again(path)
    assert not path.exists()
    assert "Traceback" not in server.log
