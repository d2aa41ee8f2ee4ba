"""Several workers behind one operations listener: the supervisor's."""

import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.edge.test_operations import ask, operations_of, publish, scrape
from tests.support import wire
from tests.support.inprocess import APP_ID, KEY
from tests.support.team import Team, running
from tests.support.waiting import eventually
from tests.support.wire import Address

PATIENCE = 20.0
APP = (("app", APP_ID),)


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    """Two workers and a bus, all ready."""
    async with running(Team(tmp_path, {"cluster": {"lease": 3_600.0}})) as made:
        await made.complete()
        await eventually(lambda: "/metrics" in made.log)
        yield made


async def test_their_numbers_are_one_answer(team: Team) -> None:
    """Wherever the kernel put the clients; each process shows its own memory and its own link."""
    operations = operations_of(team)
    async with AsyncExitStack() as stack:
        for _ in range(20):
            client = await stack.enter_async_context(wire.connected(team.address, KEY))
            await client.join("a")
        await publish(team.address, "a")
        await client.expect("my-event")
        found = await scrape(operations)
        while found["pusher_server_deliveries_total", APP] < 20:  # the other worker hears of it
            found = await scrape(operations)
    assert found["pusher_server_connections", APP] == 20
    assert found["pusher_server_subscriptions", APP] == 20
    assert found["pusher_server_publishes_total", APP] == 1
    assert found["pusher_server_deliveries_total", APP] == 20
    assert found["pusher_server_workers", ()] == 2
    assert found["pusher_server_workers_ready", ()] == 2
    assert found["pusher_server_workers_unanswered", ()] == 0
    memory = {
        dict(labels)["worker"]: value
        for (name, labels), value in found.items()
        if name == "pusher_server_process_resident_memory_bytes"
    }
    assert memory.keys() == {"1", "2"}
    assert min(memory.values()) > 2**20
    links = {labels: value for (name, labels), value in found.items()
             if name == "pusher_server_cluster_link_up"}  # fmt: skip
    assert len(links) == 2
    assert set(links.values()) == {1}
    commands = [value for (name, _), value in found.items()
                if name == "pusher_server_cluster_commands_total"]  # fmt: skip
    assert len(commands) == 1
    assert commands[0] > 0


async def test_a_worker_that_hangs_is_left_out_and_the_others_answer(team: Team) -> None:
    """Stopped by a signal, it neither serves nor ends; what it had counted is not lost."""
    operations = operations_of(team)
    async with wire.connected(team.address, KEY), wire.connected(team.address, KEY):
        before = await scrape(operations)
    pid = team.processes()["worker 1"]
    os.kill(pid, signal.SIGSTOP)
    try:
        found = await scrape(operations)
        assert found["pusher_server_workers_unanswered", ()] == 1
        assert found["pusher_server_workers_ready", ()] == 1
        opened = "pusher_server_connections_opened_total", APP
        assert found[opened] == before[opened] == 2
        ready = await ask(operations, "/ready")
        assert (ready.status, ready.text) == (200, "1: does not answer\n2: OK\n")
        assert (await ask(operations, "/live")).status == 200
        os.kill(team.processes()["worker 2"], signal.SIGSTOP)
        live = await ask(operations, "/live")
        assert live.status == 500
        assert (await ask(operations, "/up")).status == 200
    finally:
        for name in ("worker 1", "worker 2"):
            os.kill(team.processes()[name], signal.SIGCONT)
    await until_ready(operations)


async def test_a_replaced_worker_does_not_make_counters_fall(team: Team) -> None:
    operations = operations_of(team)
    async with AsyncExitStack() as stack:
        for _ in range(20):
            await stack.enter_async_context(wire.connected(team.address, KEY))
        await scrape(operations)
        pid = team.processes()["worker 1"]
        os.kill(pid, signal.SIGKILL)
        await team.replaced("worker 1", pid)
        found = await scrape(operations)
        assert found["pusher_server_connections_opened_total", APP] == 20
        assert 0 < found["pusher_server_connections", APP] < 20
        assert found["pusher_server_worker_starts_total", (("worker", "1"),)] == 2


async def test_without_the_bus_they_are_ready_and_say_what_is_wrong(team: Team) -> None:
    """Killed again and again, the bus stays away for a while."""
    operations = operations_of(team)
    for again in ("again", "again in 0.5 s", "again in 1 s", "again in 2 s"):
        await eventually(lambda: "bus" in team.processes(), PATIENCE)
        os.kill(team.processes()["bus"], signal.SIGKILL)
        said = f"bus ended with signal SIGKILL, starts {again}"
        await eventually(lambda said=said: said in team.log, PATIENCE)  # type: ignore[misc]
    answer = await ask(operations, "/ready")
    while "degraded" not in answer.text:
        answer = await ask(operations, "/ready")
    assert answer.status == 200
    assert (await ask(operations, "/accept-traffic")).status == 200


async def until_ready(operations: Address) -> None:
    """All workers, again."""

    async def is_ready() -> bool:
        return (await ask(operations, "/ready")).text == "OK"

    await eventually(is_ready, 30.0)
