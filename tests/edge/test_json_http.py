"""JSON abuse over the HTTP API, signed: 400, 413 or a good answer; never a 500."""

import json
from typing import Any

import pytest

from tests.edge.conftest import Bystander
from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY
from tests.support.wire import Address

BATCH = f"/apps/{APP_ID}/batch_events"
DEEP = 100_000


@pytest.fixture
def address(process_address: Address) -> Address:
    """What a text means does not depend on the event loop: the process alone will do."""
    return process_address


def event(**changes: Any) -> bytes:
    """A good event but for `changes`."""
    return json.dumps({"name": "e", "channels": ["c"], "data": "{}", **changes}).encode()


def with_data(raw: bytes) -> bytes:
    """An event whose data is this raw JSON."""
    return b'{"name":"e","channels":["c"],"data":' + raw + b"}"


BROKEN: dict[str, bytes] = {
    "empty": b"",
    "blank": b"  ",
    "byte order mark": b"\xef\xbb\xbf" + event(),
    "NUL": b"\x00",
    "NUL behind": event() + b"\x00",
    "form": b"name=e&channel=c&data=x",
    "cut": event()[:-3],
    "two": event() * 2,
    "list": b"[]",
    "null": b"null",
    "text": b'"x"',
    "no UTF-8": with_data(b'"\xff"'),
    "raw surrogate": with_data(b'"\xed\xa0\x80"'),
    "UTF-16": event().decode().encode("utf-16"),
    "lone surrogate in name": event(name="\ud800"),
    "lone surrogate in channel": event(channels=["\ud800"]),
    "NaN": with_data(b"NaN"),
    "Infinity": with_data(b'{"a":Infinity}'),
    "exponent past every range": with_data(b"1e99999999999999999999"),
    "5000 digits": with_data(b"9" * 5_000),
    "deep": b"[" * DEEP,
    "one level too deep": with_data(b"[" * 512 + b"]" * 512),
    "deep data": with_data(b"[" * DEEP + b"]" * DEEP),
    "deep objects": with_data(b'{"a":' * DEEP + b"1" + b"}" * DEEP),
    "deep name": b'{"name":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep extra": b'{"x":' + b"[" * DEEP + b"]" * DEEP + b"," + event()[1:],
    "name missing": b'{"channels":["c"],"data":"{}"}',
    "name null": event(name=None),
    "name number": event(name=7),
    "name list": event(name=["e"]),
    "name empty": event(name=""),
    "name long": event(name="x" * 201),
    "name forged": event(name="pusher:error"),
    "channels text": event(channels="c"),
    "channels number": event(channels=7),
    "channels object": event(channels={"c": 1}),
    "channels of numbers": event(channels=[1, 2]),
    "channels of null": event(channels=[None]),
    "channels empty": event(channels=[]),
    "channels many": event(channels=[f"c{i}" for i in range(101)]),
    "channel list": event(channel=["c"]),
    "channel empty": event(channel=""),
    "channel bad": event(channels=["a b"]),
    "channel control": event(channels=["a\x00"]),
    "channel long": event(channels=["x" * 201]),
    "encrypted among others": event(channels=["private-encrypted-a", "b"]),
    "data missing": b'{"name":"e","channels":["c"]}',
    "socket_id number": event(socket_id=1.5),
    "socket_id list": event(socket_id=[]),
    "socket_id text": event(socket_id="me"),
    "socket_id newline": event(socket_id="1.2\n"),
    "socket_id other digits": event(socket_id="\u0661.\u0662"),
    "info list": event(info=["user_count"]),
}  # fmt: skip


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN.keys())
async def test_a_wrong_event_is_400(address: Address, bystander: Bystander, body: bytes) -> None:
    """With a line of text that says what is wrong; the connection stays good."""
    async with wire.opened(address) as backend:
        await backend.send(signed.post(body))
        answer = await backend.answer()
        assert answer.status == 400, answer
        assert answer.headers["content-type"].startswith("text/plain")
        assert answer.body.endswith(b"\n")
        assert answer.body.count(b"\n") == 1
        await backend.send(signed.event("bystander", '"then"'))
        assert (await backend.answer()).status == 200
    assert (await bystander.wire.expect("my-event"))["data"] == '"then"'


@pytest.mark.parametrize(
    "body",
    [
        b"{}", b"[]", b'{"batch":null}', b'{"batch":{}}', b'{"batch":"x"}', b'{"batch":[1]}',
        b'{"batch":[null]}', b'{"batch":[[]]}', b'{"batch":[{}]}',
        b'{"batch":[{"name":"e","channels":["c"],"data":"x"}]}',
        b'{"batch":[{"name":"e","channel":"c","data":"x"},{"name":"e","channel":"c"}]}',
        b'{"batch":[' + b",".join([b'{"name":"e","channel":"c","data":"x"}'] * 11) + b"]}",
        b'{"batch":' + b"[" * DEEP,
    ],
)  # fmt: skip
async def test_a_wrong_batch_is_400_and_sends_nothing(
    address: Address, bystander: Bystander, body: bytes
) -> None:
    """All or nothing: also what was right in it is not sent."""
    async with wire.opened(address) as backend:
        await backend.send(
            signed.post(body.replace(b'"channel":"c"', b'"channel":"bystander"'), BATCH)
        )
        assert (await backend.answer()).status == 400


GOOD: dict[str, tuple[bytes, str]] = {
    "number": (b"7", "7"),
    "null": (b"null", "null"),
    "list": (b"[]", "[]"),
    "object": (b'{"a" : 1.0}', '{"a":1.0}'),
    "4000 digits": (b"9" * 4_000, "9" * 4_000),
    "giant exponent": (b"1e999999999", "1E+999999999"),
    "duplicate key": (b'"no","data":"yes"', "yes"),
    "empty text": (b'""', ""),
    "text with NUL": (b'"\\u0000"', "\x00"),
    "escapes of PHP": (b'"{\\"url\\":\\"a\\\\\\/b\\"}"', '{"url":"a\\/b"}'),
    "pair of surrogates": (b'"\\ud83d\\ude00"', "\U0001f600"),
    "text that looks like NaN": (b'"NaN"', "NaN"),
}


@pytest.mark.parametrize(("raw", "received"), GOOD.values(), ids=GOOD.keys())
async def test_unusual_data_arrives_exactly(address: Address, raw: bytes, received: str) -> None:
    """A string as it is, anything else stringified without loss (docs/protocol/http-api.md#data)."""
    async with wire.connected(address, KEY) as client, wire.opened(address) as backend:
        await client.join("c")
        await backend.send(signed.post(with_data(raw)))
        answer = await backend.answer()
        assert answer.status == 200, answer
        assert (await client.expect("e"))["data"] == received


async def test_every_depth_around_the_recursion_limit(
    address: Address, bystander: Bystander
) -> None:
    """The bound is ours and exact: 200 up to it, 400 past it, whatever the interpreter does."""
    async with wire.opened(address) as backend:
        for depth in [*range(100, 1_100, 3), 3_000, 10_000]:
            await backend.send(signed.post(with_data(b"[" * depth + b"]" * depth)))
            assert (await backend.answer()).status == (200 if depth < 512 else 400)


async def test_data_at_the_limit(address: Address, bystander: Bystander) -> None:
    """102,400 bytes of text pass however long their escapes are; one more is 413."""
    async with wire.opened(address) as backend:
        for unit, size in (("x", 1), ("é", 2), ("\x00", 1), ("/", 1), ("\U0001f600", 4)):
            for extra, status in ((0, 200), (1, 413)):
                await backend.send(signed.post(event(data=unit * (102_400 // size + extra))))
                assert (await backend.answer()).status == status
