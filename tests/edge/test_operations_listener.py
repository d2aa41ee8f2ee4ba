"""The operations listener's HTTP, with small applications in the test's own loop, on both kinds of loops."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from tests.edge.listening import Run, listening, page
from tests.support import wire
from tests.support.waiting import eventually


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
                await eventually(lambda: bool(listener._state.connections))
                (protocol,) = listener._state.connections
                await eventually(lambda: protocol.flow is not None and protocol.flow.read_paused)  # type: ignore[union-attr]
                assert len(protocol.cycle.body) + protocol.unfed_bytes < 1_000_000  # type: ignore[union-attr]
                waiting.set()
                await asyncio.gather(sending, return_exceptions=True)

    run(scenario())


def test_programs_of_old_keep_their_connection(run: Run) -> None:
    """HTTP/1.0 with `Connection: keep-alive`, as load generators and old proxies ask; it needs no Host."""

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
                await client.send(b"GET / HTTP/1.0\r\n\r\n")
                assert (await client.answer()).status == 200
            async with wire.opened(address) as client:  # RFC 9112 §3.2
                await client.send(b"GET / HTTP/1.1\r\n\r\n")
                assert (await client.answer()).status == 400

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
            await eventually(lambda: len(listener._state.tasks) == 2)
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
