"""Publications are rated by their size."""

from typing import Any

from pusher_server.interfaces import Action
from tests.unit.http_api.backend import Backend, items


def event_to(*channels: str) -> dict[str, Any]:
    return {"name": "e", "channels": list(channels), "data": "x"}


async def test_rate_limit() -> None:
    """429 with a whole number of seconds, at least one; the cost is what is published."""
    backend = Backend()
    backend.limiter.wait = 2.1
    response = await backend.post("/events", event_to("a", "b", "c"))
    assert (response.status_code, response.text) == (429, "Too many requests.\n")
    assert response.headers["retry-after"] == "3"
    backend.limiter.wait = 0.001
    assert (await backend.post("/batch_events", items(4))).headers["retry-after"] == "1"
    backend.limiter.wait = float("inf")
    assert (await backend.post("/channels/a/events", b"x", "name=e")).headers[
        "retry-after"
    ] == "3600"
    assert backend.limiter.consumed == [(Action.PUBLISH, cost) for cost in (3, 4, 1)]
    assert backend.sent == []


async def test_cost_of_what_exceeds_a_limit_is_cut() -> None:
    """A list of a million channels must not empty the app's bucket: it is refused anyway."""
    backend = Backend()
    await backend.post("/events", event_to(*(f"c{i}" for i in range(1_000))))
    await backend.post("/batch_events", items(50))
    assert backend.limiter.consumed == [(Action.PUBLISH, 100), (Action.PUBLISH, 10)]


async def test_rate_limit_comes_before_fields_and_after_json() -> None:
    """The cost is known only when the body has been read (docs/protocol/http-api.md#check-order)."""
    backend = Backend()
    backend.limiter.wait = 1.0
    assert (await backend.post("/events", {})).status_code == 429
    assert (await backend.post("/events", b"{")).status_code == 400
