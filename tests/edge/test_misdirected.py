"""Clients that speak another protocol than their port, and requests that a proxy has damaged."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pusher_server.signals import RequestRefused, Signal
from tests.edge.listening import Run, listening
from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, SECRET, Inside, serving
from tests.support.processes import by_tls, shown_certificate, tls_settings, write_certificate
from tests.support.waiting import eventually

PROXY_V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 4711 80\r\n"
PROXY_V2 = b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes(12)
REQUEST = b"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n"


def client_hello() -> bytes:
    """What a TLS client sends first."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname="localhost")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


#: Opening -> words of the answer, and of the log line.
FOREIGN = {
    "TLS": (client_hello(), "plain HTTP", "TLS to a port without TLS"),
    "TLS, its first byte": (b"\x16", "plain HTTP", "TLS to a port without TLS"),
    "PROXY v1": (PROXY_V1 + REQUEST, "PROXY protocol", "PROXY protocol"),
    "PROXY v1, unknown": (b"PROXY UNKNOWN\r\n" + REQUEST, "PROXY protocol", "PROXY protocol"),
    "PROXY v2": (PROXY_V2 + REQUEST, "PROXY protocol", "PROXY protocol"),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9), "HTTP/1.1", "HTTP/2 without TLS"),
}


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    """A server in this loop: the test's log has its lines."""
    async with serving(tmp_path) as running:
        yield running


def lines(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [line for line in caplog.messages if words in line]


@pytest.mark.parametrize(("opening", "answered", "logged"), FOREIGN.values(), ids=FOREIGN.keys())
async def test_another_protocol_is_named_in_answer_and_log(
    inside: Inside, caplog: pytest.LogCaptureFixture, opening: bytes, answered: str, logged: str
) -> None:
    for _ in range(3):
        async with wire.opened(inside.address) as client:
            await client.send(opening)
            answer = await client.answer()
            assert answer.status == 400
            assert answered in answer.text
            await client.expect_end()
    assert len(lines(caplog, logged)) == 1  # for all three
    record = next(record for record in caplog.records if logged in record.getMessage())
    assert (record.address, record.port) == ("127.0.0.1", inside.address.port)  # type: ignore[attr-defined]


@pytest.mark.parametrize("opening", [PROXY_V1, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
async def test_another_protocol_is_named_when_it_comes_in_pieces(
    inside: Inside, caplog: pytest.LogCaptureFixture, opening: bytes
) -> None:
    async with wire.opened(inside.address) as client:
        connections: Any = inside.uvicorn.server_state.connections
        await eventually(lambda: connections)
        (protocol,) = connections
        pieces: list[bytes] = []
        take = protocol.data_received
        protocol.data_received = lambda piece: (pieces.append(piece), take(piece))
        for sent, byte in enumerate(opening):
            await client.send(bytes([byte]))
            await eventually(lambda awaited=sent + 1: len(pieces) == awaited)
        assert (await client.answer()).status == 400
        await client.expect_end()
    assert lines(caplog, "PROXY protocol") or lines(caplog, "HTTP/2 without TLS")


async def test_garbage_is_no_protocol(inside: Inside, caplog: pytest.LogCaptureFixture) -> None:
    async with wire.opened(inside.address) as client:
        await client.send(b"G\xffT / HTTP/1.1\r\n\r\n")
        assert (await client.answer()).text == "Invalid HTTP request received.\n"
    assert caplog.messages == []


async def test_the_operations_port_names_another_protocol(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with listening() as (_, address), wire.opened(address) as client:
        await client.send(client_hello())
        assert "plain HTTP" in (await client.answer()).text
    assert len(lines(caplog, "TLS to a port without TLS")) == 1


# A request for a WebSocket without Upgrade

#: Headers with which a proxy hands a handshake on after it has dropped Upgrade.
DROPPED = {
    "nginx by default": {"Connection": "close", "Sec_WebSocket_Key": "dGhlIHNhbXBsZSBub25jZQ=="},
    "Connection alone": {"Connection": "Upgrade", "Sec_WebSocket_Version": "13"},
    "Upgrade alone": {"Upgrade": "websocket", "Sec_WebSocket_Version": "13"},
    "another protocol": {"Upgrade": "h2c", "Connection": "Upgrade"},
    "a browser": {"Accept": "text/html"},
    "with a body": {"Content_Length": "0"},
}


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("headers", DROPPED.values(), ids=DROPPED.keys())
async def test_a_request_without_upgrade_is_426_and_the_log_speaks_of_the_proxy(
    inside: Inside, caplog: pytest.LogCaptureFixture, headers: dict[str, str], method: str
) -> None:
    answers = []
    for key in (KEY, "unknown"):
        async with wire.opened(inside.address) as client:
            await client.send(wire.request(f"/app/{key}?protocol=7", method=method, **headers))
            answers.append(await client.answer(head_only=method == "HEAD"))
    known, unknown = answers
    assert known.status == 426
    assert known.headers["upgrade"] == "websocket"
    assert "proxy" in known.text or method == "HEAD"
    assert (unknown.status, unknown.text, unknown.headers) == (426, known.text, known.headers)
    assert len(lines(caplog, "without Upgrade")) == 1
    assert "/app/" in vars(caplog.records[-1])["path"]
    assert KEY not in caplog.text  # it may be a secret, and no app is looked up


async def test_connection_says_upgrade(inside: Inside) -> None:
    async with wire.opened(inside.address) as client:
        await client.send(wire.request(f"/app/{KEY}"))
        assert (await client.answer()).headers["connection"] == "Upgrade"
        await client.send(wire.request("/ready"))  # and the connection stays
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("prefix", ["/ws", "/app"])
async def test_a_prefix_is_a_clients_path_too(tmp_path: Path, prefix: str) -> None:
    async with serving(tmp_path, {"server": {"path_prefix": prefix}}) as inside:
        for path in (f"/app/{KEY}", f"{prefix}/app/{KEY}", f"{prefix}/app/{KEY}/"):
            async with wire.opened(inside.address) as client:
                assert (await client.ask(path)).status == 426


async def test_post_is_left_alone(inside: Inside, caplog: pytest.LogCaptureFixture) -> None:
    for path in (f"/app/{KEY}", f"/app/{KEY}/send"):
        async with wire.opened(inside.address) as client:
            assert (await client.ask(path, method="POST", Content_Length="0")).status == 404
    assert caplog.messages == []


async def test_the_metric_has_the_reason(tmp_path: Path) -> None:
    async with serving(tmp_path) as inside:
        seen: list[Signal] = []
        inside.node.observe(seen.append, RequestRefused)
        async with wire.opened(inside.address) as client:
            await client.ask(f"/app/{KEY}")
            await client.ask("//ready")
        async with wire.opened(inside.address) as client:
            await client.send(PROXY_V1)
            await client.answer()
    reasons = [signal.reason for signal in seen if isinstance(signal, RequestRefused)]
    assert reasons == ["no_upgrade", "double_slash", "proxy_protocol"]


# A double slash


@pytest.mark.parametrize(
    "path", ["//ready", f"//apps/{APP_ID}/channels", f"/app//{SECRET}", "///x", "/apps//channels"]
)
async def test_a_double_slash_is_named(
    inside: Inside, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    async with wire.opened(inside.address) as client:
        answer = await client.ask(path)
        assert answer.status == 404
        assert "double slash" in answer.text
    assert len(lines(caplog, "double slash")) == len(caplog.messages) == 1
    assert SECRET not in caplog.text


async def test_a_publication_with_a_double_slash_is_named(
    inside: Inside, caplog: pytest.LogCaptureFixture
) -> None:
    async with wire.opened(inside.address) as client:
        await client.send(signed.event("room", "{}").replace(b"/apps/", b"//apps/", 1))
        answer = await client.answer()
        assert (answer.status, "double slash" in answer.text) == (404, True)
    assert len(lines(caplog, "double slash")) == len(caplog.messages) == 1


@pytest.mark.parametrize(
    "path", [f"//app/{SECRET}", f"/app//{KEY}", f"/ws//app/{KEY}", "//[/app/x"]
)
async def test_a_websocket_with_a_double_slash_is_named(
    inside: Inside, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    async with wire.opened(inside.address) as client:
        await client.handshake(f"{path}?protocol=7")
        assert "double slash" in await client.expect_refusal(4005)
    assert len(lines(caplog, "double slash")) == len(caplog.messages) == 1
    assert SECRET not in caplog.text


async def test_two_slashes_at_the_end_or_in_the_query_are_none(
    inside: Inside, caplog: pytest.LogCaptureFixture
) -> None:
    async with wire.opened(inside.address) as client:
        assert (await client.ask("/ready//?from=http://x")).status == 200
        assert (await client.ask("http://localhost/ready")).status == 200
    assert caplog.messages == []


# A port with TLS


@pytest.mark.parametrize("late", [False, True])
def test_plain_http_on_a_tls_port_is_answered(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, late: bool
) -> None:
    """The bytes may be there when the client is accepted, or come later."""

    async def scenario() -> None:
        write_certificate(tmp_path)
        async with serving(tmp_path, {"server": {"tls": tls_settings(tmp_path)}}) as inside:
            for _ in range(2):
                async with wire.opened(inside.address) as client:
                    if late:
                        await eventually(lambda: len(inside.server._reserve.arriving) == 1)
                    await client.send(REQUEST)
                    answer = await client.answer()
                    assert (answer.status, "https://" in answer.text) == (400, True)
                    await client.expect_end()
            async with wire.opened(by_tls(inside.address)) as client:
                assert (await client.ask("/ready")).status == 200

    run(scenario())
    assert len(lines(caplog, "plain HTTP to a port with TLS")) == 1


@pytest.mark.parametrize("header", [PROXY_V1, PROXY_V2])
def test_the_proxy_protocol_on_a_tls_port_is_named(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, header: bytes
) -> None:
    async def scenario() -> None:
        write_certificate(tmp_path)
        async with serving(tmp_path, {"server": {"tls": tls_settings(tmp_path)}}) as inside:
            async with wire.opened(inside.address) as client:
                await client.send(header + client_hello())
                await client.expect_end()
            assert not inside.server._reserve.arriving

    run(scenario())
    assert len(lines(caplog, "PROXY protocol")) == 1


def test_a_client_that_does_not_trust_the_certificate_is_named(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        write_certificate(tmp_path)
        async with serving(tmp_path, {"server": {"tls": tls_settings(tmp_path)}}) as inside:
            # In a thread, because asyncio's client sends no alert.
            with pytest.raises(ssl.SSLCertVerificationError):
                await asyncio.to_thread(
                    shown_certificate, replace(inside.address, tls=ssl.create_default_context())
                )
            await eventually(lambda: lines(caplog, "does not accept our certificate"))

    run(scenario())


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_a_client_without_a_modern_version_of_tls_is_named(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        write_certificate(tmp_path)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        async with serving(tmp_path, {"server": {"tls": tls_settings(tmp_path)}}) as inside:
            seen: list[Signal] = []
            inside.node.observe(seen.append, RequestRefused)
            # Event loops close a socket whose handshake has failed without the alert.
            with pytest.raises(ConnectionResetError):
                async with wire.opened(replace(inside.address, tls=old)):
                    raise AssertionError("the handshake cannot succeed")
            await eventually(lambda: lines(caplog, "needs TLS 1.2 or newer"))
            assert seen == [RequestRefused(app_id="", reason="old_tls")]
            await eventually(lambda: not inside.server._reserve.arriving)

    run(scenario())


def test_a_silent_client_of_a_tls_port_is_ended(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        write_certificate(tmp_path)
        settings = {
            "server": {"tls": tls_settings(tmp_path)},
            "http": {"header_timeout": 0.05},
        }
        async with serving(tmp_path, settings) as inside, wire.opened(inside.address) as client:
            await client.expect_end()
            await eventually(lambda: not inside.server._reserve.arriving)

    run(scenario())
