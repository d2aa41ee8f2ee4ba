"""JSON abuse over a WebSocket: an error frame, a refusal, silence or 1007; never anything of ours."""

import json
from typing import Any

import pytest

from tests.edge.conftest import Bystander
from tests.support import wire
from tests.support.inprocess import KEY, SECRET
from tests.support.signing import channel_auth, user_auth
from tests.support.wire import Address

DEEP = 60_000


@pytest.fixture
def address(process_address: Address) -> Address:
    """What a text means does not depend on the event loop: the process alone will do."""
    return process_address


NO_MESSAGE: dict[str, bytes] = {
    "empty": b"",
    "blank": b" \n\t ",
    "byte order mark": b'\xef\xbb\xbf{"event":"pusher:ping"}',
    "NUL": b"\x00",
    "NUL behind": b'{"event":"pusher:ping"}\x00',
    "NUL inside": b'{"event":"pusher:\x00ping"}',
    "two documents": b'{"event":"pusher:ping"}{"event":"pusher:ping"}',
    "cut": b'{"event":"pusher:pi',
    "single quotes": b"{'event':'pusher:ping'}",
    "comment": b'{"event":"pusher:ping"/**/}',
    "trailing comma": b'{"event":"pusher:ping",}',
    "array": b'["pusher:ping"]',
    "string": b'"pusher:ping"',
    "number": b"7",
    "null": b"null",
    "no event": b'{"data":{}}',
    "event null": b'{"event":null}',
    "event number": b'{"event":7}',
    "event object": b'{"event":{"a":1}}',
    "event array": b'{"event":["pusher:ping"]}',
    "NaN": b'{"event":"client-x","channel":"c","data":NaN}',
    "Infinity": b'{"event":"client-x","channel":"c","data":{"a":-Infinity}}',
    "hexadecimal": b'{"event":"client-x","channel":"c","data":0x10}',
    "leading zero": b'{"event":"client-x","channel":"c","data":01}',
    "half an escape": b'{"event":"client-x","channel":"c","data":"\\u12"}',
    "unknown escape": b'{"event":"client-x","channel":"c","data":"\\x41"}',
    "deep array": b"[" * DEEP,
    "one level too deep": b'{"event":"client-x","channel":"c","data":' + b"[" * 512 + b"]" * 512 + b"}",
    "deep data": b'{"event":"client-x","channel":"c","data":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep objects": b'{"event":"client-x","channel":"c","data":' + b'{"a":' * 20_000 + b"1"
    + b"}" * 20_000 + b"}",
    "deep channel": b'{"event":"client-x","channel":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "deep extra key": b'{"event":"pusher:ping","x":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "exponent past every range": b'{"event":"client-x","channel":"c","data":1e99999999999999999999}',
    "5000 digits": b'{"event":"client-x","channel":"c","data":' + b"9" * 5_000 + b"}",
    "subscribe without data": b'{"event":"pusher:subscribe"}',
    "subscribe with null": b'{"event":"pusher:subscribe","data":null}',
    "subscribe with a list": b'{"event":"pusher:subscribe","data":[]}',
    "subscribe with a number": b'{"event":"pusher:subscribe","data":7}',
    "subscribe with text": b'{"event":"pusher:subscribe","data":"channel"}',
    "subscribe with broken text": b'{"event":"pusher:subscribe","data":"{\\"channel\\":"}',
    "subscribe with deep text": json.dumps(
        {"event": "pusher:subscribe", "data": '{"channel":' + "[" * DEEP}
    ).encode(),
    "unsubscribe with a list": b'{"event":"pusher:unsubscribe","data":["c"]}',
    "signin without data": b'{"event":"pusher:signin"}',
    "signin with text": b'{"event":"pusher:signin","data":"x"}',
}  # fmt: skip


@pytest.mark.parametrize("payload", NO_MESSAGE.values(), ids=NO_MESSAGE.keys())
async def test_what_is_no_message_gets_one_error_and_nothing_else(
    address: Address, bystander: Bystander, payload: bytes
) -> None:
    """`Invalid message format`, code 4200, and the connection stays (docs/protocol/frames.md#malformed)."""
    async with wire.connected(address, KEY) as client:
        await client.send(wire.text(payload))
        assert await client.expect_error(4200) == "Invalid message format"
        await client.expect_alive()
        await bystander.is_served()


@pytest.mark.parametrize("channel", [None, True, 7, 1.5, [], ["c"], {}, {"c": 1}])
async def test_a_channel_of_another_type(address: Address, channel: Any) -> None:
    """Subscribing is refused, unsubscribing ignored, a client event is an error."""
    async with wire.connected(address, KEY) as client:
        await client.send(_subscribe(channel))
        found = await client.expect("pusher:subscription_error")
        assert json.loads(found["data"])["status"] == 400
        await client.send(wire.message("pusher:unsubscribe", data={"channel": channel}))
        await client.expect_alive()
        await client.send(wire.message("client-x", channel=channel, data=1))
        await client.expect_error(None)
        await client.expect_alive()


def _subscribe(channel: Any, **fields: Any) -> bytes:
    return wire.message("pusher:subscribe", data={"channel": channel, "auth": "", **fields})


@pytest.mark.parametrize(
    "name",
    ["", "#", "#server-to-user-", "#private", "a b", "é", "a\x00", "a\n", "a" * 201, "x" * 100_000,
     "room/1", "a:b", "\U0001f600", '"', "</script>"],
)  # fmt: skip
async def test_a_channel_name_that_is_none(
    address: Address, bystander: Bystander, name: str
) -> None:
    """Refused by its name, which comes back as it was."""
    async with wire.connected(address, KEY) as client:
        await client.send(_subscribe(name))
        found = await client.expect("pusher:subscription_error")
        assert found["channel"] == name
        await client.expect_alive()


@pytest.mark.parametrize("auth", [None, 7, [], {}, "", ":", "x", "x" * 100_000, f"{KEY}:é", "\x00"])
@pytest.mark.parametrize("channel", ["private-c", "presence-c", "private-encrypted-c"])
async def test_a_signature_that_is_none(address: Address, channel: str, auth: Any) -> None:
    """Refused as every wrong one is."""
    async with wire.connected(address, KEY) as client:
        await client.send(_subscribe(channel, auth=auth))
        found = await client.expect("pusher:subscription_error")
        assert json.loads(found["data"])["type"] == "AuthError"
        await client.expect_alive()


MEMBERS = {
    "empty": "",
    "no JSON": "{",
    "list": "[]",
    "number": "7",
    "null": "null",
    "no id": "{}",
    "id null": '{"user_id":null}',
    "id empty": '{"user_id":""}',
    "id list": '{"user_id":["a"]}',
    "id object": '{"user_id":{}}',
    "id boolean": '{"user_id":true}',
    "id float": '{"user_id":1.5}',
    "id NaN": '{"user_id":NaN}',
    "id exponent": '{"user_id":1e999999999}',
    "id surrogate": '{"user_id":"\\ud800"}',
    "id long": json.dumps({"user_id": "x" * 1_000}),
    "id 5000 digits": '{"user_id":' + "9" * 5_000 + "}",
    "info too large": json.dumps({"user_id": "a", "user_info": "x" * 20_000}),
    "one level too deep": '{"user_id":"a","user_info":' + "[" * 512 + "]" * 512 + "}",
    "deep": '{"user_id":"a","user_info":' + "[" * 8_000 + "]" * 8_000 + "}",
    "NUL": '{"user_id":"a"}\x00',
    "byte order mark": '\ufeff{"user_id":"a"}',
}


@pytest.mark.parametrize("member", MEMBERS.values(), ids=MEMBERS.keys())
async def test_member_data_that_is_none(
    address: Address, bystander: Bystander, member: str
) -> None:
    """Refused even when it is signed (docs/protocol/presence.md#channel-data); the channel stays empty."""
    async with wire.opened(address) as client:
        await client.handshake(f"/app/{KEY}{wire.QUERY}")
        socket_id = await client.established()
        channel = "presence-abuse"
        auth = channel_auth(KEY, SECRET, socket_id, channel, member)
        await client.send(_subscribe(channel, auth=auth, channel_data=member))
        found = await client.expect("pusher:subscription_error")
        assert found["channel"] == channel
        await client.expect_alive()
        good = json.dumps({"user_id": 2**70, "user_info": {"n": 1e300}})
        auth = channel_auth(KEY, SECRET, socket_id, channel, good)
        joined = await client.join(channel, auth=auth, channel_data=good)
        assert json.loads(joined["data"])["presence"]["ids"] == [str(2**70)]


# Any text may be the id of a user, and there is no limit on what else a user carries.
USERS = {
    name: member.replace("user_id", "id")
    for name, member in MEMBERS.items()
    if name not in ("id long", "info too large")
}


@pytest.mark.parametrize("user", USERS.values(), ids=USERS.keys())
async def test_user_data_that_is_none(address: Address, bystander: Bystander, user: str) -> None:
    """Error and close 4009 (docs/protocol/users.md#sign-in), even when it is signed."""
    async with wire.opened(address) as client:
        await client.handshake(f"/app/{KEY}{wire.QUERY}")
        socket_id = await client.established()
        auth = user_auth(KEY, SECRET, socket_id, user)
        await client.send(wire.message("pusher:signin", data={"auth": auth, "user_data": user}))
        await client.expect_error(4009)
        await client.expect_close(4009)
        await client.expect_end()


RELAYED: dict[str, tuple[bytes, str]] = {
    "duplicate key, last wins": (b'1,"data":2', "2"),
    "big integer": (b"123456789012345678901234567890", "123456789012345678901234567890"),
    "4000 digits": (b"9" * 4_000, "9" * 4_000),
    "giant exponent": (b"1e999999999", "1E+999999999"),
    "small exponent": (b"1e-999999999", "1E-999999999"),
    "one point nought": (b"1.0", "1.0"),
    "minus nought": (b"-0.0", "-0.0"),
    "text with NUL": (b'"a\\u0000b"', "a\x00b"),
    "pair of surrogates": (b'"\\ud83d\\ude00"', "\U0001f600"),
    "object": (b'{"b":[1.10,null,true],"a":"\\/"}', '{"b":[1.10,null,true],"a":"/"}'),
    "duplicate keys within, last wins": (b'{"a":1,"a":2}', '{"a":2}'),
    "as deep as pages are": (b"[" * 60 + b"]" * 60, "[" * 60 + "]" * 60),
    "line separators": (b'"\xe2\x80\xa8\xe2\x80\xa9"', "\u2028\u2029"),
    "text that looks like JSON": (b'"[1"', "[1"),
}


@pytest.mark.parametrize(("raw", "relayed"), RELAYED.values(), ids=RELAYED.keys())
async def test_unusual_data_is_relayed_exactly(address: Address, raw: bytes, relayed: str) -> None:
    """The frame is built anew: nothing else of the sender comes through (trap 23)."""
    channel = "private-relay"
    async with wire.opened(address) as sender, wire.opened(address) as receiver:
        for client in (sender, receiver):
            await client.handshake(f"/app/{KEY}{wire.QUERY}")
            auth = channel_auth(KEY, SECRET, await client.established(), channel)
            await client.join(channel, auth=auth)
        await sender.send(
            wire.text(
                b'{"event":"no","user_id":"forged","channel":"x","event":"client-x","data":%b,'
                b'"channel":"private-relay","extra":{"a":1}}' % raw
            )
        )
        assert await receiver.message() == {
            "event": "client-x", "channel": channel, "data": relayed,
        }  # fmt: skip
        await sender.expect_alive()


async def test_every_depth_around_the_recursion_limit(
    address: Address, bystander: Bystander
) -> None:
    """The bound is ours and exact: relayed up to it, an error frame past it, whatever the interpreter does."""
    async with wire.opened(address) as client:
        await client.handshake(f"/app/{KEY}{wire.QUERY}")
        channel = "private-depth"
        auth = channel_auth(KEY, SECRET, await client.established(), channel)
        await client.join(channel, auth=auth)
        for depth in [*range(150, 1_100), 1_500, 3_000, 10_000]:
            data = b"[" * depth + b"]" * depth
            await client.send(
                wire.text(b'{"event":"client-x","channel":"private-depth","data":%b}' % data)
            )
            await client.send(wire.message("pusher:ping", data={}))
            found = await client.message()
            code = found["data"]["code"] if found["event"] == "pusher:error" else None
            assert code in ((4200,) if depth >= 512 else (None, 4301))
            if code is not None:
                await client.expect("pusher:pong")
