# ruff: noqa: ASYNC240 (a look at a temporary folder blocks nobody)
"""Several workers: real supervisors, their workers and buses, ended in every way there is."""

import asyncio
import json
import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from pusher_server.cluster.commands import Count, Enter, Track
from pusher_server.cluster.unix.link import UnixLink
from tests.edge.test_bus import Heard
from tests.edge.test_start_failures import one_line, start
from tests.support import wire
from tests.support.inprocess import KEY, app
from tests.support.processes import by_tls, tls_settings, write_certificate, write_text
from tests.support.team import Team, clients, is_running, processes_of, running, sockets_of
from tests.support.waiting import eventually
from tests.support.wire import Address

ROOM = "members:1:presence-x"
#: Waiting for a process that starts, on a busy machine.
PATIENCE = 20.0

#: Somebody else may have the usual port, which would be a line of its own.
QUIET: dict[str, Any] = {"operations": {"enabled": False}}


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    """Two workers and a bus, all ready."""
    async with running(Team(tmp_path)) as made:
        await made.complete()
        yield made


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


async def ended(team: Team, patience: float = 10.0) -> int:
    """Wait for the supervisor's end; its exit status."""
    process = team._process
    assert process is not None
    return await asyncio.to_thread(process.wait, patience)


async def nobody_left(pids: dict[str, int], patience: float = 10.0) -> None:
    """Wait until none of them runs."""
    await eventually(lambda: not any(map(is_running, pids.values())), patience)


async def answers(address: Address) -> bool:
    """A new connection is accepted and answered."""
    async with wire.opened(address) as client:
        return (await client.ask("/up")).status == 200


async def crash_until_it_waits(team: Team, name: str) -> int:
    """Kill it whenever it is there, until it is to wait two seconds; its last pid."""
    for again in ("again  worker=", "again in 0.5 s", "again in 1 s", "again in 2 s"):
        await eventually(lambda: name in team.processes(), PATIENCE)
        pid = team.processes()[name]
        os.kill(pid, signal.SIGKILL)
        said = f"{name} ended with signal SIGKILL, starts {again}"
        await eventually(lambda said=said: said in team.log, PATIENCE)  # type: ignore[misc]
    return pid


async def test_clients_are_spread_over_the_workers(team: Team) -> None:
    """By the kernel, which throws a die for each: of 100, none has fewer than 25."""
    pids = team.processes()

    def sockets() -> dict[str, int]:
        return {name: sockets_of(pid) for name, pid in pids.items()}

    async with clients(team.address, 100):
        during = sockets()
    # Compared with afterwards: before, the last question whether it is ready may not have been closed yet.
    await eventually(lambda: sum(during.values()) - sum(sockets().values()) == 100)
    took = {name: during[name] - count for name, count in sockets().items()}
    assert took["bus"] == 0
    assert took["worker 1"] + took["worker 2"] == 100
    assert min(took["worker 1"], took["worker 2"]) >= 25


async def test_a_killed_worker_is_replaced_and_nobody_is_refused(team: Team) -> None:
    """Those who come meanwhile are answered: by the other one, or by the replacement that they wait for."""
    pids = team.processes()
    refused: list[str] = []
    served = 0
    done = asyncio.Event()

    async def keep_asking() -> None:
        nonlocal served
        while not done.is_set():
            try:
                assert await answers(team.address)
                served += 1
            except OSError as error:
                refused.append(repr(error))

    async with asyncio.TaskGroup() as group:
        group.create_task(keep_asking())
        group.create_task(keep_asking())
        os.kill(pids["worker 1"], signal.SIGKILL)
        await team.replaced("worker 1", pids["worker 1"])
        done.set()
    assert refused == []
    assert served > 0
    after = team.processes()
    assert (after["worker 2"], after["bus"]) == (pids["worker 2"], pids["bus"])
    assert "worker 1 ended with signal SIGKILL, starts again  worker=1" in team.log
    assert "worker 1 is ready again  worker=1" in team.log


async def test_a_worker_that_crashes_again_and_again_waits_longer_each_time(team: Team) -> None:
    """Meanwhile all clients go to the other one, and when it is back it gets its share again."""
    last = await crash_until_it_waits(team, "worker 1")
    begun = time.monotonic()
    for _ in range(40):
        assert await answers(team.address)
    assert time.monotonic() - begun < 1.5
    assert "worker 1" not in team.processes()
    pid = await team.replaced("worker 1", last)
    before = sockets_of(pid)
    async with clients(team.address, 60):
        assert sockets_of(pid) - before >= 10


async def test_a_server_none_of_whose_workers_starts_gives_up(tmp_path: Path) -> None:
    """Status 1, and the reason in one line; it does not spin."""
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'processes.worker' in ' '.join(sys.orig_argv): os._exit(7)\n"
    )
    team = Team(tmp_path, environment={"PYTHONPATH": str(tmp_path)})
    with pytest.raises(RuntimeError, match="the server ended with 1"):
        await asyncio.to_thread(team.start)
    assert team.count("no worker could be started; the last one ended with status 7") == 1
    assert 6 <= team.count("worker 1 ended") + team.count("worker 2 ended") <= 8
    assert "Traceback" not in team.log
    assert list(team.folder.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("to_all", [False, True], ids=["supervisor", "all, as systemd"])
async def test_a_signal_drains_all_workers(
    team: Team, number: signal.Signals, to_all: bool
) -> None:
    """Each client gets 4200, the exit status is 0, nothing is left."""
    pids = team.processes()
    async with clients(team.address, 60) as all_clients:
        for pid in [team.pid, *(pids.values() if to_all else [])]:
            os.kill(pid, number)
        said = await asyncio.gather(*(each.expect_refusal(4200) for each in all_clients))
        assert set(said) == {"Server closed. Please reconnect shortly."}
        assert await ended(team) == 0
    await nobody_left(pids)
    assert list(team.folder.iterdir()) == []
    assert team.count("stopping: sending") == 2
    with pytest.raises(ConnectionError):
        await answers(team.address)


async def test_a_second_signal_ends_all_at_once(team: Team) -> None:
    """Whoever is still there is cut."""
    pids = team.processes()
    async with clients(team.address, 10) as all_clients:
        team.terminate()
        await all_clients[0].expect_error(4200)
        begun = time.monotonic()
        team.terminate()
        assert await ended(team) == 0
        assert time.monotonic() - begun < 1.5
    await nobody_left(pids)


async def test_a_signal_while_a_worker_waits_to_be_started(team: Team) -> None:
    """It is not waited for."""
    await crash_until_it_waits(team, "worker 2")
    begun = time.monotonic()
    assert await asyncio.to_thread(team.stop) == 0
    assert time.monotonic() - begun < 1.5


async def test_when_the_supervisor_is_killed_nobody_is_left(
    tmp_path: Path, short_folder: Path
) -> None:
    """The workers drain as if they had been told to, the bus goes after them and removes its socket."""
    team = Team(
        tmp_path,
        {"cluster": {"bus_directory": ""}},
        environment={"TMPDIR": str(short_folder)},
    )
    async with running(team):
        pids = await team.complete()
        assert len(list(short_folder.glob("pusher-server-*/bus"))) == 1
        async with clients(team.address, 40) as all_clients:
            team.kill()
            await asyncio.gather(*(each.expect_refusal(4200) for each in all_clients))
        await nobody_left(pids)
        assert list(short_folder.iterdir()) == []
        await asyncio.to_thread(team.start)
        assert await answers(team.address)
        assert await asyncio.to_thread(team.stop) == 0
        assert list(short_folder.iterdir()) == []


async def test_a_reload_reaches_all_workers(team: Team) -> None:
    """A new app is known to each; a bad file is said once and changes nothing."""
    os.kill(team.pid, signal.SIGHUP)
    await eventually(lambda: team.count("reloaded: 0 apps changed") == 2)
    team.settings = {**team.settings, "apps": [app(), {"id": "9", "key": "new", "secret": "s9"}]}
    team.write_config()
    os.kill(team.pid, signal.SIGHUP)
    await eventually(lambda: team.count("reloaded: ") == 4)
    for _ in range(20):
        async with wire.connected(team.address, "new") as client:
            await client.expect_alive()
    write_text(team, "[server\n")
    os.kill(team.pid, signal.SIGHUP)
    await eventually(lambda: "not reloaded" in team.log)
    # A replacement gets what the others have, whatever the file says now.
    before = team.processes()["worker 2"]
    os.kill(before, signal.SIGKILL)
    await team.replaced("worker 2", before)
    for _ in range(20):
        async with wire.connected(team.address, "new") as client:
            await client.expect_alive()
    assert team.count("not reloaded") == 1


async def test_a_worker_that_is_told_to_end_drains_and_is_replaced(team: Team) -> None:
    """As an operator may restart them one by one; the others' clients notice nothing."""
    pids = team.processes()
    async with clients(team.address, 40) as all_clients:
        os.kill(pids["worker 1"], signal.SIGTERM)
        await eventually(lambda: not is_running(pids["worker 1"]), PATIENCE)
        await team.replaced("worker 1", pids["worker 1"])
        left = 0
        for each in all_clients:
            await each.send(wire.message("pusher:ping"))
            said = await each.message()
            assert said["event"] in ("pusher:pong", "pusher:error")
            left += said["event"] == "pusher:error"
    assert 0 < left < 40
    assert "worker 1 ended with status 0, starts again" in team.log


async def test_a_bus_that_dies_is_replaced_where_it_was(team: Team) -> None:
    """Links find the new one, which is empty and says so."""
    (path,) = team.folder.iterdir()
    link, heard = UnixLink(str(path)), Heard()
    link.attach(heard)
    await link.open()
    before = await link.call(Enter("x.1.1"))
    await link.call(Track("x.1.1", ROOM, "u1", ""))
    pids = team.processes()
    os.kill(pids["bus"], signal.SIGKILL)
    await eventually(lambda: len(heard.lost) == 1)
    await link.open()  # who comes before the new one is there waits for it
    after = await link.call(Enter("x.1.2"))
    assert after.epoch != before.epoch
    assert await link.call(Count(ROOM)) == 0
    link.close()
    now = team.processes()
    assert now["bus"] != pids["bus"]
    assert (now["worker 1"], now["worker 2"]) == (pids["worker 1"], pids["worker 2"])
    assert "bus ended with signal SIGKILL, starts again" in team.log


@pytest.mark.parametrize("name", ["worker 1", "bus"])
async def test_whoever_is_silent_for_a_lease_is_killed_and_replaced(
    tmp_path: Path, name: str
) -> None:
    """Its clients would wait for ever; new ones are answered by the replacement."""
    async with running(Team(tmp_path, {"cluster": {"lease": 1.0}})) as team:
        pids = await team.complete()
        begun = time.monotonic()
        os.kill(pids[name], signal.SIGSTOP)
        await team.replaced(name, pids[name])
        assert 1.0 <= time.monotonic() - begun < 10
        assert f"{name} has been silent for" in team.log
        assert not is_running(pids[name])
        for _ in range(20):
            assert await answers(team.address)
        assert await asyncio.to_thread(team.stop) == 0


async def test_a_machine_that_slept_kills_nobody(tmp_path: Path) -> None:
    """All stood still, the supervisor too: what they have said since is heard first."""
    async with running(Team(tmp_path, {"cluster": {"lease": 1.0}})) as team:
        pids = await team.complete()
        everybody = [team.pid, *pids.values()]
        for pid in everybody:
            os.kill(pid, signal.SIGSTOP)
        await asyncio.sleep(2.5)  # the length of the sleep is the case
        for pid in everybody:
            os.kill(pid, signal.SIGCONT)
        for _ in range(20):
            assert await answers(team.address)
        assert await asyncio.to_thread(team.stop) == 0
        assert "silent" not in team.log
        assert team.count("ended with") == 0


async def test_a_port_is_not_shared_with_another_server(team: Team, tmp_path: Path) -> None:
    """Neither with a single process nor with another team: SO_REUSEPORT is for our own workers."""
    for workers in ("1", "2"):
        ended = start(tmp_path, {"apps": [app()]}, "--port", str(team.port), "--workers", workers)
        one_line(ended, "server.port", f"127.0.0.1:{team.port} is in use")
    for _ in range(20):
        assert await answers(team.address)


async def test_a_team_does_not_take_the_port_of_a_single_process(
    process_address: Address, tmp_path: Path
) -> None:
    """The other way round."""
    ended = start(tmp_path, {"apps": [app()]}, "--port", str(process_address.port), "--workers=2")
    one_line(ended, "server.port", "is in use")


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"server": {"workers": 0}}, ("server.workers", "0", "auto")),
        ({"server": {"workers": -1}}, ("server.workers",)),
        ({"server": {"workers": 1000}}, ("server.workers", "999")),
        ({"server": {"workers": 1.5}}, ("server.workers",)),
        ({"server": {"workers": "many"}}, ("server.workers", "many", "auto")),
        ({"server": {"workers": [2]}}, ("server.workers",)),
        ({"server": {"worker": 2}}, ("server.worker", "server.workers")),
        ({"cluster": {"lease": 0.5}}, ("cluster.lease",)),
        ({"cluster": {"bus_directory": "/no/such/folder"}}, ("cluster.bus_directory", "No such")),
        ({"cluster": {"bus_directory": "/proc"}}, ("cluster.bus_directory", "/proc")),
        ({"cluster": {"bus_directory": "/tmp/" + "x" * 120}}, ("cluster.bus_directory",)),
        ({"http": {"header_timeout": 0}}, ("http.header_timeout",)),
        ({"server": {"port": 0, "tls": {"certificate": "/no", "key": "/no"}}}, ("server.tls",)),
    ],
)
def test_a_wrong_config_is_found_before_a_worker_starts(
    tmp_path: Path, config: dict[str, Any], words: tuple[str, ...]
) -> None:
    """One line, status 2."""
    server = {"port": 0, "workers": 2, **config.get("server", {})}
    one_line(start(tmp_path, {"apps": [app()], **QUIET, **config, "server": server}), *words)


def test_a_bus_path_that_is_too_long(tmp_path: Path) -> None:
    """Says what to do."""
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    config = {"apps": [app()], **QUIET, "cluster": {"bus_directory": str(folder)}}
    one_line(
        start(tmp_path, config, "--port=0", "--workers=2"),
        "cluster.bus_directory", "too long", "shorter",
    )  # fmt: skip


def test_the_command_line_counts_workers_too(tmp_path: Path) -> None:
    """And is named when it is wrong."""
    one_line(start(tmp_path, {"apps": [app()]}, "--workers=none"), "server.workers", "command line")


async def test_auto_is_one_worker_per_core(tmp_path: Path) -> None:
    """Which on a single core is a single process."""
    cores = len(os.sched_getaffinity(0))
    team = Team(tmp_path, {"server": {"workers": "auto"}}, workers=1)
    async with running(team):
        await eventually(lambda: "is running" in team.log, PATIENCE)
        found = processes_of(team.pid)
        assert len(found) == (cores + 1 if cores > 1 else 0)


async def test_workers_share_a_unix_socket(tmp_path: Path) -> None:
    """Where the kernel gives a client to whoever asks first; a replacement asks again."""
    path = tmp_path / "server.sock"

    class UnixTeam(Team):
        def ready_status(self) -> int | None:
            return 200 if path.exists() else None

    address = Address(path=path)
    async with running(UnixTeam(tmp_path, {"server": {"unix_socket": str(path)}})) as team:
        pids = await team.complete()
        async with clients(address, 20) as all_clients:
            os.kill(pids["worker 1"], signal.SIGKILL)
            await team.replaced("worker 1", pids["worker 1"])
            assert await answers(address)
            assert all_clients
        assert await asyncio.to_thread(team.stop) == 0
        assert not path.exists()


async def test_workers_speak_tls(tmp_path: Path) -> None:
    """Each with the certificate of the config."""
    write_certificate(tmp_path)

    class TlsTeam(Team):
        def ready_status(self) -> int | None:
            return 200 if self.count("is ready") == 3 else None

    settings = {"server": {"tls": tls_settings(tmp_path)}}
    async with running(TlsTeam(tmp_path, settings)) as team:
        for _ in range(8):
            async with wire.connected(by_tls(team.address), KEY) as client:
                await client.expect_alive()
        assert await asyncio.to_thread(team.stop) == 0


async def test_the_start_is_told_once_and_lines_name_their_worker(tmp_path: Path) -> None:
    """With JSON logs: one record `started` for all, and records of workers say which."""
    async with running(Team(tmp_path, {"log": {"format": "json"}})) as team:
        await team.complete()
        await eventually(lambda: '"started"' in team.log)
        assert await asyncio.to_thread(team.stop) == 0
        records = [json.loads(line) for line in team.log.splitlines()]
        started = [each for each in records if each["event"] == "started"]
        assert [each["workers"] for each in started] == [2]
        assert started[0]["urls"] == [f"http://127.0.0.1:{team.port}"]
        drained = [each["worker"] for each in records if "connections away" in each["event"]]
        assert sorted(drained) == [1, 2]
        ready = {each["event"]: each["worker"] for each in records if "is ready" in each["event"]
                 and "worker" in each}  # fmt: skip
        assert ready == {"worker 1 is ready": 1, "worker 2 is ready": 2}
        assert "uvicorn" not in team.log
