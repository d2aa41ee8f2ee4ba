"""Wrong set-ups between a client and the server, each with the sentence that `doctor` has for it."""

import asyncio
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme
import websockets

from pusher_server.doctor.credentials import Credentials
from tests.edge.doctor_setups import (
    NAME,
    HeadProxy,
    IdleProxy,
    at,
    authorities,
    examined,
    holding,
    http,
    issued,
    replacing,
    server_side,
    site,
    unsure,
    without_upgrade,
    wrong,
)
from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, SECRET, app, serving
from tests.support.link_proxy import LinkProxy
from tests.support.waiting import PATIENCE

AUTHORITY = trustme.CA()
OTHER_KEY = "1234567890abcdef"


async def test_a_proxy_that_drops_upgrade(tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as inside,
        HeadProxy(inside.address.port, without_upgrade) as proxy,
    ):
        results = await examined(at(proxy.port))
    assert wrong(results) == {
        "upgrade_dropped": "The request came to the server without its Upgrade headers: a proxy on the way"
        " drops them (426)."
    }


ANSWERS = {
    "upgrade_redirected": "301 Moved Permanently",
    "upgrade_forbidden": "403 Forbidden",
    "proxy_without_server": "502 Bad Gateway",
    "other_site": "200 OK",
}


@pytest.mark.parametrize("cause", ANSWERS)
async def test_an_answer_that_is_no_upgrade(cause: str, tmp_path: Path) -> None:
    page = http(ANSWERS[cause], "<html>\x1b[2J</html>", Location="https://elsewhere.example/")
    async with (
        serving(tmp_path) as inside,
        site({"/app/": page}, upstream=inside.address.port) as port,
    ):
        results = await examined(at(port))
    assert list(wrong(results)) == [cause]
    assert ANSWERS[cause][:3] in wrong(results)[cause]
    assert "\x1b" not in str(results)


async def test_a_404_of_a_proxy_without_a_rule(tmp_path: Path) -> None:
    async with serving(tmp_path) as inside:
        missing = {"/app/": http("404 Not Found", "<html>nginx</html>")}
        async with site(missing, upstream=inside.address.port) as port:
            assert list(wrong(await examined(at(port)))) == ["other_site"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
        b"",
    ],
    ids=["bare", "without accept", "cut"],
)
async def test_an_upgrade_without_an_answer(answer: bytes, tmp_path: Path) -> None:
    async with (
        serving(tmp_path) as inside,
        site({"/app/": answer}, upstream=inside.address.port) as port,
    ):
        assert list(wrong(await examined(at(port)))) == ["no_answer"]


async def test_a_websocket_server_of_another_protocol() -> None:
    async def greet(connection: websockets.ServerConnection) -> None:
        await connection.send('{"event": 1, "data": ["x"]}')
        await connection.wait_closed()

    async with websockets.serve(greet, "127.0.0.1", 0) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        assert "no_pusher" in wrong(await examined(at(port)))


async def test_a_prefix_too_many(tmp_path: Path) -> None:
    """The signed checks go on with the path that works."""
    async with serving(tmp_path) as inside:
        results = await examined(at(inside.address.port, prefix="/ws"))
    assert wrong(results) == {
        "path_extra": "The server does not know the path /ws/app/…; /app/… works."
    }
    assert "credentials" in holding(results)


async def test_a_path_that_a_proxy_changes(tmp_path: Path) -> None:
    change = replacing(b" /app/", b" /sockets/app/")
    async with serving(tmp_path) as inside, HeadProxy(inside.address.port, change) as proxy:
        results = await examined(at(proxy.port))
    assert wrong(results) == {"path_unknown": "The server does not know the path /app/… (4005)."}


async def test_a_wrong_key(tmp_path: Path) -> None:
    async with serving(tmp_path) as inside:
        results = await examined(
            at(inside.address.port), credentials=Credentials(APP_ID, OTHER_KEY, SECRET)
        )
    assert wrong(results) == {"key_unknown": "The server knows no app with this key."}


async def test_a_backend_whose_server_does_not_have_the_app(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    others = {"apps": [{**app(), "key": OTHER_KEY}]}
    async with serving(tmp_path / "a") as inside, serving(tmp_path / "b", others) as other:
        results = await examined(at(inside.address.port), backend=at(other.address.port))
    assert wrong(results) == {"api_key_unknown": "The API knows no app with this key."}


SWITCHES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    "app_disabled": ({"enabled": False}, {}, "The app is disabled."),
    "tls_required": ({"tls_only": True}, {}, "The app takes TLS only, and the connection came"),
    "origin_refused": (
        {"allowed_origins": ["shop.example"]},
        {"origin": "https://evil.example"},
        "The app does not allow the origin https://evil.example.",
    ),
    "api_refused": (
        {"limits": {"channel_name_length": 5}},
        {},
        "The API answers 400: Channel name is longer than 5 characters",
    ),
}


@pytest.mark.parametrize("cause", SWITCHES)
async def test_a_switch_of_the_app(cause: str, tmp_path: Path) -> None:
    switches, plan, sentence = SWITCHES[cause]
    async with serving(tmp_path, {"apps": [app(**switches)]}) as inside:
        results = await examined(at(inside.address.port), **plan)
    assert sentence in wrong(results)[cause]


async def test_a_proxy_that_does_not_say_that_clients_used_tls(tmp_path: Path) -> None:
    tls = server_side(issued(AUTHORITY, -1, 90))
    settings = {"apps": [app(tls_only=True)]}
    async with (
        serving(tmp_path, settings) as inside,
        HeadProxy(inside.address.port, tls=tls) as proxy,
    ):
        target = at(proxy.port, tls=True, host="localhost")
        results = await examined(target, trusted=authorities(AUTHORITY))
    assert list(wrong(results)) == ["tls_not_forwarded"]


async def test_an_app_that_is_full(tmp_path: Path) -> None:
    settings = {"apps": [app(limits={"connections": 1})]}
    async with serving(tmp_path, settings) as inside, wire.connected(inside.address, KEY):
        results = await examined(at(inside.address.port))
    assert wrong(results) == {}
    assert "answers 4100" in unsure(results)["server_full"]


async def test_an_app_with_origins_and_no_origin(tmp_path: Path) -> None:
    async with serving(tmp_path, {"apps": [app(allowed_origins=["shop.example"])]}) as inside:
        results = await examined(at(inside.address.port))
    assert wrong(results) == {}
    assert list(unsure(results)) == ["origin_missing"]


async def test_a_page_on_https_with_a_plain_connection(tmp_path: Path) -> None:
    async with serving(tmp_path) as inside:
        target = at(inside.address.port, host=NAME)
        results = await examined(target, origin="https://shop.example")
    assert wrong(results) == {"mixed_content": "Browsers do not let a page on https:// open ws://."}


async def test_a_proxy_that_cuts_idle_connections(tmp_path: Path) -> None:
    async with serving(tmp_path) as inside, IdleProxy(inside.address.port, 0.4) as proxy:
        results = await examined(at(proxy.port), is_quick=False, publishes=False, longest=PATIENCE)
    assert list(wrong(results)) == ["idle_short"]
    assert "clients ping only after 120 s" in wrong(results)["idle_short"]


async def test_an_idle_connection_that_the_server_ends(tmp_path: Path) -> None:
    async with serving(tmp_path, {"apps": [app(authorization_timeout=1)]}) as inside:
        results = await examined(
            at(inside.address.port), is_quick=False, publishes=False, longest=PATIENCE
        )
    assert wrong(results) == {}
    assert "with 4009" in unsure(results)["idle_closed"]


class StandIn:
    """A server that lets everybody in and answers a subscription with frames of the test's."""

    def __init__(self, *frames: str) -> None:
        self._frames = frames

    async def serve(self, connection: websockets.ServerConnection) -> None:
        """One client."""
        await connection.send('{"event":"pusher:connection_established","data":"{}"}')
        async for _ in connection:
            for frame in self._frames:
                await connection.send(frame)

    def answer(
        self, connection: websockets.ServerConnection, request: websockets.Request
    ) -> websockets.Response | None:
        """200 to all of HTTP."""
        return None if request.path.startswith("/app/") else connection.respond(200, "{}")


REFUSED = r"""{"event":"pusher:subscription_error","channel":"doctor-0123abcd","data":{"error":"\u001b[2J"}}"""
#: Frames that say nothing about the subscription, and come before the refusal.
BEFORE = {
    "nothing": [],
    "another": ['{"event":"pusher_internal:subscription_succeeded","channel":"another"}'],
    "deep": ["[" * 100_000],
    "garbage": ["\x00 no JSON", "[]", '{"event":["x"],"channel":7,"data":"{"}'],
}


@pytest.mark.parametrize("name", BEFORE)
async def test_a_subscription_that_is_refused(name: str) -> None:
    stand_in = StandIn(*BEFORE[name], REFUSED)
    serving_it = websockets.serve(stand_in.serve, "127.0.0.1", 0, process_request=stand_in.answer)
    async with serving_it as server:
        port = next(iter(server.sockets)).getsockname()[1]
        results = await examined(at(port))
    assert list(wrong(results)) == ["subscription_lost"]
    assert r"was not confirmed: \x1b[2J" in wrong(results)["subscription_lost"]


async def test_a_subscription_that_nobody_answers() -> None:
    stand_in = StandIn()
    serving_it = websockets.serve(stand_in.serve, "127.0.0.1", 0, process_request=stand_in.answer)
    async with serving_it as server:
        port = next(iter(server.sockets)).getsockname()[1]
        results = await examined(at(port), limit=2.0)
    assert "not confirmed: no answer within 2 s" in wrong(results)["subscription_lost"]


async def test_right_set_ups(tmp_path: Path) -> None:
    """None has a ✗, and an event comes back in each."""
    tls = server_side(issued(AUTHORITY, -1, 90))
    forwarded = replacing(b"\r\n", b"\r\nX-Forwarded-Proto: https\r\n")
    settings = {
        "server": {"path_prefix": "/ws", "trusted_proxies": ["127.0.0.1"]},
        "apps": [app(allowed_origins=["*.shop.example"])],
    }
    async with AsyncExitStack() as stack:
        inside = await stack.enter_async_context(serving(tmp_path, settings))
        port = inside.address.port
        link = await stack.enter_async_context(LinkProxy(("127.0.0.1", port)))
        secure = await stack.enter_async_context(HeadProxy(port, forwarded, tls))
        idle = await stack.enter_async_context(IdleProxy(port, 20.0))
        origin = {"origin": "https://app.shop.example"}
        plain = {"origin": "http://app.shop.example"}
        right: dict[str, tuple[Any, dict[str, Any]]] = {
            "plain": (at(port), origin),
            "with the prefix": (at(port, prefix="/ws"), origin),
            "by name": (at(port, host=NAME), plain),
            "behind a proxy": (at(link.port), origin),
            "behind a proxy with the prefix": (at(link.port, prefix="/ws"), origin),
            "TLS": (at(secure.port, tls=True, host="localhost"), origin),
            "TLS with the prefix": (at(secure.port, tls=True, prefix="/ws"), origin),
            "a patient proxy": (at(idle.port), {**origin, "is_quick": False}),
            "two addresses": (at(port), {**origin, "backend": at(link.port)}),
            "two prefixes": (at(port), {**origin, "backend": at(port, prefix="/ws")}),
        }
        for name, (target, plan) in right.items():
            results = await examined(target, trusted=authorities(AUTHORITY), **plan)
            assert wrong(results) == {}, name
            assert "came back in" in holding(results)["publication"], name
            if not plan.get("is_quick", True):
                assert holding(results)["idle limit"].startswith("≥ 0.3 s")


async def test_a_connection_that_our_ping_keeps_alive(tmp_path: Path) -> None:
    """The server pings each second, and the proxy cuts later."""
    apps = [app(activity_timeout=1)]
    async with (
        serving(tmp_path, {"apps": apps}) as inside,
        IdleProxy(inside.address.port, PATIENCE) as proxy,
    ):
        results = await examined(at(proxy.port), is_quick=False, longest=PATIENCE)
    assert wrong(results) == {}
    assert holding(results)["idle limit"].endswith(", kept alive by our ping")


async def test_without_credentials(tmp_path: Path) -> None:
    """The upgrade and the clock are seen; the rest is `?`."""
    async with serving(tmp_path) as inside:
        results = await examined(at(inside.address.port), credentials=Credentials())
    assert wrong(results) == {}
    assert {"upgrade", "path", "clock"} <= set(holding(results))
    assert {"key", "credentials and publication"} <= {
        result.check for result in results if result.mark == "?"
    }


async def test_no_publication(tmp_path: Path) -> None:
    """A subscriber of the channel gets the next event of somebody else, and none of ours."""
    async with serving(tmp_path) as inside, wire.connected(inside.address, KEY) as client:
        await client.join("doctor-0123abcd")
        results = await examined(at(inside.address.port), publishes=False)
        async with wire.opened(inside.address) as backend:
            await backend.send(signed.event("doctor-0123abcd", '"next"'))
            assert (await backend.answer()).status == 200
        assert (await client.expect("my-event"))["data"] == '"next"'
    assert wrong(results) == {}
    assert "publication" not in holding(results)


async def test_a_server_that_is_silent_behind_the_upgrade(tmp_path: Path) -> None:
    async def wait(connection: websockets.ServerConnection) -> None:
        await connection.wait_closed()

    stand_in = StandIn()
    serving_it = websockets.serve(wait, "127.0.0.1", 0, process_request=stand_in.answer)
    async with serving_it as server:
        port = next(iter(server.sockets)).getsockname()[1]
        results = await examined(at(port), limit=2.0)
    assert "the WebSocket opens, and no message comes" in wrong(results)["no_answer"]


async def test_a_server_that_never_stops_to_send() -> None:
    """Then nothing is known about the idle limit; the check ends all the same."""

    async def talk(connection: websockets.ServerConnection) -> None:
        await connection.send('{"event":"pusher:connection_established","data":"{}"}')
        with suppress(websockets.ConnectionClosed):
            while True:
                await connection.send('{"event":"x"}')
                await asyncio.sleep(0.01)

    stand_in = StandIn()
    serving_it = websockets.serve(talk, "127.0.0.1", 0, process_request=stand_in.answer)
    async with serving_it as server:
        port = next(iter(server.sockets)).getsockname()[1]
        results = await examined(at(port), is_quick=False, credentials=Credentials(key="k"))
    (idle,) = [result for result in results if result.check == "idle limit"]
    assert idle.sentence == "Not checked: the server keeps sending."
