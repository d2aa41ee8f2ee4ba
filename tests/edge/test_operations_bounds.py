"""What one client can take of the operations listener: turns, time, connections; on both kinds of loops."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from pusher_server.server import operations_protocol
from pusher_server.server.operations_protocol import CONNECTIONS
from pusher_server.server.paced_protocol import PARSED_AHEAD
from tests.edge.listening import Run, listening, page, plain
from tests.support import wire
from tests.support.waiting import eventually


@pytest.fixture
def attentive(monkeypatch: pytest.MonkeyPatch) -> None:
    """Listeners that look often at what takes too long."""
    monkeypatch.setattr("pusher_server.server.operations_listener._LOOK_SECONDS", 0.02)


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch, attentive: None) -> None:
    """Time-outs that a test can wait for."""
    bounds = operations_protocol.BOUNDS
    quick = type(bounds)(
        header_bytes=bounds.header_bytes, header_timeout=0.3, body_timeout=0.3, keep_alive=0.5
    )
    monkeypatch.setattr(operations_protocol, "BOUNDS", quick)
    monkeypatch.setattr("pusher_server.server.operations_listener.BOUNDS", quick)


def test_pipelined_requests_take_a_turn_each(run: Run) -> None:
    """Somebody who has a thousand answered at once holds up nobody."""
    most = now = 0
    parsed: list[int] = []

    def end_of_turn() -> None:
        nonlocal now
        now = 0

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        nonlocal most, now
        if not now:
            asyncio.get_running_loop().call_soon(end_of_turn)
        now += 1
        most = max(most, now)
        await plain(scope, receive, send)

    async def scenario() -> None:
        async with (
            listening(counted) as (listener, address),
            wire.opened(address) as client,
        ):
            sending = asyncio.create_task(client.send(wire.request("/live") * 1_000))
            for _ in range(1_000):
                assert (await client.answer()).text == "x"
                (protocol,) = listener._state.connections
                parsed.append(len(protocol.pipeline))  # type: ignore[union-attr]
            await sending

    run(scenario())
    assert most == 1
    assert 0 < max(parsed) <= PARSED_AHEAD


def test_a_connection_that_says_nothing_or_too_slowly_ends(run: Run, short: None) -> None:
    async def scenario() -> None:
        async with listening() as (_, address):
            for begun in (b"", b"GET /up HTTP/1.1\r\nHost: x\r\n"):
                async with wire.opened(address) as client:
                    await client.send(begun)
                    assert (await client.answer()).status == 408
                    await client.expect_end()
            async with wire.opened(address) as client:  # a byte now and then does not help
                await client.send(b"GET /up HTTP/1.1\r\nx: ")
                dripping = asyncio.create_task(drip(client))
                assert (await client.answer()).status == 408
                dripping.cancel()
            async with wire.opened(address) as client:  # nor one good request before it
                assert (await client.ask("/")).status == 200
                await client.send(b"GET")
                assert (await client.answer()).status == 408

    run(scenario())


async def drip(client: wire.Wire) -> None:
    """A byte of a header, again and again."""
    while True:
        await client.send(b"a")
        await asyncio.sleep(0.02)


def test_a_kept_connection_rests_for_a_while(run: Run, short: None) -> None:
    async def scenario() -> None:
        async with listening() as (_, address), wire.opened(address) as client:
            for _ in range(2):
                assert (await client.ask("/")).headers["connection"] == "keep-alive"
            began = asyncio.get_running_loop().time()
            await client.expect_end()  # no word: it might be taken for the next answer
            assert asyncio.get_running_loop().time() - began > 0.45

    run(scenario())


def test_nothing_runs_while_a_kept_connection_rests(run: Run, attentive: None) -> None:
    async def scenario() -> None:
        async with listening() as (listener, address):
            assert listener._looking is None
            async with wire.opened(address) as client:
                for _ in range(3):
                    assert (await client.ask("/")).status == 200
                    await eventually(lambda: listener._looking is None)
                (protocol,) = listener._state.connections
                assert protocol.timeout_keep_alive_task is not None  # type: ignore[union-attr]
                assert not listener._state.tasks

    run(scenario())


def test_what_nobody_reads_is_given_up(run: Run, short: None) -> None:
    """A stream without an end, as a console's page of live events."""

    begin = asyncio.Event()

    async def flood() -> AsyncIterator[bytes]:
        yield b"x"
        await begin.wait()
        while True:
            yield b"x" * 65_536
            await asyncio.sleep(0)  # what is never waited for is never cancelled

    app = Starlette(routes=[Route("/", page(flood))])

    async def scenario() -> None:
        async with listening(app) as (listener, address):
            _, writer = await asyncio.open_connection(address.host, address.port, limit=1_024)
            writer.write(wire.request("/"))
            await eventually(lambda: bool(listener._state.tasks))
            await eventually(lambda: listener._looking is None)  # all is well
            begin.set()
            await eventually(lambda: bool(listener._guard.unread))
            await eventually(lambda: not listener._state.connections)
            await eventually(lambda: not listener._state.tasks)
            writer.transport.abort()

    run(scenario())


def test_a_stream_is_not_cut_by_a_time_out(run: Run, short: None) -> None:
    """Not by that of idle connections either, whose time began before its head was complete."""
    go_on = asyncio.Event()

    async def lines() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield b"data: x\n\n"
            await asyncio.sleep(0.1)

    async def slow(request: Request) -> Response:
        await go_on.wait()
        return PlainTextResponse("x")

    routes = [
        Route("/", page(lines)),
        Route("/slow", slow),
    ]

    async def scenario() -> None:
        head = wire.request("/", version="1.1", connection="close")
        async with (
            listening(Starlette(routes=routes)) as (_, address),
            wire.opened(address) as client,
        ):
            await client.send(wire.request("/slow") + head[:20])
            await asyncio.sleep(0)
            go_on.set()
            assert (await client.answer()).text == "x"
            await client.send(head[20:])
            received = await client.rest()
        assert b"content-type: text/event-stream" in received
        assert received.count(b"data: x\n\n") == 8
        assert received.endswith(b"0\r\n\r\n")

    run(scenario())


def test_refused_ones_leave_nothing_behind(run: Run, attentive: None) -> None:
    """Of those that come when there are too many none stays, however many come."""

    async def scenario() -> None:
        async with listening() as (listener, address), AsyncExitStack() as stack:
            held = [
                await stack.enter_async_context(wire.opened(address)) for _ in range(CONNECTIONS)
            ]
            for client in held:
                assert (await client.ask("/")).status == 200
            refused = [await stack.enter_async_context(wire.opened(address)) for _ in range(100)]
            for client in refused:
                answer = await client.answer()
                assert (answer.status, answer.text) == (503, "Too many clients\n")
                await client.expect_end()
            await eventually(lambda: len(listener._state.connections) == CONNECTIONS)
            await eventually(lambda: listener._looking is None)
            assert not listener._guard.deadlines
            assert not listener._guard.idle
            for client in held:
                assert (await client.ask("/")).status == 200

    run(scenario())
