"""Behind proxies: whose word counts about a client, the path prefix, CORS, the form of errors."""

import json
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, SECRET, app, serving
from tests.support.signing import signed_query
from tests.support.wire import QUERY

TRUSTED = {"server": {"trusted_proxies": ["127.0.0.0/8", "10.0.0.0/8"]}}
TLS_ONLY = {"apps": [app(tls_only=True)]}


@pytest.mark.parametrize(
    ("settings", "said", "accepted"),
    [
        (TRUSTED, {"X-Forwarded-Proto": "https"}, True),
        (TRUSTED, {"X-Forwarded-Proto": "http"}, False),
        (TRUSTED, {"X-Forwarded-Proto": ""}, False),
        (TRUSTED, {"X-Forwarded-Proto": "\xff"}, False),
        (TRUSTED, {}, False),
        ({}, {"X-Forwarded-Proto": "https"}, False),
        ({"server": {"trusted_proxies": ["10.1.2.3"]}}, {"X-Forwarded-Proto": "https"}, False),
    ],
)
async def test_whether_a_client_came_by_tls(
    tmp_path: Path, settings: dict[str, Any], said: dict[str, str], accepted: bool
) -> None:
    """A TLS-only app takes the word of a trusted proxy; all others get 4000.

    See docs/protocol/connection.md#refusal.
    """
    async with (
        serving(tmp_path, {**settings, **TLS_ONLY}) as inside,
        wire.opened(inside.address) as client,
    ):
        await client.handshake(f"/app/{KEY}{QUERY}", **said)
        if accepted:
            await client.established()
        else:
            assert "wss://" in await client.expect_refusal(4000)


@pytest.mark.parametrize(
    ("settings", "said", "client_is"),
    [
        (TRUSTED, {"X-Forwarded-For": "203.0.113.7"}, "203.0.113.7"),
        (TRUSTED, {"X-Forwarded-For": "6.6.6.6, 203.0.113.7"}, "203.0.113.7"),
        (TRUSTED, {"X-Forwarded-For": "6.6.6.6, 203.0.113.7, 10.0.0.9"}, "203.0.113.7"),
        (TRUSTED, {"X-Forwarded-For": "10.0.0.9"}, "10.0.0.9"),
        (TRUSTED, {"X-Forwarded-For": ""}, None),
        (TRUSTED, {}, "127.0.0.1"),
        ({}, {"X-Forwarded-For": "203.0.113.7"}, "127.0.0.1"),
    ],
)
async def test_whose_address_it_is(
    tmp_path: Path, settings: dict[str, Any], said: dict[str, str], client_is: str | None
) -> None:
    """The last hop that is no trusted proxy; what a client invents before it does not count."""
    async with serving(tmp_path, settings) as inside, wire.connected(inside.address, KEY, **said):
        (connection,) = inside.clients.connections
        if client_is is not None:
            assert connection.remote == client_is
        assert isinstance(connection.remote, str)


async def test_forwarded_addresses_on_several_lines(tmp_path: Path) -> None:
    """HAProxy appends a line of its own behind the one that the client made up."""
    async with serving(tmp_path, TRUSTED) as inside, wire.opened(inside.address) as client:
        lines = wire.upgrade(f"/app/{KEY}", X_Forwarded_For="6.6.6.6")
        await client.send(lines[:-2] + b"X-Forwarded-For: 203.0.113.7\r\n\r\n")
        assert (await client.answer()).status == 101
        await client.established()
        (connection,) = inside.clients.connections
        assert connection.remote == "203.0.113.7"


PREFIX = {"server": {"path_prefix": "/push"}}


@pytest.mark.parametrize("start", ["/push", ""])
@pytest.mark.parametrize("end", ["", "/"])
async def test_websocket_behind_a_prefix(tmp_path: Path, start: str, end: str) -> None:
    """With it and without it, with a trailing slash and without (docs/protocol/connection.md#url)."""
    async with serving(tmp_path, PREFIX) as inside, wire.opened(inside.address) as client:
        await client.handshake(f"{start}/app/{KEY}{end}{QUERY}")
        await client.established()


@pytest.mark.parametrize("target", ["/pushapp/KEY", "/push", "/push/push/app/x", "/other/app/x"])
async def test_what_only_looks_like_the_prefix(tmp_path: Path, target: str) -> None:
    """It is compared whole, once."""
    async with serving(tmp_path, PREFIX) as inside, wire.opened(inside.address) as client:
        await client.handshake(target)
        await client.expect_refusal(4005)


@pytest.mark.parametrize("requested", ["/push", ""])
@pytest.mark.parametrize("signed_path", ["/push", ""])
@pytest.mark.parametrize("slash", ["", "/"])
async def test_the_api_behind_a_prefix(
    tmp_path: Path, requested: str, signed_path: str, slash: str
) -> None:
    """PHP signs without its `path`, proxies strip or add it: every combination holds (trap 31)."""
    path = f"/apps/{APP_ID}/events{slash}"
    body = json.dumps({"name": "e", "channel": "c", "data": "{}"}).encode()
    query = signed_query(KEY, SECRET, "POST", signed_path + path, body)
    async with serving(tmp_path, PREFIX) as inside, wire.opened(inside.address) as backend:
        for version in ("1.1", "1.0"):  # the fast path and the long one
            await backend.send(
                wire.request(
                    f"{requested}{path}?{query}", method="POST", body=body, version=version
                )
            )
            answer = await backend.answer()
            assert (answer.status, answer.body) == (200, b"{}")


async def test_health_behind_a_prefix(tmp_path: Path) -> None:
    """Load balancers ask with and without."""
    async with serving(tmp_path, PREFIX) as inside, wire.opened(inside.address) as client:
        for target in ("/up", "/push/up", "/push/up/", "/push", "/push/", "/"):
            assert (await client.ask(target)).status == 200, target
        for target in ("/pushup", "/push/push/up"):
            assert (await client.ask(target)).status == 404, target


@pytest.mark.parametrize("enabled", [True, False])
async def test_cors(tmp_path: Path, enabled: bool) -> None:
    """Off by default for a signed API; on, it is on every answer and preflights pass unsigned."""
    async with (
        serving(tmp_path, {"http": {"cors": enabled}}) as inside,
        wire.opened(inside.address) as browser,
    ):
        preflight = await browser.ask(f"/apps/{APP_ID}/events", method="OPTIONS")
        assert preflight.status == (204 if enabled else 405)
        answers = [preflight, await browser.ask("/up"), await browser.ask("/nowhere")]
        for request in (
            signed.event("c"),
            signed.post(b"{"),
            b"POST /apps/3/events HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
        ):
            await browser.send(request)
            answers.append(await browser.answer())
        assert [answer.status for answer in answers[1:]] == [200, 404, 200, 400, 401]
        for answer in answers:
            allowed = answer.headers.get("access-control-allow-origin")
            assert allowed == ("*" if enabled else None)
            assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("as_json", [True, False])
async def test_the_form_of_errors(tmp_path: Path, as_json: bool) -> None:
    """Plain text as Pusher's, or soketi's JSON; on the fast path and on the long one."""
    async with (
        serving(tmp_path, {"http": {"json_errors": as_json}}) as inside,
        wire.opened(inside.address) as client,
    ):
        for request, status in (
            (signed.post(b"{"), 400),
            (wire.request("/apps/3/events", method="POST", body=b"{}"), 401),
            (wire.request("/nowhere"), 404),
            (wire.request("/up", method="POST"), 405),
            (signed.event("c", "x" * 200_000), 413),
        ):
            await client.send(request)
            answer = await client.answer()
            assert answer.status == status
            if as_json:
                found = json.loads(answer.body)
                assert found["code"] == status
                assert found["error"]
                assert answer.headers["content-type"] == "application/json"
            else:
                assert answer.headers["content-type"].startswith("text/plain")
                assert answer.text.endswith("\n")


async def test_the_access_log_changes_no_answer(tmp_path: Path) -> None:
    """With it every request takes the long way."""
    async with (
        serving(tmp_path, {"log": {"access": True}}) as inside,
        wire.opened(inside.address) as backend,
    ):
        for _ in range(3):
            await backend.send(signed.event("c"))
            assert (await backend.answer()).body == b"{}"


async def test_a_client_that_is_refused_again_and_again_comes_once_a_second(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """pusher-js comes back from 4000 at once, whatever it used before; here it does so for 3 seconds."""
    async with serving(tmp_path, TLS_ONLY) as inside:
        told, began = 0, time.monotonic()
        while time.monotonic() - began < 3.0:
            async with wire.opened(inside.address) as client:
                await client.handshake(f"/app/{KEY}{QUERY}")
                await client.expect_refusal(4000)
                told += 1
    assert 2 <= told <= 5
    lines = [each.getMessage() for each in caplog.records if "tls_only" in each.getMessage()]
    assert len(lines) == 1
    assert "server.trusted_proxies" in lines[0]
