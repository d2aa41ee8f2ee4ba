"""What the head of a request must have, and must not have too much of."""

from pathlib import Path

import pytest

from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, serving
from tests.support.wire import Address

EVENTS = f"/apps/{APP_ID}/events"
LINE = b"GET /up HTTP/%b\r\n"


@pytest.mark.parametrize(
    ("version", "hosts", "status"),
    [
        (b"1.1", b"Host: x\r\n", 200),
        (b"1.1", b"hOST:x\r\n", 200),
        (b"1.1", b"Host:\r\n", 200),
        (b"1.1", b"", 400),
        (b"1.1", b"X-Host: x\r\nHosts: x\r\n", 400),
        (b"1.1", b"Host: x\r\nHost: x\r\n", 400),
        (b"1.1", b"Host: x\r\nAccept: y\r\nHOST: z\r\n", 400),
        (b"1.0", b"", 200),
        (b"1.0", b"Host: x\r\n", 200),
        (b"1.0", b"Host: x\r\nHost: y\r\n", 400),
    ],
)
async def test_one_host(address: Address, version: bytes, hosts: bytes, status: int) -> None:
    """RFC 9112 §3.2: a proxy in front and we must not take different ones."""
    async with wire.opened(address) as client:
        await client.send(LINE % version, hosts, b"\r\n")
        answer = await client.answer()
        assert answer.status == status
        if status == 400:
            assert answer.text == "A request needs one Host header.\n"
            await client.expect_end()


@pytest.mark.parametrize("hosts", [b"", b"Host: x\r\nHost: x\r\n"])
@pytest.mark.parametrize(
    "start",
    [
        wire.upgrade(f"/app/{KEY}{wire.QUERY}", without=("Host",))[:-2],
        b"GET /up HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n",
        b"POST " + EVENTS.encode() + b" HTTP/1.1\r\nContent-Length: 100000\r\n",
    ],
    ids=["websocket", "an offer", "a body"],
)
async def test_one_host_whatever_is_asked(address: Address, start: bytes, hosts: bytes) -> None:
    """The upgrade, too."""
    async with wire.opened(address) as client:
        await client.send(start, hosts, b"\r\n")
        assert (await client.answer()).status == 400
        await client.expect_end()


async def test_a_repeated_header_of_another_name_is_fine(address: Address) -> None:
    """Cookies and proxies' lists come in several lines."""
    async with wire.opened(address) as client:
        await client.send(LINE % b"1.1", b"Host: x\r\nCookie: a\r\nCookie: b\r\n\r\n")
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("lines", [99, 100])
async def test_a_hundred_header_lines(address: Address, lines: int) -> None:
    """The host is one of them."""
    async with wire.opened(address) as client:
        await client.send(LINE % b"1.1", b"Host: x\r\n", b"a:b\r\n" * lines, b"\r\n")
        answer = await client.answer()
        assert answer.status == (200 if lines == 99 else 431)
        if lines == 100:
            assert "more than 100 header lines" in answer.text
            await client.expect_end()


async def test_the_lines_of_an_upgrade_count(address: Address) -> None:
    """As any others."""
    async with wire.opened(address) as client:
        await client.send(wire.upgrade(f"/app/{KEY}{wire.QUERY}")[:-2], b"a:b\r\n" * 100, b"\r\n")
        assert (await client.answer()).status == 431


async def test_trailers_count(address: Address) -> None:
    """They are headers behind the body."""
    body = b'{"name":"e","channel":"c","data":"{}"}'
    for trailers, status in ((90, 200), (100, 431)):
        async with wire.opened(address) as client:
            target = signed.target("POST", EVENTS, body)
            await client.send(
                wire.request(target, method="POST", Transfer_Encoding="chunked"),
                b"%x\r\n%b\r\n0\r\n" % (len(body), body),
                b"a:b\r\n" * trailers,
                b"\r\n",
            )
            assert (await client.answer()).status == status


@pytest.mark.parametrize("target", ["/", "*", "/up", "/live", "/ready", "/health", "/ping"])
@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_haproxys_default_check(address: Address, target: str, version: str) -> None:
    """`option httpchk` sends `OPTIONS / HTTP/1.0`, without a host."""
    async with wire.opened(address) as client:
        host = b"Host: x\r\n" if version == "1.1" else b""
        await client.send(f"OPTIONS {target} HTTP/{version}\r\n".encode(), host, b"\r\n")
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"")
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize("prefix", ["/app", "/apps", "/app/x", "/up"])
async def test_a_prefix_that_looks_like_a_path_of_ours(tmp_path: Path, prefix: str) -> None:
    """Unprefixed paths stay served, on both sides."""
    async with serving(tmp_path, {"server": {"path_prefix": prefix}}) as inside:
        for start in ("", prefix):
            async with wire.opened(inside.address) as client:
                await client.handshake(f"{start}/app/{KEY}{wire.QUERY}")
                await client.established()
            async with wire.opened(inside.address) as client:
                assert (await client.ask(f"{start}/up")).text == '{"health":"OK"}'
                for signed_path in (EVENTS, prefix + EVENTS):
                    body = b'{"name":"e","channel":"c","data":"{}"}'
                    query = signed.target("POST", signed_path, body).partition("?")[2]
                    await client.send(
                        wire.request(f"{start}{EVENTS}?{query}", method="POST", body=body)
                    )
                    assert (await client.answer()).text == "{}"


@pytest.mark.parametrize("blanks", [" ", "\t", " \t  "])
async def test_blanks_around_values_mean_nothing(address: Address, blanks: str) -> None:
    """RFC 9110 §5.5: they are not part of the value, in front of it or behind."""
    key, version = "AAAAAAAAAAAAAAAAAAAAAA==", "13"
    async with wire.opened(address) as client:
        await client.send(
            wire.upgrade(
                f"/app/{KEY}{wire.QUERY}",
                Upgrade=f"{blanks}websocket{blanks}",
                Sec_WebSocket_Key=f"{blanks}{key}{blanks}",
                Sec_WebSocket_Version=f"{blanks}{version}{blanks}",
            )
        )
        assert (await client.answer(head_only=True)).status == 101
    async with wire.opened(address) as client:
        head = wire.request(
            EVENTS,
            method="POST",
            Content_Length=f"{blanks}5{blanks}",
            Expect=f"{blanks}100-continue{blanks}",
        )
        await client.send(head)
        assert (await client.answer()).status == 100
        await client.send(b"12345", wire.request("/up"))
        assert (await client.answer()).status == 401
        assert (await client.answer()).status == 200
