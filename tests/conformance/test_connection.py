"""Rows C1-C8, C11: opening, refusing, staying alive, closing (docs/protocol/connection.md)."""

import asyncio
import re
import time

import pytest

from tests.conformance.api import Api
from tests.conformance.client import Client, connected, opened, unique
from tests.conformance.raw_socket import next_message, raw_connected
from tests.conformance.target import (
    PONG_TIMEOUT,
    QUICK_ACTIVITY_TIMEOUT,
    Credentials,
    Target,
)
from tests.support.frames import PING, PONG, TEXT
from tests.support.serving import RunningServer
from tests.support.waiting import PATIENCE, eventually
from tests.support.wire import Wire, frame

#: Silence after which a connection must have been called dead, and one sweep more.
LIVENESS_ROUND = QUICK_ACTIVITY_TIMEOUT + PONG_TIMEOUT + 1.0

#: Connections that certainly reach each of two processes.
PROBES = 8


async def expect_rejection(client: Client, code: int) -> None:
    """The error frame for .NET and the close code for Java and Swift: always both."""
    frame = await client.expect_error(code)
    closed_with, reason = await client.expect_close()
    assert closed_with == code
    assert reason
    assert frame.data["message"].startswith(reason)


async def test_C1_first_frame_is_connection_established(target: Target) -> None:
    """The first frame is connection_established with a socket_id and an activity timeout."""
    async with opened(target, target.main) as client:
        frame = await client.expect_established()
        assert isinstance(frame.data, str)
        assert re.fullmatch(r"\d{1,10}\.\d{1,10}", client.socket_id)
        assert client.activity_timeout > 0
        assert isinstance(client.activity_timeout, int)


async def test_C1_socket_ids_differ(target: Target) -> None:
    """Every connection has a socket_id of its own."""
    async with connected(target) as one, connected(target) as other:
        assert one.socket_id != other.socket_id


async def test_C1_trailing_slash_is_tolerated(target: Target) -> None:
    """/app/KEY/ is /app/KEY."""
    async with connected(target, path=f"/app/{target.main.key}/") as client:
        await client.expect_nothing()


async def test_C2_unknown_key_is_refused_with_4001(target: Target) -> None:
    """An unknown key is accepted with 101, told 4001 in a frame, and closed with 4001."""
    async with opened(target, Credentials("0", "no-such-key", "x")) as client:
        await expect_rejection(client, 4001)


async def test_C2_unknown_path_is_refused_with_4005(target: Target) -> None:
    """An upgrade on a path that is none of ours is told 4005 and closed with it."""
    target.require_own_config()
    async with opened(target, target.main, path="/nothing/here") as client:
        await expect_rejection(client, 4005)


async def test_C3_disabled_app_is_refused_with_4003(target: Target) -> None:
    """A disabled app is refused with frame and close 4003."""
    async with opened(target, target.app("disabled")) as client:
        await expect_rejection(client, 4003)


async def test_C3_full_app_is_refused_with_4100(target: Target) -> None:
    """An app at its connection quota is refused with frame and close 4100; room is given back."""
    app = target.app("full")

    async def admitted() -> bool:
        async with opened(target, app) as client:
            return (await client.receive()).event == "pusher:connection_established"

    async def refused() -> bool:
        return not any([await admitted() for _ in range(PROBES)])

    async with connected(target, app):
        if target.is_cluster:
            await eventually(refused)  # other processes hear of the first one within half a second
        async with opened(target, app) as second:
            await expect_rejection(second, 4100)
    await eventually(admitted)


@pytest.mark.parametrize("origin", ["https://evil.test", "https://example.com.evil.test", None])
async def test_C3_bad_origin_is_refused_with_4009(target: Target, origin: str | None) -> None:
    """An Origin off the app's list, or none at all, is refused with frame and close 4009."""
    async with opened(target, target.app("origins"), origin=origin) as client:
        await expect_rejection(client, 4009)


@pytest.mark.parametrize("origin", ["https://shop.example.com", "http://app.test:8080"])
async def test_C3_good_origin_is_admitted(target: Target, origin: str) -> None:
    """An Origin is compared by host with the app's hosts and globs."""
    async with connected(target, target.app("origins"), origin=origin) as client:
        await client.expect_nothing()


async def test_C3_tls_only_app_is_refused_on_plain_ws(target: Target) -> None:
    """A TLS-only app refuses plain ws with 4000, so that pusher-js switches."""
    async with opened(target, target.app("tls_only")) as client:
        await expect_rejection(client, 4000)


@pytest.mark.parametrize("query", ["protocol=5&client=java", "", "protocol=6&x=1&flash=true"])
async def test_C4_older_protocol_is_admitted(target: Target, query: str) -> None:
    """protocol=5 (Java, .NET), 6, none at all, and unknown parameters are fine."""
    async with connected(target, query=query) as client:
        await client.expect_nothing()


@pytest.mark.parametrize(("protocol", "code"), [("99", 4007), ("abc", 4006)])
async def test_C4_bad_protocol_is_refused(target: Target, protocol: str, code: int) -> None:
    """protocol=99 is refused with 4007, protocol=abc with 4006."""
    async with opened(target, target.main, query=f"protocol={protocol}") as client:
        await expect_rejection(client, code)


async def test_C5_pusher_subprotocol_is_echoed(target: Target) -> None:
    """The subprotocol that Swift offers, pusher-channels-protocol-7, is echoed."""
    offered = ["other", "pusher-channels-protocol-7"]
    async with connected(target, subprotocols=offered) as client:
        assert client.socket.subprotocol == "pusher-channels-protocol-7"


async def test_C5_foreign_subprotocol_is_not_selected(target: Target) -> None:
    """Of other subprotocols none is selected, and the connection works."""
    async with connected(target, subprotocols=["graphql-ws"]) as client:
        assert client.socket.subprotocol is None
        await client.expect_nothing()


async def test_C6_ping_is_answered(target: Target) -> None:
    """pusher:ping is answered with pusher:pong at once."""
    async with connected(target) as client:
        await client.send("pusher:ping", data={})
        frame = await client.expect("pusher:pong", patience=1.0)
        assert frame.data == "{}"


async def test_C6_websocket_ping_is_answered(target: Target) -> None:
    """A WebSocket ping is answered with a WebSocket pong of the same payload."""
    async with raw_connected(target, target.main) as socket:
        await next_message(socket)
        await socket.send(frame(PING, b"there?"))
        assert await socket.frame() == (PONG, b"there?")


async def _answer_pings_for(socket: Wire, seconds: float) -> int:
    pings = 0
    deadline = time.monotonic() + seconds
    while (left := deadline - time.monotonic()) > 0:
        try:
            opcode, payload = await socket.frame(left)
        except TimeoutError:
            break
        assert opcode == PING, (opcode, payload)
        await socket.send(frame(PONG, payload))
        pings += 1
    return pings


async def test_C7_silent_client_answering_ws_pings_stays(target: Target) -> None:
    """A client that says nothing but answers WebSocket pings is kept."""
    async with raw_connected(target, target.app("activity")) as socket:
        await next_message(socket)
        assert await _answer_pings_for(socket, LIVENESS_ROUND + 2) >= 2
        await socket.send(frame(TEXT, b'{"event":"pusher:ping","data":{}}'))
        assert (await next_message(socket)).event == "pusher:pong"


async def test_C7_client_not_answering_ws_pings_is_closed_with_4201(target: Target) -> None:
    """A client that answers no WebSocket ping gets error and close 4201 after the pong timeout."""
    async with raw_connected(target, target.app("activity")) as socket:
        await next_message(socket)
        started = time.monotonic()
        frame = await next_message(socket, LIVENESS_ROUND + PATIENCE)
        assert frame.event == "pusher:error"
        assert frame.data["code"] == 4201
        await socket.expect_close(4201)
        assert time.monotonic() - started >= QUICK_ACTIVITY_TIMEOUT + PONG_TIMEOUT - 0.3


async def test_C8_client_that_only_receives_stays(target: Target, api: Api) -> None:
    """A client on a busy channel, which never sends a message, is kept (5 x activity_timeout)."""
    app = target.app("activity")
    publisher = Api(target, app, api.http)
    channel = unique("busy-")
    async with connected(target, app) as client:
        await client.subscribe(channel)
        deadline = time.monotonic() + 5 * QUICK_ACTIVITY_TIMEOUT
        published = 0
        while time.monotonic() < deadline:
            await publisher.publish(channel, data=str(published))
            frame = await client.expect("my-event", channel)
            assert frame.data == str(published)
            published += 1
            await asyncio.sleep(0.1)
        await client.expect_nothing()


async def test_C11_graceful_stop(spare: RunningServer, spare_target: Target) -> None:
    """On a graceful stop established connections get 4200 and new ones 4100."""
    async with connected(spare_target) as one, connected(spare_target) as other:
        spare.terminate()

        async def draining() -> bool:
            return spare.ready_status() != 200

        await eventually(draining)
        async with opened(spare_target, spare_target.main) as late:
            await expect_rejection(late, 4100)
        for client in (one, other):
            assert (await client.receive()).data["code"] == 4200
            assert (await client.expect_close())[0] == 4200
    assert await asyncio.to_thread(spare.stop) == 0
