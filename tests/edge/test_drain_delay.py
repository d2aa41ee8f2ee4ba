"""`server.drain_delay`: `/ready` fails at once, established clients stay until balancers have noticed."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, app
from tests.support.serving import RunningServer
from tests.support.team import Team, clients, running
from tests.support.waiting import eventually
from tests.support.wire import QUERY, Address, Wire

#: Seconds: enough for what a test does meanwhile.
DELAY = 2.0
#: Seconds that no test waits for: what is to come at once comes long before.
NEVER = 600.0


def settings(delay: float) -> dict[str, object]:
    """One app, and a server that lets its clients stay for so long."""
    return {"server": {"drain_delay": delay, "shutdown_grace": 0.5}, "apps": [app()]}


async def ended(server: RunningServer) -> int:
    """Wait for the end of the process; its exit status."""
    process = server._process
    assert process is not None
    return await asyncio.to_thread(process.wait, DELAY + 6)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RunningServer]:
    """A process with a delay; whatever a test leaves of it is ended."""
    running_server = RunningServer(tmp_path, settings(DELAY))
    await asyncio.to_thread(running_server.start)
    try:
        yield running_server
        assert "Traceback" not in running_server.log
    finally:
        running_server.kill()


async def is_served(client: Wire, address: Address) -> None:
    """What a backend publishes reaches the client; new clients and balancers are sent elsewhere."""
    async with wire.opened(address) as balancer:
        answer = await balancer.ask("/ready")
        assert (answer.status, answer.body) == (500, b"draining\n")
    async with wire.opened(address) as late:
        await late.handshake(f"/app/{KEY}{QUERY}")
        await late.expect_refusal(4100)
    async with wire.opened(address) as backend:
        await backend.send(signed.event("c", "while draining"))
        assert (await backend.answer()).status == 200
    assert (await client.expect("my-event"))["data"] == "while draining"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_established_clients_stay_for_the_delay(
    server: RunningServer, number: signal.Signals
) -> None:
    """They are served as before, and then sent away with 4200."""
    address = Address(port=server.port)
    async with wire.connected(address, KEY) as client:
        await client.join("c")
        begun = time.monotonic()
        os.kill(server.pid, number)
        await eventually(lambda: server.ready_status() == 500)
        await is_served(client, address)
        await client.expect_refusal(4200)
        assert time.monotonic() - begun >= DELAY
    assert await ended(server) == 0
    assert "/ready fails; in 2 s 1 connections are sent away (server.drain_delay)" in server.log


async def test_an_empty_server_waits_as_well(server: RunningServer) -> None:
    """Backends publish through the balancer, too: a port that refuses them loses events."""
    begun = time.monotonic()
    server.terminate()
    assert await ended(server) == 0
    assert time.monotonic() - begun >= DELAY


async def test_a_second_signal_ends_the_delay_and_the_process(tmp_path: Path) -> None:
    """As without a delay: nobody is waited for."""
    with RunningServer(tmp_path, settings(NEVER)) as server:
        async with wire.connected(Address(port=server.port), KEY):
            server.terminate()
            await eventually(lambda: server.ready_status() == 500)
            server.terminate()
            assert await ended(server) == 0


async def test_a_server_that_waits_for_its_cluster_has_no_delay(tmp_path: Path) -> None:
    """Nobody was ever sent to it."""
    waiting = {
        **settings(NEVER),
        "cluster": {"start_timeout": NEVER, "redis": {"url": "redis://127.0.0.1:1"}},
    }
    server = RunningServer(tmp_path, waiting)
    server.launch()
    try:
        await eventually(lambda: "127.0.0.1:1" in server.log)
        server.terminate()
        assert await ended(server) == 0
    finally:
        server.kill()


@pytest.mark.parametrize("to_all", [False, True], ids=["supervisor", "all, as a terminal"])
async def test_workers_wait_too(tmp_path: Path, to_all: bool) -> None:
    """All of them, and the supervisor with them."""
    async with running(Team(tmp_path, settings(DELAY))) as team:
        pids = await team.complete()
        async with clients(team.address, 20) as all_clients:
            await asyncio.gather(*(client.join("c") for client in all_clients))
            begun = time.monotonic()
            for pid in [team.pid, *(pids.values() if to_all else [])]:
                os.kill(pid, signal.SIGTERM)
            await eventually(lambda: team.count("/ready fails; in 2 s ") == 2)
            await is_served(all_clients[0], team.address)
            for client in all_clients[1:]:
                await client.expect("my-event")
            await asyncio.gather(*(client.expect_refusal(4200) for client in all_clients))
            assert time.monotonic() - begun >= DELAY
        assert await ended(team) == 0


async def test_a_second_signal_ends_the_delay_of_all_workers(tmp_path: Path) -> None:
    """The supervisor ends with them."""
    async with running(Team(tmp_path, settings(NEVER))) as team:
        await team.complete()
        async with clients(team.address, 4):
            team.terminate()
            await eventually(lambda: team.count("/ready fails; in 600 s ") == 2)
            team.terminate()
            assert await ended(team) == 0


@pytest.mark.parametrize("is_stopping", [False, True], ids=["serving", "in the delay"])
async def test_workers_without_a_supervisor_do_not_wait(tmp_path: Path, is_stopping: bool) -> None:
    """Nobody restarts those that crash, and the next server wants the port."""
    async with running(Team(tmp_path, settings(NEVER))) as team:
        await team.complete()
        async with clients(team.address, 10) as all_clients:
            if is_stopping:
                team.terminate()
                await eventually(lambda: team.count("/ready fails; in 600 s ") == 2)
            team.kill()
            await asyncio.gather(*(client.expect_refusal(4200) for client in all_clients))


async def test_a_signal_to_one_worker_replaces_it_at_once(tmp_path: Path) -> None:
    """The server goes on, so no balancer has to notice, and a successor waits for the place."""
    async with running(Team(tmp_path, settings(NEVER))) as team:
        before = (await team.complete())["worker 1"]
        os.kill(before, signal.SIGTERM)
        await team.replaced("worker 1", before)
        assert team.count("(server.drain_delay)") == 0


async def test_workers_that_get_a_new_socket_are_replaced_at_once(tmp_path: Path) -> None:
    """With the removed file no client comes to them any more, whatever a balancer does."""
    path = tmp_path / "server.sock"

    class UnixTeam(Team):
        def ready_status(self) -> int | None:
            return 200 if path.exists() else None

    delayed = settings(NEVER)
    server_settings = {"unix_socket": str(path), "drain_delay": NEVER, "shutdown_grace": 0.5}
    async with running(UnixTeam(tmp_path, {**delayed, "server": server_settings})) as team:
        before = await team.complete()
        path.unlink()
        for name in ("worker 1", "worker 2"):
            await team.replaced(name, before[name])
        async with wire.connected(Address(path=path), KEY) as client:
            await client.expect_alive()


@pytest.mark.parametrize("fields", [{}, {"info": "subscription_count"}], ids=["fast", "ASGI"])
async def test_answers_end_their_connections_while_draining(
    server: RunningServer, fields: dict[str, str]
) -> None:
    """The next request goes to another node, over a new connection; refused ones too."""
    requests = [
        signed.event("c", **fields),
        signed.get(f"/apps/{APP_ID}/channels"),
        wire.request(f"/apps/{APP_ID}/channels"),
        wire.request("/up"),
    ]
    async with AsyncExitStack() as stack:
        address = Address(port=server.port)
        backends = [await stack.enter_async_context(wire.opened(address)) for _ in requests]
        statuses = []
        for backend, request in zip(backends, requests, strict=True):
            await backend.send(request)
            answer = await backend.answer()
            assert "connection" not in answer.headers
            statuses.append(answer.status)
        assert statuses == [200, 200, 401, 200]
        server.terminate()
        await eventually(lambda: server.ready_status() == 500)
        for backend, request, status in zip(backends, requests, statuses, strict=True):
            await backend.send(request)
            answer = await backend.answer()
            assert (answer.status, answer.headers["connection"]) == (status, "close")
            await backend.expect_end()
