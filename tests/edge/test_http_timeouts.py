"""Time limits of HTTP connections: half requests and idle clients cost little, and not for long."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, serving

EVENTS = f"/apps/{APP_ID}/events"
#: Limits that a test can wait for. The sweep looks four times a second.
QUICK = {"http": {"header_timeout": 0.2, "body_timeout": 0.2}}
BRIEF = {"http": {"keep_alive": 0.2}}


async def first_word(client: wire.Wire) -> tuple[bytes, float]:
    """Everything until the end, and the seconds that it took."""
    begun = time.monotonic()
    return await client.rest(), time.monotonic() - begun


@pytest.mark.parametrize(
    "begin",
    [
        b"",
        b"GET /up HTTP/1.1\r\nHost: x\r\nX-Slow: ",
        wire.request(EVENTS, method="POST", Content_Length="1000") + b"{",
        wire.request("/x", method="POST", Content_Length="1000") + b"{",
        wire.request(EVENTS, method="POST", Transfer_Encoding="chunked") + b"5\r\nab",
        wire.request("/ping") + b"GET /up HTTP/1.1\r\nX-Slow: ",
        wire.request(EVENTS, method="POST", body=b"{}") + b"GET /up HTTP/1.1\r\nX-Slow: ",
    ],
    ids=["silent", "head", "body", "any body", "chunk", "second head", "head after a post"],
)
async def test_a_request_that_does_not_arrive_is_408(tmp_path: Path, begin: bytes) -> None:
    """Slow-loris: whoever sends half a request loses the connection soon."""
    async with serving(tmp_path, QUICK) as inside, wire.opened(inside.address) as client:
        await client.send(begin)
        said, seconds = await first_word(client)
        *_, last = said.split(b"HTTP/1.1 ")
        assert last.startswith(b"408 Request Timeout"), said
        assert seconds < 2


async def test_a_head_that_drips_is_408_all_the_same(tmp_path: Path) -> None:
    """Its time is that of the whole head, not of one byte."""
    async with serving(tmp_path, QUICK) as inside, wire.opened(inside.address) as client:

        async def drip() -> None:
            await client.send(b"GET /up HTTP/1.1\r\nX-Slow: ")
            while True:
                await client.send(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        said, seconds = await first_word(client)
        dripping.cancel()
        await asyncio.gather(dripping, return_exceptions=True)
        assert said.startswith(b"HTTP/1.1 408"), said
        assert seconds < 2


async def test_a_body_that_keeps_coming_is_waited_for(tmp_path: Path) -> None:
    """The body's time is idle time: a slow link may take as long as it sends."""
    async with serving(tmp_path, QUICK) as inside, wire.opened(inside.address) as client:
        request = signed.event("c", "x" * 40)
        head, body = request[:-40], request[-40:]
        await client.send(head)
        for i in range(20):
            await client.send(body[2 * i : 2 * i + 2])
            await asyncio.sleep(0.03)
        assert (await client.answer()).text == "{}"


@pytest.mark.parametrize("tail", [b"", b"\r\n"], ids=["nothing", "a line break"])
@pytest.mark.parametrize(
    "ask",
    [wire.request("/up"), wire.request(EVENTS, method="POST", body=b"{}")],
    ids=["get", "post"],
)
async def test_an_idle_connection_ends_without_a_word(
    tmp_path: Path, ask: bytes, tail: bytes
) -> None:
    """A stray line break behind a body, as old clients send it, does not make it immortal."""
    async with serving(tmp_path, BRIEF) as inside, wire.opened(inside.address) as client:
        await client.send(ask)
        assert (await client.answer()).status in (200, 401)
        await client.send(tail)
        said, seconds = await first_word(client)
        assert said == b""
        assert seconds < 2


async def test_many_slow_clients_cost_a_fast_one_nothing(tmp_path: Path) -> None:
    """A few hundred half requests, and everybody else is served as before."""
    async with serving(tmp_path) as inside:
        slow: list[Any] = []
        try:
            for i in range(300):
                connection = wire.opened(inside.address)
                client = await connection.__aenter__()
                slow.append(connection)
                await client.send(
                    b"GET /up HTTP/1.1\r\nX: " if i % 2 else wire.upgrade("/app")[:-2]
                )
            async with wire.connected(inside.address, KEY) as good:
                await good.join("c")
                async with wire.opened(inside.address) as backend:
                    await backend.send(signed.event("c"))
                    assert (await backend.answer()).status == 200
                await good.expect("my-event")
        finally:
            for connection in slow:
                await connection.__aexit__(None, None, None)


@pytest.mark.parametrize("before", [None, "get", "post"])
async def test_no_limit_of_http_touches_an_upgraded_connection(
    tmp_path: Path, before: str | None
) -> None:
    """Whatever the connection did before: deadlines and idle times end with the upgrade."""
    settings = {"http": {"header_timeout": 0.2, "body_timeout": 0.2, "keep_alive": 0.2}}
    async with serving(tmp_path, settings) as inside, wire.opened(inside.address) as client:
        if before is not None:
            await client.send(signed.event("c") if before == "post" else wire.request("/up"))
            assert (await client.answer()).status == 200
        await client.handshake(f"/app/{KEY}{wire.QUERY}")
        await client.established()
        guard = inside.server._guard
        assert not guard.deadlines
        assert not guard.idle
        await asyncio.sleep(0.3)  # uvicorn's own timer would have been due
        await client.expect_alive()


async def test_the_idle_time_ends_with_a_request_that_had_to_wait(tmp_path: Path) -> None:
    """It came together with one before it that took its turn; uvicorn's timer began behind that."""
    settings = {"http": {"keep_alive": 0.2}}
    async with serving(tmp_path, settings) as inside, wire.opened(inside.address) as client:
        first = wire.request("/up", Cookie="c" * 7_900)  # more than a turn parses
        await client.send(first, wire.upgrade(f"/app/{KEY}{wire.QUERY}"))
        assert (await client.answer()).status == 200
        assert (await client.answer(head_only=True)).status == 101
        await client.established()
        await asyncio.sleep(0.4)
        await client.expect_alive()
