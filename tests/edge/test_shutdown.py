"""SIGTERM: clients are sent elsewhere, the process ends with status 0 (docs/decisions.md#start-and-drain)."""

import asyncio
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support import signed, wire
from tests.support.inprocess import KEY, app
from tests.support.serving import RunningServer
from tests.support.wire import QUERY, Address


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    """A process; whatever a test leaves of it is ended."""
    settings = {"server": {"shutdown_grace": 0.5}, "apps": [app()]}
    running = RunningServer(tmp_path, settings)
    await asyncio.to_thread(running.start)
    try:
        yield running
        assert "Traceback" not in running.log
    finally:
        running.kill()


@pytest.fixture
def address(server: RunningServer) -> Address:
    """Where it listens."""
    return Address(port=server.port)


async def ended(server: RunningServer, patience: float = 6.0) -> int:
    """Wait for the end of the process; its exit status."""
    process = server._process
    assert process is not None
    return await asyncio.to_thread(process.wait, patience)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_established_clients_get_4200(
    server: RunningServer, address: Address, number: signal.Signals
) -> None:
    """Error frame and close, all within the grace time; then status 0."""
    async with AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(wire.connected(address, KEY)) for _ in range(120)
        ]
        begun = time.monotonic()
        os.kill(server.pid, number)

        async def goes(client: wire.Wire) -> None:
            said = await client.expect_refusal(4200)
            assert said == "Server closed. Please reconnect shortly."

        await asyncio.gather(*map(goes, clients))
        assert await ended(server) == 0
        assert time.monotonic() - begun < 4


async def test_owed_events_come_before_the_close(server: RunningServer, address: Address) -> None:
    """What was published before the end is delivered before the end."""
    async with wire.connected(address, KEY) as client, wire.opened(address) as backend:
        await client.join("c")
        for number in range(50):
            await backend.send(signed.event("c", str(number)))
        for _ in range(50):
            assert (await backend.answer()).status == 200
        server.terminate()
        for number in range(50):
            assert (await client.expect("my-event"))["data"] == str(number)
        await client.expect_refusal(4200)
    assert await ended(server) == 0


async def test_while_draining_new_ones_are_4100_and_ready_fails(
    server: RunningServer, address: Address
) -> None:
    """A client that does not answer the close holds the drain open for a moment."""
    async with wire.connected(address, KEY) as stubborn, wire.opened(address) as balancer:
        assert (await balancer.ask("/ready")).status == 200
        server.terminate()
        await stubborn.expect_error(4200)
        await stubborn.expect_close(4200)
        assert (await balancer.ask("/ready")).status == 500
        await balancer.expect_end()
        async with wire.opened(address) as watchdog:
            assert (await watchdog.ask("/up")).status == 200
        async with wire.opened(address) as late:
            await late.handshake(f"/app/{KEY}{QUERY}")
            await late.expect_refusal(4100)
        async with wire.opened(address) as backend:
            await backend.send(signed.event("c"))
            assert (await backend.answer()).status == 200
        assert await ended(server) == 0
        await stubborn.expect_end()


async def test_a_second_signal_ends_it_at_once(server: RunningServer, address: Address) -> None:
    """Whoever is still there is cut."""
    async with wire.connected(address, KEY) as stubborn:
        server.terminate()
        await stubborn.expect_error(4200)
        begun = time.monotonic()
        server.terminate()
        assert await ended(server) == 0
        assert time.monotonic() - begun < 1.5


async def test_clients_that_answer_nothing_do_not_hold_the_end_up(
    server: RunningServer, address: Address
) -> None:
    """Half requests, silent sockets and half frames included."""
    async with AsyncExitStack() as stack:
        for beginning in (b"", b"GET /up HT", wire.upgrade(f"/app/{KEY}"), wire.upgrade("/x")):
            client = await stack.enter_async_context(wire.opened(address))
            await client.send(beginning)
        begun = time.monotonic()
        async with wire.opened(address) as last:
            assert (await last.ask("/up")).status == 200
        server.terminate()
        assert await ended(server) == 0
        assert time.monotonic() - begun < 5


async def test_an_empty_server_ends_at_once(server: RunningServer) -> None:
    """There is nobody to wait for."""
    begun = time.monotonic()
    server.terminate()
    assert await ended(server) == 0
    assert time.monotonic() - begun < 1.5


async def test_it_can_be_started_again_at_once_on_the_same_port(
    server: RunningServer, address: Address
) -> None:
    """Connections of the old one, still fading in the kernel, are no obstacle."""
    async with wire.connected(address, KEY) as client:
        server.terminate()
        await client.expect_refusal(4200)
        assert await ended(server) == 0
        await asyncio.to_thread(server.start)
        async with wire.connected(address, KEY) as again:
            await again.expect_alive()
        assert await asyncio.to_thread(server.stop) == 0


def test_subprocesses_are_not_leaked(tmp_path: Path) -> None:
    """One process is one process: it starts no children."""
    with RunningServer(tmp_path, {"apps": [app()]}) as server:
        children = Path(f"/proc/{server.pid}/task/{server.pid}/children")
        if children.exists():
            assert children.read_text().split() == []
        else:
            found = subprocess.run(["ps", "--ppid", str(server.pid)], capture_output=True)
            assert found.returncode == 1
