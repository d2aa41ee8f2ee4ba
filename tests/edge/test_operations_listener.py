"""The operations listener's HTTP, with small applications in the test's own loop, on both kinds of loops."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from pusher_server.server import operations_protocol
from pusher_server.server.operations_listener import OperationsListener
from pusher_server.server.operations_protocol import CONNECTIONS
from pusher_server.server.paced_protocol import PARSED_AHEAD
from tests.edge import wire
from tests.edge.wire import Address, until

Run = Callable[[Coroutine[Any, Any, None]], None]
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a scenario in a loop of this kind."""

    def in_loop(scenario: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=LOOPS[request.param]) as runner:
            runner.run(scenario)

    return in_loop


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


async def plain(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers everything at once."""
    await Response(b"x")(scope, receive, send)


def page(
    events: Callable[[], AsyncIterator[bytes]],
) -> Callable[[Request], Coroutine[Any, Any, Response]]:
    """An endpoint that streams what `events` yields."""

    async def endpoint(request: Request) -> Response:
        return StreamingResponse(events(), media_type="text/event-stream")

    return endpoint


@asynccontextmanager
async def listening(app: ASGIApp = plain) -> AsyncIterator[tuple[OperationsListener, Address]]:
    """A listener with this application on a free port."""
    bound = socket.create_server(("127.0.0.1", 0))
    bound.setblocking(False)
    listener = OperationsListener(app, bound)
    await listener.open()
    try:
        yield listener, Address(port=bound.getsockname()[1])
    finally:
        await listener.close()


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
                    await until(lambda: listener._looking is None)
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
            await until(lambda: bool(listener._state.tasks))
            await until(lambda: listener._looking is None)  # all is well
            begin.set()
            await until(lambda: bool(listener._guard.unread))
            await until(lambda: not listener._state.connections)
            await until(lambda: not listener._state.tasks)
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


def test_a_body_reaches_the_application_and_is_bounded(run: Run) -> None:
    """A login's form comes as it was sent; of what nobody reads only a beginning is kept."""

    async def echo(request: Request) -> Response:
        answer = PlainTextResponse(await request.body())
        answer.set_cookie("session", request.cookies["session"])
        return answer

    waiting = asyncio.Event()

    async def unread(request: Request) -> Response:
        await waiting.wait()
        return PlainTextResponse("x")

    routes = [Route("/", echo, methods=["POST"]), Route("/unread", unread, methods=["POST"])]

    async def scenario() -> None:
        async with listening(Starlette(routes=routes)) as (listener, address):
            async with wire.opened(address) as client:
                answer = await client.ask("/", method="POST", body=b"a=b", cookie="session=s")
                assert (answer.status, answer.body) == (200, b"a=b")
                assert answer.headers["set-cookie"].startswith("session=s;")
                assert answer.headers["connection"] == "close"
                await client.expect_end()
            async with wire.opened(address) as client:
                large = wire.request("/unread", method="POST", body=bytes(50_000_000))
                sending = asyncio.create_task(client.send(large))
                await until(lambda: bool(listener._state.connections))
                (protocol,) = listener._state.connections
                await until(lambda: protocol.flow is not None and protocol.flow.read_paused)  # type: ignore[union-attr]
                assert len(protocol.cycle.body) + protocol.unfed_bytes < 1_000_000  # type: ignore[union-attr]
                waiting.set()
                await asyncio.gather(sending, return_exceptions=True)

    run(scenario())


def test_programs_of_old_keep_their_connection(run: Run) -> None:
    """HTTP/1.0 with `Connection: keep-alive`, as load generators and old proxies ask; and without a Host."""

    async def scenario() -> None:
        async with listening() as (_, address):
            async with wire.opened(address) as client:
                for _ in range(2):
                    answer = await client.ask("/", version="1.0", connection="keep-alive")
                    assert (answer.status, answer.headers["connection"]) == (200, "keep-alive")
                answer = await client.ask("/", version="1.0")
                assert answer.headers["connection"] == "close"
                await client.expect_end()
            async with wire.opened(address) as client:
                await client.send(b"GET / HTTP/1.1\r\n\r\n")
                assert (await client.answer()).status == 200

    run(scenario())


def test_offers_of_another_protocol_are_declined(run: Run) -> None:
    """curl and Java's HttpClient offer HTTP/2 with every request; what follows is served as well."""

    async def scenario() -> None:
        async with listening() as (_, address), wire.opened(address) as client:
            for offered in ("h2c", "websocket"):
                fields = {"connection": "Upgrade, HTTP2-Settings", "upgrade": offered}
                await client.send(wire.request("/", **fields) + wire.request("/"))
                for _ in range(2):
                    assert (await client.answer()).status == 200
            await client.send(b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n")
            assert (await client.answer()).status == 400

    run(scenario())


def test_other_versions_are_no_requests(run: Run) -> None:
    async def scenario() -> None:
        async with listening() as (_, address):
            for version in ("2.0", "0.9", "1.2", "3.0"):
                async with wire.opened(address) as client:
                    await client.send(f"GET / HTTP/{version}\r\nHost: x\r\n\r\n".encode())
                    assert (await client.answer()).status == 400, version
                    await client.expect_end()

    run(scenario())


def test_an_answer_says_nothing_of_the_software(run: Run) -> None:
    async def scenario() -> None:
        async with listening() as (_, address), wire.opened(address) as client:
            answer = await client.ask("/")
            assert answer.headers.keys() == {"content-length", "connection"}

    run(scenario())


def test_a_body_does_not_wait_for_the_acknowledgement_of_its_head(run: Run) -> None:
    """With Nagle's algorithm (RFC 896) and a client that acknowledges late an answer takes 40 ms."""

    async def scenario() -> None:
        async with listening() as (listener, address), wire.opened(address) as client:
            assert (await client.ask("/")).status == 200
            (protocol,) = listener._state.connections
            accepted = protocol.transport.get_extra_info("socket")
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)

    run(scenario())


def test_closing_ends_what_is_under_way_without_a_line(
    run: Run, caplog: pytest.LogCaptureFixture
) -> None:
    """One request waits for workers, one streams, one connection rests, one has said half a head."""
    ended: list[str] = []

    async def waits(request: Request) -> Response:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("request")
        raise AssertionError

    async def rest(request: Request) -> Response:
        return PlainTextResponse("x")

    async def stream() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"x"
                await asyncio.sleep(0.01)
        finally:
            ended.append("stream")

    routes = [
        Route("/waits", waits),
        Route("/stream", page(stream)),
        Route("/", rest),
    ]

    async def scenario() -> None:
        async with (
            listening(Starlette(routes=routes)) as (listener, address),
            AsyncExitStack() as stack,
        ):
            clients = [await stack.enter_async_context(wire.opened(address)) for _ in range(4)]
            await clients[0].send(wire.request("/waits"))
            await clients[1].send(wire.request("/stream"))
            assert (await clients[1].reader.readline()).startswith(b"HTTP/1.1 200")
            assert (await clients[2].ask("/")).status == 200
            await clients[3].send(b"GET /")
            await until(lambda: len(listener._state.tasks) == 2)
            async with asyncio.timeout(1):
                await listener.close()
            assert not listener._state.tasks
            for client in clients:
                await client.rest()
            with pytest.raises(OSError, match=r"."):
                await asyncio.open_connection(address.host, address.port)
            assert listener._looking is None or listener._looking.cancelled()

    with caplog.at_level(logging.DEBUG):
        run(scenario())
    assert sorted(ended) == ["request", "stream"]
    assert [each for each in caplog.records if each.levelno >= logging.WARNING] == []


def test_it_leaves_the_access_log_of_the_clients_port_alone(run: Run) -> None:
    """It is one logger for all servers of a process; and scrapes are not in it."""
    log = logging.getLogger("uvicorn.access")
    lines: list[logging.LogRecord] = []
    kept = logging.Handler()
    kept.emit = lines.append  # type: ignore[method-assign]
    before = log.handlers, log.propagate, log.level
    log.addHandler(kept)
    log.setLevel(logging.INFO)

    async def scenario() -> None:
        async with listening() as (_, address), wire.opened(address) as client:
            assert (await client.ask("/")).status == 200

    try:
        run(scenario())
        assert kept in log.handlers
        assert log.propagate is before[1]
    finally:
        log.removeHandler(kept)
        log.setLevel(before[2])
    assert lines == []


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
            await until(lambda: len(listener._state.connections) == CONNECTIONS)
            await until(lambda: listener._looking is None)
            assert not listener._guard.deadlines
            assert not listener._guard.idle
            for client in held:
                assert (await client.ask("/")).status == 200

    run(scenario())
