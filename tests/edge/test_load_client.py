"""The load benchmark against our server, and proof that it notices what it is there to notice.

A proxy between load client and server loses, doubles or swaps deliveries; the client has to say so.
"""

import asyncio
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.load import formations, programs
from benchmarks.load.cluster import arguments_of
from benchmarks.load.cluster_cases import DEATH, THERE, Case
from benchmarks.load.formations import LEASE, Formation
from benchmarks.load.measuring import faults, run_client
from tests.edge.tampering_proxy import VICTIM, Tampering, TamperingProxy
from tests.support.serving import RunningServer

SETTINGS = {
    "log": {"level": "warning"},
    "defaults": {"limits": {"client_events_per_second": 0}},
    "apps": [{"id": "app-id", "key": "app-key", "secret": "load-secret"}],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with RunningServer(tmp_path_factory.mktemp("load"), SETTINGS) as running:
        yield running


async def load(port: int, pid: int, arguments: str) -> dict[str, Any]:
    """One short run of the load client."""
    access = f"-P {port} -A app-id -K app-key -s load-secret -p {pid} -d 0.3 -u 0.1"
    client = await asyncio.to_thread(programs.load_client)
    process = await asyncio.create_subprocess_exec(
        str(client), *access.split(), *arguments.split(), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    found: dict[str, Any] = json.loads(output)
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        "-m fanout -n 20",
        "-m fanout -n 20 -w 4 -b 4",
        "-m fanout -n 20 -k 5 -t private",
        "-m fanout -n 10 -r 50 -q 100",
        "-m fanout -n 5 -D 100000",
        "-m http -H 4",
        "-m client -n 8 -w 2",
        "-m presence -n 20",
        "-m connect -n 20",
        "-m idle -n 20 -e 0.1",
        "-m list -n 2 -k 100 -r 10 -q 100",
        "-m leave -k 50 -r 5 -q 100",
        "-m join -n 5 -e 0.1",
    ],
)
async def test_our_server_delivers_everything_once_and_in_order(
    server: RunningServer, arguments: str
) -> None:
    said = await load(server.port, server.pid, arguments)
    assert "error" not in said
    assert faults(said) == []
    assert said.get("delivered", 1) > 0


@pytest.mark.parametrize(
    ("what", "fault"),
    [("nothing", None), ("lose", "lost: 1"), ("double", "doubled: 1"), ("swap", "out of order: 1")],
)
async def test_one_wrong_delivery_among_thousands_is_noticed(
    server: RunningServer, what: Tampering, fault: str | None
) -> None:
    async with TamperingProxy(server.port, what) as proxy:
        # One sender at a fixed rate: an event does not wait for the delivery of the one before.
        said = await load(proxy.port, server.pid, "-m fanout -n 4 -r 200 -H 1")
    assert faults(said) == ([fault] if fault else [])
    assert said["delivered"] > 4 * VICTIM


@pytest.mark.parametrize("make", [formations.workers, formations.redis_nodes])
def test_two_nodes_pass_events_on_and_tell_of_joins_and_of_a_death(
    tmp_path: Path, make: Callable[..., Formation]
) -> None:
    """The formations of `make bench-cluster`, with a little of its work."""
    cases = [
        Case("events", "events to the other node", "-m fanout -w 8 -n 4 -u 0.1", {}, THERE, 0.3),
        Case("joins", "joins on both", "-m join -n 6 -e 0.1", {}, seconds=0.2),
        Case("storm", "a storm", "-m presence -n 20", {}),
        Case("death", "a death", f"-m death -L {LEASE:g} -n 24 -k 3 -W 3", DEATH, fatal=True),
    ]
    formation = make(tmp_path, cpu=min(os.sched_getaffinity(0)))
    client = str(programs.load_client())
    try:
        formation.start()
        said = {
            case.name: run_client([client, *arguments_of(case, formation, quick=False)], cpu)
            for cpu in [max(os.sched_getaffinity(0))]
            for case in cases
        }
    finally:
        formation.stop()
    assert {name: faults(each) for name, each in said.items()} == {name: [] for name in said}
    assert said["events"]["delivered"] >= 4
    assert said["joins"]["joins"] > 1
    assert said["storm"]["complete"] == 20
    assert said["death"]["told"] == 3 * 3 * 5
    assert said["death"]["last_ms"] > 1_000 * LEASE / 2


async def test_a_member_whose_leaving_nobody_tells_is_noticed(server: RunningServer) -> None:
    """Both ports are one server's, and who is killed has nothing to do with it."""
    bystander = await asyncio.create_subprocess_exec("sleep", "60")
    death = (
        f"-m death -P {server.port},{server.port} -V {bystander.pid} -L 0.5 -T 0.5 -n 12 -k 2 -W 2"
    )
    said = await load(server.port, server.pid, death)
    assert await bystander.wait() == -signal.SIGKILL
    assert faults(said) == ["lost: 16"]
