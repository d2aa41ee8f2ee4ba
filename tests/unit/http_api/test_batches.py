"""Batches: all or nothing, in the order of the request."""

from typing import Any

import pytest

from tests.unit.http_api.backend import Backend, items


async def test_h6_batch_of_10_and_11() -> None:
    """H6: in order; one more is refused as a whole."""
    backend = Backend()
    response = await backend.post("/batch_events", items(10))
    assert (response.status_code, response.content) == (200, b"{}")
    assert [sent[0] for sent in backend.sent] == [f"e{i}" for i in range(10)]
    response = await backend.post("/batch_events", items(11))
    assert (response.status_code, response.text) == (400, "Batch too large (11 > 10)\n")
    assert len(backend.sent) == 10


@pytest.mark.parametrize(
    ("bad", "status", "text"),
    [
        (
            {"channels": ["a"], "name": "e", "data": "x"},
            400,
            "Missing required parameter: channel\n",
        ),
        ({"channel": "a", "data": "x"}, 400, "Missing required parameter: name\n"),
        ({"channel": "a", "name": "e"}, 400, "Missing required parameter: data\n"),
        ({"channel": "a b", "name": "e", "data": "x"}, 400, "Invalid channel name: 'a b'\n"),
        ({"channel": "a", "name": "e", "data": "x", "socket_id": "?"}, 400, "Invalid socket id"),
        ({"channel": "a", "name": "e", "data": "x" * 102_401}, 413, "The data content"),
        ("nonsense", 400, "Expected `object`"),
    ],
)
async def test_h6_one_bad_item_and_nothing_is_sent(bad: Any, status: int, text: str) -> None:
    """H6: all or nothing."""
    backend = Backend()
    body = {"batch": [*items(2)["batch"], bad]}
    response = await backend.post("/batch_events", body)
    assert response.status_code == status
    assert response.text.startswith(text)
    assert backend.sent == []


async def test_batch_info() -> None:
    """Same length and order as the request; `{}` where nothing was asked."""
    backend = Backend()
    await backend.occupy("a", times=2)
    await backend.occupy("presence-b", '{"user_id":"1"}', times=3)
    batch = items(3)["batch"]
    batch[0]["info"] = "subscription_count,user_count"
    batch[2] |= {"channel": "presence-b", "info": "user_count"}
    response = await backend.post("/batch_events", {"batch": batch})
    assert response.json() == {"batch": [{"subscription_count": 2}, {}, {"user_count": 1}]}


async def test_batches_without_events() -> None:
    """An empty one is done; a missing one is an error."""
    backend = Backend()
    assert (await backend.post("/batch_events", {"batch": []})).content == b"{}"
    response = await backend.post("/batch_events", {})
    assert (response.status_code, response.text) == (400, "Missing required parameter: batch\n")
    assert (await backend.post("/batch_events", b"")).status_code == 400


async def test_batch_encrypted_items() -> None:
    """Each has one channel, so encrypted ones may stand beside others."""
    backend = Backend()
    batch = items(2)["batch"]
    batch[1]["channel"] = "private-encrypted-x"
    assert (await backend.post("/batch_events", {"batch": batch})).status_code == 200
