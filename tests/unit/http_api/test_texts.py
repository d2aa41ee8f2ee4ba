"""Text that is JSON and yet unusual: lone surrogates, deep nesting."""

from urllib.parse import quote

import pytest

from tests.support.signing import sign
from tests.unit.http_api.backend import KEY, NOW, SECRET, Backend, app_with


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        (rb'"cut \ud83d"', rb'"cut \ud83d"'),
        (rb'"\uDE00\uD83D"', rb'"\uDE00\uD83D"'),
        (rb'{ "\ud83d": ["\ude00", 1.10] }', rb'"{\"\\ud83d\":[\"\\ude00\",1.10]}"'),
    ],
)
async def test_data_with_a_lone_surrogate_passes_unchanged(data: bytes, sent: bytes) -> None:
    """Alone, in a batch, and as a text in the query, where it is an escape and no surrogate."""
    backend = Backend()
    item = rb'{"name":"e","channel":"a","data":%b,"x\ud83d":1}' % data
    assert (await backend.post("/events", item)).status_code == 200
    assert (await backend.post("/batch_events", b'{"batch":[%b,%b]}' % (item, item))).json() == {}
    assert [each[2] for each in backend.sent] == [sent] * 3
    await backend.post("/events", {"name": "e", "channel": "a"}, r"data=\ud83d")
    assert backend.sent[3][2] == rb'"\\ud83d"'


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (
            rb'{"name":"e\ud83d","channel":"a","data":"x"}',
            r"The event name 'e\ud83d' has a lone surrogate",
        ),
        (
            rb'{"name":"e","channel":"a\ud83d","data":"x"}',
            r"Channel name has a lone surrogate: 'a\ud83d'",
        ),
        (
            rb'{"name":"e","channels":["b","\ude00"],"data":"x"}',
            r"Channel name has a lone surrogate: '\ude00'",
        ),
        (
            rb'{"name":"e","channel":"a","data":"x","socket_id":"1.2\ud83d"}',
            "Invalid socket id: it must be two integers joined by a dot",
        ),
    ],
)
@pytest.mark.parametrize("lenient", [False, True])
async def test_names_with_a_lone_surrogate_are_refused_by_name(
    body: bytes, text: str, lenient: bool
) -> None:
    backend = Backend(app_with(lenient_channel_names=lenient))
    response = await backend.post("/events", body)
    assert (response.status_code, response.text) == (400, f"{text}\n")
    response = await backend.post("/batch_events", b'{"batch":[%b]}' % body)
    assert response.status_code == 400
    assert backend.sent == []


@pytest.mark.parametrize("name", ["data", "name", "channel", "socket_id", "info"])
async def test_a_surrogate_in_the_query_is_no_utf_8(name: str) -> None:
    """`%ED%A0%BD`; signed as the bytes that it stands for, by a backend that could make them."""
    query = f"auth_key={KEY}&auth_timestamp={int(NOW)}&auth_version=1.0".encode()
    pairs = {b"name": b"e", b"channel": b"a", b"data": b"x", name.encode(): b"\xed\xa0\xbd"}
    signed = b"&".join(sorted([*query.split(b"&"), *(b"%b=%b" % pair for pair in pairs.items())]))
    text = b"POST\n/apps/3/events\n" + signed
    signature = sign(SECRET, text)
    backend = Backend()
    response = await backend.send(
        "POST", f"/apps/3/events?{quote(signed, safe='=&')}&auth_signature={signature}"
    )
    assert (response.status_code, response.text) == (400, f"The parameter {name} is not UTF-8\n")
    assert backend.sent == []


@pytest.mark.parametrize("depth", [511, 512, 20_000])
async def test_data_is_nested_as_deeply_as_our_bound_says(depth: int) -> None:
    """512 levels with the body's own, whatever the interpreter could do; brackets in a text are none."""
    backend = Backend()
    deep = b"[" * depth + b"]" * depth
    response = await backend.post("/events", b'{"name":"e","channel":"a","data":%b}' % deep)
    assert response.status_code == (200 if depth < 512 else 400)
    if depth >= 512:
        assert response.text == "The JSON is nested more than 512 levels deep\n"
    item = b'{"name":"e","channel":"a","data":"%b"}' % deep
    assert (await backend.post("/batch_events", b'{"batch":[%b]}' % item)).status_code == 200
    assert backend.sent[-1][2] == b'"%b"' % deep
