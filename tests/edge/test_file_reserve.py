"""As many clients as files allow, and a server that still answers everybody else."""

import asyncio
import re
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.support import signed, wire
from tests.support.inprocess import KEY, app
from tests.support.processes import TlsServer, by_tls, tls_settings, write_certificate
from tests.support.serving import RunningServer
from tests.support.waiting import eventually
from tests.support.wire import QUERY, Address, Wire

HARD_LIMIT = 128
IDLE = 100
CLIENTS = 500
#: Documented: what is kept for others than clients.
RESERVE = 64


@pytest.fixture(params=["uvloop", "asyncio"])
def loop(request: pytest.FixtureRequest) -> str:
    """Of the server."""
    return str(request.param)


@pytest.fixture
def server(tmp_path: Path, loop: str) -> Iterator[RunningServer]:
    """A process that may open few files."""
    settings = {"apps": [app()], "server": {"loop": loop}}
    with RunningServer(tmp_path, settings, open_files=HARD_LIMIT) as running:
        yield running
        assert "Traceback" not in running.log


class Crowd:
    """Clients that come again a second after a 4100, as pusher-js does."""

    def __init__(self, address: Address, size: int) -> None:
        self.address = address
        self.size = size
        self.inside = 0
        self.told: Counter[int | str] = Counter()

    @asynccontextmanager
    async def around(self) -> AsyncIterator["Crowd"]:
        """All of them, until the end of the block."""
        tasks = [asyncio.create_task(self._client()) for _ in range(self.size)]
        try:
            yield self
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _client(self) -> None:
        while True:
            try:
                async with wire.opened(self.address) as client:
                    await self._stay(client)
            except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                self.told[type(error).__name__] += 1
            await asyncio.sleep(1.0)

    async def _stay(self, client: Wire) -> None:
        await client.handshake(f"/app/{KEY}{QUERY}")
        first = await client.message()
        if first["event"] != "pusher:connection_established":
            self.told[first["data"]["code"]] += 1
            return
        self.inside += 1
        try:
            await client.rest(patience=600)
        finally:
            self.inside -= 1


def logged(server: RunningServer) -> int:
    """How many lines of the log there are, the banner left out."""
    return len(re.findall(r"^\d\d:\d\d:\d\d", server.log, re.MULTILINE))


async def idle_backends(address: Address, stack: AsyncExitStack) -> list[Wire]:
    """Kept API connections, half of them after an answer on each of the server's two ways."""
    backends = []
    for number in range(IDLE):
        backend = await stack.enter_async_context(wire.opened(address))
        request = signed.event("c") if number % 2 else wire.request("/live")
        await backend.send(request)
        assert (await backend.answer()).status == 200
        backends.append(backend)
    return backends


async def is_served(address: Address, within: float = 1.0) -> None:
    """A publication and `/live`, each on a connection of its own."""
    for request in (signed.event("c"), wire.request("/live")):
        began = time.monotonic()
        async with wire.opened(address) as backend:
            await backend.send(request)
            assert (await backend.answer()).status == 200
        assert time.monotonic() - began < within


async def test_a_crowd_that_does_not_fit(server: RunningServer) -> None:
    """New clients get 4100, the API answers, idle API connections make room, the log stays quiet."""
    address = Address(port=server.port)
    lines = logged(server)
    async with AsyncExitStack() as stack:
        backends = await idle_backends(address, stack)
        async with Crowd(address, CLIENTS).around() as crowd:
            await eventually(lambda: crowd.told[4100] >= CLIENTS, 20.0)
            for _ in range(5):
                await is_served(address)
                await asyncio.sleep(0.2)
            ended = [await _has_ended(backend) for backend in backends]
            assert crowd.told[4100] >= 0.9 * crowd.told.total(), crowd.told
            assert crowd.inside == HARD_LIMIT - RESERVE
            assert all(ended)
    assert logged(server) - lines <= 5, server.log
    await is_served(address)


async def _has_ended(backend: Wire) -> bool:
    return backend.reader.at_eof() or backend.writer.transport.is_closing()


async def test_room_is_given_again(server: RunningServer) -> None:
    """Who leaves makes room for others, however many were refused meanwhile."""
    address = Address(port=server.port)
    async with AsyncExitStack() as stack:
        inside = [
            await stack.enter_async_context(wire.connected(address, KEY))
            for _ in range(HARD_LIMIT - RESERVE)
        ]
        async with wire.opened(address) as late:
            await late.handshake(f"/app/{KEY}{QUERY}")
            await late.expect_refusal(4100)
        async with Crowd(address, 200).around() as crowd:
            await eventually(lambda: crowd.told[4100] >= 200, 20.0)
            for client in inside[:10]:
                client.cut()
            await eventually(lambda: crowd.inside == 10, 10.0)
    async with wire.connected(address, KEY):
        await is_served(address)


async def test_strangers_who_say_nothing(server: RunningServer) -> None:
    """Connections without a request neither fill the server nor keep others out."""
    address = Address(port=server.port)
    async with wire.connected(address, KEY) as client, AsyncExitStack() as stack:
        for number in range(300):
            silent = await stack.enter_async_context(wire.opened(address))
            if number % 2:
                await silent.send(b"GET / HTTP/1.1\r\nHost:")
        await is_served(address, within=4.0)
        await client.expect_alive()


async def test_refused_clients_who_stay(server: RunningServer) -> None:
    """They do not answer the close frame, and do not close."""
    address = Address(port=server.port)
    async with AsyncExitStack() as stack:
        for _ in range(HARD_LIMIT - RESERVE):
            await stack.enter_async_context(wire.connected(address, KEY))
        for _ in range(200):
            late = await stack.enter_async_context(wire.opened(address))
            await late.handshake(f"/app/{KEY}{QUERY}")
            await late.expect_error(4100)
        await is_served(address, within=4.0)


async def test_a_crowd_by_tls(tmp_path: Path, loop: str) -> None:
    """Handshakes that never end count as clients do."""
    write_certificate(tmp_path)
    settings = {"apps": [app()], "server": {"loop": loop, "tls": tls_settings(tmp_path)}}
    with TlsServer(tmp_path, settings, open_files=HARD_LIMIT) as server:
        plain = Address(port=server.port)
        secure = by_tls(plain)
        lines = logged(server)
        async with AsyncExitStack() as stack:
            for number in range(200):
                silent = await stack.enter_async_context(wire.opened(plain))
                if number % 2:
                    await silent.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc")
            await is_served(secure, within=4.0)
            async with Crowd(secure, 150).around() as crowd:
                await eventually(lambda: crowd.told[4100] >= 100, 30.0)
                assert crowd.inside <= HARD_LIMIT - RESERVE
                await is_served(secure, within=4.0)
        await is_served(secure, within=4.0)
        assert logged(server) - lines <= 5, server.log
        assert "Traceback" not in server.log


async def test_metrics_name_the_reason(server: RunningServer) -> None:
    """`open_files`, not just `over_capacity`; and the operations listener has its files."""
    address = Address(port=server.port)
    async with AsyncExitStack() as stack:
        for _ in range(HARD_LIMIT - RESERVE):
            await stack.enter_async_context(wire.connected(address, KEY))
        async with wire.opened(address) as late:
            await late.handshake(f"/app/{KEY}{QUERY}")
            await late.expect_refusal(4100)
        port = int(server.log.split("/metrics")[0].rsplit(":", 1)[-1])
        async with wire.opened(Address(port=port)) as scraper:
            await scraper.send(wire.request("/metrics"))
            said = (await scraper.answer()).text
        assert 'connections_refused_total{app="3",reason="open_files"} 1' in said
