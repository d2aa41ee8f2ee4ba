"""One client's flood, of whatever it consists, is served a bounded amount per turn of the loop, to its end.

Counted is what was parsed, not what the server says of itself: every frame, every request and piece of a body,
and their bytes. Client and server share one loop, of either kind; only the server parses with these.
"""

import asyncio
import json
import socket
import ssl
from collections.abc import Callable, Coroutine, Generator
from pathlib import Path
from typing import Any

import httptools
import pytest
import uvloop
from websockets.frames import Frame

from pusher_server.server.http_protocol import HttpProtocol
from pusher_server.server.paced_protocol import PARSED_AHEAD
from pusher_server.turns import BYTES, REQUEST_UNITS, UNITS
from pusher_server.websocket import framing
from tests.support import signed, wire
from tests.support.frames import CONTINUATION, PING, PONG, TEXT
from tests.support.inprocess import APP_ID, KEY, serving
from tests.support.processes import by_tls, tls_settings, write_certificate
from tests.support.waiting import eventually
from tests.support.wire import frame

Loop = Callable[[], asyncio.AbstractEventLoop]
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}


@pytest.fixture(params=LOOPS)
def loop(request: pytest.FixtureRequest) -> Loop:
    """Makes the loop that client and server run in."""
    return LOOPS[request.param]


def run(loop: Loop, scenario: Coroutine[Any, Any, None]) -> None:
    """Run it in a loop of this kind."""
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scenario)


class Counter:
    """The largest turn there was."""

    def __init__(self) -> None:
        self.most_units = self.most_bytes = self.total = 0
        self._units = self._bytes = 0
        self._is_open = False

    def count(self, units: int, size: int) -> None:
        """So much more was done in this turn."""
        if not self._is_open:
            self._is_open = True
            asyncio.get_running_loop().call_soon(self._end)
        self._units += units
        self._bytes += size
        self.total += units
        self.most_units = max(self.most_units, self._units)
        self.most_bytes = max(self.most_bytes, self._bytes)

    def _end(self) -> None:
        self._is_open = False
        self._units = self._bytes = 0


@pytest.fixture
def counter(monkeypatch: pytest.MonkeyPatch) -> Counter:
    """Counts frames (each has its payload unmasked), requests, pieces of bodies, and what the parser is fed."""
    counter = Counter()
    unmask: Callable[[bytes, bytes], bytes] = vars(framing)["apply_mask"]
    parse: Callable[..., Generator[None, None, Frame]] = Frame.parse

    def unmasked(data: bytes, mask: bytes) -> bytes:
        counter.count(1, len(data))
        return unmask(data, mask)

    def parsed(*arguments: Any, **options: Any) -> Generator[None, None, Frame]:
        frame = yield from parse(*arguments, **options)
        counter.count(1, len(frame.data))
        return frame

    class Parser(httptools.HttpRequestParser):
        def feed_data(self, data: Any) -> None:
            counter.count(0, len(data))
            super().feed_data(data)

    monkeypatch.setattr(framing, "apply_mask", unmasked)
    monkeypatch.setattr(Frame, "parse", parsed)
    monkeypatch.setattr(httptools, "HttpRequestParser", Parser)
    monkeypatch.setattr("uvicorn.protocols.http.httptools_impl.httptools.HttpRequestParser", Parser)
    for name in ("on_message_begin", "on_body"):
        original = getattr(HttpProtocol, name)

        def counted(self: HttpProtocol, *data: Any, original: Any = original) -> None:
            counter.count(1, 0)
            original(self, *data)

        monkeypatch.setattr(HttpProtocol, name, counted)
    return counter


EMPTY = frame(CONTINUATION, b"", final=False)
OPEN = frame(TEXT, b'{"event":"pusher:', final=False)
LAST = frame(CONTINUATION, b'ping"}')

FRAMES = {
    "empty fragments": OPEN + EMPTY * 60_000 + LAST,
    "messages in empty fragments": (OPEN + EMPTY * 1_000 + LAST) * 60,
    "tiny fragments": frame(TEXT, b'{"event":"x","data":"', final=False)
    + frame(CONTINUATION, b"y", final=False) * 60_000
    + frame(CONTINUATION, b'"}'),
    "pings": frame(PING, b"p" * 125) * 8_000,
    "pings that are written longer": b"\x89\xfe\x00\x01maskx" * 40_000,
    "no messages": frame(TEXT, b"{") * 8_000,
    "pusher:ping": wire.message("pusher:ping", data={}) * 8_000,
    "subscriptions": (
        wire.subscribe("c") + wire.message("pusher:unsubscribe", data={"channel": "c"})
    )
    * 2_000,
    "large messages": wire.text(json.dumps({"event": "x", "data": "y" * 100_000})) * 20,
}


EVENTS = f"/apps/{APP_ID}/events"


def signed_target() -> str:
    """Strangers' bodies are not read to their end; of these only the digests will turn out to be wrong.

    Made when it is sent, as all below: a signature holds for ten minutes, and the tier takes longer.
    """
    return signed.event("c").split(b" ")[1].decode()


def chunked() -> bytes:
    """A head with that signature; chunks follow."""
    return wire.request(signed_target(), method="POST", Transfer_Encoding="chunked")


#: As many and nearly as large as a head or trailers may be.
LINES = (b"a:" + b"b" * 500 + b"\r\n") * 90

REQUESTS: dict[str, Callable[[], bytes]] = {
    "unsigned publications": lambda: wire.request(EVENTS, method="POST", body=b"{}") * 4_000,
    "signed publications": lambda: signed.event("c") * 500,
    "larger publications": lambda: signed.event("c", "x" * 50_000) * 20,
    "reading": lambda: wire.request("/ping") * 2_000,
    "offers of another protocol": lambda: (
        wire.request("/ping", Connection="Upgrade", Upgrade="h2c") * 1_000
    ),
    "line breaks": lambda: b"\r\n" * 30_000,
    "headers": lambda: (wire.request("/ping")[:-2] + LINES + b"\r\n") * 20,
    "chunks of a byte": lambda: chunked() + b"1\r\nx\r\n" * 60_000 + b"0\r\n\r\n",
    "chunks with zeros": lambda: chunked() + (b"0" * 100 + b"1\r\nx\r\n") * 5_000 + b"0\r\n\r\n",
    "extensions": lambda: chunked() + (b"1;" + b"e=f;" * 500 + b"e\r\nx\r\n") * 300 + b"0\r\n\r\n",
    "ends of heads in chunks": lambda: chunked() + b"4\r\n\r\n\r\n\r\n" * 40_000 + b"0\r\n\r\n",
    "trailers": lambda: chunked() + b"1\r\nx\r\n0\r\n" + LINES + b"\r\n",
    "requests behind chunks": lambda: (
        (chunked() + b"8000\r\n" + b"x" * 32_768 + b"\r\n0\r\n\r\n" + wire.request("/ping") * 50)
        * 5
    ),
    "large chunks": lambda: (
        chunked() + (b"40000\r\n" + b"x" * 262_144 + b"\r\n") * 20 + b"0\r\n\r\n"
    ),
}


@pytest.mark.parametrize("flood", FRAMES.values(), ids=FRAMES.keys())
def test_frames(loop: Loop, counter: Counter, tmp_path: Path, flood: bytes) -> None:
    """What follows the flood is answered, and no turn did more than it may."""

    async def scenario() -> None:
        async with serving(tmp_path) as inside, wire.connected(inside.address, KEY) as client:
            sending = asyncio.create_task(client.send(flood, wire.subscribe("the end")))
            async with asyncio.timeout(30):
                while b'"the end"' not in (await client.frame(30))[1]:
                    pass
            await sending

    run(loop, scenario())
    assert counter.total > 20
    assert counter.most_units <= UNITS
    assert counter.most_bytes <= BYTES // 2 + 110_000, "one message more than ends a turn"


@pytest.mark.parametrize("made", REQUESTS.values(), ids=REQUESTS.keys())
def test_requests(loop: Loop, counter: Counter, tmp_path: Path, made: Callable[[], bytes]) -> None:
    """What follows the flood is answered, and no turn did more than it may."""

    async def scenario() -> None:
        async with serving(tmp_path) as inside, wire.opened(inside.address) as client:
            sending = asyncio.create_task(client.send(made(), wire.request("/up")))
            async with asyncio.timeout(30):
                while "health" not in (await client.answer(patience=30)).text:
                    pass
            await sending

    run(loop, scenario())
    assert counter.most_units <= UNITS
    assert counter.most_bytes <= BYTES


def test_a_large_body(loop: Loop, counter: Counter, tmp_path: Path) -> None:
    """Read to its end, since its sender is known, and never much of it in one turn."""
    body = b"x" * 10_000_000

    async def scenario() -> None:
        async with serving(tmp_path) as inside, wire.opened(inside.address) as client:
            await client.send(wire.request(signed_target(), method="POST", body=body))
            assert (await client.answer(patience=30)).text.strip() == "Invalid body_md5"

    run(loop, scenario())
    assert counter.total > len(body) // BYTES
    assert counter.most_units <= UNITS
    assert counter.most_bytes <= BYTES


OPENING = {"WebSocket": wire.upgrade(f"/app/{KEY}{wire.QUERY}"), "HTTP": wire.request("/ping")}
SAYING: dict[str, Callable[[], bytes]] = {
    "WebSocket": lambda: wire.message("x", data="y" * 4_000) * 500 + wire.subscribe("the end"),
    "HTTP": lambda: signed.event("c", "x" * 4_000) * 500 + wire.request("/up"),
}


@pytest.mark.parametrize("protocol", OPENING)
def test_tiny_tls_records(loop: Loop, counter: Counter, tmp_path: Path, protocol: str) -> None:
    """uvloop reads full buffers again and again in a turn, and in each there is but little text."""

    async def scenario() -> None:
        write_certificate(tmp_path)
        settings = {"server": {"tls": tls_settings(tmp_path)}}
        async with serving(tmp_path, settings) as inside:
            address = by_tls(inside.address)
            last = b"the end" if protocol == "WebSocket" else b"health"
            await asyncio.to_thread(
                _say_in_records, address, OPENING[protocol], SAYING[protocol](), last
            )

    run(loop, scenario())
    assert counter.total > 100

    assert counter.most_units <= 2 * UNITS, "a piece more than a turn's"
    assert counter.most_bytes <= BYTES


def _say_in_records(address: wire.Address, opening: bytes, saying: bytes, last: bytes) -> None:
    """Encrypt it all, 8 bytes to a record, before any of it is sent. Returns when `last` has come."""
    assert address.tls is not None
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = address.tls.wrap_bio(incoming, outgoing, server_hostname="localhost")
    with socket.create_connection((address.host, address.port), timeout=30) as transport:

        def read_until(done: Callable[[], object]) -> None:
            while True:
                try:
                    while not done():
                        pass
                except ssl.SSLWantReadError:
                    transport.sendall(outgoing.read())
                    incoming.write(transport.recv(65_536))
                else:
                    return

        received = bytearray()

        def has(words: bytes) -> bool:
            received.extend(tls.read(65_536))
            return words in received

        read_until(lambda: tls.do_handshake() is None)
        tls.write(opening)
        read_until(lambda: has(b"established" if b"Upgrade" in opening else b"Pong!"))
        for at in range(0, len(saying), 8):
            tls.write(saying[at : at + 8])
        read_until(lambda: has(last))


def test_signed_publications_are_all_delivered_in_order(loop: Loop, tmp_path: Path) -> None:
    """Pacing loses nothing and reorders nothing."""

    async def scenario() -> None:
        async with (
            serving(tmp_path) as inside,
            wire.connected(inside.address, KEY) as client,
            wire.opened(inside.address) as backend,
        ):
            await client.join("c")
            events = [signed.event("c", f"{i}") for i in range(500)]
            sending = asyncio.create_task(backend.send(*events))
            for i in range(500):
                assert (await client.expect("my-event"))["data"] == f"{i}"
                assert (await backend.answer()).status == 200
            await sending

    run(loop, scenario())


def test_what_came_before_the_end_is_served(loop: Loop, tmp_path: Path) -> None:
    """A client that sends all it has to say and ends its half is answered, however much it was."""

    async def scenario() -> None:
        async with serving(tmp_path) as inside:
            async with wire.connected(inside.address, KEY) as client:
                await client.send(frame(PING, b"p") * 5_000)
                client.writer.write_eof()
                for _ in range(5_000):
                    assert await client.frame() == (PONG, b"p")
                await client.expect_end()
            async with wire.opened(inside.address) as backend:
                await backend.send(signed.event("c") * 300)
                backend.writer.write_eof()
                for _ in range(300):
                    assert (await backend.answer()).status == 200
                await backend.expect_end()

    run(loop, scenario())


def test_a_flood_behind_an_upgrade(loop: Loop, counter: Counter, tmp_path: Path) -> None:
    """What is not parsed as HTTP any more is read as frames, none lost."""

    async def scenario() -> None:
        async with serving(tmp_path) as inside, wire.opened(inside.address) as client:
            flood = frame(PING, b"p" * 20) * 2_000
            await client.send(
                signed.event("c") * 30, wire.upgrade(f"/app/{KEY}{wire.QUERY}"), flood
            )
            for _ in range(30):
                assert (await client.answer()).status == 200
            assert (await client.answer()).status == 101
            await client.established()
            for _ in range(2_000):
                assert await client.frame() == (PONG, b"p" * 20)
            await client.expect_alive()

    run(loop, scenario())
    assert counter.most_units <= UNITS


def test_a_client_that_goes_in_the_middle_leaves_nothing(loop: Loop, tmp_path: Path) -> None:
    """With its input half served, of either protocol."""

    async def scenario() -> None:
        async with serving(tmp_path) as inside:
            for flood in (signed.event("c") * 2_000, chunked() + b"1\r\nx\r\n" * 50_000):
                async with wire.opened(inside.address) as client:
                    client.writer.write(flood)
                    await asyncio.sleep(0)
            async with wire.connected(inside.address, KEY) as client:
                client.writer.write(frame(PING, b"p") * 50_000)
                await client.frame()
            await eventually(lambda: not inside.uvicorn.server_state.connections)
            assert not inside.clients.connections
            async with wire.connected(inside.address, KEY) as client:
                await client.expect_alive()

    run(loop, scenario())


def test_requests_that_wait_are_bounded(loop: Loop, tmp_path: Path) -> None:
    """uvicorn reads on after each answer: so many waited as came faster than they were answered."""

    async def scenario() -> None:
        async with serving(tmp_path) as inside, wire.opened(inside.address) as client:
            await client.send(wire.request("/up"))
            await client.answer()
            (protocol,) = inside.uvicorn.server_state.connections
            assert isinstance(protocol, HttpProtocol)
            some = UNITS // (REQUEST_UNITS + 1)
            most = sent = 0
            while sent < 50 * some:
                if protocol.transport.is_reading():
                    protocol.data_received(wire.request("/up") * some)
                    sent += some
                most = max(most, len(protocol.pipeline))
                await asyncio.sleep(0)
            for _ in range(sent):
                assert (await client.answer()).status == 200
            assert 0 < most <= PARSED_AHEAD

    run(loop, scenario())
