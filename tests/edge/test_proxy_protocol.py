"""The PROXY protocol on the wire: whose address counts, TLS inside and outside, proxies without a header."""

from pathlib import Path
from typing import Any

import pytest

from pusher_server.signals import RequestRefused, Signal
from tests.edge.listening import Run
from tests.support import wire
from tests.support.inprocess import KEY, Inside, app, serving
from tests.support.processes import by_tls, tls_settings, write_certificate
from tests.support.waiting import eventually
from tests.support.wire import QUERY, Address, Wire
from tests.unit.server.test_proxy_protocol import TLS, V4, V6, v2

V1 = b"PROXY TCP4 203.0.113.7 192.0.2.2 4711 443\r\n"
LOCAL = v2(b"", family=0, command=0x20)
TARGET = f"/app/{KEY}{QUERY}"


def settings(**server: Any) -> dict[str, Any]:
    """A server whose proxies, this machine, send the header."""
    return {"server": {"trusted_proxies": ["127.0.0.1"], "proxy_protocol": True, **server}}


async def greeted(client: Wire, *headers: bytes) -> None:
    """A WebSocket behind a header."""
    await client.send(*headers, wire.upgrade(TARGET))
    assert (await client.answer()).status == 101
    await client.established()


def remote(inside: Inside) -> str:
    """The address of the only connection."""
    (connection,) = inside.clients.connections
    return str(connection.remote)


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (V1, "203.0.113.7"),
        (v2(V4), "203.0.113.7"),
        (v2(V6, family=0x21), "2001:db8::7"),
        (LOCAL, "127.0.0.1"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
    ],
    ids=["v1", "v2", "v2 of IPv6", "local", "unknown"],
)
def test_the_client_is_the_one_that_the_header_names(
    run: Run, tmp_path: Path, header: bytes, address: str
) -> None:
    async def scenario() -> None:
        async with serving(tmp_path, settings()) as inside:
            async with wire.opened(inside.address) as client:
                await greeted(client, header)
                assert remote(inside) == address
                await client.expect_alive()
            async with wire.opened(inside.address) as backend:
                await backend.send(header, wire.request("/ready"), wire.request("/ready"))
                assert [(await backend.answer()).status for _ in range(2)] == [200, 200]

    run(scenario())


@pytest.mark.parametrize("header", [V1, v2(V4 + TLS)], ids=["v1", "v2"])
def test_a_header_may_come_byte_by_byte(run: Run, tmp_path: Path, header: bytes) -> None:
    async def scenario() -> None:
        async with serving(tmp_path, settings()) as inside, wire.opened(inside.address) as client:
            for byte in header[:-1]:
                await client.send(bytes([byte]))
            await eventually(lambda: len(inside.server._reserve.arriving) == 1)
            await greeted(client, header[-1:])
            assert remote(inside) == "203.0.113.7"

    run(scenario())


def test_tls_may_follow_the_header(run: Run, tmp_path: Path) -> None:
    """As behind a proxy that passes TLS through."""

    async def scenario() -> None:
        write_certificate(tmp_path)
        tree = settings(tls=tls_settings(tmp_path))
        async with serving(tmp_path, tree) as inside:
            plain = Address(inside.address.host, inside.address.port)
            context = by_tls(plain).tls
            assert context is not None
            async with wire.opened(plain) as client:
                await client.send(v2(V4))
                await client.writer.start_tls(context, server_hostname="localhost")
                await greeted(client)
                assert remote(inside) == "203.0.113.7"

    run(scenario())


@pytest.mark.parametrize(
    ("header", "accepted"), [(v2(V4 + TLS), True), (v2(V4), False), (V1, False)]
)
async def test_a_proxy_may_say_that_the_client_came_by_tls(
    tmp_path: Path, header: bytes, accepted: bool
) -> None:
    tree = {**settings(), "apps": [app(tls_only=True)]}
    async with serving(tmp_path, tree) as inside, wire.opened(inside.address) as client:
        await client.send(header)
        await client.handshake(TARGET)
        if accepted:
            await client.established()
        else:
            assert "wss://" in await client.expect_refusal(4000)


async def test_a_client_behind_the_header_is_trusted_with_nothing(tmp_path: Path) -> None:
    """It is a stranger, so what it says of itself does not count."""
    tree = {**settings(), "apps": [app(tls_only=True)]}
    async with serving(tmp_path, tree) as inside, wire.opened(inside.address) as client:
        await client.send(V1)
        await client.handshake(TARGET, X_Forwarded_Proto="https", X_Forwarded_For="198.51.100.1")
        assert "wss://" in await client.expect_refusal(4000)


async def test_a_proxy_in_front_of_the_proxy_is_believed(tmp_path: Path) -> None:
    """Its address comes in the header, and the client's in X-Forwarded-For."""
    tree = settings(trusted_proxies=["127.0.0.1", "203.0.113.7"])
    async with serving(tmp_path, tree) as inside, wire.opened(inside.address) as client:
        await client.send(V1)
        await client.handshake(TARGET, X_Forwarded_For="198.51.100.1")
        await client.established()
        assert remote(inside) == "198.51.100.1"


@pytest.mark.parametrize(
    "opening",
    [wire.request("/ready"), b"\x16\x03\x01" + bytes(200), v2(V4[:5]), b"PROXY TCP9 1 2 3 4\r\n"],
    ids=["HTTP", "TLS", "a header that is cut", "a header of nobody"],
)
def test_a_proxy_without_a_right_header_is_refused_and_named(
    run: Run, tmp_path: Path, caplog: pytest.LogCaptureFixture, opening: bytes
) -> None:
    async def scenario() -> None:
        async with serving(tmp_path, settings()) as inside:
            seen: list[Signal] = []
            inside.node.observe(seen.append, RequestRefused)
            for _ in range(2):
                async with wire.opened(inside.address) as client:
                    await client.send(opening)
                    answer = await client.answer()
                    assert (answer.status, "PROXY header" in answer.text) == (400, True)
                    await client.expect_end()
            reasons = [signal.reason for signal in seen if isinstance(signal, RequestRefused)]
            assert reasons == ["no_proxy_header"] * 2
            assert not inside.server._reserve.arriving

    run(scenario())
    (line,) = [line for line in caplog.messages if "without a PROXY header" in line]
    assert "server.proxy_protocol = false" in line


def test_a_proxy_that_says_nothing_is_ended(run: Run, tmp_path: Path) -> None:
    async def scenario() -> None:
        tree = {**settings(), "http": {"header_timeout": 0.05}}
        async with serving(tmp_path, tree) as inside:
            for opening in (b"", V1[:9]):
                async with wire.opened(inside.address) as client:
                    await client.send(opening)
                    await client.expect_end()
            await eventually(lambda: not inside.server._reserve.arriving)

    run(scenario())


async def test_a_stranger_sends_none_and_may_not(tmp_path: Path) -> None:
    """Only a trusted proxy's word counts; others are served as they are."""
    tree = settings(trusted_proxies=["10.0.0.1"])
    async with serving(tmp_path, tree) as inside:
        async with wire.opened(inside.address) as client:
            assert (await client.ask("/ready")).status == 200
        async with wire.opened(inside.address) as client:
            await client.send(V1, wire.request("/ready"))
            answer = await client.answer()
            assert (answer.status, "server.proxy_protocol" in answer.text) == (400, True)


async def test_limits_by_address_count_the_client(tmp_path: Path) -> None:
    tree = settings(connections_per_address=1)
    async with serving(tmp_path, tree) as inside, wire.opened(inside.address) as first:
        await greeted(first, V1)
        async with wire.opened(inside.address) as second:
            await second.send(V1)
            await second.handshake(TARGET)
            await second.expect_refusal(4100)
        async with wire.opened(inside.address) as other:
            await greeted(other, v2(V6, family=0x21))
