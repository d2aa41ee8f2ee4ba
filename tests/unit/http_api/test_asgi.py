"""What holds for every request: routes, methods, bodies, encodings, failures."""

import logging
from typing import Any

import pytest

from pusher_server.app import App, AppKey
from tests.unit.http_api.backend import APP, KEY, SECRET, Backend, app_with

EVENT = b'{"name":"e","channel":"a","data":"x"}'


@pytest.mark.parametrize("prefix", ["", "/ws", "/a/b"])
@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("/", b"OK"),
        ("/live", b"OK"),
        ("/ready", b"OK"),
        ("/up", b'{"health":"OK"}'),
        ("/health", b'{"ok":true}'),
        ("/ping", b"Pong!"),
    ],
)
async def test_health(prefix: str, path: str, content: bytes) -> None:
    """Unsigned, with and without the configured prefix, with a trailing slash too."""
    backend = Backend(path_prefix=prefix)
    for url in (path, prefix + path, path.rstrip("/") + "/"):
        response = await backend.send("GET", url)
        assert (response.status_code, response.content) == (200, content)


async def test_ready_says_why_not() -> None:
    """While draining it fails, and the process is alive all the same."""
    backend = Backend()
    backend.node.draining = True
    response = await backend.send("GET", "/ready")
    assert (response.status_code, response.text) == (500, "draining\n")
    assert (await backend.send("GET", "/live")).status_code == 200


@pytest.mark.parametrize("path", ["/up", "/ready", "/nothing", "/apps/3/channels"])
async def test_while_draining_each_answer_ends_its_connection(path: str) -> None:
    """The next request goes to another node; a refused one, too."""
    backend = Backend()
    assert "connection" not in (await backend.send("GET", path)).headers
    backend.node.draining = True
    response = await backend.send("GET", path)
    assert response.headers.get_list("connection") == ["close"]


async def test_ready_tells_strangers_no_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has addresses, paths and scripts; operators see it on their own listener, and in the log."""
    backend = Backend()
    backend.problem = "redis 10.0.0.7:6379: away"
    response = await backend.send("GET", "/ready")
    assert (response.status_code, response.text) == (200, "degraded\n")
    monkeypatch.setattr(type(backend.fixture.apps), "ready", False)
    response = await backend.send("GET", "/ready")
    assert (response.status_code, response.text) == (500, "not ready\n")


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/apps",
        "/apps/3",
        "/apps/3/nothing",
        "/apps/3/events/5/x",
        "/users/7",
        "/up/x",
        "/APPS/3/events",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_unknown_routes(path: str, method: str) -> None:
    """404, before any signature is looked at."""
    response = await Backend().send(method, path)
    assert (response.status_code, response.text) == (404, "Not found\n")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "/apps/3/events", "POST"),
        ("POST", "/apps/3/channels", "GET, HEAD"),
        ("PUT", "/apps/3/channels/a", "GET, HEAD"),
        ("GET", "/users/7/terminate_connections", "POST"),
        ("POST", "/up", "GET, HEAD"),
        ("OPTIONS", "/apps/3/events", "POST"),
    ],
)
async def test_wrong_method(method: str, path: str, allow: str) -> None:
    """405, and which ones there are."""
    response = await Backend().send(method, path)
    assert (response.status_code, response.headers["allow"]) == (405, allow)


async def test_head_is_a_get_without_body() -> None:
    """Signed as HEAD; the length is that of the answer to GET."""
    backend = Backend()
    response = await backend.send("HEAD", backend.signed("HEAD", "/apps/3/channels", b""))
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len(b'{"channels":{}}'))
    response = await backend.send("HEAD", "/up")
    assert (response.status_code, response.content) == (200, b"")


@pytest.mark.parametrize("received", ["/apps/3/events", "/apps/3/events/", "/ws/apps/3/events"])
async def test_h13_prefix_and_trailing_slash(received: str) -> None:
    """H13: routed without a redirect (trap 64), signed as received or without the prefix."""
    backend = Backend(path_prefix="/ws")
    for path in {received, received.removeprefix("/ws")}:
        query = backend.signed("POST", path, EVENT).partition("?")[2]
        response = await backend.send("POST", f"{received}?{query}", content=EVENT)
        assert response.status_code == 200, response.text


async def test_prefix_must_be_whole() -> None:
    """`/wsx` does not begin with the prefix `/ws`."""
    assert (await Backend(path_prefix="/ws").send("GET", "/wsup")).status_code == 404
    assert (await Backend(path_prefix="/ws").send("GET", "/ws")).content == b"OK"


@pytest.mark.parametrize("prefix", ["/app", "/apps", "/apps/3", "/up", "/live", "/users"])
async def test_a_prefix_that_looks_like_a_path_of_ours(prefix: str) -> None:
    """Unprefixed paths stay served, whatever the prefix is."""
    backend = Backend(path_prefix=prefix)
    for start in ("", prefix):
        assert (await backend.send("GET", start + "/up")).content == b'{"health":"OK"}'
        path = start + "/apps/3/events"
        for said in {path, "/apps/3/events", prefix + "/apps/3/events"}:
            query = backend.signed("POST", said, EVENT).partition("?")[2]
            response = await backend.send("POST", f"{path}?{query}", content=EVENT)
            assert response.status_code == 200, (path, said, response.text)


@pytest.mark.parametrize("path", ["/", "/live", "/up", "/health", "/ping", "/ready", "/ws/up", "*"])
@pytest.mark.parametrize("cors", [False, True])
async def test_options_of_an_unsigned_path(path: str, cors: bool) -> None:
    """HAProxy's `option httpchk` asks so by default, and takes 2xx and 3xx for alive."""
    backend = Backend(path_prefix="/ws", cors=cors)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("there is no body")

    scope = {
        "type": "http",
        "method": "OPTIONS",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "headers": [],
    }
    await backend.api(scope, receive, send)
    assert sent[0]["status"] == 200
    assert dict(sent[0]["headers"])[b"allow"] == b"GET, HEAD, OPTIONS"
    assert sent[1]["body"] == b""


async def test_keys_of_nobody_and_of_others() -> None:
    """401 and 400, also when the app of the path does not exist."""
    backend = Backend()
    other = App(id="9", keys=(AppKey(key="other", secret="s"),))
    backend.fixture.apps.replace([APP, other])
    for path in ("/apps/3/events", "/apps/77/events"):
        response = await backend.send("POST", f"{path}?auth_key=nobody", content=EVENT)
        assert (response.status_code, response.text) == (401, "Unknown auth_key\n")
        response = await backend.send("POST", f"{path}?auth_key=other", content=EVENT)
        assert (response.status_code, response.text) == (400, "Not authorized for that app\n")
        response = await backend.send("POST", path, content=EVENT)
        assert (response.status_code, response.text) == (401, "Missing parameter: auth_key\n")


async def test_disabled_app() -> None:
    """403, but only for whoever proves to own it."""
    backend = Backend(app_with(enabled=False))
    assert (await backend.post("/events", EVENT)).status_code == 403
    response = await backend.send("POST", f"/apps/3/events?auth_key={KEY}", content=EVENT)
    assert response.status_code == 401
    assert backend.sent == []


async def test_app_store_away() -> None:
    """503 and not 401: it is not the backend's fault."""
    backend = Backend()
    backend.fixture.apps.gate.is_away = True
    response = await backend.post("/events", EVENT)
    assert (response.status_code, response.headers["retry-after"]) == (503, "1")


@pytest.mark.parametrize(
    ("seconds", "tolerance", "status"),
    [(599, 600, 200), (600, 600, 401), (700, 701, 200), (60, 60, 401)],
)
async def test_h3_timestamp_tolerance_is_a_setting(
    seconds: int, tolerance: int, status: int
) -> None:
    """H3: 599 s / 600 s by default, else as configured."""
    backend = Backend(timestamp_tolerance=tolerance)
    backend.now += seconds
    assert (await backend.post("/events", EVENT)).status_code == status


async def test_json_errors() -> None:
    """Soketi's form, when configured."""
    response = await Backend(json_errors=True).send("GET", "/nothing")
    assert response.json() == {"error": "Not found", "code": 404}
    assert response.headers["content-type"] == "application/json"


async def test_cors() -> None:
    """OPTIONS needs no signature; every answer carries the headers. Off by default."""
    backend = Backend(cors=True)
    response = await backend.send("OPTIONS", "/apps/3/events")
    assert (response.status_code, response.content) == (204, b"")
    assert "content-length" not in response.headers
    for answer in (response, await backend.post("/events", EVENT), await backend.get("/nothing")):
        assert answer.headers["access-control-allow-origin"] == "*"
    plain = await Backend().post("/events", EVENT)
    assert "access-control-allow-origin" not in plain.headers


async def test_only_http() -> None:
    """Another kind of scope is a mistake in the composition."""

    async def unused(*_: object) -> Any:
        raise AssertionError("nothing is received or sent")

    with pytest.raises(RuntimeError, match="lifespan"):
        await Backend().api({"type": "lifespan"}, unused, unused)


async def test_failure_of_ours(caplog: pytest.LogCaptureFixture, monkeypatch: Any) -> None:
    """500 with an id that is in the log beside the traceback; no secret, no query."""
    backend = Backend()

    def fail(*_: object) -> None:
        raise KeyError("broken")

    monkeypatch.setattr(backend.node.publishing, "publish", fail)
    response = await backend.post("/events", EVENT)
    assert response.status_code == 500
    error_id = response.text.removeprefix("Internal error ").strip()
    (record,) = caplog.records
    assert (record.levelno, record.__dict__["error_id"]) == (logging.ERROR, error_id)
    assert record.exc_info is not None
    shown = f"{record.__dict__['path']} {record.getMessage()} {caplog.text}"
    assert SECRET not in shown
    assert "auth_signature" not in shown


async def test_wrong_clock_is_said_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """Who comes from a server that did not check must see why everything fails."""
    backend = Backend()
    backend.now += 4_000
    for _ in range(3):
        await backend.post("/events", EVENT)
    backend.now += 61
    await backend.post("/events", EVENT)
    assert [record.__dict__["skew_seconds"] for record in caplog.records] == [4_000, 4_061]


@pytest.mark.parametrize(
    "query", ["%", "%zz", "&&&", "=", "a" * 60_000, "auth_key=%FF", "auth_key=%00"]
)
async def test_any_query_is_answered(query: str) -> None:
    """Garbage is a 401."""
    response = await Backend().send("POST", f"/apps/3/events?{query}", content=EVENT)
    assert response.status_code == 401


async def test_refusals_that_repeat_a_lone_surrogate() -> None:
    """In both forms, as an escape: the answer itself is UTF-8."""
    body = rb'{"name":"cut \ud83d","channel":"a","data":"x"}'
    text = await Backend().post("/events", body)
    assert (text.status_code, text.text) == (
        400,
        "The event name 'cut \\ud83d' has a lone surrogate\n",
    )
    as_json = await Backend(json_errors=True).post("/events", body)
    assert as_json.json() == {
        "error": r"The event name 'cut \ud83d' has a lone surrogate",
        "code": 400,
    }
