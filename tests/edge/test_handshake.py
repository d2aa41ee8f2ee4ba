"""The way from an HTTP request to a WebSocket, and everything that is no such way."""

import base64
import hashlib
import json

import pytest

from tests.edge.conftest import Bystander
from tests.support import signed, wire
from tests.support.frames import TEXT
from tests.support.inprocess import KEY
from tests.support.wire import QUERY, Address

APP = f"/app/{KEY}{QUERY}"


async def test_a_good_handshake_answers_the_nonce_and_establishes(address: Address) -> None:
    """RFC 6455 §4.2.2; nothing but the frame of the protocol comes behind it."""
    nonce = base64.b64encode(b"0123456789abcdef").decode()
    async with wire.opened(address) as client:
        answer = await client.handshake(APP, Sec_WebSocket_Key=nonce)
        digest = hashlib.sha1(nonce.encode() + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        assert answer.headers["sec-websocket-accept"] == base64.b64encode(digest).decode()
        assert answer.headers["upgrade"].lower() == "websocket"
        assert answer.headers["connection"].lower() == "upgrade"
        await client.established()
        await client.expect_alive()


@pytest.mark.parametrize("target", [f"/app/{KEY}/", f"/app/{KEY}/{QUERY}", f"/app/{KEY}"])
async def test_trailing_slash_and_missing_query(address: Address, target: str) -> None:
    """`/app/KEY/` is `/app/KEY`; no parameter is required."""
    async with wire.opened(address) as client:
        await client.handshake(target)
        await client.established()


@pytest.mark.parametrize(
    "changes",
    [
        {"Connection": "keep-alive, Upgrade"},
        {"Connection": "upgrade"},
        {"Upgrade": "WebSocket"},
        {"Cookie": "x" * 16_000},
        {"X-Forwarded-For": "not, an address, at all"},
        {"X-Forwarded-Proto": "\xff"},
        {"Sec-WebSocket-Extensions": "\xff;;;,"},
    ],
    ids=lambda changes: next(iter(changes.values()))[:20],
)
async def test_ways_in_which_browsers_and_proxies_differ(
    address: Address, changes: dict[str, str]
) -> None:
    """Case, tokens beside ours and headers that mean nothing to us change nothing."""
    async with wire.opened(address) as client:
        await client.handshake(APP, **changes)
        await client.established()


@pytest.mark.parametrize(
    ("offered", "selected"),
    [
        ("pusher-channels-protocol-7", "pusher-channels-protocol-7"),
        ("chat, pusher-channels-protocol-7", "pusher-channels-protocol-7"),
        ("chat", None),
        ("", None),
    ],
)
async def test_subprotocol(address: Address, offered: str, selected: str | None) -> None:
    """Swift's is echoed; of others none is selected (docs/protocol/connection.md#subprotocol)."""
    async with wire.opened(address) as client:
        answer = await client.handshake(APP, Sec_WebSocket_Protocol=offered)
        assert answer.headers.get("sec-websocket-protocol") == selected
        await client.established()


async def test_compression_is_offered_and_not_taken(address: Address) -> None:
    """A server need not take an extension; then its bit is an error in a frame."""
    async with wire.opened(address) as client:
        answer = await client.handshake(
            APP, Sec_WebSocket_Extensions="permessage-deflate; client_max_window_bits"
        )
        assert "sec-websocket-extensions" not in answer.headers
        await client.established()
        await client.send(wire.frame(TEXT, b"{}", reserved=4))
        await client.expect_close(1002)


async def test_bytes_behind_the_upgrade_in_one_segment(address: Address) -> None:
    """A client that does not wait for the 101 loses nothing, and the order holds."""
    async with wire.opened(address) as client:
        await client.send(
            wire.upgrade(APP), wire.subscribe("early"), wire.message("pusher:ping", data={})
        )
        assert (await client.answer()).status == 101
        await client.established()
        await client.expect("pusher_internal:subscription_succeeded")
        await client.expect("pusher:pong")


async def test_an_upgrade_in_single_bytes(address: Address) -> None:
    """Segments say nothing about where anything begins."""
    async with wire.opened(address) as client:
        for byte in wire.upgrade(APP) + wire.message("pusher:ping", data={}):
            await client.send(bytes([byte]))
        assert (await client.answer()).status == 101
        await client.established()
        await client.expect("pusher:pong")


async def test_an_upgrade_on_a_connection_that_served_requests(address: Address) -> None:
    """Keep-alive and upgrade go together when the answers are out."""
    async with wire.opened(address) as client:
        assert (await client.ask("/up")).status == 200
        assert (await client.ask("/nowhere")).status == 404
        await client.handshake(APP)
        await client.established()
        await client.expect_alive()


async def test_an_upgrade_pipelined_behind_a_request_is_refused(
    address: Address, bystander: Bystander
) -> None:
    """The answer to the first could not be told from frames: behind it 400, and the end."""
    async with wire.opened(address) as client:
        await client.send(wire.request("/up"), wire.upgrade(APP), wire.subscribe("early"))
        assert (await client.answer()).status == 200
        answer = await client.answer()
        assert answer.status == 400
        assert "pipelined" in answer.text
        await client.expect_end()


@pytest.mark.parametrize(
    ("broken", "status"),
    [
        (wire.upgrade(APP, method="POST"), 405),
        (wire.upgrade(APP, method="PUT", Content_Length="3") + b"abc", 405),
        (wire.upgrade(APP, Sec_WebSocket_Version="8"), 426),
        (wire.upgrade(APP, Sec_WebSocket_Version="13, 8"), 400),
        (wire.upgrade(APP, without=("Sec-WebSocket-Version",)), 400),
        (wire.upgrade(APP, without=("Sec-WebSocket-Key",)), 400),
        (wire.upgrade(APP, Sec_WebSocket_Key=""), 400),
        (wire.upgrade(APP, Sec_WebSocket_Key="dG9vIHNob3J0"), 400),
        (wire.upgrade(APP, Sec_WebSocket_Key="not base64, not at all!!"), 400),
        (wire.upgrade(APP, Sec_WebSocket_Key="\xe9" * 24), 400),
    ],
    ids=[
        "post", "put with body", "version 8", "versions", "no version", "no key", "empty key",
        "short key", "no base64", "latin-1",
    ],
)  # fmt: skip
async def test_no_websocket_handshake(
    address: Address, bystander: Bystander, broken: bytes, status: int
) -> None:
    """It did not ask for a WebSocket in a way that has an answer in frames: an HTTP error."""
    async with wire.opened(address) as client:
        await client.send(broken)
        answer = await client.answer()
        # 426 names the version that is spoken (RFC 6455 §4.4).
        assert answer.status == status or (answer.status, status) == (400, 426), answer
        assert len(answer.text) > 10
        await client.expect_end()


@pytest.mark.parametrize(
    "target",
    [
        "/", "/app", "/app/", "/apps/3/events", f"/other/{KEY}", f"//app/{KEY}", f"/app/{KEY}/more",
        "/app//", "//[", "//[/app/x", f"http://[/app/{KEY}", f"/app/%2f{KEY}/x",
    ],
)  # fmt: skip
async def test_an_unknown_path_is_4005(address: Address, bystander: Bystander, target: str) -> None:
    """As a frame and a close code: an HTTP 404 would be an endless silent retry (trap 6)."""
    async with wire.opened(address) as client:
        await client.handshake(target)
        text = await client.expect_refusal(4005)
        assert text.startswith("Path not found")
        path = target.rstrip("/").removeprefix("http://")
        assert ("double slash" in text) == ("//" in path)


@pytest.mark.parametrize("key", ["unknown", "%00", "%ff%fe", "%ED%A0%80", "x" * 8_000, "%22%7D%0A"])
async def test_an_unknown_key_is_4001(address: Address, bystander: Bystander, key: str) -> None:
    """Whatever the text is, it comes back in a frame that every client can read."""
    async with wire.opened(address) as client:
        await client.handshake(f"/app/{key}{QUERY}")
        assert "not in this cluster" in await client.expect_refusal(4001)


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("?protocol=seven", 4006),
        ("?protocol=%FF", 4006),
        ("?protocol=7.0", 4006),
        ("?protocol=-1", 4007),
        ("?protocol=4", 4007),
        (f"?protocol={'9' * 5_000}", 4007),
    ],
    ids=["word", "bytes", "float", "negative", "old", "5000 digits"],
)
async def test_a_wrong_protocol_version(address: Address, query: str, code: int) -> None:
    """4006 when it is no integer, 4007 when it is one that nobody speaks."""
    async with wire.opened(address) as client:
        await client.handshake(f"/app/{KEY}{query}")
        await client.expect_refusal(code)


async def test_absolute_form_of_an_upgrade(address: Address) -> None:
    """A proxy may write the target with scheme and host (RFC 9112 §3.2.2)."""
    async with wire.opened(address) as client:
        await client.handshake(f"http://localhost{APP}")
        await client.established()


async def test_a_plain_get_of_the_websocket_path_is_426(address: Address) -> None:
    """Somebody looks at it with a browser, or a proxy drops the upgrade; the connection is kept."""
    async with wire.opened(address) as client:
        assert (await client.ask(APP)).status == 426
        assert (await client.ask("/up")).status == 200


async def test_an_offer_of_http_2_is_ignored_for_good(
    address: Address, bystander: Bystander
) -> None:
    """Java's HttpClient and curl offer h2c with every request and reuse the connection."""
    offer = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAMAAAB"}
    body = json.dumps({"name": "e", "channel": "c", "data": "{}"}).encode()
    async with wire.opened(address) as client:
        for _ in range(3):
            assert (await client.ask("/up", **offer)).status == 200
            await client.send(signed.post(body, **offer))
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"{}")
        await client.send(wire.request("/up", **offer), wire.request("/ping"))
        assert (await client.answer()).text == '{"health":"OK"}'
        assert (await client.answer()).text == "Pong!"
        await client.handshake(APP)
        await client.established()


@pytest.mark.parametrize(
    "lines",
    [
        b"Connection: Upgrade\r\nConnection: keep-alive\r\nUpgrade: websocket\r\n",
        b"Connection: keep-alive\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n",
        b"Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n",
        b"Connection: Upgrade\r\nUpgrade: h2c\r\nUpgrade: WebSocket\r\n",
    ],
)
async def test_headers_in_several_lines_or_lists(address: Address, lines: bytes) -> None:
    """Both headers are lists, and a list may be written in several lines (RFC 9110 §5.3)."""
    async with wire.opened(address) as client:
        plain = wire.upgrade(APP, without=("Connection", "Upgrade"))
        await client.send(plain[:-2] + lines + b"\r\n")
        assert (await client.answer()).status == 101
        await client.established()
