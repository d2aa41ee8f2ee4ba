"""wss and https on our own listener, and certificates replaced while it serves."""

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme
import uvloop

from tests.support import signed, wire
from tests.support.frames import BINARY
from tests.support.inprocess import APP_ID, KEY, app, serving
from tests.support.processes import (
    TlsServer,
    by_tls,
    reload,
    shown_certificate,
    tls_settings,
    write_certificate,
)
from tests.support.waiting import eventually
from tests.support.wire import QUERY, Address


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the certificate lies."""
    return tmp_path_factory.mktemp("tls")


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[TlsServer]:
    """A process with TLS whose app takes nothing else."""
    write_certificate(folder)
    settings = {"server": {"tls": tls_settings(folder)}, "apps": [app(tls_only=True)]}
    with TlsServer(folder, settings) as running:
        yield running
        assert "Traceback" not in running.log


async def test_an_expired_certificate_is_logged_and_its_successor_ends_that(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """It is served all the same, as some clients do not look."""
    expired = trustme.CA().issue_cert(
        "localhost", not_before=datetime(2020, 1, 1), not_after=datetime(2021, 1, 1)
    )
    write_certificate(tmp_path)
    expired.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    expired.private_key_pem.write_to_path(str(tmp_path / "key.pem"))
    async with serving(tmp_path, {"server": {"tls": tls_settings(tmp_path)}}) as inside:
        await eventually(lambda: "cert.pem has expired on 2021-01-01" in caplog.text)
        async with wire.opened(by_tls(inside.address)) as client:
            assert (await client.ask("/ready")).status == 200
        metric = "pusher_server_certificate_expiry_timestamp_seconds"
        ends = datetime(2021, 1, 1, tzinfo=UTC).timestamp()
        labels = ("server.tls.certificate", "1")
        assert inside.server.collector.read().numbers[metric] == [(labels, ends)]
        caplog.clear()
        write_certificate(tmp_path)
        inside.server.reload()
        inside.server._tick(0.0)
        assert "expired" not in caplog.text
        ((_, renewed),) = inside.server.collector.read().numbers[metric]
        assert renewed > time.time()


@pytest.fixture(params=["asyncio", "process"])
async def secure(
    request: pytest.FixtureRequest, tmp_path: Path, folder: Path, server: TlsServer
) -> object:
    """A TLS server on both event loops."""
    if request.param == "process":
        yield by_tls(Address(port=server.port))
        return
    write_certificate(tmp_path)
    settings = {"server": {"tls": tls_settings(tmp_path)}, "apps": [app(tls_only=True)]}
    async with serving(tmp_path, settings) as inside:
        yield by_tls(inside.address)


async def test_wss_and_https(secure: Address) -> None:
    """A TLS-only app is content, and events of any size come through."""
    async with wire.connected(secure, KEY) as client, wire.opened(secure) as backend:
        await client.join("c")
        for size in (1, 16_384, 100_000):
            await backend.send(signed.event("c", "x" * size))
            assert (await backend.answer()).status == 200
            assert len((await client.expect("my-event"))["data"]) == size
        await client.send(wire.closing(1000))
        await client.expect_close(1000)
        await client.expect_end()


async def test_bytes_behind_the_upgrade(secure: Address) -> None:
    """The transport changes hands inside one record."""
    async with wire.opened(secure) as client:
        await client.send(wire.upgrade(f"/app/{KEY}{QUERY}"), wire.subscribe("early"))
        assert (await client.answer()).status == 101
        await client.established()
        await client.expect("pusher_internal:subscription_succeeded")


async def test_refusals_and_violations_end_the_connection(secure: Address) -> None:
    """TLS has no halves to close: the client's close, or its end, ends it."""
    async with wire.opened(secure) as client:
        await client.handshake("/app/unknown")
        await client.expect_refusal(4001)
    async with wire.connected(secure, KEY) as client:
        await client.send(wire.frame(BINARY, b"x"))
        await client.expect_close(1003)
        await client.expect_end()
    async with wire.opened(secure) as client:
        await client.send(b"nonsense\r\n\r\n")
        assert (await client.answer()).status == 400
        await client.expect_end()


async def test_plain_http_on_the_tls_port(secure: Address) -> None:
    """The client gets nothing, the next one is served."""
    async with wire.opened(Address(secure.host, secure.port)) as client:
        await client.send(wire.request("/up"))
        await client.rest()
    async with wire.opened(secure) as client:
        assert (await client.ask("/up")).status == 200


async def test_old_versions_of_tls_are_refused(secure: Address) -> None:
    """1.2 is the oldest that is spoken."""
    assert secure.tls is not None
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        secure.tls.maximum_version = ssl.TLSVersion.TLSv1_1
    secure.tls.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.raises((ssl.SSLError, ConnectionError)):
        async with wire.opened(secure):
            pass


async def test_plain_ws_to_a_tls_only_app(tmp_path: Path) -> None:
    """4000: pusher-js then comes back by TLS at once."""
    async with (
        serving(tmp_path, {"apps": [app(tls_only=True)]}) as inside,
        wire.opened(inside.address) as client,
    ):
        await client.handshake(f"/app/{KEY}{QUERY}")
        assert "wss://" in await client.expect_refusal(4000)


async def test_a_new_certificate_on_sighup_disturbs_nobody(server: TlsServer, folder: Path) -> None:
    """New handshakes see it, standing connections go on."""
    address = by_tls(Address(port=server.port))
    async with wire.connected(address, KEY) as client:
        await client.join("c")
        before = shown_certificate(address)
        write_certificate(folder)
        assert shown_certificate(address) == before
        await reload(server)
        now = shown_certificate(address)
        assert now != before
        async with wire.opened(address) as backend:
            await backend.send(signed.event("c"))
            assert (await backend.answer()).status == 200
        await client.expect("my-event")
        await client.expect_alive()


async def test_a_bad_certificate_on_sighup_changes_nothing(server: TlsServer, folder: Path) -> None:
    """One line says what is wrong; the old pair goes on, and a good one is taken afterwards."""
    address = by_tls(Address(port=server.port))
    stranger = trustme.CA().issue_cert("localhost")

    def mismatched() -> None:
        write_certificate(folder, key_of=stranger)

    def garbage() -> None:
        (folder / "cert.pem").write_text("no certificate")

    def gone() -> None:
        (folder / "key.pem").unlink()

    async with wire.connected(address, KEY) as client:
        before = shown_certificate(address)
        for spoil in (mismatched, garbage, gone):
            spoil()
            said = await reload(server, rejected=True)
            assert said.count("\n") == 1, said
            assert "server.tls." in said
            assert "the old settings stay" in said
            for _ in range(2):
                assert shown_certificate(address) == before
        write_certificate(folder)
        await reload(server)
        assert shown_certificate(address) != before
        await client.expect_alive()


async def test_who_was_refused_cannot_fill_the_memory(tmp_path: Path) -> None:
    """For a moment we still look for its close frame, and for nothing larger."""
    write_certificate(tmp_path)
    async with (
        serving(tmp_path, {"server": {"tls": tls_settings(tmp_path)}}) as inside,
        wire.opened(by_tls(inside.address)) as client,
    ):
        await client.handshake("/app/unknown")
        await client.expect_error(4001)
        (connection,) = inside.clients.connections
        assert connection._reader is not None
        await client.send(b"\x81\xff" + (2**40).to_bytes(8) + b"mask" + bytes(1_000))
        await eventually(lambda: connection._reader is None)


#: A ClientHello of 512 bytes whose rest never comes.
HALF_HELLO = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_a_handshake_takes_no_longer_than_a_request(tmp_path: Path, loop: str) -> None:
    """Whoever says nothing, little by little, or half a ClientHello, is cut, and others are served."""
    write_certificate(tmp_path)
    settings = {
        "server": {"loop": loop, "tls": tls_settings(tmp_path)},
        "http": {"header_timeout": 1.0},
        "apps": [app()],
    }
    with TlsServer(tmp_path, settings) as server:
        plain = Address(port=server.port)
        async with AsyncExitStack() as stack:
            silent, half, slow = [
                await stack.enter_async_context(wire.opened(plain)) for _ in range(3)
            ]
            began = time.monotonic()
            await half.send(HALF_HELLO)
            trickling = asyncio.create_task(_trickle(slow))
            async with wire.connected(by_tls(plain), KEY) as client:
                for each in (silent, half, slow):
                    assert await each.rest(patience=4.0) == b""
                    assert time.monotonic() - began > 0.9
                await client.expect_alive()
            trickling.cancel()
        assert "Traceback" not in server.log


async def _trickle(client: wire.Wire) -> None:
    """A ClientHello, three bytes a second."""
    for byte in HALF_HELLO * 10:
        await client.send(bytes([byte]))
        await asyncio.sleep(0.3)


def open_files(server: TlsServer) -> int:
    """Of its process."""
    return len(os.listdir(f"/proc/{server.pid}/fd"))


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_handshakes_that_fail_leave_nothing_behind(tmp_path: Path, loop: str) -> None:
    """No file stays open, and a hundred strangers' mistakes make one line."""
    write_certificate(tmp_path)
    settings = {"server": {"loop": loop, "tls": tls_settings(tmp_path)}, "apps": [app()]}
    with TlsServer(tmp_path, settings) as server:
        plain = Address(port=server.port)
        async with wire.connected(by_tls(plain), KEY):
            pass
        before, log = open_files(server), server.log
        for mistake in (b"GET / HTTP/1.1\r\n\r\n", HALF_HELLO, b"", bytes(600)):
            for _ in range(25):
                async with wire.opened(plain) as client:
                    await client.send(mistake)
        await eventually(lambda: open_files(server) <= before)
        assert server.log.startswith(log)
        assert server.log[len(log) :].count("WARNING") == 1  # plain HTTP, once a minute
        assert "ERROR" not in server.log[len(log) :]


async def test_a_large_body_that_nobody_needs(secure: Address) -> None:
    """TLS has no half-close here, so the connection ends after the answer was there to be read for a while."""
    async with wire.opened(secure) as client:
        head = wire.request(f"/apps/{APP_ID}/events", method="POST", Content_Length="10485760")
        await client.send(head, b"x" * 500_000)
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (401, "close")
        await client.expect_end()


@pytest.mark.parametrize("reason", ["headers", "address"])
async def test_a_body_behind_a_refused_head_is_no_reset(tmp_path: Path, reason: str) -> None:
    """TLS has no halves, but what still comes is dropped for a while: most clients send before they read."""
    write_certificate(tmp_path)
    own: dict[str, object] = {"tls": tls_settings(tmp_path)}
    if reason == "address":
        own["connection_attempts_per_address"] = 0.1
    async with serving(tmp_path, {"apps": [app()], "server": own}) as inside:
        address = by_tls(inside.address)
        async with wire.opened(address):
            pass
        async with wire.opened(address) as client:
            lines = {f"X-{i}": "y" for i in range(100)} if reason == "headers" else {}
            size = 500_000
            await client.send(
                wire.request(
                    f"/apps/{APP_ID}/events", method="POST", Content_Length=str(size), **lines
                )
            )
            status = 431 if reason == "headers" else 429
            assert (await client.answer()).status == status
            for _ in range(5):
                await client.send(b"x" * (size // 5))
                await asyncio.sleep(0.02)


#: Requests whose answers are the last of their connections, and the last bytes of those.
LAST_ANSWERS = {
    "ping": (wire.request("/ping", Connection="close"), b"Pong!"),
    "channels": (signed.get(f"/apps/{APP_ID}/channels", Connection="close"), b'{"channels":{}}'),
    "event": (signed.post({"name": "n", "channel": "c", "data": "d"}, Connection="close"), b"{}"),
    "HTTP/1.0": (wire.request("/ping", version="1.0"), b"Pong!"),
    "no handshake": (wire.upgrade(f"/app/{KEY}{QUERY}", Sec_WebSocket_Version="8"), b".\n"),
    "no HTTP": (b"\0\0\r\n\r\n", b"Invalid HTTP request received.\n"),
}


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("ending", ["time", "files", *LAST_ANSWERS])
def test_a_connection_ends_though_its_client_does_not_look(
    tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop], ending: str
) -> None:
    """Event loops wait half a minute for a goodbye, and a pool reads nothing until it is used again."""
    request, answer = LAST_ANSWERS.get(ending, (wire.request("/ping"), b"Pong!"))

    def used_once(address: Address) -> ssl.SSLSocket:
        assert address.tls is not None
        plain = socket.create_connection((address.host, address.port))
        client = address.tls.wrap_socket(plain, server_hostname="localhost")
        client.sendall(request)
        received = b""
        while not received.endswith(answer):
            piece = client.recv(10_000)
            assert piece, received
            received += piece
        return client

    async def scenario() -> None:
        write_certificate(tmp_path)
        own = {"server": {"tls": tls_settings(tmp_path)}}
        if ending == "time":
            own["http"] = {"keep_alive": 0.2}
        async with serving(tmp_path, own) as inside:
            client = await asyncio.to_thread(used_once, by_tls(inside.address))
            if ending == "files":
                inside.server._reserve.limit_to(1)
                inside.server._reserve.make_room()
            await eventually(lambda: not inside.uvicorn.server_state.connections)
            client.close()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(scenario())
