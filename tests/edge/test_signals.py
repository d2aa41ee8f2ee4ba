"""Signals that operators send by mistake, and those that come by the hundred."""

import asyncio
import os
import re
import signal
from pathlib import Path

import pytest

from tests.support import signed, wire
from tests.support.inprocess import KEY, app
from tests.support.serving import RunningServer
from tests.support.waiting import eventually
from tests.support.wire import Address

STRAY = [
    signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGALRM, signal.SIGVTALRM,
    signal.SIGPROF, signal.SIGPOLL, signal.SIGRTMIN, signal.SIGRTMAX,
]  # fmt: skip


def children(pid: int) -> list[int]:
    """Of a process."""
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


async def is_served(server: RunningServer) -> None:
    """An event reaches a client."""
    address = Address(port=server.port)
    async with wire.connected(address, KEY) as client, wire.opened(address) as backend:
        await client.join("c")
        await backend.send(signed.event("c", "here"))
        assert (await backend.answer()).status == 200
        assert (await client.expect("my-event"))["data"] == "here"


@pytest.mark.parametrize("workers", [1, 2])
async def test_signals_that_mean_nothing_end_nothing(tmp_path: Path, workers: int) -> None:
    """Sent to the server, to its workers and to the bus between them."""
    with RunningServer(tmp_path, {"apps": [app()]}, workers=workers) as server:
        processes = [server.pid, *children(server.pid)]
        assert len(processes) == (1 if workers == 1 else 4)
        for number in STRAY:
            for pid in processes:
                os.kill(pid, number)
        await is_served(server)
        assert [server.pid, *children(server.pid)] == processes
        assert "starts again" not in server.log


@pytest.mark.parametrize("workers", [1, 2])
async def test_many_reloads_are_few(tmp_path: Path, workers: int) -> None:
    """The first at once, and one more for all that came after it; the last state of the file holds."""
    with RunningServer(tmp_path, {"apps": [app()]}, workers=workers) as server:
        for _ in range(500):
            os.kill(server.pid, signal.SIGHUP)
            await asyncio.sleep(0)
        server.settings = {"apps": [app(enabled=False)]}
        server.write_config()
        os.kill(server.pid, signal.SIGHUP)
        await eventually(lambda: len(re.findall("reloaded: 1 apps changed", server.log)) == workers)
        assert server.log.count("reloaded: ") <= 3 * workers
        async with wire.opened(Address(port=server.port)) as client:
            await client.handshake(f"/app/{KEY}{wire.QUERY}")
            await client.expect_refusal(4003)
