"""What a client says: the frames that pusher-js sends, and every way to get one wrong.

See docs/protocol/frames.md.
"""

import pytest

from pusher_server.protocol.errors import (
    Code,
    FramingViolation,
    MessageRejected,
    SubscriptionRefused,
)
from pusher_server.protocol.messages import (
    ClientEvent,
    Message,
    Ping,
    Pong,
    SignIn,
    Subscribe,
    Unsubscribe,
    decode,
)


@pytest.mark.parametrize(
    ("payload", "message"),
    [
        (
            b'{"event":"pusher:subscribe","data":{"auth":"","channel":"my-channel"}}',
            Subscribe("my-channel"),
        ),
        (
            b'{"event":"pusher:subscribe","data":{"auth":"KEY:SIG","channel":"private-foobar"}}',
            Subscribe("private-foobar", "KEY:SIG"),
        ),
        (
            b'{"event":"pusher:subscribe","data":{"auth":"KEY:SIG","channel_data":'
            b'"{\\"user_id\\":\\"1\\",\\"user_info\\":{\\"name\\":\\"A\\"}}","channel":"presence-x"}}',
            Subscribe("presence-x", "KEY:SIG", '{"user_id":"1","user_info":{"name":"A"}}'),
        ),
        (
            b'{"event":"pusher:unsubscribe","data":{"channel":"my-channel"}}',
            Unsubscribe("my-channel"),
        ),
        (
            b'{"event":"client-z","data":{"a":1},"channel":"presence-x"}',
            ClientEvent("client-z", "presence-x", b'"{\\"a\\":1}"'),
        ),
        (
            b'{"event":"client-z","channel":"presence-x"}',
            ClientEvent("client-z", "presence-x", b'"null"'),
        ),
        (
            b'{"event":"pusher:signin","data":{"auth":"KEY:SIG","user_data":"{\\"id\\":\\"5\\"}"}}',
            SignIn("KEY:SIG", '{"id":"5"}'),
        ),
        (b'{"event":"pusher:ping","data":{}}', Ping()),
        (b'{"event":"pusher:pong","data":{}}', Pong()),
        (b'{"event":"pusher:ping"}', Ping()),
    ],
)
def test_the_frames_that_pusher_js_sends(payload: bytes, message: Message) -> None:
    assert decode(payload) == message


def test_a_stringified_data_object_is_read_too() -> None:
    assert decode(b'{"event":"pusher:subscribe","data":"{\\"channel\\":\\"c\\"}"}') == Subscribe(
        "c"
    )


def test_extra_keys_are_ignored_and_of_duplicates_the_last_wins() -> None:
    payload = b'{"x":[1],"event":"pusher:ping","event":"pusher:pong","data":{"y":{}}}'
    assert decode(payload) == Pong()


@pytest.mark.parametrize(
    ("data", "literal"),
    [(b"null", b'"null"'), (b"1", b'"1"'), (b'"s"', b'"s"'), (b'"\\u00e9"', b'"\\u00e9"')],
)
def test_client_event_data_becomes_a_string_literal(data: bytes, literal: bytes) -> None:
    payload = b'{"event":"client-z","channel":"private-x","data":%b}' % data
    assert decode(payload) == ClientEvent("client-z", "private-x", literal)


@pytest.mark.parametrize(
    ("data", "literal"),
    [
        (rb'"\ud83d"', rb'"\ud83d"'),
        (rb'"a\uDE00\uD83Db"', rb'"a\uDE00\uD83Db"'),
        (rb'{"text":"\ud83d"}', rb'"{\"text\":\"\\ud83d\"}"'),
        (rb'{"\ud83d":1.10}', rb'"{\"\\ud83d\":1.10}"'),
    ],
)
def test_a_lone_surrogate_in_data_is_passed_on(data: bytes, literal: bytes) -> None:
    payload = b'{"event":"client-z","channel":"private-x","data":%b}' % data
    assert decode(payload) == ClientEvent("client-z", "private-x", literal)


@pytest.mark.parametrize(
    "payload",
    [
        rb'{"event":"pusher:ping","data":"\ud800"}',
        rb'{"event":"pusher:ping","\ud800":["\udc00"]}',
        rb'{"event":"pusher:ping","channel":{"\ud800":["\udc00"]}}',
    ],
)
def test_a_lone_surrogate_where_nobody_looks_does_not_matter(payload: bytes) -> None:
    assert decode(payload) == Ping()
    assert decode(rb'{"event":"my-event","data":"\ud800"}') is None


def test_an_event_name_with_a_lone_surrogate_is_refused_by_name() -> None:
    with pytest.raises(MessageRejected) as caught:
        decode(rb'{"event":"client-\ud83d","channel":"private-x","data":"x"}')
    assert (caught.value.code, caught.value.channel) == (None, "private-x")
    assert caught.value.message == (
        r"Client event rejected - the event name 'client-\ud83d' has a lone surrogate"
    )
    with pytest.raises(MessageRejected) as caught:
        decode(rb'{"event":"\ud83d","channel":"private-x","data":"x"}')
    assert (caught.value.code, caught.value.channel) == (Code.RECONNECT, None)
    assert caught.value.message == (
        r"Invalid message format: the event name '\ud83d' has a lone surrogate"
    )


def test_fields_with_lone_surrogates_are_what_they_were() -> None:
    """What they are worth is decided by those who know the rules: names, signatures."""
    assert decode(
        rb'{"event":"pusher:subscribe","data":{"channel":"c\ud83d","auth":"\ud83d","channel_data":"\ud83d"}}'
    ) == Subscribe("c\ud83d", "\ud83d", "\ud83d")
    assert decode(
        rb'{"event":"pusher:subscribe","data":"{\"channel\":\"c\\ud83d\"}"}'
    ) == Subscribe("c\ud83d")
    assert decode(rb'{"event":"pusher:subscribe","data":"{\"channel\":\"c\ud83d\"}"}') == Subscribe(
        "c\ud83d"
    )
    assert decode(rb'{"event":"pusher:unsubscribe","data":{"channel":"c\ud83d"}}') == Unsubscribe(
        "c\ud83d"
    )
    assert decode(rb'{"event":"pusher:signin","data":{"auth":"a","user_data":"\ud83d"}}') == SignIn(
        "a", "\ud83d"
    )


@pytest.mark.parametrize(
    "event", ["pusher:unknown", "pusher_internal:member_added", "hello", "", "xclient-a", "client"]
)
def test_unknown_events_are_ignored(event: str) -> None:
    assert decode(b'{"event":"%b","data":{},"channel":"c"}' % event.encode()) is None


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"not json",
        b"[]",
        b'"x"',
        b"null",
        b"{}",
        b'{"event":1}',
        b'{"event":null}',
        b'{"event":"pusher:ping"',
        b'{"event":"pusher:subscribe"}',
        b'{"event":"pusher:subscribe","data":[]}',
        b'{"event":"pusher:subscribe","data":5}',
        b'{"event":"pusher:subscribe","data":"x"}',
        b'{"event":"pusher:unsubscribe"}',
        b'{"event":"pusher:signin"}',
        b'{"event":"pusher:ping","data":"\\ud800}',
        b'{"event":"client-z","channel":"private-x","data":' + b"[" * 513 + b"]" * 513 + b"}",
        b'{"event":"client-z","channel":"private-x","data":1,"x":' + b"[" * 600 + b"]" * 600 + b"}",
        b'{"event":"client-z","channel":"private-x","data":NaN}',
        b'{"event":"client-z","channel":"private-x","data":1e99999999999999999999}',
        b'{"event":"pusher:ping","data":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    ],
)
def test_what_is_no_message_is_answered_with_4200(payload: bytes) -> None:
    with pytest.raises(MessageRejected) as caught:
        decode(payload)
    assert (caught.value.code, caught.value.message) == (Code.RECONNECT, "Invalid message format")
    assert caught.value.channel is None


def test_bytes_that_are_not_utf_8_break_the_websocket() -> None:
    with pytest.raises(FramingViolation) as caught:
        decode(b'{"event":"client-z","channel":"private-x","data":"\xff"}')
    assert caught.value.code == 1007


@pytest.mark.parametrize("channel", [b"", b',"channel":null', b',"channel":5', b',"channel":["c"]'])
def test_a_client_event_needs_a_channel(channel: bytes) -> None:
    with pytest.raises(MessageRejected) as caught:
        decode(b'{"event":"client-z","data":{}%b}' % channel)
    assert caught.value.code is None
    assert caught.value.message == "Invalid client event (must contain channel and data)"


@pytest.mark.parametrize("data", [b"{}", b'{"channel":null}', b'{"channel":7}'])
def test_a_subscribe_needs_a_channel(data: bytes) -> None:
    with pytest.raises(SubscriptionRefused) as caught:
        decode(b'{"event":"pusher:subscribe","data":%b}' % data)
    assert (caught.value.channel, caught.value.kind, caught.value.status) == (
        "",
        "InvalidChannel",
        400,
    )


def test_channel_data_must_be_text() -> None:
    with pytest.raises(SubscriptionRefused) as caught:
        decode(
            b'{"event":"pusher:subscribe","data":{"channel":"presence-x","channel_data":{"a":1}}}'
        )
    assert (caught.value.channel, caught.value.kind) == ("presence-x", "InvalidData")


def test_an_auth_that_is_no_text_is_an_empty_one() -> None:
    assert decode(b'{"event":"pusher:subscribe","data":{"channel":"c","auth":null}}') == Subscribe(
        "c"
    )


@pytest.mark.parametrize("data", [b"{}", b'{"channel":null}', b'{"channel":7}'])
def test_an_unsubscribe_of_nothing_is_ignored(data: bytes) -> None:
    assert decode(b'{"event":"pusher:unsubscribe","data":%b}' % data) is None


@pytest.mark.parametrize(
    "data", [b"{}", b'{"auth":"a"}', b'{"user_data":"{}"}', b'{"auth":1,"user_data":"{}"}']
)
def test_a_sign_in_with_fields_missing_is_one_that_nobody_signed(data: bytes) -> None:
    assert decode(b'{"event":"pusher:signin","data":%b}' % data) == SignIn("", "")
