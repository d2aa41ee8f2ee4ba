"""What we say: byte for byte the frames of docs/protocol/frames.md#server-frames."""

import json
from typing import Any

import msgspec

from pusher_server.app import Member
from pusher_server.protocol import events
from pusher_server.protocol.encrypted import is_sealed
from pusher_server.protocol.errors import Code, SubscriptionRefused


def both(payload: bytes) -> tuple[dict[str, Any], Any]:
    """The envelope and its `data`, which must be a string."""
    message = json.loads(payload)
    assert isinstance(message["data"], str)
    return message, json.loads(message["data"])


def test_connection_established() -> None:
    assert (
        events.connection_established("1.2", 120)
        == b'{"event":"pusher:connection_established","data":'
        b'"{\\"socket_id\\":\\"1.2\\",\\"activity_timeout\\":120}"}'
    )


def test_data_of_ping_and_pong_is_a_string() -> None:
    """As hosted Pusher's: a typed client (Go) fails to read an object there."""
    assert events.PING == b'{"event":"pusher:ping","data":"{}"}'
    assert events.PONG == b'{"event":"pusher:pong","data":"{}"}'


def test_an_error_is_an_object() -> None:
    assert (
        events.error(Code.UNAUTHORIZED, "no")
        == b'{"event":"pusher:error","data":{"code":4009,"message":"no"}}'
    )


def test_an_error_without_code_says_null_and_may_name_a_channel() -> None:
    assert (
        events.error(None, 'say "x"', "my-channel")
        == b'{"event":"pusher:error","data":{"code":null,"message":"say \\"x\\""},'
        b'"channel":"my-channel"}'
    )


def test_an_event_carries_its_data_literally() -> None:
    assert (
        events.channel_event("my-event", "my-channel", b'"{\\"message\\":\\"hello\\"}"')
        == b'{"event":"my-event","data":"{\\"message\\":\\"hello\\"}","channel":"my-channel"}'
    )


def test_a_client_event_on_a_presence_channel_names_its_sender() -> None:
    assert (
        events.channel_event("client-typing", "presence-foobar", b'"{\\"on\\":true}"', "10")
        == b'{"event":"client-typing","data":"{\\"on\\":true}","channel":"presence-foobar",'
        b'"user_id":"10"}'
    )


def test_names_are_escaped() -> None:
    message, _ = both(events.channel_event('a"\\\n', 'b"', b'"1"', 'c"'))
    assert message == {"event": 'a"\\\n', "data": "1", "channel": 'b"', "user_id": 'c"'}


def test_subscription_succeeded() -> None:
    assert (
        events.subscription_succeeded("my-channel")
        == b'{"event":"pusher_internal:subscription_succeeded","data":"{}","channel":"my-channel"}'
    )


def test_subscription_error() -> None:
    assert (
        events.subscription_error(
            "private-foobar", "AuthError", "The connection is unauthorized.", 401
        )
        == b'{"event":"pusher:subscription_error","data":"{\\"type\\":\\"AuthError\\",\\"error\\":'
        b'\\"The connection is unauthorized.\\",\\"status\\":401}","channel":"private-foobar"}'
    )


def test_a_refused_subscription_is_told_to_its_channel() -> None:
    refusal = SubscriptionRefused("private-x", "no", kind="LimitReached", status=4100)
    message, data = both(events.refusal(refusal, strict=False))
    assert (message["event"], message["channel"]) == ("pusher:subscription_error", "private-x")
    assert data == {"type": "LimitReached", "error": "no", "status": 4100}


def test_a_refusal_on_an_encrypted_channel_can_be_decrypted_in_vain() -> None:
    """Android's client decrypts every event there, and throws if there is nothing to decrypt."""
    refusal = SubscriptionRefused("private-encrypted-x", "no", kind="LimitReached", status=4100)
    payload = events.refusal(refusal, strict=False)
    _, data = both(payload)
    assert (data["type"], data["error"], data["status"]) == ("LimitReached", "no", 4100)
    assert is_sealed(msgspec.json.encode(json.loads(payload)["data"]))


def test_strict_refuses_as_pusher_does() -> None:
    """Code null and no channel (docs/protocol/subscriptions.md#refusal)."""
    refusal = SubscriptionRefused("private-x", "no")
    assert (
        events.refusal(refusal, strict=True)
        == b'{"event":"pusher:error","data":{"code":null,"message":"no"}}'
    )


def test_cache_miss() -> None:
    assert (
        events.cache_miss("cache-prices")
        == b'{"event":"pusher:cache_miss","data":"{}","channel":"cache-prices"}'
    )


def test_subscription_count() -> None:
    assert (
        events.subscription_count("my-channel", 3)
        == b'{"event":"pusher_internal:subscription_count",'
        b'"data":"{\\"subscription_count\\":3}","channel":"my-channel"}'
    )


def test_member_added_leaves_absent_info_out() -> None:
    assert (
        events.member_added("presence-foobar", "10", b'{"name":"Mr. Channels"}')
        == b'{"event":"pusher_internal:member_added","data":"{\\"user_id\\":\\"10\\",\\"user_info\\":'
        b'{\\"name\\":\\"Mr. Channels\\"}}","channel":"presence-foobar"}'
    )
    assert both(events.member_added("presence-x", "10", None))[1] == {"user_id": "10"}
    assert both(events.member_added("presence-x", "10", b"null"))[1]["user_info"] is None


def test_member_removed() -> None:
    assert (
        events.member_removed("presence-foobar", "10")
        == b'{"event":"pusher_internal:member_removed","data":"{\\"user_id\\":\\"10\\"}",'
        b'"channel":"presence-foobar"}'
    )


def test_a_presence_list() -> None:
    entries = [
        events.MemberEntry(Member("10", b'{"name":"Mr. Channels"}')),
        events.MemberEntry(Member("u-1")),
    ]
    assert (
        events.presence_succeeded("presence-foobar", entries)
        == b'{"event":"pusher_internal:subscription_succeeded","data":"{\\"presence\\":{\\"ids\\":'
        b'[\\"10\\",\\"u-1\\"],\\"hash\\":{\\"10\\":{\\"name\\":\\"Mr. Channels\\"},\\"u-1\\":null},'
        b'\\"count\\":2}}","channel":"presence-foobar"}'
    )


def test_an_empty_presence_list_has_an_object_for_its_hash() -> None:
    _, data = both(events.presence_succeeded("presence-x", []))
    assert data == {"presence": {"ids": [], "hash": {}, "count": 0}}


def test_signin_success_holds_the_signed_text() -> None:
    assert (
        events.signin_success('{"id":"12345"}')
        == b'{"event":"pusher:signin_success","data":"{\\"user_data\\":\\"{\\\\\\"id\\\\\\":'
        b'\\\\\\"12345\\\\\\"}\\"}"}'
    )


def test_watchlist_events_have_no_channel_and_leave_out_what_is_empty() -> None:
    assert (
        events.watchlist_events(["a", "b"], ["c"])
        == b'{"event":"pusher_internal:watchlist_events","data":"{\\"events\\":[{\\"name\\":'
        b'\\"online\\",\\"user_ids\\":[\\"a\\",\\"b\\"]},{\\"name\\":\\"offline\\",'
        b'\\"user_ids\\":[\\"c\\"]}]}"}'
    )
    assert both(events.watchlist_events(offline=["c"]))[1] == {
        "events": [{"name": "offline", "user_ids": ["c"]}]
    }
    assert both(events.watchlist_events())[1] == {"events": []}


def test_what_a_client_wrote_may_have_lone_surrogates() -> None:
    """Refusals and confirmations repeat it; an encoder that refuses it would leave the client waiting."""
    cut = "cut \ud83d"
    said = json.loads(events.error(None, cut, cut))
    assert (said["data"]["message"], said["channel"]) == (cut, cut)
    message, data = both(events.subscription_error(cut, "InvalidChannel", cut, 400))
    assert (message["channel"], data["error"], data["status"]) == (cut, cut, 400)
    assert both(events.signin_success(cut))[1] == {"user_data": cut}
