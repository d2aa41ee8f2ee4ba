"""Refusals over real sockets: the answer, the line in the log, and the count, for each cause."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, SECRET, app
from tests.support.serving import RunningServer, free_port
from tests.support.signing import signed_query
from tests.support.waiting import eventually
from tests.support.wire import QUERY, Address

#: What real addresses look like behind a trusted proxy.
CLIENT = "203.0.113.7"
OTHER = {"id": "other", "key": "other-key", "secret": "other-secret", "enabled": False}
PATH = f"/apps/{APP_ID}/events"
BODY = b'{"name":"e","channel":"a","data":"x"}'


class Running:
    """A server with its log and its metrics."""

    def __init__(self, server: RunningServer, operations: Address) -> None:
        self.address = Address(port=server.port)
        self._server = server
        self._operations = operations

    @property
    def lines(self) -> list[str]:
        """The lines about refusals so far."""
        return [line for line in self._server.log.splitlines() if " refused: " in line]

    @property
    def log(self) -> str:
        return self._server.log

    async def line(self) -> str:
        """The only line about a refusal."""
        await eventually(lambda: bool(self.lines))
        (line,) = self.lines
        return line

    async def count(self, what: str, app_id: str, reason: str) -> int:
        """What the metric counts."""
        async with wire.opened(self._operations) as operator:
            text = (await operator.ask("/metrics")).body.decode()
        sample = rf'^pusher_server_{what}_refused_total{{app="{app_id}",reason="{reason}"}} (\d+)'
        match = re.search(sample, text, re.MULTILINE)
        return int(match[1]) if match else 0


@asynccontextmanager
async def running(
    directory: Path, main: dict[str, Any] | None = None, **settings: Any
) -> AsyncIterator[Running]:
    """A server that trusts the proxy on loopback, with two apps."""
    port = free_port()
    tree = {
        "server": {"trusted_proxies": ["127.0.0.1"], "path_prefix": "/ws"},
        "operations": {"port": port},
        "apps": [app(**(main or {})), OTHER],
        **settings,
    }
    async with RunningServer(directory, tree) as server:
        yield Running(server, Address(port=port))


def publication(
    key: str = KEY,
    secret: str = SECRET,
    path: str = PATH,
    *,
    sent: bytes = BODY,
    now: float | None = None,
    **headers: str,
) -> bytes:
    query = signed_query(key, secret, "POST", path, BODY, "", now=now)
    return wire.request(
        f"{path}?{query}", method="POST", body=sent, X_Forwarded_For=CLIENT, **headers
    )


@pytest.mark.parametrize(
    ("request_bytes", "status", "answer", "app_id", "reason", "cause"),
    [
        (
            publication(secret="wrong"), 401, "Invalid signature: you should have sent",
            APP_ID, "signature", "PUSHER_APP_SECRET differs from this app's",
        ),
        (publication("nobody"), 401, "Unknown auth_key\n", "", "unknown_key", "PUSHER_APP_KEY is wrong"),
        (publication(SECRET, KEY), 401, "Unknown auth_key\n", "", "key_is_secret", "are swapped"),
        (
            publication(path="/apps/77/events"), 400, "Not authorized for that app\n",
            APP_ID, "wrong_app", "do not belong together",
        ),
        (
            publication("other-key", "other-secret", "/apps/other/events"), 403, "The app is disabled\n",
            "other", "disabled", "enabled = true",
        ),
        (publication(now=1e9), 401, "Timestamp expired", APP_ID, "clock", "set both clocks by NTP"),
        (publication(path="/apps//events"), 404, "Not found: the path", "", "double_slash", "the app id"),
        (publication(sent=BODY[:-1] + b" "), 401, "Invalid body_md5\n", APP_ID, "digest", "not the one"),
        (publication(path="/pusher" + PATH), 404, "Not found\n", "", "path", "server.path_prefix"),
        (signed.post(b"{", X_Forwarded_For=CLIENT), 400, "", APP_ID, "invalid", "JSON"),
    ],
)  # fmt: skip
async def test_a_refused_publication(
    tmp_path: Path,
    request_bytes: bytes,
    status: int,
    answer: str,
    app_id: str,
    reason: str,
    cause: str,
) -> None:
    """The texts of answers are Pusher's (docs/protocol/signatures.md#api); the log has the cause."""
    async with running(tmp_path) as server:
        async with wire.opened(server.address) as backend:
            await backend.send(request_bytes)
            response = await backend.answer()
        assert response.status == status
        assert response.body.decode().startswith(answer)
        line = await server.line()
        assert "WARNING http: request refused: " in line
        assert cause in line
        assert f"address={CLIENT}" in line
        assert f"reason={reason}" in line
        assert SECRET not in server.log
        assert await server.count("requests", app_id, reason) == 1


async def test_a_body_that_is_too_large(tmp_path: Path) -> None:
    async with running(tmp_path, http={"request_bytes": 1_000}) as server:
        async with wire.opened(server.address) as backend:
            await backend.send(signed.post(b" " * 2_000, X_Forwarded_For=CLIENT))
            assert (await backend.answer()).status == 413
        assert "http.request_bytes" in await server.line()
        assert await server.count("requests", "", "too_large") == 1


@pytest.mark.parametrize(
    ("main", "target", "headers", "code", "app_id", "reason", "cause"),
    [
        ({}, f"/app/nobody{QUERY}", {}, 4001, "", "unknown_app", "the client's key is wrong"),
        ({}, f"/app/{SECRET}{QUERY}", {}, 4001, "", "key_is_secret", "make a new secret"),
        ({}, f"/app/other-key{QUERY}", {}, 4003, "other", "app_disabled", "enabled = true"),
        ({}, f"/pusher/app/{KEY}{QUERY}", {}, 4005, "", "path_not_found", "not /ws/app/KEY"),
        ({}, f"/app/{KEY}?protocol=4", {}, 4007, APP_ID, "unsupported_protocol", "version is 4"),
        ({"tls_only": True}, f"/app/{KEY}{QUERY}", {}, 4000, APP_ID, "tls_required", "X-Forwarded-Proto"),
        (
            {"allowed_origins": ["example.com"]}, f"/app/{KEY}{QUERY}", {"Origin": "https://else.where"},
            4009, APP_ID, "origin", "'https://else.where' is not in the app's allowed_origins",
        ),
        (
            {"allowed_origins": ["example.com"]}, f"/app/{KEY}{QUERY}", {},
            4009, APP_ID, "origin", "the client sends no Origin",
        ),
        ({}, f"/ws//app/{SECRET}{QUERY}", {}, 4005, "", "double_slash", "take one out"),
    ],
)  # fmt: skip
async def test_a_refused_connection(
    tmp_path: Path,
    main: dict[str, Any],
    target: str,
    headers: dict[str, str],
    code: int,
    app_id: str,
    reason: str,
    cause: str,
) -> None:
    """Close code and text are Pusher's (docs/protocol/connection.md#refusal); the log has the cause."""
    async with running(tmp_path, main) as server:
        for _ in range(3):
            async with wire.opened(server.address) as client:
                await client.handshake(target, X_Forwarded_For=CLIENT, **headers)
                await client.expect_refusal(code)
        line = await server.line()
        assert "WARNING websocket: connection refused: " in line
        assert cause in line
        assert f"address={CLIENT} code={code}" in line
        assert "path=" in line
        assert (f"app={app_id}" in line) is bool(app_id)
        assert SECRET not in server.log
        assert await server.count("connections", app_id, reason) == 3


async def test_one_connection_too_many(tmp_path: Path) -> None:
    async with running(tmp_path, {"over_quota_code": 4004, "limits": {"connections": 1}}) as server:
        async with wire.connected(server.address, KEY), wire.opened(server.address) as second:
            await second.handshake(f"/app/{KEY}{QUERY}")
            await second.expect_refusal(4004)
        assert "limits.connections (1)" in await server.line()
        assert await server.count("connections", APP_ID, "over_quota") == 1


async def test_debug_tells_of_every_connection(tmp_path: Path) -> None:
    """Those that are served, when they open and when they end; those that are refused, each time."""
    async with running(tmp_path, log={"level": "debug"}) as server:
        for _ in range(2):
            async with wire.opened(server.address) as client:
                await client.handshake(f"/app/{KEY}{QUERY}", X_Forwarded_For=CLIENT)
                await client.established()
            async with wire.opened(server.address) as client:
                await client.handshake(f"/app/nobody{QUERY}", X_Forwarded_For=CLIENT)
                await client.expect_refusal(4001)

        def lines(event: str) -> list[str]:
            return [line for line in server.log.splitlines() if f"websocket: {event}" in line]

        await eventually(lambda: len(lines("connection closed")) == 2)
        for event in ("connection opened", "connection closed"):
            assert len(lines(event)) == 2
            assert all(f"address={CLIENT}" in line for line in lines(event))
        assert len(lines("connection refused")) == 2


async def test_a_refused_sign_in(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        async with wire.connected(server.address, KEY) as client:
            data = {"auth": f"{KEY}:{'0' * 64}", "user_data": '{"id":"1"}'}
            await client.send(wire.message("pusher:signin", data=data))
            await client.expect_refusal(4009)
        await eventually(lambda: "connection ended: the sign-in is refused: " in server.log)
        assert await server.count("connections", APP_ID, "sign_in") == 1


@pytest.mark.parametrize(
    ("sent", "status", "reason", "cause"),
    [
        (wire.request("/up", X_Long="x" * 70_000), 431, "head", "http.header_bytes"),
        (wire.request("/up", **{f"X-{n}": "1" for n in range(101)}), 431, "head", "header lines"),
        (b"GET /up HTTP/1.1\r\n\r\n", 400, "host", "one Host header"),
        (b"nonsense\r\n\r\n", 400, "no_http", ""),
        (b"\x00\x01\x02\x03", 400, "no_http", ""),
    ],
    ids=["large", "many", "host", "nonsense", "bytes"],
)
async def test_a_request_that_is_not_understood(
    tmp_path: Path, sent: bytes, status: int, reason: str, cause: str
) -> None:
    """Nonsense is counted only: scanners send it all day."""
    async with running(tmp_path) as server:
        async with wire.opened(server.address) as client:
            await client.send(sent)
            assert (await client.answer()).status == status
        if cause:
            line = await server.line()
            assert "WARNING http: request refused: " in line
            assert cause in line
            assert f"address=127.0.0.1 reason={reason}" in line
        else:
            assert server.lines == []
        assert await server.count("requests", "", reason) == 1


async def test_an_upgrade_that_is_no_handshake(tmp_path: Path) -> None:
    async with running(tmp_path) as server:
        async with wire.opened(server.address) as client:
            await client.send(wire.upgrade(f"/app/{KEY}", Sec_WebSocket_Version="12"))
            status = (await client.answer()).status
        line = await server.line()
        assert "no WebSocket handshake of version 13" in line
        assert f'path="/app/{KEY[:4]}... (20 characters)" address=127.0.0.1 code={status}' in line
        assert await server.count("connections", "", "handshake") == 1
