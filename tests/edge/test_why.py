"""`pusher-server why` against real servers: what it prints for people and for programs."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.edge.test_operations import ask, operated, operations_of, publish
from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, SECRET
from tests.support.signing import channel_auth
from tests.support.team import Team, running
from tests.support.waiting import eventually
from tests.support.wire import Address

TOKEN = "t" * 24
TOP = str(Path(__file__).resolve().parents[2])
PRIVATE = "private-session.42"


async def why(
    operations: Address, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`pusher-server why`."""
    return await command(operations, "why", *arguments, environment=environment)


async def command(
    operations: Address, *arguments: str, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """A command, as an operator runs it."""
    url = f"http://127.0.0.1:{operations.port}"
    command = [sys.executable, "-m", "pusher_server", *arguments, "--operations", url]
    return await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        env={**os.environ, "PYTHONPATH": TOP, **(environment or {})},
    )


async def subscribed(stack: AsyncExitStack, address: Address, channel: str) -> wire.Wire:
    """A client that waits on a private channel."""
    client = await stack.enter_async_context(wire.opened(address))
    await client.handshake(f"/app/{KEY}{wire.QUERY}")
    socket_id = await client.established()
    await client.join(channel, auth=channel_auth(KEY, SECRET, socket_id, channel))
    return client


async def _publish_for_ever(address: Address) -> None:
    number = 0
    while True:
        number += 1
        await publish(address, f"session.{number}")
        await asyncio.sleep(0.02)


async def test_the_event_went_to_the_wrong_channel(tmp_path: Path) -> None:
    """The example's mistake, in one sentence."""
    async with operated(tmp_path) as (server, operations), AsyncExitStack() as stack:
        main = Address(port=server.port)
        before = await why(operations)
        assert (before.returncode, before.stdout) == (0, "nothing is known to be wrong\n")
        for _ in range(3):
            await subscribed(stack, main, PRIVATE)
        await publish(main, "session.42")
        answer = await why(operations)
        assert answer.returncode == 1, answer
        lines = answer.stdout.splitlines()
        assert lines[:2] == [
            f"✗ app {APP_ID}: `my-event` went to `session.42`; 3 connections wait on `{PRIVATE}`: the event"
            " uses Channel where PrivateChannel is meant.",
            "    Let broadcastOn() return new PrivateChannel('session.42').",
        ]
        await eventually(lambda: "nobody received an event: `my-event`" in server.log)


async def test_the_steps_of_an_event(tmp_path: Path) -> None:
    async with operated(tmp_path) as (server, operations), AsyncExitStack() as stack:
        main = Address(port=server.port)
        client = await subscribed(stack, main, PRIVATE)
        question = ("--app", APP_ID, "--channel", PRIVATE, "--event", "my-event")
        waiting = (await why(operations, *question)).stdout
        assert "✓ connected: 1 connection of the app\n" in waiting
        assert f"✓ subscribed: 1 subscriber of `{PRIVATE}`\n" in waiting
        assert "✗ published: no publication" in waiting
        await publish(main, PRIVATE)
        await client.expect("my-event")
        arrived = (await why(operations, *question)).stdout
        assert re.search(
            r"^✓ delivered: an event went to the subscribers \d+ s ago$", arrived, re.M
        )
        assert "listen with Echo.private('session.42').listen('.my-event', (e) => …)" in arrived


async def test_programs_get_json_and_terminals_no_codes(tmp_path: Path) -> None:
    async with operated(tmp_path) as (server, operations):
        main = Address(port=server.port)
        async with wire.opened(main) as backend:
            await backend.send(signed.event("a", '"x"', name="\x1b[31mred\x07"))
            assert (await backend.answer()).status == 200
        text = (await why(operations)).stdout
        assert "\\x1b[31mred\\x07 on a, 1 times" in text
        assert "\x1b" not in text
        found = json.loads((await why(operations, "--json")).stdout)
        assert (found["nodes"], found["answered"]) == (1, 1)
        assert [row["event"] for row in found["missed"]] == ["\x1b[31mred\x07"]


async def test_a_refused_subscription_names_the_former_connection(tmp_path: Path) -> None:
    """The client kept the `auth` of its last connection."""
    async with operated(tmp_path) as (server, operations):
        main = Address(port=server.port)
        async with wire.opened(main) as client:
            await client.handshake(f"/app/{KEY}{wire.QUERY}")
            former = await client.established()
        async with wire.connected(main, KEY) as client:
            auth = channel_auth(KEY, SECRET, former, PRIVATE)

            async def refused() -> str:
                await client.send(wire.subscribe(PRIVATE, auth=auth))
                await client.expect("pusher:subscription_error")
                return (await why(operations)).stdout

            text = await refused()
        assert f"the signature is for socket_id {former}, which this client had before." in text
        assert auth.partition(":")[2] not in text
        assert SECRET not in text + server.log


async def test_a_request_without_upgrade(tmp_path: Path) -> None:
    async with operated(tmp_path) as (server, operations):
        await ask(Address(port=server.port), f"/app/{KEY}")
        assert "it is for a WebSocket and came without Upgrade" in (await why(operations)).stdout


async def test_a_token_comes_from_the_environment_or_a_file(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"operations": {"port": 0, "token": TOKEN}}
    async with operated(tmp_path, settings) as (_, operations):
        without = await why(operations)
        assert without.returncode == 1
        assert "operations.token is needed" in without.stderr
        environment = {"PUSHER_SERVER__OPERATIONS__TOKEN": TOKEN}
        assert (await why(operations, environment=environment)).returncode == 0
        file = tmp_path / "why.toml"
        file.write_text(
            f'[operations]\ntoken = "{TOKEN}"\n[[apps]]\nid = "1"\nkey = "k"\nsecret = "secret"\n'
        )
        answer = await why(operations, "--config", str(file))
        assert answer.stdout == "nothing is known to be wrong\n", answer
        assert (await ask(operations, "/why")).status == 401


async def test_tail_follows_what_happens_on_all_workers(team: Team) -> None:
    """Each publication once, whichever worker got it; then Ctrl-C."""
    url = f"http://127.0.0.1:{operations_of(team).port}"
    command = [sys.executable, "-m", "pusher_server", "tail", "--operations", url]
    process = await asyncio.create_subprocess_exec(
        *command,
        "--channel",
        "session.*",
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": TOP},
    )
    assert process.stdout is not None
    try:
        names: list[str] = []
        async with asyncio.timeout(20):
            async with asyncio.TaskGroup() as group:
                publishing = group.create_task(_publish_for_ever(team.address))
                # The first ones come before its feed has begun on both workers.
                first = int((await process.stdout.readline()).split()[3].rpartition(b".")[2])
                while len(names) < 10:
                    words = (await process.stdout.readline()).decode().split()
                    names.append(words[3])
                publishing.cancel()
        assert len(set(names)) == len(names)
        numbers = sorted(int(name.rpartition(".")[2]) for name in names)
        assert numbers[0] > first
    finally:
        process.send_signal(signal.SIGINT)
        assert await process.wait() in (1, 130)


async def test_what_is_wrong_with_the_question_is_one_line(tmp_path: Path) -> None:
    nobody = Address(port=1)
    answer = await why(nobody)
    assert answer.returncode == 1
    assert "http://127.0.0.1:1 cannot be reached" in answer.stderr
    assert "Traceback" not in answer.stderr
    assert (await why(nobody, "--channel", "a")).returncode == 2


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Team]:
    """Two workers and a bus, all ready."""
    async with running(Team(tmp_path, {"cluster": {"lease": 3_600.0}})) as made:
        await made.complete()
        await eventually(lambda: "/metrics" in made.log)
        yield made


async def test_one_worker_says_it_for_all(team: Team) -> None:
    """Clients and publications are on both, wherever the kernel puts them."""
    operations = operations_of(team)
    async with AsyncExitStack() as stack:
        for _ in range(12):
            await subscribed(stack, team.address, PRIVATE)
        for _ in range(12):
            await publish(team.address, "session.42")
        found = json.loads((await why(operations, "--json")).stdout)
        assert [row["cause"] for row in found["findings"]] == ["event_prefix"]
        assert "12 connections wait" in found["findings"][0]["sentence"]
        assert found["findings"][0]["count"] == 12


async def test_a_worker_that_hangs_is_left_out(team: Team) -> None:
    """The other one answers, and says that somebody is missing once it knows of two."""
    operations = operations_of(team)
    pid = team.processes()["worker 1"]
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = await why(operations)
        assert answer.stdout.startswith("nothing is known to be wrong\n"), answer
    finally:
        os.kill(pid, signal.SIGCONT)


async def test_an_operator_looks_and_acts_on_all_workers(team: Team) -> None:
    """Whichever worker has the client."""
    operations = operations_of(team)
    async with AsyncExitStack() as stack:
        clients = [await subscribed(stack, team.address, PRIVATE) for _ in range(6)]
        listed = await command(operations, "channels", APP_ID)
        assert listed.stdout.split() == ["6", PRIVATE], listed
        rows = (await command(operations, "connections", APP_ID)).stdout.splitlines()
        assert len(rows) == 6
        published = await command(operations, "publish", APP_ID, PRIVATE, "hello", '{"n":7}')
        assert published.stdout == "published; subscribers: 6\n", published
        for client in clients:
            assert json.loads((await client.expect("hello"))["data"]) == {"n": 7}
        socket_id = rows[0].split()[0]
        kicked = await command(operations, "kick", APP_ID, "--socket-id", socket_id)
        assert (kicked.returncode, kicked.stdout) == (0, "closed: 1\n"), kicked
        await eventually(lambda: "an operator has ended a connection" in team.log)
        again = await command(operations, "kick", APP_ID, "--socket-id", socket_id)
        assert (again.returncode, again.stdout) == (1, "closed: 0\n"), again
        assert len((await command(operations, "connections", APP_ID)).stdout.splitlines()) == 5
