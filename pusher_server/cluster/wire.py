"""The bytes between nodes: msgpack arrays, versioned, without secrets.

Two releases may run side by side. A reader takes the elements of an array that it knows and ignores later ones.
A new kind of message has a new tag, which older readers skip. `WIRE` rises only when that is not enough, and
then a node ignores the other's messages rather than misread them.
"""

import hashlib
from functools import lru_cache
from urllib.parse import quote, unquote

import msgspec
from msgspec import Struct

from pusher_server.cluster.last_events import LastEvent
from pusher_server.interfaces import (
    CHANNELS,
    MEMBERS,
    USERS,
    ClusterMessage,
    CountMessage,
    EventMessage,
    Topic,
    TopicKind,
)

WIRE = 1

_KINDS = frozenset(TopicKind)
#: Kinds of topics that belong to rosters; all other kinds carry messages.
ROSTER_KINDS = frozenset((MEMBERS, CHANNELS, USERS))
#: Longer names, where an app allows them, are written and read anew: clients choose them, the memory is ours.
_REMEMBERED = 300


def address_of(topic: Topic) -> str:
    """`("7", "members", "presence-x")` -> `members:7:presence-x`; unique, and readable in a store."""
    return _address(topic) if len(topic[2]) <= _REMEMBERED else _address.__wrapped__(topic)


@lru_cache(maxsize=16_384)
def _address(topic: Topic) -> str:
    app_id, kind, name = topic
    return f"{kind}:{quote(app_id, safe='')}:{name}"


def topic_of(address: str) -> Topic:
    """The other way round. Raises ValueError when it is no address, or of another release's kind."""
    return _topic(address) if len(address) <= 2 * _REMEMBERED else _topic.__wrapped__(address)


@lru_cache(maxsize=16_384)
def _topic(address: str) -> Topic:
    kind, app_id, name = address.split(":", 2)
    return (unquote(app_id), TopicKind(kind), name)


def is_known_kind(address: str) -> bool:
    """Whether the topic of an address is of a kind that this release knows."""
    return address.partition(":")[0] in _KINDS


def app_of(address: str) -> str:
    """The app's id in an address; "" when it is none."""
    parts = address.split(":", 2)
    return unquote(parts[1]) if len(parts) == 3 else ""


class Transitioned(Struct, frozen=True, array_like=True):
    """A key became held or was released, as a store pushes it to subscribers of the topic.

    `n` is the topic's version after it. `first`: the topic was empty before. `holder` caused it.
    `updated`: it was held before and still is, and has got another value.
    """

    wire: int
    epoch: str
    n: int
    key: str
    value: str
    held: bool
    first: bool
    returned: bool
    holder: str
    updated: bool = False


class Envelope(Struct, frozen=True, array_like=True):
    """A message of one node to the others."""

    wire: int
    sender: str
    message: ClusterMessage


_encode = msgspec.msgpack.Encoder().encode
_envelope = msgspec.msgpack.Decoder(Envelope)
_transition = msgspec.msgpack.Decoder(Transitioned)
_cached = msgspec.msgpack.Decoder(LastEvent)
_anything = msgspec.msgpack.Decoder()

#: Errors of decoders for bytes that are none of ours: DecodeError and UnicodeDecodeError are ValueErrors.
UNREADABLE = (ValueError, RecursionError)


def encode_message(sender: str, message: ClusterMessage) -> bytes:
    """Encode a message for `decode_message` on the other nodes."""
    return _encode(Envelope(WIRE, sender, message))


def opening_of(sender: str) -> bytes:
    """The beginning of all messages of this sender, so that it knows its own ones without decoding them."""
    message = CountMessage()
    return encode_message(sender, message).removesuffix(_encode(message))


def decode_message(body: bytes) -> Envelope | None:
    """Decode a message. None for messages of other releases that we do not know, and for unreadable bytes."""
    try:
        envelope = _envelope.decode(body)
    except UNREADABLE:
        return None
    if envelope.wire != WIRE:
        return None
    message = envelope.message
    if type(message) is EventMessage and not _is_utf8(message.payload):
        return None  # it would cost every browser of the channel its connection
    return envelope


def encode_transition(transition: Transitioned) -> bytes:
    """Encode a transition, as a store publishes it."""
    return _encode(transition)


def decode_transition(body: bytes) -> Transitioned | None:
    """Decode a transition. None as in `decode_message`."""
    try:
        transition = _transition.decode(body)
    except UNREADABLE:
        return None
    return transition if transition.wire == WIRE and is_epoch(transition.epoch) else None


def is_of_another_release(body: bytes) -> bool:
    """Whether a release that we do not know may have written a body that was not decoded."""
    try:
        decoded = _anything.decode(body)
    except UNREADABLE:
        return False
    return isinstance(decoded, list) and len(decoded) > 1 and type(decoded[0]) is int


@lru_cache(maxsize=64)
def is_epoch(text: str) -> bool:
    """Whether it names a store's memory: some hexadecimal digits."""
    return 0 < len(text) <= 16 and all(digit in "0123456789abcdef" for digit in text)


def _is_utf8(text: bytes) -> bool:
    if text.isascii():
        return True
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def announcement_id(address: str, key: str, version: str, *, held: bool) -> str:
    """A name for one announcement, the same from every node: 16 hex digits."""
    octets = _encode((address, key, version, held))
    return hashlib.blake2b(octets, digest_size=8).hexdigest()


def encode_cached(event: LastEvent) -> bytes:
    """A cache channel's last event, as a store keeps it."""
    return _encode(event)


def decode_cached(body: bytes) -> LastEvent | None:
    """Decode a cache channel's last event. None when it cannot be read."""
    try:
        last = _cached.decode(body)
    except UNREADABLE:
        return None
    event = last.event(0.0)
    return last if _is_utf8(event.payload) and _is_utf8(event.data) else None
