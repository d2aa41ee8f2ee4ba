"""Publishing: what is accepted, what is refused with which text; a batch is all or nothing."""

from typing import Any

import pytest

from tests.unit.http_api.backend import Backend, app_with

EVENT = {"name": "my-event", "channels": ["a"], "data": "hi"}


def event(**changes: Any) -> dict[str, Any]:
    """A good event with some fields changed; None leaves one out."""
    return {name: value for name, value in {**EVENT, **changes}.items() if value is not None}


async def test_an_event() -> None:
    """200 with an empty object: PHP throws on everything else (trap 55)."""
    backend = Backend()
    response = await backend.post("/events", event(channels=["a", "presence-b"]))
    assert (response.status_code, response.content) == (200, b"{}")
    assert response.headers["content-type"] == "application/json"
    assert response.headers["content-length"] == "2"
    assert backend.sent == [("my-event", ["a", "presence-b"], b'"hi"', None)]


@pytest.mark.parametrize(
    ("fields", "channels"),
    [
        ({"channels": None, "channel": "a"}, ["a"]),
        ({"channels": ["a", "b", "a"]}, ["a", "b"]),
        ({"channels": ["a", "b"], "channel": "c"}, ["a", "b", "c"]),
        ({"channels": ["a"], "channel": "a"}, ["a"]),
        ({"channels": ["#server-to-user-7"]}, ["#server-to-user-7"]),
        ({"channels": ["private-encrypted-x"]}, ["private-encrypted-x"]),
    ],
)
async def test_channels(fields: dict[str, Any], channels: list[str]) -> None:
    """PHP sends `channel` for a single one (trap 58); repeats collapse."""
    backend = Backend()
    response = await backend.post("/events", event(**fields))
    assert response.status_code == 200, response.text
    assert [sent[1] for sent in backend.sent] == [channels]


@pytest.mark.parametrize(
    ("body", "literal"),
    [
        (rb'"hi"', rb'"hi"'),
        (rb'"\"hi\""', rb'"\"hi\""'),
        (rb'"{\"x\":1.0,\"u\":\"a\\/b\"}"', rb'"{\"x\":1.0,\"u\":\"a\\/b\"}"'),
        (rb'"[]"', rb'"[]"'),
        (rb'""', rb'""'),
        ('"héllo 世界 😀"'.encode(), '"héllo 世界 😀"'.encode()),
        (rb"null", rb'"null"'),
        (
            rb'{ "x" : 1.0, "n": 12345678901234567890123 }',
            rb'"{\"x\":1.0,\"n\":12345678901234567890123}"',
        ),
        (rb"[]", rb'"[]"'),
        (rb"true", rb'"true"'),
    ],
)
async def test_data(body: bytes, literal: bytes) -> None:
    """A string is final, byte for byte; anything else is stringified with exact numbers."""
    backend = Backend()
    response = await backend.post("/events", b'{"name":"e","channel":"a","data":%b}' % body)
    assert response.status_code == 200, response.text
    assert [sent[2] for sent in backend.sent] == [literal]


async def test_last_of_duplicate_keys_wins() -> None:
    """As every JSON library reads them (trap 23)."""
    backend = Backend()
    await backend.post("/events", b'{"name":"e","name":"f","channel":"a","data":"1","data":"2"}')
    assert backend.sent == [("f", ["a"], b'"2"', None)]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"name": None}, "Missing required parameter: name"),
        ({"name": ""}, "Missing required parameter: name"),
        ({"channels": None}, "Missing required parameter: channels"),
        ({"channels": []}, "Missing required parameter: channels"),
        ({"data": None}, "Missing required parameter: data"),
        ({"name": "n" * 201}, "Event name too long (201 > 200 characters)"),
        (
            {"name": "pusher:error"},
            "Event names that begin with pusher: or pusher_internal: are reserved",
        ),
        (
            {"name": "pusher_internal:member_added"},
            "Event names that begin with pusher: or pusher_internal: are reserved",
        ),
        ({"channels": ["a b"]}, "Invalid channel name: 'a b'"),
        ({"channels": ["a", "#other"]}, "Invalid channel name: '#other'"),
        ({"channels": ["c" * 201]}, "Channel name is longer than 200 characters"),
        (
            {"channels": ["private-encrypted-x", "a"]},
            "An event for an encrypted channel cannot go to other channels as well",
        ),
        ({"name": 5}, "Expected `str | null`, got `int` - at `$.name`"),
        ({"channels": "a"}, "Expected `array | null`, got `str` - at `$.channels`"),
    ],
)
async def test_bad_fields(fields: dict[str, Any], text: str) -> None:
    """400, the text names what is wrong, nothing is sent."""
    backend = Backend()
    response = await backend.post("/events", event(**fields))
    assert (response.status_code, response.text) == (400, f"{text}\n")
    assert response.headers["content-type"] == "text/plain; charset=utf-8"
    assert backend.sent == []


@pytest.mark.parametrize(
    "name", ["App\\Events\\OrderShipped", ".custom.name", "client-x", "é世", "n" * 200]
)
async def test_event_names_are_free(name: str) -> None:
    """Laravel sends class names (trap 49)."""
    backend = Backend()
    assert (await backend.post("/events", event(name=name))).status_code == 200
    assert backend.sent[0][0] == name


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b'{"name":"e","channel":"a","data":NaN}',
        b'{"name":"e","channel":"a","data":"x"} trailing',
        b'{"name":"e","channel":"a","data":"\xff"}',
        b'{"name":"\xff","channel":"a","data":"x"}',
        b'{"name":"e","channel":"a","data":"x","other":"\xed\xa0\x80"}',
        rb'{"name":"e","channel":"a","data":"\ud80"}',
        rb'{"name":"\ud800","channel":"a","data":"x"}',
        b'{"name":"e","channel":"a","data":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"x":' + b'{"a":' * 100_000 + b"1" + b"}" * 100_000 + b"}",
        b'{"name":"e","channel":"a","data":1e999999999999999999999}',
        b"\xef\xbb\xbf{}",
        b"name=e&channel=a&data=x",
    ],
    ids=range(17),
)
async def test_bodies_that_are_no_event(body: bytes) -> None:
    """400 for every kind of broken text, and the next request is served."""
    backend = Backend()
    response = await backend.post("/events", body)
    assert response.status_code == 400, response.text
    assert backend.sent == []
    assert (await backend.post("/events", EVENT)).status_code == 200


@pytest.mark.parametrize(
    "socket_id", ["1", "1.2.3", "a.b", "1.", "", " 1.2", "1.2\n", "\u0661.\u0662"]
)
async def test_h11_malformed_socket_id(socket_id: str) -> None:
    """H11: 400."""
    backend = Backend()
    response = await backend.post("/events", event(socket_id=socket_id))
    assert response.status_code == 400
    assert backend.sent == []


async def test_h11_socket_id_is_passed_on_as_text() -> None:
    """H11: 1.10 is not 1.1 (trap 51); null is none."""
    backend = Backend()
    await backend.post("/events", event(socket_id="1.10"))
    await backend.post("/events", b'{"name":"e","channel":"a","data":"x","socket_id":null}')
    assert [sent[3] for sent in backend.sent] == ["1.10", None]


async def test_h4_channels_100_and_101() -> None:
    """H4: 200 and 400."""
    backend = Backend()
    names = [f"c{i}" for i in range(101)]
    assert (await backend.post("/events", event(channels=names[:100]))).status_code == 200
    response = await backend.post("/events", event(channels=names))
    assert (response.status_code, response.text) == (400, "Too many channels (101 > 100)\n")
    assert len(backend.sent) == 1


@pytest.mark.parametrize("unit", ["x", "\n", "é", "😀", '"'])
async def test_h5_data_limit(unit: str) -> None:
    """H5: bytes of the decoded text count, however much the escaping adds (trap 59)."""
    backend = Backend(app_with(limits={"event_data_bytes": 10_240}))
    text = unit * (10_240 // len(unit.encode()))
    assert (await backend.post("/events", event(data=text))).status_code == 200
    response = await backend.post("/events", event(data=text + "y"))
    assert response.status_code == 413
    assert response.text == (
        "The data content of this event exceeds the allowed maximum (10240 bytes).\n"
    )
    assert "connection" not in response.headers
    assert len(backend.sent) == 1


async def test_first_of_several_limits_is_reported() -> None:
    """In the order name, channels, data (docs/protocol/http-api.md#check-order)."""
    backend = Backend(app_with(limits={"event_data_bytes": 1, "event_channels": 1}))
    bad = {"name": "n" * 201, "channels": ["a", "b"], "data": "xx"}
    texts = []
    for _ in range(3):
        texts.append((await backend.post("/events", bad)).text[:12])
        if len(texts) == 1:
            bad["name"] = "n"
        else:
            bad["channels"] = ["a"]
    assert texts == ["Event name t", "Too many cha", "The data con"]


async def test_no_limits() -> None:
    """0 means no limit."""
    limits = {"event_data_bytes": 0, "event_channels": 0, "event_name_length": 0}
    backend = Backend(app_with(limits={**limits, "channel_name_length": 0, "batch_events": 0}))
    names = ["c" * 500, *(f"c{i}" for i in range(300))]
    big = event(name="n" * 500, channels=names, data="x" * 200_000)
    assert (await backend.post("/events", big)).status_code == 200
    batch = [{"name": "e", "channel": "a", "data": "x"}] * 30
    assert (await backend.post("/batch_events", {"batch": batch})).status_code == 200
    assert len(backend.sent) == 31


async def test_lenient_channel_names() -> None:
    """Apps that come from Reverb may have any printable name."""
    refused, accepted = Backend(), Backend(app_with(lenient_channel_names=True))
    for backend, status in ((refused, 400), (accepted, 200)):
        response = await backend.post("/events", event(channels=["orders:1", "room/5"]))
        assert response.status_code == status


async def test_parameters_in_the_query() -> None:
    """Pusher takes them from there too; what the body says comes first."""
    backend = Backend()
    query = "name=e&channels[]=a&channels[]=b&data=x y&socket_id=1.2&info=subscription_count"
    response = await backend.post("/events", b"", query)
    assert response.json() == {
        "channels": {"a": {"subscription_count": 0}, "b": {"subscription_count": 0}}
    }
    await backend.post("/events", {"name": "mine"}, "name=e&channel=c&data=x")
    await backend.post("/events", event(socket_id="3.4", info=""), query)
    assert backend.sent == [
        ("e", ["a", "b"], b'"x y"', "1.2"),
        ("mine", ["c"], b'"x"', None),
        ("my-event", ["a"], b'"hi"', "3.4"),
    ]


async def test_h7_info_on_mixed_channels() -> None:
    """H7: each channel has what applies to it; unknown attributes are ignored."""
    backend = Backend()
    await backend.occupy("a", times=3)
    for user in ("1", "2"):
        await backend.occupy("presence-b", f'{{"user_id":"{user}"}}', times=2)
    channels = ["a", "presence-b", "vacant", "#server-to-user-1"]
    response = await backend.post(
        "/events", event(channels=channels, info="subscription_count, user_count,nonsense")
    )
    assert response.json() == {
        "channels": {
            "a": {"subscription_count": 3},
            "presence-b": {"subscription_count": 4, "user_count": 2},
            "vacant": {"subscription_count": 0},
            "#server-to-user-1": {},
        }
    }
    assert (await backend.post("/events", event(info="nonsense"))).json() == {}
    assert (await backend.post("/events", event(info="user_count"))).json() == {
        "channels": {"a": {}}
    }


async def test_info_is_left_out_when_the_cluster_is_away() -> None:
    """The event is out, so the publication has succeeded."""
    backend = Backend()
    backend.fixture.lose_cluster()
    response = await backend.post("/events", event(info="subscription_count"))
    assert (response.status_code, response.json()) == (200, {})
    item = {"name": "e", "channel": "a", "data": "x", "info": "subscription_count"}
    response = await backend.post("/batch_events", {"batch": [item]})
    assert (response.status_code, response.json()) == (200, {})
    assert len(backend.sent) == 2


async def test_deprecated_event_route() -> None:
    """The body is the data itself; 202 and empty."""
    backend = Backend()
    response = await backend.post("/channels/a/events", b'{"x": 1}', "name=e&socket_id=1.2")
    assert (response.status_code, response.content) == (202, b"")
    assert backend.sent == [("e", ["a"], rb'"{\"x\": 1}"', "1.2")]
    assert (await backend.post("/channels/a/events", b"x")).text == (
        "Missing required parameter: name\n"
    )
    assert (await backend.post("/channels/a/events", b"\xff", "name=e")).status_code == 400
    assert len(backend.sent) == 1
