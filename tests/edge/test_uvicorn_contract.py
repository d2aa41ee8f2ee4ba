"""What `server/http_protocol.py` and `server/lifecycle.py` take for granted about uvicorn.

None of it is documented. When a new uvicorn turns one of these red, look there before raising the pin.
"""

import asyncio
import inspect
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any, cast

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from tests.edge import wire
from tests.edge.wire import PATIENCE, Address


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """The smallest application."""
    start = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
    await send(start)
    await send({"type": "http.response.body", "body": b"hi"})


def config(protocol: Any = HttpToolsProtocol, **options: Any) -> uvicorn.Config:
    """As `Server._uvicorn` makes it."""
    fixed = {"ws": "none", "lifespan": "off", "log_config": None, "server_header": False}
    return uvicorn.Config(hello, http=cast(Any, protocol), **{**fixed, **options})


class Shell(uvicorn.Server):
    """A server without signals that tells when it listens."""

    def __init__(self, settings: uvicorn.Config) -> None:
        super().__init__(settings)
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """As `DrainingServer` overrides it."""
        await super().startup(sockets=sockets)
        assert self.started
        self.listening.set()


@asynccontextmanager
async def running(settings: uvicorn.Config) -> AsyncIterator[tuple[Shell, Address]]:
    """Serve on a socket that we bound ourselves, neither listening nor blocking yet."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.setblocking(False)
    shell = Shell(settings)
    address = Address(port=listener.getsockname()[1])
    task = asyncio.get_running_loop().create_task(shell.serve([listener]))
    try:
        async with asyncio.timeout(PATIENCE):
            await shell.listening.wait()
        yield shell, address
    finally:
        shell.should_exit = True
        await task


def test_the_parts_that_we_override_or_read_are_there() -> None:
    """By name and by arguments; `handle_websocket_upgrade` is never reached."""
    assert list(inspect.signature(HttpToolsProtocol.__init__).parameters) == [
        "self", "config", "server_state", "app_state", "_loop",
    ]  # fmt: skip
    for name, arguments in {
        "connection_made": ["self", "transport"],
        "connection_lost": ["self", "exc"],
        "data_received": ["self", "data"],
        "eof_received": ["self"],
        "on_message_begin": ["self"],
        "on_url": ["self", "url"],
        "on_header": ["self", "name", "value"],
        "on_headers_complete": ["self"],
        "on_response_complete": ["self"],
        "on_body": ["self", "body"],
        "on_message_complete": ["self"],
        "shutdown": ["self"],
        "_should_upgrade": ["self"],
        "_should_upgrade_to_ws": ["self"],
        "_unset_keepalive_if_required": ["self"],
    }.items():
        assert list(inspect.signature(getattr(HttpToolsProtocol, name)).parameters) == arguments
    for name in ("startup", "shutdown", "capture_signals", "main_loop"):
        assert callable(getattr(uvicorn.Server, name))


async def test_any_callable_makes_the_protocol() -> None:
    """`http=` may be a partial; it is called with keywords only, once per connection."""
    made: list[dict[str, Any]] = []

    def make(*, ours: str, **given: Any) -> HttpToolsProtocol:
        assert ours == "argument"
        made.append(given)
        return HttpToolsProtocol(**given)

    async with running(config(partial(make, ours="argument"))) as (shell, address):
        for _ in range(2):
            async with wire.opened(address) as client:
                assert (await client.ask("/")).body == b"hi"
    assert len(made) == 2
    assert made[0].keys() == {"config", "server_state", "app_state", "_loop"}
    assert made[0]["server_state"] is shell.server_state


class Recorder(HttpToolsProtocol):
    """Notes the order of the parser's callbacks, and what is known at each."""

    def __init__(self, *, notes: list[Any], **given: Any) -> None:
        super().__init__(**given)
        self.notes = notes

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.notes.append(("begin", self.url, self.headers))

    def on_headers_complete(self) -> None:
        before = self.cycle
        super().on_headers_complete()
        self.notes.append(("head", self.url, list(self.headers), self.cycle is not before))

    def on_body(self, body: bytes) -> None:
        super().on_body(body)
        self.notes.append(("body", body))

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self.notes.append(("complete", self.cycle.more_body))


async def test_callbacks_of_a_request() -> None:
    """Begin (url and headers fresh), head (cycle made, names in lower case), body, complete."""
    notes: list[Any] = []
    async with (
        running(config(partial(Recorder, notes=notes))) as (_, address),
        wire.opened(address) as client,
    ):
        for _ in range(2):
            await client.ask("/a?b", method="POST", body=b"content", X_Name="Value")
    each = [
        ("begin", b"", notes[1][2][:0]),
        (
            "head",
            b"/a?b",
            [(b"host", b"localhost"), (b"content-length", b"7"), (b"x-name", b"Value")],
            True,
        ),
        ("body", b"content"),
        ("complete", False),
    ]
    assert [note[:2] for note in notes] == [note[:2] for note in each * 2]
    assert notes[1] == each[1]


async def test_the_same_headers_list_is_scope_and_protocol() -> None:
    """What the fast path and the upgrade read is what the application would get."""
    seen: list[HttpToolsProtocol] = []

    class Keeper(HttpToolsProtocol):
        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            seen.append(self)

    async with running(config(Keeper)) as (_, address), wire.opened(address) as client:
        await client.ask("/path")
        protocol = seen[0]
        assert protocol.scope["headers"] is protocol.headers
        assert protocol.scope["method"] == "GET"
        assert protocol.client is not None
        assert protocol.client[0] == "127.0.0.1"
        assert protocol.scheme == "http"
        assert not protocol.flow.write_paused
        assert isinstance(protocol.access_log, bool)
        assert protocol.expect_100_continue is False
        assert isinstance(protocol.parser, httptools.HttpRequestParser)
        cycle = protocol.cycle
        assert isinstance(cycle, RequestResponseCycle)
        assert (cycle.response_started, cycle.response_complete) == (True, True)
        assert cycle.disconnected is False
        assert isinstance(cycle.message_event, asyncio.Event)
        assert isinstance(cycle.body, bytearray)
        assert protocol.flow.read_paused is False
        assert protocol.scope["state"] is cycle.scope["state"]
        assert (
            protocol.scope["state"] is not protocol.app_state
        )  # ours to write to, for one request
        assert protocol.timeout_keep_alive_task is not None
        assert protocol in protocol.server_state.connections


async def test_an_upgrade_is_an_exception_that_says_where_the_rest_begins() -> None:
    """httptools raises out of `feed_data`; no cycle is made when `_should_upgrade` says yes."""
    found: list[Any] = []

    class Upgrading(HttpToolsProtocol):
        def _should_upgrade_to_ws(self) -> bool:
            return True

        def data_received(self, data: bytes) -> None:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                found.append((data[upgrade.args[0] :], self.scope["method"], self.cycle))
                assert self.parser.should_upgrade()
                assert self._should_upgrade()
                self.transport.write(b"HTTP/1.1 101 x\r\n\r\n")

    async with running(config(Upgrading)) as (_, address), wire.opened(address) as client:
        await client.send(wire.upgrade("/app/key"), b"behind it")
        assert (await client.answer()).status == 101
    assert found == [(b"behind it", "GET", None)]


async def test_the_parser_takes_any_offer_for_the_end_of_http() -> None:
    """Why a declined offer is parsed again: the body comes as the rest, the parser is dead."""
    bodies: list[bytes] = []

    class Declining(HttpToolsProtocol):
        def on_headers_complete(self) -> None:
            assert not self._should_upgrade()

        def on_body(self, body: bytes) -> None:
            bodies.append(body)

        def on_message_complete(self) -> None:
            pass

        def data_received(self, data: bytes) -> None:
            with pytest.raises(httptools.HttpParserUpgrade) as raised:
                self.parser.feed_data(data)
            assert data[raised.value.args[0] :] == b"content"
            self.transport.close()

    async with running(config(Declining)) as (_, address), wire.opened(address) as client:
        offer = {"Connection": "upgrade", "Upgrade": "h2c"}
        await client.send(wire.request("/", method="POST", body=b"content", **offer))
        await client.expect_end()
    assert bodies == []


async def test_an_error_in_a_callback_is_a_parser_error() -> None:
    """So a head that we refuse ends the parsing."""

    class Failing:
        def on_headers_complete(self) -> None:
            raise ValueError

    with pytest.raises(httptools.HttpParserError):
        httptools.HttpRequestParser(Failing()).feed_data(b"GET / HTTP/1.1\r\n\r\n")


class Guest:
    """All that `connections` asks of what stands in it."""

    def __init__(self) -> None:
        self.told = 0

    def shutdown(self) -> None:
        """uvicorn's last word."""
        self.told += 1


async def test_a_stranger_in_connections_is_told_to_shut_down_and_waited_for() -> None:
    """Until it leaves the set; at most `timeout_graceful_shutdown`."""
    guest = Guest()
    async with running(config(timeout_graceful_shutdown=1)) as (shell, address):
        connections = cast(set[Any], shell.server_state.connections)
        connections.add(guest)
        shell.should_exit = True
        await wire.until(lambda: guest.told > 0)
        connections.discard(guest)
        with pytest.raises(OSError, match="Connect"):
            await asyncio.open_connection(address.host, address.port)
    assert guest.told == 1


async def test_should_exit_ends_serve_and_force_exit_does_not_wait() -> None:
    """`stop` sets the first, asked twice the second: nobody in the set is waited for."""
    async with running(config(timeout_graceful_shutdown=None)) as (shell, _):
        cast(set[Any], shell.server_state.connections).add(Guest())
        shell.force_exit = True
        shell.should_exit = True
        await wire.until(lambda: not shell.servers[0].is_serving())


async def test_capture_signals_is_entered_around_everything() -> None:
    """Overriding it keeps uvicorn's handlers away: after `serve` nothing has changed."""
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    async with running(config()):
        now = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        assert now == before
    assert isinstance(inspect.getattr_static(uvicorn.Server, "capture_signals"), type(running)), (
        "still a contextmanager function"
    )


async def test_the_ssl_context_is_ours() -> None:
    """`ssl_context_factory` is called at load, and the very object is given to the listener."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    settings = config(ssl_context_factory=lambda *_: context)
    settings.load()
    assert settings.ssl is context


async def test_date_header_is_renewed_in_the_state() -> None:
    """The fast path sends `default_headers` as they are: pairs of bytes."""
    async with running(config()) as (shell, address), wire.opened(address) as client:
        await client.ask("/")
        assert [name for name, _ in shell.server_state.default_headers] == [b"date"]
        assert shell.server_state.total_requests == 1


async def test_a_body_is_read_on_when_the_application_asks_for_it() -> None:
    """Why reading may pause at the end of a head: `receive` goes on with it."""
    gone_on: list[bool] = []

    class Pausing(HttpToolsProtocol):
        def on_headers_complete(self) -> None:
            super().on_headers_complete()
            self.flow.pause_reading()

    async def ask(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        gone_on.append((await receive())["body"] == b"later")
        await hello(scope, receive, send)

    settings = config(Pausing)
    settings.app = ask
    async with running(settings) as (_, address), wire.opened(address) as client:
        await client.send(wire.request("/", method="POST", Content_Length="5"))
        await client.send(b"later")
        assert (await client.answer()).body == b"hi"
    assert gone_on == [True]


async def test_a_cycle_that_is_disconnected_says_nothing_more() -> None:
    """Why a refusal may be written while the application still works on the request."""
    said: list[str] = []

    class Refusing(HttpToolsProtocol):
        def on_message_complete(self) -> None:
            super().on_message_complete()
            self.transport.write(b"HTTP/1.1 418 no\r\ncontent-length: 0\r\n\r\n")
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.transport.write_eof()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        said.append((await receive())["type"])
        await hello(scope, receive, send)

    settings = config(Refusing)
    settings.app = app
    async with running(settings) as (_, address), wire.opened(address) as client:
        await client.send(wire.request("/", method="POST", body=b"body"))
        assert (await client.answer()).status == 418
        await client.expect_end()
    assert said == ["http.disconnect"]
