"""The golden requests go through the whole API, not only through the signature check."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.unit.http_api.backend import Backend

GOLDEN = json.loads((Path(__file__).parents[2] / "golden_vectors.json").read_text("utf-8"))
ACCEPTED = [
    {**vector, "clock_now": GOLDEN["http"]["clock_now"]} for vector in GOLDEN["http"]["vectors"]
] + GOLDEN["edge"]["accept"]
REJECTED = [vector for vector in GOLDEN["edge"]["reject"] if vector["kind"] == "http"]


async def send(vector: dict[str, Any]) -> tuple[int, bytes, Backend]:
    backend = Backend()
    backend.now = vector["clock_now"]
    url = f"{vector['path']}?{vector['query_as_sent']}"
    body = vector["body"]
    content = {} if body is None else {"content": body.encode()}
    response = await backend.send(vector["method"], url, **content)
    return response.status_code, response.content, backend


@pytest.mark.parametrize("vector", ACCEPTED, ids=lambda v: v["query_as_sent"][-8:])
async def test_h1_golden_requests_are_accepted(vector: dict[str, Any]) -> None:
    """H1: status 200 and a JSON object."""
    status, body, _ = await send(vector)
    assert status == 200, body
    assert isinstance(json.loads(body), dict)


@pytest.mark.parametrize("vector", REJECTED, ids=lambda v: v["why"])
async def test_h2_golden_requests_are_rejected(vector: dict[str, Any]) -> None:
    """H2: the status, a text that ends in a newline, and nothing is published."""
    status, body, backend = await send(vector)
    assert status == vector["status"]
    assert body.endswith(b"\n")
    assert backend.sent == []


async def test_data_goes_through_untouched() -> None:
    """What PHP escapes inside the data stays escaped (trap 15)."""
    vector = next(v for v in ACCEPTED if "OrderShipped" in (v["body"] or ""))
    _, _, backend = await send(vector)
    body = vector["body"]
    start = body.index('"data":') + len('"data":')
    literal = body[start : body.index(',"channel"')]
    name = "App\\Events\\OrderShipped"
    assert backend.sent == [(name, ["private-orders.1"], literal.encode(), "1234.5678")]
