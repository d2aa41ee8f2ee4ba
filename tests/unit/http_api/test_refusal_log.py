"""Refused requests in the log: cause and next step, who sent it, once in a while, and no secret."""

import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from pusher_server.app import AppKey
from pusher_server.http_api.errors import ApiError
from pusher_server.http_api.refusal_log import RefusalLog
from pusher_server.http_api.requests import RequestHead
from pusher_server.log_rate_limit import INTERVAL, SOURCES
from pusher_server.signals import RequestRefused
from tests.support.fakes import FakeClock
from tests.support.node import NodeFixture
from tests.support.signing import signed_query
from tests.unit.http_api.backend import APP, KEY, NOW, SECRET, Backend, app_with

EVENT = {"name": "e", "channel": "a", "data": "x"}
BODY = json.dumps(EVENT).encode()
PATH = "/apps/3/events"
#: A key and a secret as other apps have them.
OTHER = "0123456789abcdef0123"

Trial = Callable[[Backend], Coroutine[Any, Any, httpx.Response]]


def sent(
    key: str = KEY, secret: str = SECRET, *, path: str = PATH, body: bytes = BODY, after: float = 0
) -> Trial:
    """A publication that is signed with these credentials, `after` seconds ago."""

    async def trial(backend: Backend) -> httpx.Response:
        query = signed_query(key, secret, "POST", path, BODY, "", now=NOW - after)
        return await backend.send("POST", f"{path}?{query}", content=body)

    return trial


async def unsigned(backend: Backend) -> httpx.Response:
    return await backend.send("POST", PATH, content=BODY)


async def half_signed(backend: Backend) -> httpx.Response:
    query = f"auth_key={KEY}&auth_timestamp={NOW:.0f}&auth_version=1.0"
    return await backend.send("POST", f"{PATH}?{query}", content=BODY)


async def swapped(backend: Backend) -> httpx.Response:
    return await sent(SECRET, KEY)(backend)


async def too_long(backend: Backend) -> httpx.Response:
    return await backend.post("/events", {**EVENT, "data": "x" * 200_000})


async def bad_channel(backend: Backend) -> httpx.Response:
    return await backend.post("/events", {**EVENT, "channel": "a b"})


async def no_json(backend: Backend) -> httpx.Response:
    return await backend.post("/events", b"{")


async def wrong_method(backend: Backend) -> httpx.Response:
    return await backend.send("GET", PATH)


async def no_upgrade(backend: Backend) -> httpx.Response:
    return await backend.send("GET", f"/app/{SECRET * 2}")


CASES = [
    (sent(secret="wrong"), 401, "signature", "PUSHER_APP_SECRET differs from this app's"),
    (sent("unknown"), 401, "unknown_key", "PUSHER_APP_KEY is wrong"),
    (sent(path="/apps/4/events"), 400, "wrong_app", "PUSHER_APP_ID and PUSHER_APP_KEY"),
    (swapped, 401, "key_is_secret", "are swapped"),
    (sent(after=3_600), 401, "clock", "the backend's clock is 3600 s behind ours"),
    (sent(after=-900), 401, "clock", "the backend's clock is 900 s ahead of ours"),
    (sent(body=BODY + b" "), 401, "digest", "the body is not the one that was signed"),
    (unsigned, 401, "signature", "Missing parameter: auth_key"),
    (half_signed, 401, "signature", "it has no auth_signature"),
    (sent(path="/pusher/apps/3/events"), 404, "path", "server.path_prefix"),
    (wrong_method, 405, "method", "has changed the method"),
    (no_upgrade, 426, "no_upgrade", "came without Upgrade: a proxy dropped it"),
    (sent(path="/apps/3//events"), 404, "double_slash", "its path has a double slash"),
    (sent(path="/apps//events"), 404, "double_slash", "between /apps/ and the next slash"),
    (too_long, 413, "too_large", "limits.event_data_bytes"),
    (bad_channel, 400, "channel", "lenient_channel_names"),
    (no_json, 400, "invalid", "JSON"),
]


@pytest.mark.parametrize(("trial", "status", "reason", "cause"), CASES)
async def test_each_refusal_is_one_line_and_one_count(
    trial: Trial, status: int, reason: str, cause: str, caplog: pytest.LogCaptureFixture
) -> None:
    backend = Backend()
    with caplog.at_level(logging.WARNING, "pusher_server"):
        answer = await trial(backend)
    assert answer.status_code == status
    (record,) = caplog.records
    fields = vars(record)
    assert record.getMessage().startswith("request refused: ")
    assert cause in record.getMessage()
    assert fields["reason"] == reason
    assert fields["path"].startswith("/")
    assert fields["address"] == "127.0.0.1"
    assert SECRET not in f"{record.getMessage()} {fields}"
    unknown = ("unknown_key", "key_is_secret", "path", "method", "no_upgrade", "double_slash")
    app_id = "" if reason in unknown or trial is unsigned else "3"
    assert fields.get("app", "") == app_id
    assert backend.fixture.told(RequestRefused) == [RequestRefused(app_id=app_id, reason=reason)]


@pytest.mark.parametrize(
    ("app", "wait", "body_bytes", "status", "reason", "cause"),
    [
        (app_with(enabled=False), 0, 0, 403, "disabled", "pusher-server apps enable"),
        (app_with(), 2.0, 0, 429, "rate_publish", "limits.backend_events_per_second"),
        (app_with(), 0, 5, 413, "too_large", "http.request_bytes"),
    ],
)
async def test_switches_and_limits_have_a_line_too(
    app: Any,
    wait: float,
    body_bytes: int,
    status: int,
    reason: str,
    cause: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = Backend(app, **({"request_bytes": body_bytes} if body_bytes else {}))
    backend.limiter.wait = wait
    with caplog.at_level(logging.WARNING, "pusher_server"):
        assert (await backend.post("/events", EVENT)).status_code == status
    (record,) = caplog.records
    assert cause in record.getMessage()
    assert vars(record)["reason"] == reason


async def test_a_request_that_is_served_has_no_line(caplog: pytest.LogCaptureFixture) -> None:
    backend = Backend()
    with caplog.at_level(logging.DEBUG, "pusher_server"):
        assert (await backend.post("/events", EVENT)).status_code == 200
    assert caplog.records == []
    assert backend.fixture.told(RequestRefused) == []


async def test_a_flood_is_one_line_and_then_a_number(caplog: pytest.LogCaptureFixture) -> None:
    backend = Backend()
    with caplog.at_level(logging.WARNING, "pusher_server"):
        for _ in range(50):
            await sent(secret="wrong")(backend)
        backend.now += INTERVAL
        await sent(secret="wrong")(backend)
    assert [vars(record).get("as_before") for record in caplog.records] == [None, 49]


async def test_debug_has_a_line_for_each(caplog: pytest.LogCaptureFixture) -> None:
    backend = Backend()
    with caplog.at_level(logging.DEBUG, "pusher_server.http"):
        for _ in range(3):
            await sent(secret="wrong")(backend)
    assert [record.levelname for record in caplog.records] == ["WARNING", "DEBUG", "DEBUG"]


async def test_paths_that_scanners_try_are_not_worth_a_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = Backend()
    with caplog.at_level(logging.INFO, "pusher_server"):
        assert (await backend.send("GET", "/.env")).status_code == 404
        assert (await backend.send("POST", "/xmlrpc.php")).status_code == 404
    assert caplog.records == []
    assert backend.fixture.told(RequestRefused) == [RequestRefused(app_id="", reason="path")] * 2


@pytest.mark.parametrize(
    ("key", "shown"),
    [("undefined", "undefined"), ("null", "null"), (OTHER, "0123... (20 characters)")],
)
async def test_a_key_that_no_app_has_is_shown_as_far_as_it_may_be(
    key: str, shown: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A long one may be another app's secret."""
    backend = Backend()
    with caplog.at_level(logging.WARNING, "pusher_server"):
        await sent(quote(key))(backend)
    (record,) = caplog.records
    assert vars(record)["key"] == shown


async def test_any_of_the_apps_secrets_is_recognised_as_no_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pairs = (AppKey(key="new", secret="newer-secret"), *APP.keys)
    backend = Backend(app_with(keys=pairs))
    with caplog.at_level(logging.WARNING, "pusher_server"):
        for secret in (SECRET, "newer-secret"):
            await sent(secret, KEY)(backend)
    (record,) = caplog.records
    assert vars(record)["reason"] == "key_is_secret"
    assert "newer-secret" not in caplog.text


class From:
    """A client with this address."""

    def __init__(self, address: str) -> None:
        self._address = address

    def address(self) -> str:
        return self._address


def test_one_that_tries_without_end_hides_no_other_one(caplog: pytest.LogCaptureFixture) -> None:
    fixture = NodeFixture(APP)
    log = RefusalLog(fixture.node, FakeClock())
    head = RequestHead("GET", b"/apps/3/channels")
    with caplog.at_level(logging.WARNING, "pusher_server"):
        for _ in range(100):
            log.refused(ApiError(400, "no"), head, From("192.0.2.1"))
        log.refused(ApiError(400, "no"), head, From("192.0.2.2"))
        for number in range(1_000):
            log.refused(ApiError(400, "no"), head, From(f"198.51.100.{number}"))
    lines = [vars(record) for record in caplog.records]
    assert [line["address"] for line in lines[:2]] == ["192.0.2.1", "192.0.2.2"]
    assert lines[1]["as_before"] == 99
    assert len(lines) == SOURCES
    assert len(fixture.told(RequestRefused)) == 1_101


async def test_a_clock_that_drifts_is_still_one_line(caplog: pytest.LogCaptureFixture) -> None:
    backend = Backend()
    with caplog.at_level(logging.WARNING, "pusher_server"):
        for seconds in range(30):
            await sent(after=3_600 + seconds)(backend)
    assert len(caplog.records) == 1


@pytest.mark.parametrize(
    ("client", "headers", "address"),
    [
        (None, [], "unix"),
        (None, [(b"x-forwarded-for", b"6.6.6.6, 203.0.113.7 ")], "203.0.113.7"),
        (None, [(b"x-forwarded-for", b"x" * 1_000)], "x" * 64),
        (("203.0.113.7", 0), [(b"x-forwarded-for", b"6.6.6.6")], "203.0.113.7"),
        (("x" * 1_000, 0), [], "x" * 64),
    ],
)
async def test_behind_a_proxy_the_line_names_the_client(
    client: tuple[str, int] | None,
    headers: list[tuple[bytes, bytes]],
    address: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """uvicorn has put what trusted proxies forward into the scope, but for those of a Unix socket."""

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        """Nobody reads the answer."""

    scope = {"type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode()}
    scope |= {"query_string": b"auth_key=x", "headers": headers, "client": client}
    with caplog.at_level(logging.WARNING, "pusher_server"):
        await Backend().api(scope, receive, send)
    (record,) = caplog.records
    assert vars(record)["address"] == address


async def test_lines_are_of_bounded_length(caplog: pytest.LogCaptureFixture) -> None:
    backend, long = Backend(), "x" * 20_000
    with caplog.at_level(logging.WARNING, "pusher_server"):
        await backend.post("/events", {**EVENT, "channel": long})
        await backend.send("POST", f"/apps/{long}/events?auth_key={long}", content=BODY)
        await backend.send("POST", f"/{long}/events", content=BODY)
    assert len(caplog.records) == 3
    assert all(len(f"{record.getMessage()} {vars(record)}") < 3_000 for record in caplog.records)
