"""Messages to clients: one function per event, each returns the payload's JSON bytes.

See docs/protocol/frames.md#server-frames.

`data` is a string of JSON text everywhere but in `pusher:error`: the one form that every official client
reads. A payload is made once and shared by all its receivers.
"""

from collections.abc import Iterable, Sequence

from pusher_server.app import Member
from pusher_server.protocol import encrypted
from pusher_server.protocol.errors import SubscriptionRefused
from pusher_server.protocol.text import encode, quoted, stringify

PING = b'{"event":"pusher:ping","data":"{}"}'
PONG = b'{"event":"pusher:pong","data":"{}"}'


def connection_established(socket_id: str, activity_timeout: int) -> bytes:
    """The first frame of every connection; `activity_timeout` in seconds, never 0."""
    data = encode({"socket_id": socket_id, "activity_timeout": activity_timeout})
    return b'{"event":"pusher:connection_established","data":' + stringify(data) + b"}"


def error(code: int | None, message: str, channel: str | None = None) -> bytes:
    """Make `pusher:error`. `data` is an object here: .NET and Swift need it so. `message` may be any `str`."""
    data = b'{"code":' + encode(code) + b',"message":' + quoted(message) + b"}"
    end = b"}" if channel is None else b',"channel":' + quoted(channel) + b"}"
    return b'{"event":"pusher:error","data":' + data + end


def channel_event(event: str, channel: str, data: bytes, user_id: str | None = None) -> bytes:
    """Make an event of the backend or of a client; `data` is a JSON string literal."""
    head = b'{"event":' + encode(event) + b',"data":' + data + b',"channel":' + encode(channel)
    return head + (b"}" if user_id is None else b',"user_id":' + encode(user_id) + b"}")


def subscription_succeeded(channel: str) -> bytes:
    """Make the confirmation of a subscription, for every kind of channel but presence."""
    return channel_event("pusher_internal:subscription_succeeded", channel, b'"{}"')


def subscription_error(channel: str, kind: str, message: str, status: int) -> bytes:
    """Make the event for `channel.bind('pusher:subscription_error')` and Echo's `.error()`; any `str` works.

    See docs/protocol/subscriptions.md#refusal for what is added on encrypted channels.
    """
    more = b"," + encrypted.UNOPENABLE if channel.startswith(encrypted.PREFIX) else b""
    data = b'{"type":%b,"error":%b,"status":%d%b}' % (encode(kind), quoted(message), status, more)
    return (
        b'{"event":"pusher:subscription_error","data":'
        + stringify(data)
        + b',"channel":'
        + quoted(channel)
        + b"}"
    )


def refusal(refused: SubscriptionRefused, *, strict: bool) -> bytes:
    """Make the answer to a refused subscription; with `strict` in Pusher's own form.

    See docs/protocol/subscriptions.md#refusal.
    """
    if strict:
        return error(None, refused.message)
    return subscription_error(refused.channel, refused.kind, refused.message, refused.status)


def cache_miss(channel: str) -> bytes:
    """Make the event for a cache channel that holds nothing."""
    return channel_event("pusher:cache_miss", channel, b'"{}"')


def subscription_count(channel: str, count: int) -> bytes:
    """Make the event with the number of subscribed connections."""
    data = stringify(encode({"subscription_count": count}))
    return channel_event("pusher_internal:subscription_count", channel, data)


def member_added(channel: str, user_id: str, info: bytes | None) -> bytes:
    """Make the event for a user's first connection. Without `info` the key `user_info` is left out."""
    tail = b"" if info is None else b',"user_info":' + info
    data = stringify(b'{"user_id":' + encode(user_id) + tail + b"}")
    return channel_event("pusher_internal:member_added", channel, data)


def member_removed(channel: str, user_id: str) -> bytes:
    """Make the event for the end of a user's last connection."""
    data = stringify(b'{"user_id":' + encode(user_id) + b"}")
    return channel_event("pusher_internal:member_removed", channel, data)


class MemberEntry:
    """One member's share of a presence list, escaped once so that a list is made by joining alone."""

    __slots__ = ("id", "pair")

    def __init__(self, member: Member) -> None:
        key = encode(member.user_id)
        self.id = stringify(key)[1:-1]
        self.pair = stringify(key + b":" + (member.info or b"null"))[1:-1]


def presence_succeeded(channel: str, entries: Iterable[MemberEntry]) -> bytes:
    """Make the member list. `hash` is always an object with a key for every id.

    See docs/protocol/presence.md#list.
    """
    members = list(entries)
    data = (
        b'"{\\"presence\\":{\\"ids\\":['
        + b",".join([entry.id for entry in members])
        + b'],\\"hash\\":{'
        + b",".join([entry.pair for entry in members])
        + b'},\\"count\\":%d}}"' % len(members)
    )
    return channel_event("pusher_internal:subscription_succeeded", channel, data)


def signin_success(user_data: str) -> bytes:
    """Make the confirmation of a sign-in; `user_data` is the text that was signed."""
    data = stringify(b'{"user_data":' + quoted(user_data) + b"}")
    return b'{"event":"pusher:signin_success","data":' + data + b"}"


def watchlist_events(online: Sequence[str] = (), offline: Sequence[str] = ()) -> bytes:
    """Has no channel; `events` must be a list or pusher-js throws. An empty item is left out."""
    events = [
        {"name": name, "user_ids": ids}
        for name, ids in (("online", online), ("offline", offline))
        if ids
    ]
    data = stringify(encode({"events": events}))
    return b'{"event":"pusher_internal:watchlist_events","data":' + data + b"}"
