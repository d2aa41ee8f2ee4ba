"""Rows H3-H6, H11, H12: publishing over HTTP, limits and refusals (docs/protocol/http-api.md)."""

import json
from typing import Any

import httpx
import pytest

from tests.conformance.api import Api, accepted, exchange
from tests.conformance.client import connected, unique
from tests.conformance.target import Target
from tests.support.signing import signed_query

TOO_LONG = "x" * 201


def event(channels: list[str], **fields: Any) -> dict[str, Any]:
    return {"name": "my-event", "channels": channels, "data": "{}", **fields}


@pytest.mark.parametrize(("age", "status"), [(595, 200), (605, 401), (-595, 200), (-605, 401)])
async def test_H3_timestamp_window(api: Api, age: int, status: int) -> None:
    """A timestamp is good for less than 600 s either way; the unit tests hold the exact second."""
    response = await api.post("/events", event([unique("a")]), age=age)
    assert response.status_code == status
    if status == 401:
        assert response.text.startswith("Timestamp expired: Given timestamp (")


@pytest.mark.parametrize(("count", "status"), [(100, 200), (101, 400), (0, 400)])
async def test_H4_channels_per_event(api: Api, count: int, status: int) -> None:
    """An event may go to 100 channels, not to 101, and not to none."""
    names = [f"many-{number}" for number in range(count)]
    assert (await api.post("/events", event(names))).status_code == status


async def test_H4_duplicates_collapse(target: Target, api: Api) -> None:
    """A channel named twice, or in `channel` and `channels`, gets the event once."""
    one, other = unique("a"), unique("b")
    async with connected(target) as client:
        await client.subscribe(one)
        await client.subscribe(other)
        await api.publish([one, one], channel=other)
        received = [await client.receive(), await client.receive()]
        assert {frame.channel for frame in received} == {one, other}
        await client.expect_nothing()


@pytest.mark.parametrize(
    ("data", "status"),
    [("x" * 10_240, 200), ("x" * 10_241, 413), ("é" * 5_120, 200), ("é" * 5_121, 413)],
    ids=["10240", "10241", "10240 in UTF-8", "10242 in UTF-8"],
)
async def test_H5_data_size(
    target: Target, http: httpx.AsyncClient, data: str, status: int
) -> None:
    """Under Strict an event's data may have 10,240 bytes of UTF-8, not one more (413)."""
    strict = Api(target, target.app("strict"), http)
    response = await strict.post("/events", event([unique("a")], data=data))
    assert response.status_code == status
    batch = {"batch": [{"channel": "a", "name": "e", "data": data}]}
    assert (await strict.post("/batch_events", batch)).status_code == status


@pytest.mark.parametrize(("count", "status"), [(10, 200), (11, 400), (0, 200)])
async def test_H6_batch_size(api: Api, count: int, status: int) -> None:
    """A batch may have 10 items, not 11; an empty one is accepted."""
    batch = [{"channel": "a", "name": "e", "data": "{}"} for _ in range(count)]
    response = await api.post("/batch_events", {"batch": batch})
    assert response.status_code == status
    if count == 11:
        assert response.text.startswith("Batch too large (11 > 10)")


@pytest.mark.parametrize(
    "bad",
    [
        {"channels": ["a"], "name": "e", "data": "{}"},
        {"channel": "a b", "name": "e", "data": "{}"},
        {"channel": "a", "data": "{}"},
        {"channel": "a", "name": "e"},
        {"channel": "a", "name": "e", "data": "{}", "socket_id": "x"},
    ],
    ids=lambda bad: ",".join(bad),
)
async def test_H6_one_bad_item_sends_nothing(target: Target, api: Api, bad: dict[str, Any]) -> None:
    """One bad item in a batch is a 400, and nothing of the batch is sent."""
    channel = unique("batch-")
    good = {"channel": channel, "name": "e", "data": "{}"}
    async with connected(target) as client:
        await client.subscribe(channel)
        response = await api.post("/batch_events", {"batch": [good, bad]})
        assert response.status_code == 400
        await api.publish(channel, "after")
        await client.expect("after", channel)


async def test_H6_batch_is_delivered_in_order(target: Target, api: Api) -> None:
    """The items of a batch arrive in the order of the array, with info for those that asked."""
    channel = unique("batch-")
    async with connected(target) as client:
        await client.subscribe(channel)
        batch: list[dict[str, Any]] = [
            {"channel": channel, "name": f"e{number}", "data": str(number)} for number in range(10)
        ]
        batch[3]["info"] = "subscription_count"
        answer = accepted(await api.post("/batch_events", {"batch": batch}))
        assert answer == {"batch": [{"subscription_count": 1} if n == 3 else {} for n in range(10)]}
        for number in range(10):
            assert (await client.expect(f"e{number}", channel)).data == str(number)


async def test_H11_excluded_socket_is_left_out(target: Target, api: Api) -> None:
    """The connection named by socket_id does not get the event; the others do, in order."""
    channel = unique("to-others")
    async with connected(target) as author, connected(target) as other:
        await author.subscribe(channel)
        await other.subscribe(channel)
        await api.publish(channel, "first")
        await api.publish(channel, "second", socket_id=author.socket_id)
        await api.publish(channel, "third")
        assert [(await other.receive()).event for _ in range(3)] == ["first", "second", "third"]
        assert [(await author.receive()).event for _ in range(2)] == ["first", "third"]


async def test_H11_unknown_socket_id_is_no_error(api: Api) -> None:
    """A well-formed socket_id that nobody has changes nothing."""
    assert "channels" not in await api.publish(unique("a"), socket_id="1234.5678")


@pytest.mark.parametrize(
    "socket_id", ["1234", "1.2.3", "a.b", "1.2\n", " 1.2", "", "\uff11.2", 1.2]
)
async def test_H11_malformed_socket_id_is_400(api: Api, socket_id: Any) -> None:
    """A socket_id that is not two numbers joined by a dot is a 400."""
    response = await api.post("/events", event([unique("a")], socket_id=socket_id))
    assert response.status_code == 400


@pytest.mark.parametrize(
    "content",
    [
        b"{",
        b"[]",
        b"null",
        b'{"name":"e","channels":["a"],"data":NaN}',
        b'{"name":"e","channels":["a"],"data":"\xff"}',
        b'{"name":"\\ud800","channels":["a"],"data":"x"}',
        b'{"name":"e","channels":["\\ud800"],"data":"x"}',
        b'{"name":"e","channels":"a b","data":"x"}',
        b'{"name":1,"channels":["a"],"data":"x"}',
        b'{"name":"e","channels":["a"]}',
        b'{"channels":["a"],"data":"x"}',
        b'{"name":"","channels":["a"],"data":"x"}',
        b'{"name":"e","channels":["a b"],"data":"x"}',
        b'{"name":"pusher:fake","channels":["a"],"data":"x"}',
        b'{"name":"pusher_internal:member_added","channels":["presence-a"],"data":"x"}',
        json.dumps({"name": TOO_LONG, "channels": ["a"], "data": "x"}).encode(),
        json.dumps({"name": "e", "channels": [TOO_LONG], "data": "x"}).encode(),
        b'{"name":"e","channels":["private-encrypted-a","b"],"data":"x"}',
        b'{"name":"e","channels":["a"],"data":' + b"[" * 5_000,
    ],
    ids=lambda content: repr(content[:50]),
)
async def test_H4_bad_event_is_400(api: Api, content: bytes) -> None:
    """An event that is not JSON, or has a missing, wrong or forged field, is a 400."""
    response = await api.post("/events", content)
    assert response.status_code == 400, response.text
    assert response.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    ("data", "delivered"),
    [
        ('"hi"', "hi"),
        (r'"\"hi\""', '"hi"'),
        ('"[]"', "[]"),
        (r'"{\"a\":1.0,\"b\":[],\"u\":\"a\\\/b\"}"', r'{"a":1.0,"b":[],"u":"a\/b"}'),
        ('{"a": 1.0, "b": 12345678901234567890}', '{"a":1.0,"b":12345678901234567890}'),
        (r'"\u00e9 \ud83d\ude00"', "é 😀"),
    ],
)
async def test_H12_data_is_relayed_untouched(
    target: Target, api: Api, data: str, delivered: str
) -> None:
    """The data string of every library reaches subscribers unchanged; other JSON is stringified."""
    channel = unique("untouched")
    async with connected(target) as client:
        await client.subscribe(channel)
        body = f'{{"name":"e","channels":["{channel}"],"data":{data}}}'
        accepted(await api.post("/events", body.encode()))
        assert (await client.expect("e", channel)).data == delivered


async def test_H12_event_names_are_free(target: Target, api: Api) -> None:
    """Laravel's class names, dots and unicode are legal event names."""
    channel = unique("names")
    names = ["App\\Events\\OrderShipped", ".server.created", "ünï 😀", "x" * 200, "client-x"]
    async with connected(target) as client:
        await client.subscribe(channel)
        for name in names:
            await api.publish(channel, name)
            await client.expect(name, channel)


async def test_H12_connections_are_kept_alive(target: Target) -> None:
    """Two requests are served on one connection, and Expect: 100-continue is answered at once."""
    app = target.main
    path = f"/apps/{app.app_id}/events"
    body = json.dumps(event([unique("a")])).encode()
    query = signed_query(app.key, app.secret, "POST", path, body)
    head = f"POST {path}?{query} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    status, content = await exchange(target, head.encode() + b"\r\n" + body)
    assert (status, json.loads(content)) == (200, {})
    status, _ = await exchange(target, head.encode() + b"Expect: 100-continue\r\n\r\n")
    assert status == 100


async def test_H4_rates_answer_429(target: Target, http: httpx.AsyncClient) -> None:
    """Over the app's events or reads per second the API answers 429 with Retry-After."""
    api = Api(target, target.app("rates"), http)
    for responses in (
        [await api.post("/events", event(["a"])) for _ in range(12)],
        [await api.get("/channels") for _ in range(12)],
    ):
        assert [response.status_code for response in responses[:5]] == [200] * 5
        refused = [response for response in responses if response.status_code == 429]
        assert refused
        assert all(int(response.headers["retry-after"]) >= 1 for response in refused)
