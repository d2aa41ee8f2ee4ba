"""Readers that do not keep up: bounded, dropped, never waited for (docs/decisions.md#slow-readers)."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, SECRET, app, serving
from tests.support.serving import RunningServer
from tests.support.signing import channel_auth
from tests.support.waiting import PATIENCE, equals, eventually
from tests.support.wire import QUERY, Address, Wire

#: What a client that does not read takes all the same: little.
NARROW = {"limit": 4_096, "receive_buffer": 4_096}
STALL = 0.5


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """A process of its own: its memory is measured."""
    settings = {"apps": [app()], "websocket": {"stall_timeout": STALL}}
    with RunningServer(tmp_path_factory.mktemp("slow"), settings) as running:
        yield running
        assert "Traceback" not in running.log


@pytest.fixture
def address(server: RunningServer) -> Address:
    """Where it listens."""
    return Address(port=server.port)


def memory(server: RunningServer, kind: str) -> int:
    """Bytes: VmRSS is now, VmHWM the most there ever was."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    found = re.search(rf"{kind}:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) * 1_024


async def connections(backend: Wire) -> int:
    """How many the server has."""
    await backend.send(signed.get(f"/apps/{APP_ID}/connections"))
    found = json.loads((await backend.answer()).body)["connections"]
    assert isinstance(found, int)
    return found


async def until_connected(backend: Wire, count: int, patience: float = PATIENCE) -> None:
    """Ask until the server has so many."""
    await equals(lambda: connections(backend), count, patience)


@asynccontextmanager
async def subscriber(address: Address, channel: str, **options: int) -> AsyncIterator[Wire]:
    """A client on `channel` that reads nothing unless told to."""
    async with wire.opened(address, **options) as client:
        await client.handshake(f"/app/{KEY}{QUERY}")
        await client.established()
        await client.join(channel)
        yield client


async def publish(backend: Wire, channel: str, numbers: range, size: int) -> None:
    """Numbered events of this size."""
    for number in numbers:
        await backend.send(signed.event(channel, f"{number} {'x' * size}"))
        assert (await backend.answer()).status == 200


async def expect_numbers(client: Wire, numbers: range) -> None:
    """All of them, in order."""
    for number in numbers:
        found = await client.expect("my-event")
        assert found["data"].startswith(f"{number} ")


async def test_those_who_do_not_read_cost_the_others_nothing(
    address: Address, server: RunningServer
) -> None:
    """40 MB to each: without a bound the server would hold 800 MB for the twenty that sleep."""
    async with AsyncExitStack() as stack, wire.opened(address) as backend:
        await until_connected(backend, 0)
        before = memory(server, "VmRSS")
        for _ in range(20):
            await stack.enter_async_context(subscriber(address, "flood", **NARROW))
        readers = [await stack.enter_async_context(subscriber(address, "flood")) for _ in range(2)]
        numbers = range(400)
        reading = [asyncio.create_task(expect_numbers(each, numbers)) for each in readers]
        await publish(backend, "flood", numbers, 100_000)
        await asyncio.gather(*reading)
        await until_connected(backend, 2)
        for each in readers:
            await each.expect_alive()
        growth = memory(server, "VmHWM") - before
        assert growth < 20 * 2_500_000 + 64_000_000, f"{growth:,} bytes more"


async def test_a_client_that_does_not_read_is_dropped_in_time_and_may_come_back(
    address: Address,
) -> None:
    """It is cut within the stall time and two looks; what it gets then is whole frames or the end."""
    async with wire.opened(address) as backend:
        await until_connected(backend, 0)
        async with subscriber(address, "stall", **NARROW) as sleeper:
            await publish(backend, "stall", range(20), 100_000)
            begun = time.monotonic()
            await until_connected(backend, 0)
            assert time.monotonic() - begun < STALL + 2.5
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await expect_numbers(sleeper, range(20))
        async with subscriber(address, "stall") as again:
            await publish(backend, "stall", range(3), 100_000)
            await expect_numbers(again, range(3))


async def test_a_client_over_the_cap_is_dropped_before_its_time(tmp_path: Path) -> None:
    """The bound is on bytes as well: nobody waits for the stall time with a full buffer."""
    settings = {"websocket": {"stall_timeout": 3_600.0, "write_buffer_bytes": 300_000}}
    async with serving(tmp_path, settings) as inside:
        async with (
            wire.opened(inside.address) as backend,
            subscriber(inside.address, "cap", **NARROW),
        ):
            await publish(backend, "cap", range(30), 100_000)
            await until_connected(backend, 0)
        assert inside.node.hub.traffic.of(APP_ID).slow_consumers_dropped == 1


async def sip(client: Wire, size: int, *, piece: int = 32_768, every: float = 0.03) -> bytes:
    """Read so many bytes slowly but steadily."""
    taken = bytearray()
    while len(taken) < size:
        got = await client.reader.read(min(piece, size - len(taken)))
        assert got, f"cut after {len(taken)} bytes"
        taken += got
        await asyncio.sleep(every)  # a slow link
    return bytes(taken)


async def test_a_slow_link_survives_a_presence_list_of_a_megabyte(address: Address) -> None:
    """It takes longer than the stall time, but it takes (docs/decisions.md#slow-readers)."""
    channel = "presence-large"
    async with AsyncExitStack() as stack:
        for number in range(65):
            member = json.dumps({"user_id": number, "user_info": "x" * 16_000})
            client = await stack.enter_async_context(wire.opened(address))
            await client.handshake(f"/app/{KEY}{QUERY}")
            auth = channel_auth(KEY, SECRET, await client.established(), channel, member)
            await client.send(wire.subscribe(channel, auth=auth, channel_data=member))
        narrow = {"limit": 32_768, "receive_buffer": 32_768}
        slow = await stack.enter_async_context(wire.opened(address, **narrow))
        await slow.handshake(f"/app/{KEY}{QUERY}")
        member = json.dumps({"user_id": "slow"})
        auth = channel_auth(KEY, SECRET, await slow.established(), channel, member)
        begun = time.monotonic()
        await slow.send(wire.subscribe(channel, auth=auth, channel_data=member))
        head = await slow.reader.readexactly(10)
        assert head[:2] == b"\x81\x7f"
        length = int.from_bytes(head[2:])
        assert length > 1_000_000
        listed = json.loads(await sip(slow, length))
        assert time.monotonic() - begun > 1.5 * STALL
        assert json.loads(listed["data"])["presence"]["count"] == 66
        await slow.expect_alive()


async def test_a_slow_link_survives_a_burst_of_a_megabyte(address: Address) -> None:
    """All of it, in order; another one that reads at once is not held up."""
    narrow = {"limit": 32_768, "receive_buffer": 32_768}
    async with (
        wire.opened(address) as backend,
        subscriber(address, "burst", **narrow) as slow,
        subscriber(address, "burst") as fast,
    ):
        numbers = range(10)
        await publish(backend, "burst", numbers, 100_000)
        await expect_numbers(fast, numbers)
        begun = time.monotonic()
        for number in numbers:
            head = await slow.reader.readexactly(10)
            frame = json.loads(await sip(slow, int.from_bytes(head[2:])))
            assert frame["data"].startswith(f"{number} ")
        assert time.monotonic() - begun > 1.5 * STALL
        await slow.expect_alive()


async def send_for_ever(client: Wire, data: bytes) -> None:
    """Until the server has enough of it."""
    while True:
        await client.send(data)


async def test_a_client_that_sends_without_reading_is_dropped(
    address: Address, server: RunningServer
) -> None:
    """Its own pongs fill its own buffer; the memory does not grow with what it asks."""
    async with wire.opened(address) as backend:
        await until_connected(backend, 0)
        before = memory(server, "VmRSS")
        async with subscriber(address, "pings", **NARROW) as greedy:
            pings = wire.message("pusher:ping", data={}) * 5_000
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(send_for_ever(greedy, pings), 10)
        await until_connected(backend, 0)
        assert memory(server, "VmRSS") - before < 64_000_000


async def test_pipelined_requests_whose_answers_nobody_reads(
    address: Address, server: RunningServer
) -> None:
    """Unsigned and 30 bytes each: they must not fill the memory with requests that wait."""
    before = memory(server, "VmRSS")
    async with AsyncExitStack() as stack:
        for _ in range(20):
            client = await stack.enter_async_context(wire.opened(address, **NARROW))
            await client.send(wire.request("/") * 8_000)
        async with wire.opened(address) as good:
            assert (await good.ask("/up")).status == 200
        assert memory(server, "VmRSS") - before < 64_000_000


async def test_asking_again_and_again_for_a_large_cached_event(
    address: Address, server: RunningServer
) -> None:
    """63 bytes in, 100 kB out: the bound on what waits holds within one turn of the loop, too."""
    before = memory(server, "VmRSS")
    async with wire.opened(address) as backend:
        await publish(backend, "cache-large", range(1), 100_000)
        await until_connected(backend, 0)
        async with wire.opened(address, **NARROW) as greedy:
            await greedy.handshake(f"/app/{KEY}{QUERY}")
            await greedy.established()
            with pytest.raises(ConnectionError):
                await asyncio.wait_for(
                    send_for_ever(greedy, wire.subscribe("cache-large") * 1_000), 10
                )
        await until_connected(backend, 0)
    assert memory(server, "VmHWM") - before < 150_000_000


async def test_nobody_upgrades_who_has_answers_unread(tmp_path: Path) -> None:
    """The new protocol would never be told that writing is paused, and the bound would not hold."""
    async with serving(tmp_path, {}) as inside, wire.opened(inside.address, **NARROW) as client:
        junk = wire.request(f"/apps/{APP_ID}/channels?auth_key={KEY}&a={'b' * 60_000}")
        for _ in range(60):
            client.writer.write(junk)
        client.writer.write(wire.upgrade(f"/app/{KEY}{QUERY}"))
        assert b" 101 " not in await client.rest(patience=15)
        assert not inside.clients.connections


async def test_an_http_client_that_does_not_read_is_cut_in_the_end(tmp_path: Path) -> None:
    settings = {"http": {"body_timeout": 1.0, "keep_alive": 1.0}}
    async with serving(tmp_path, settings) as inside, wire.opened(inside.address, **NARROW) as idle:
        unsigned = wire.request(f"/apps/{APP_ID}/events", method="POST", body=b"{}")
        idle.writer.write(unsigned * 30_000)
        await eventually(lambda: bool(inside.guard.unread))
        await eventually(lambda: not inside.uvicorn.server_state.connections)
        assert not inside.guard.unread
