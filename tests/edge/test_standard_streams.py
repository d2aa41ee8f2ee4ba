"""Standard output and error that are full, closed, or a pipe without a reader: the server starts and serves."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support import signed, wire
from tests.support.inprocess import KEY, app
from tests.support.serving import RunningServer
from tests.support.waiting import PATIENCE
from tests.support.wire import Address

FULL = ">/dev/full 2>/dev/full"


def launch(redirection: str, *command: str) -> "subprocess.Popen[bytes]":
    """Start it with its streams redirected by a shell, else into pipes."""
    return subprocess.Popen(
        ["sh", "-c", f'exec "$@" {redirection}', "sh", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@asynccontextmanager
async def started(
    directory: Path, redirection: str, *arguments: str
) -> AsyncIterator[tuple[Address, "subprocess.Popen[bytes]"]]:
    """A server whose streams are what the shell says; it serves."""
    server = RunningServer(directory, {"apps": [app()], "log": {"access": True}})
    command = [sys.executable, "-m", "pusher_server", "serve", "--config"]
    process = launch(redirection, *command, str(server.write_config()), *arguments)
    assert process.stdout is not None
    assert process.stderr is not None
    if redirection == "":
        process.stdout.close()
        process.stderr.close()
    try:
        deadline = time.monotonic() + 4 * PATIENCE
        while await asyncio.to_thread(server.ready_status) != 200:
            assert process.poll() is None, process.returncode
            assert time.monotonic() < deadline
        yield Address(port=server.port), process
    finally:
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=20) if redirection else process.wait(20)


@pytest.mark.parametrize("workers", ["1", "2"])
@pytest.mark.parametrize("redirection", [FULL, ">&- 2>&-", "<&- >&- 2>&-", ""])
async def test_it_starts_and_serves(tmp_path: Path, redirection: str, workers: str) -> None:
    """ "" is a pipe whose reader has gone. The end is as orderly as ever."""
    async with started(tmp_path, redirection, "--workers", workers) as (address, process):
        for _ in range(20):
            async with wire.connected(address, KEY) as client, wire.opened(address) as backend:
                await client.join("c")
                await backend.send(signed.event("c", "here"))
                assert (await backend.answer()).status == 200
                assert (await client.expect("my-event"))["data"] == "here"
            async with wire.opened(address) as stranger:
                await stranger.send(b"nonsense\r\n\r\n")
                assert (await stranger.answer()).status == 400
        for number in (0, 1, 2):  # no socket has taken a standard stream's place
            target = await asyncio.to_thread(os.readlink, f"/proc/{process.pid}/fd/{number}")
            assert not target.startswith(("socket:", "anon_inode:"))
    assert process.returncode == 0


async def test_a_full_standard_output_is_told_in_the_log(tmp_path: Path) -> None:
    """With the address that the page would have had."""
    log = tmp_path / "log"
    async with started(tmp_path, f">/dev/full 2>{log}") as (address, _):
        said = await asyncio.to_thread(log.read_text)
    assert f"running at http://127.0.0.1:{address.port}" in said
    assert "No space left on device" in said
    assert "Traceback" not in said


def test_a_start_that_fails_keeps_its_status(tmp_path: Path) -> None:
    """Also when the reason cannot be said."""
    command = [sys.executable, "-m", "pusher_server", "serve", "--config", str(tmp_path / "none")]
    for redirection in (FULL, ">&- 2>&-"):
        ended = subprocess.run(
            ["sh", "-c", f'exec "$@" {redirection}', "sh", *command], timeout=20, check=False
        )
        assert ended.returncode == 2
