"""Messages from clients: one JSON text in, one of six values out (docs/protocol/frames.md#client-frames)."""

from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from pusher_server.nesting import SHALLOW
from pusher_server.protocol import text
from pusher_server.protocol.errors import (
    Code,
    FramingViolation,
    MalformedText,
    MessageRejected,
    NotUtf8,
    SubscriptionRefused,
    invalid_message,
)
from pusher_server.protocol.surrogates import escaped, has_surrogate


class Subscribe(Struct, frozen=True):
    """`channel_data` is the exact text of the frame: it is part of what was signed.

    See docs/protocol/signatures.md#channel.
    """

    channel: str
    auth: str = ""
    channel_data: str | None = None


class Unsubscribe(Struct, frozen=True):
    """Leave a channel; the server sends no acknowledgement."""

    channel: str


class SignIn(Struct, frozen=True):
    """`user_data` is the exact text of the frame."""

    auth: str
    user_data: str


class ClientEvent(Struct, frozen=True):
    """`data` is a JSON string literal, ready to be relayed; b'"null"' when the client sent none.

    A lone surrogate in it stays as it was written.
    """

    event: str
    channel: str
    data: bytes


class Ping(Struct, frozen=True):
    """A `pusher:ping`; the server answers with a pong at once."""


class Pong(Struct, frozen=True):
    """The answer to our `pusher:ping`; only the arrival of bytes matters."""


T = TypeVar("T")
Message = Subscribe | Unsubscribe | SignIn | ClientEvent | Ping | Pong

CLIENT_EVENT_PREFIX = "client-"
_PING, _PONG = Ping(), Pong()


class _Envelope(Struct):
    event: str
    data: Raw | UnsetType = UNSET
    channel: Any = None


class _SubscribeData(Struct):
    channel: Any = None
    auth: Any = ""
    channel_data: Any = None


class _SignInData(Struct):
    auth: Any = None
    user_data: Any = None


_envelope = msgspec.json.Decoder(_Envelope)
_subscribe = msgspec.json.Decoder(_SubscribeData)
_signin = msgspec.json.Decoder(_SignInData)
_string = msgspec.json.Decoder(str)


def decode(payload: bytes) -> Message | None:
    """Decode a client's message; None for events that are ignored silently.

    Raises MessageRejected (not a message), SubscriptionRefused (a subscribe with unusable fields),
    FramingViolation (not UTF-8).
    """
    try:
        envelope = text.read(_envelope, payload)
        if len(payload) > SHALLOW:
            text.check_depth(payload, text.string_bytes(envelope.data))
    except NotUtf8:
        raise FramingViolation(1007, "Text frame is not UTF-8") from None
    except MalformedText:
        raise invalid_message() from None
    event = envelope.event
    if event.startswith(CLIENT_EVENT_PREFIX):
        return _client_event(envelope)
    if event == "pusher:subscribe":
        return _subscription(_fields(_subscribe, envelope.data))
    if event == "pusher:unsubscribe":
        channel = _fields(_subscribe, envelope.data).channel
        return Unsubscribe(channel) if isinstance(channel, str) else None
    if event == "pusher:ping":
        return _PING
    if event == "pusher:pong":
        return _PONG
    if event == "pusher:signin":
        fields = _fields(_signin, envelope.data)
        if not isinstance(fields.auth, str) or not isinstance(fields.user_data, str):
            return SignIn("", "")  # refused like every bad signature, with its own code
        return SignIn(fields.auth, fields.user_data)
    if has_surrogate(event):
        raise MessageRejected(Code.RECONNECT, f"Invalid message format: {_of_surrogate(event)}")
    return None


def _of_surrogate(event: str) -> str:
    return f"the event name {event[:200]!r} has a lone surrogate"


def _fields(decoder: msgspec.json.Decoder[T], data: Raw | UnsetType) -> T:
    """The `data` object of a `pusher:` message; Reverb's clients may send it stringified."""
    if data is UNSET:
        raise invalid_message()
    try:
        raw = bytes(data)
        inside = escaped(text.read(_string, raw)) if raw[:1] == b'"' else raw
        return text.decode_values(decoder, inside)
    except MalformedText:
        raise invalid_message() from None


def _subscription(fields: _SubscribeData) -> Subscribe:
    channel, auth, channel_data = fields.channel, fields.auth, fields.channel_data
    if not isinstance(channel, str):
        raise SubscriptionRefused.invalid_channel("", "Channel name must be a string")
    if channel_data is not None and not isinstance(channel_data, str):
        raise SubscriptionRefused.invalid_data(
            channel, "channel_data must be a string of JSON text"
        )
    return Subscribe(channel, auth if isinstance(auth, str) else "", channel_data)


def _client_event(envelope: _Envelope) -> ClientEvent:
    if not isinstance(envelope.channel, str):
        raise MessageRejected(None, "Invalid client event (must contain channel and data)")
    if not envelope.event.isascii() and has_surrogate(envelope.event):
        raise MessageRejected(
            None,
            f"Client event rejected - {_of_surrogate(envelope.event)}",
            channel=envelope.channel,
        )
    try:
        data = b'"null"' if envelope.data is UNSET else text.string_literal(bytes(envelope.data))
    except MalformedText:
        raise invalid_message() from None
    return ClientEvent(envelope.event, envelope.channel, data)
