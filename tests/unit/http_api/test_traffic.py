"""What the API counts of requests, and what observers hear of refusals."""

import pytest

from pusher_server.signals import RequestRefused
from tests.unit.http_api.backend import APP, Backend, app_with

EVENT = {"name": "e", "channel": "a", "data": "x"}


def refusals(backend: Backend) -> list[tuple[str, str]]:
    return [
        (each.app_id, each.reason)
        for each in backend.fixture.signals
        if isinstance(each, RequestRefused)
    ]


async def test_requests_and_bodies_are_counted_for_their_app() -> None:
    backend = Backend()
    answered = await backend.post("/events", EVENT)
    read = await backend.get("/channels")
    traffic = backend.traffic.of(APP.id)
    assert traffic.requests == 2
    assert traffic.bytes_received == len(answered.request.content)
    assert traffic.bytes_sent == len(answered.content) + len(read.content)
    assert refusals(backend) == []


async def test_a_wrong_signature_is_its_apps() -> None:
    backend = Backend()
    url = backend.signed("GET", "/apps/3/channels", b"")
    assert (await backend.send("GET", url[:-1] + "x")).status_code == 401
    assert refusals(backend) == [("3", "signature")]


async def test_a_wrong_clock_has_a_reason_of_its_own() -> None:
    backend = Backend()
    url = backend.signed("GET", "/apps/3/channels", b"")
    backend.now += 3_600
    assert (await backend.send("GET", url)).status_code == 401
    assert refusals(backend) == [("3", "clock")]


@pytest.mark.parametrize("path", ["/apps/3/channels", "/apps/99/channels"])
async def test_an_unknown_key_is_nobodys(path: str) -> None:
    """Whatever the path says: what strangers write becomes no label."""
    backend = Backend()
    answer = await backend.send("GET", f"{path}?auth_key=nobody")
    assert answer.status_code == 401
    assert refusals(backend) == [("", "unknown_key")]
    assert backend.traffic.apps.keys() == set()


async def test_a_disabled_app() -> None:
    backend = Backend(app_with(enabled=False))
    assert (await backend.get("/channels")).status_code == 403
    assert refusals(backend) == [("3", "disabled")]


async def test_what_exceeds_a_rate() -> None:
    backend = Backend()
    backend.limiter.wait = 1.0
    assert (await backend.get("/channels")).status_code == 429
    assert (await backend.post("/events", EVENT)).status_code == 429
    assert refusals(backend) == [("3", "rate_read"), ("3", "rate_publish")]
