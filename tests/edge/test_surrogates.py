r"""A cut emoji, as `JSON.stringify` writes it (`\ud83d`), in every place where a text comes in: it passes, is
replaced, or is refused by name; nobody loses a connection or an event.
"""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.edge.conftest import Bystander
from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, SECRET
from tests.support.signing import channel_auth, user_auth
from tests.support.wire import Address, Wire

CUT = "\ud83d"
#: Raw JSON of `data` -> the text that clients get.
DATA = {
    "text": (rb'"cut \ud83d"', "cut \ud83d"),
    "low half in capitals": (rb'"\uDE00 cut"', "\ude00 cut"),
    "halves in the wrong order": (rb'"\ude00\ud83d"', "\ude00\ud83d"),
    "object": (rb'{"text":"cut \ud83d","n":1.10}', r'{"text":"cut \ud83d","n":1.10}'),
    "key": (rb'{"\ud83d":[]}', r'{"\ud83d":[]}'),
    "stringified": (rb'"{\"text\":\"\\ud83d\"}"', r'{"text":"\ud83d"}'),
    "encrypted": (rb'"{\"nonce\":\"\ud83d\",\"ciphertext\":\"x\"}"', '{"nonce":"\ud83d","ciphertext":"x"}'),
}  # fmt: skip


@pytest.fixture
def address(process_address: Address) -> Address:
    """What a text means does not depend on the event loop: the process alone will do."""
    return process_address


@asynccontextmanager
async def client(address: Address, channel: str = "") -> AsyncIterator[tuple[Wire, str]]:
    """Somebody established, and subscribed if a private channel is given; with the socket id."""
    async with wire.opened(address) as one:
        await one.handshake(f"/app/{KEY}{wire.QUERY}")
        socket_id = await one.established()
        if channel:
            await one.join(channel, auth=channel_auth(KEY, SECRET, socket_id, channel))
        yield one, socket_id


@pytest.mark.parametrize(("raw", "received"), DATA.values(), ids=DATA.keys())
async def test_a_whisper_passes(address: Address, raw: bytes, received: str) -> None:
    channel = "private-relay"
    async with client(address, channel) as (one, _), client(address, channel) as (other, _):
        await one.send(
            wire.text(b'{"event":"client-x","channel":"%b","data":%b}' % (channel.encode(), raw))
        )
        assert (await other.expect("client-x"))["data"] == received
        await one.expect_alive()


@pytest.mark.parametrize("path", ["events", "batch_events"])
@pytest.mark.parametrize("channel", ["c", "cache-cut", "private-encrypted-cut"])
@pytest.mark.parametrize(("raw", "received"), DATA.values(), ids=DATA.keys())
async def test_an_event_of_the_backend_passes(
    address: Address, path: str, channel: str, raw: bytes, received: str
) -> None:
    """Also out of the cache, to a later subscriber and to the API."""
    body = b'{"name":"e","channel":"%b","data":%b}' % (channel.encode(), raw)
    body = body if path == "events" else b'{"batch":[%b]}' % body
    async with wire.opened(address) as backend, client(address) as (one, socket_id):
        auth = channel_auth(KEY, SECRET, socket_id, channel) if "private" in channel else ""
        await one.send(wire.subscribe(channel, auth=auth))
        await backend.send(signed.post(body, f"/apps/{APP_ID}/{path}"))
        assert (await backend.answer()).status == 200
        while (found := await one.message())["event"] != "e":
            assert found["event"] != "pusher:error"
        if channel == "cache-cut":
            async with client(address) as (later, _):
                await later.join(channel)
                assert (await later.expect("e"))["data"] == received
            await backend.send(signed.get(f"/apps/{APP_ID}/channels/{channel}", "info=cache"))
            assert json.loads((await backend.answer()).body)["cache"]["data"] == received


@pytest.mark.parametrize(
    "data",
    [
        '{"user_id":"1","user_info":{"n":"cut \\ud83d"}}',
        '{"user_id":"1","user_info":{"n":"cut \ud83d"}}',
    ],
)
async def test_a_member_joins_and_others_can_read_its_info(address: Address, data: str) -> None:
    """The escape in the signed text, and a half in the text itself, which Node signs as U+FFFD."""
    channel = "presence-cut"
    signed_text = data.replace(CUT, "\ufffd")
    async with client(address) as (witness, first), client(address) as (one, socket_id):
        watching = '{"user_id":"0"}'
        auth = channel_auth(KEY, SECRET, first, channel, watching)
        await witness.join(channel, auth=auth, channel_data=watching)
        auth = channel_auth(KEY, SECRET, socket_id, channel, signed_text)
        joined = await one.join(channel, auth=auth, channel_data=data)
        assert json.loads(joined["data"])["presence"]["hash"] == {
            "0": None,
            "1": {"n": "cut \ufffd"},
        }
        added = await witness.expect("pusher_internal:member_added")
        assert json.loads(added["data"]) == {"user_id": "1", "user_info": {"n": "cut \ufffd"}}


async def test_a_user_signs_in_and_gets_back_what_was_signed(address: Address) -> None:
    data = '{"id":"1","user_info":{"n":"cut \\ud83d"},"x":"\\uDE00"}'
    async with client(address) as (one, socket_id):
        auth = user_auth(KEY, SECRET, socket_id, data)
        await one.send(wire.message("pusher:signin", data={"auth": auth, "user_data": data}))
        confirmed = await one.expect("pusher:signin_success")
        assert json.loads(confirmed["data"]) == {"user_data": data}


@pytest.mark.parametrize(
    "name", ["cut \ud83d", "private-\ude00", "presence-\ud83d", "#server-to-user-\ud83d", CUT]
)
async def test_a_channel_is_refused_and_its_name_comes_back(
    address: Address, bystander: Bystander, name: str
) -> None:
    async with client(address) as (one, _):
        await one.send(
            wire.message("pusher:subscribe", data={"channel": name, "auth": f"{KEY}:{CUT}"})
        )
        refused = await one.expect("pusher:subscription_error")
        assert refused["channel"] == name
        told = json.loads(refused["data"])
        assert told["error"] == f"Channel name has a lone surrogate: {name!r}"
        assert (told["type"], told["status"]) == ("InvalidChannel", 400)
        await one.send(wire.message("pusher:unsubscribe", data={"channel": name}))
        await one.send(wire.message("client-x", channel=name, data="x"))
        assert await one.expect_error(None) == f"Channel name has a lone surrogate: {name!r}"
        await one.expect_alive()
        await bystander.is_served()


async def test_a_signature_is_a_wrong_one(address: Address) -> None:
    async with client(address) as (one, _):
        for auth in (CUT, f"{CUT}:x", f"{KEY}:{CUT}"):
            await one.send(wire.subscribe("private-c", auth=auth))
            refused = await one.expect("pusher:subscription_error")
            assert json.loads(refused["data"])["type"] == "AuthError"
        await one.expect_alive()


async def test_an_event_name_is_refused(address: Address) -> None:
    async with (
        client(address, "private-relay") as (one, _),
        client(address, "private-relay") as (other, _),
    ):
        await one.send(wire.message(f"client-{CUT}", channel="private-relay", data="x"))
        assert (
            await one.expect_error(None)
            == r"Client event rejected - the event name 'client-\ud83d' has a lone surrogate"
        )
        await one.expect_alive()
        await other.expect_alive()


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("channels/%ED%A0%BD", "The path is not UTF-8\n"),
        ("channels/presence-%ED%A0%BD/users", "The path is not UTF-8\n"),
    ],
)
async def test_a_path_is_refused(address: Address, path: str, text: str) -> None:
    async with wire.opened(address) as backend:
        query = signed.target("GET", f"/apps/{APP_ID}/channels").partition("?")[2]
        await backend.send(wire.request(f"/apps/{APP_ID}/{path}?{query}"))
        answer = await backend.answer()
        assert (answer.status, answer.body.decode()) == (400, text)


async def test_an_app_key_is_an_unknown_one(address: Address) -> None:
    async with wire.opened(address) as one:
        await one.handshake(f"/app/%ED%A0%BD{wire.QUERY}")
        await one.expect_refusal(4001)
