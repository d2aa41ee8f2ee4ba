"""A server for every test, its log watched, and a second client that must never notice anything."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.edge.listening import LOOPS, Run
from tests.support import signed, wire
from tests.support.inprocess import KEY, app, serving
from tests.support.redis_servers import RedisServer, StartRedis
from tests.support.serving import RunningServer
from tests.support.wire import Address, Wire

#: Words that a log must not hold after any client's mistake.
OURS = ("Traceback", "Internal error", "Exception in ASGI", "the sweep failed")


@pytest.fixture(scope="session")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server process for all: what an operator runs, on uvloop where there is one."""
    with RunningServer(tmp_path_factory.mktemp("edge"), {"apps": [app()]}) as server:
        yield server


@pytest.fixture
def process_address(process: RunningServer) -> Iterator[Address]:
    """Where the process listens; its log is watched."""
    before = len(process.log)
    yield Address(port=process.port)
    said = process.log[before:]
    assert not [word for word in OURS if word in said], said


@pytest.fixture(params=["asyncio", "process"])
async def address(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Address]:
    """A server with default settings, twice: in this loop (asyncio), and a process of its own."""
    if request.param == "process":
        yield request.getfixturevalue("process_address")
    else:
        async with serving(tmp_path) as inside:
            yield inside.address


@pytest.fixture
def start_redis() -> Iterator[StartRedis]:
    """Starts servers with these options of redis.conf; they end with the test."""
    with ExitStack() as running:

        def start(program: str = "redis-server", **options: str | int) -> RedisServer:
            server = RedisServer(program=program, options=options)
            running.callback(server.close)
            return server.start()

        yield start


@pytest.fixture(autouse=True)
def quiet_log(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Whatever a client does, an in-process server has no error of its own to report."""
    yield
    loud = [
        record.getMessage()
        for when in ("setup", "call", "teardown")
        for record in caplog.get_records(when)
        if record.levelno >= logging.ERROR or record.exc_info
    ]
    assert not loud, loud


@dataclass
class Bystander:
    """A well-behaved subscriber, and a backend that publishes to it."""

    address: Address
    wire: Wire
    events: int = 0

    async def is_served(self) -> None:
        """An event that is published now arrives, and it is the very next frame."""
        self.events += 1
        data = f'"{self.events}"'
        async with wire.opened(self.address) as backend:
            await backend.send(signed.event("bystander", data))
            assert (await backend.answer()).status == 200
        frame = await self.wire.expect("my-event")
        assert frame["data"] == data


@pytest.fixture
async def bystander(address: Address) -> AsyncIterator[Bystander]:
    """Served before, during and after whatever the test does to the server."""
    async with wire.connected(address, KEY) as connection:
        await connection.join("bystander")
        witness = Bystander(address, connection)
        await witness.is_served()
        yield witness
        await witness.is_served()
        await connection.send(wire.closing(1000))
        await connection.expect_close(1000)
        await connection.expect_end()


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a scenario in a loop of this kind."""

    def in_loop(scenario: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(scenario)

    return in_loop
