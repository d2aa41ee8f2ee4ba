"""Answers of the operations listener's application, without a listener."""

import asyncio
import logging
import re
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.routing import Route

from pusher_server.config import OperationsSettings
from pusher_server.metrics.operations import operations_app
from pusher_server.metrics.process_group import Probe, ProcessGroup
from pusher_server.metrics.reading import Reading
from tests.unit.metrics.counted import reading


async def no_answer(question: bytes) -> bytes:
    """Nobody can answer."""
    return b""


def operations(found: Reading, **settings: str) -> Starlette:
    async def ask() -> Reading:
        return found

    team = ProcessGroup(lambda: [Probe("1", "ready", 1, ask)])
    return operations_app(OperationsSettings(**settings), team, no_answer, port=6001)


async def request(
    app: Starlette, method: str, path: str, headers: Mapping[str, str] = {}
) -> httpx.Response:
    raw = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://operations") as client:
        return await client.request(method, path, headers=raw)


async def get(app: Starlette, path: str, headers: Mapping[str, str] = {}) -> httpx.Response:
    return await request(app, "GET", path, headers)


async def test_many_apps_do_not_hold_up_the_loop() -> None:
    """Their text is written in a thread: the loop turns meanwhile."""
    many = operations(reading(deliveries_total={(f"app-{n}",): n for n in range(20_000)}))
    task = asyncio.ensure_future(get(many, "/metrics"))
    turns = 0
    while not task.done():
        turns += 1
        await asyncio.sleep(0)
    assert task.result().content.count(b'app="app-') == 20_000
    assert turns > 10


async def test_few_apps_are_written_at_once() -> None:
    few = operations(reading(deliveries_total={("1",): 7}))
    assert b'pusher_server_deliveries_total{app="1"} 7.0' in (await get(few, "/metrics")).content


async def test_a_token_is_compared_as_bytes() -> None:
    """A header may hold anything."""
    guarded = operations(reading(), token="t")
    for header in ("Bearer \xe9", "Bearer", "", "Bearer t t"):
        assert (await get(guarded, "/metrics", {"authorization": header})).status_code == 401
    assert (await get(guarded, "/metrics", {"authorization": "Bearer t"})).status_code == 200


async def test_a_request_without_the_token_is_a_line(caplog: pytest.LogCaptureFixture) -> None:
    """A scraper shows 401 to nobody who does not look at it."""
    guarded = operations(reading(), token="hush")
    for header in ({}, {"authorization": "Bearer h"}, {"authorization": "Bearer i"}, {}):
        await get(guarded, "/metrics", header)
    await get(guarded, "/usage", {"authorization": "Bearer hush"})
    words = (
        "an operator's request is refused: it needs operations.token as its bearer token and has "
    )
    assert caplog.messages == [f"{words}none", f"{words}another token"]
    fields = vars(caplog.records[0])
    assert (fields["path"], fields["address"]) == ("/metrics", "127.0.0.1")
    assert "hush" not in caplog.text


def paths_of_pages() -> list[str]:
    """The paths that the application serves."""
    routes = operations(reading(), token="t").routes
    return [route.path for route in routes if isinstance(route, Route)]


def test_every_page_is_documented() -> None:
    """The first table of docs/metrics.md has all pages, and no other."""
    text = (Path(__file__).resolve().parents[3] / "docs" / "metrics.md").read_text("utf-8")
    table = text[text.index("| Path | Answer |") :].split("\n\n")[0]
    cells = [line.split("|")[1] for line in table.splitlines()[2:]]
    documented = [path for cell in cells for path in re.findall(r"`(/[^`]*)`", cell)]
    assert sorted(documented) == sorted(paths_of_pages())


async def test_each_page_says_which_methods_it_serves() -> None:
    """OPTIONS is answered for every page, by what its route serves; HAProxy's checks ask so."""
    app = operations(reading(), token="t")
    pages = [path for path in paths_of_pages() if path != "/orders"]
    for path in (*pages, "/up//"):
        answer = await request(app, "OPTIONS", path)
        assert (answer.status_code, answer.content) == (200, b""), path
        assert answer.headers["allow"] == "GET, HEAD, OPTIONS"
        assert answer.headers["content-type"] == "text/plain; charset=utf-8"
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            refused = await request(app, method, path)
            assert (refused.status_code, refused.text) == (405, "Method not allowed\n"), path
            assert refused.headers["allow"] == "GET, HEAD"
    assert (await request(app, "OPTIONS", "/nothing")).status_code == 404
    assert (await request(app, "POST", "/nothing")).text == "Not found\n"


async def test_no_answer_is_kept_by_a_cache() -> None:
    app = operations(reading(), token="t")
    for path, status in (("/up", 200), ("/ready/", 200), ("/metrics", 401), ("/nothing", 404)):
        answer = await get(app, path)
        assert (answer.status_code, answer.headers["cache-control"]) == (status, "no-store")


async def test_a_scraper_gets_the_format_that_it_asks_for() -> None:
    app = operations(reading())
    plain = await get(app, "/metrics")
    assert plain.headers["content-type"].startswith("text/plain; version=")
    assert plain.headers["content-type"].count("charset=") == 1
    accept = {"accept": "application/openmetrics-text; version=1.0.0"}
    wanted = (await get(app, "/metrics", accept)).headers["content-type"]
    assert wanted.startswith("application/openmetrics-text; version=1.0.0; charset=utf-8")


async def test_what_fails_is_an_answer_and_one_line(caplog: pytest.LogCaptureFixture) -> None:
    def broken() -> list[Probe]:
        raise LookupError("broken")

    app = operations_app(OperationsSettings(), ProcessGroup(broken), no_answer, port=6001)
    with caplog.at_level(logging.DEBUG):
        answer = await get(app, "/metrics?token=secret")
    assert (answer.status_code, answer.text) == (500, "Internal error; the log has more\n")
    assert answer.headers["cache-control"] == "no-store"
    lines = [each for each in caplog.records if each.levelno >= logging.WARNING]
    assert [each.getMessage() for each in lines] == ["an operator's request failed"]
    assert lines[0].path == "/metrics"  # type: ignore[attr-defined]  # an extra
    assert lines[0].exc_info is not None


def test_a_token_is_in_no_repr() -> None:
    settings = OperationsSettings(token="t0k3n")
    assert "t0k3n" not in repr(settings)
