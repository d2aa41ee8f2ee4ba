"""Channel names: the grammar, and the properties of a channel that its prefix gives.

See docs/protocol/channels.md#kinds.

A kind of channel is a set of flags, not a class. Prefixes are tested anchored and with their dash:
`my-private-x` and `privateers` are public.
"""

import re
from functools import lru_cache

from msgspec import Struct, structs

from pusher_server.protocol.errors import InvalidChannelName
from pusher_server.protocol.surrogates import has_surrogate

USER_PREFIX = "#server-to-user-"

_NAME = re.compile(r"\A[-a-zA-Z0-9_=@,.;]+\Z")
_USER_ID = re.compile(r"\A[A-Za-z0-9_\-=@,.;]+\Z")
#: Printable text: no control characters (C0, DEL, C1) and no line separators.
_LENIENT = re.compile("\\A[^\x00-\x1f\x7f-\x9f\u2028\u2029]+\\Z")


class ChannelName(Struct, frozen=True):
    """A name that passed the grammar, with its flags."""

    text: str
    requires_auth: bool = False
    has_members: bool = False
    remembers_last: bool = False
    is_encrypted: bool = False
    allows_client_events: bool = False
    #: The user that `#server-to-user-<id>` belongs to.
    user_id: str | None = None


#: Longer names, where an app allows them, are not cached: clients choose them, and they would fill memory.
_REMEMBERED = 300

#: In the order in which they are tried; the rest of a name is free.
_PREFIXES: tuple[tuple[str, ChannelName], ...] = (
    (
        "private-encrypted-cache-",
        ChannelName(
            "",
            requires_auth=True,
            is_encrypted=True,
            remembers_last=True,
            allows_client_events=True,
        ),
    ),
    (
        "private-encrypted-",
        ChannelName("", requires_auth=True, is_encrypted=True, allows_client_events=True),
    ),
    (
        "private-cache-",
        ChannelName("", requires_auth=True, remembers_last=True, allows_client_events=True),
    ),
    ("private-", ChannelName("", requires_auth=True, allows_client_events=True)),
    (
        "presence-cache-",
        ChannelName(
            "", requires_auth=True, has_members=True, remembers_last=True, allows_client_events=True
        ),
    ),
    ("presence-", ChannelName("", requires_auth=True, has_members=True, allows_client_events=True)),
    ("cache-", ChannelName("", remembers_last=True)),
)


def parse_channel_name(text: str, *, max_length: int = 200, lenient: bool = False) -> ChannelName:
    """Check `text` and read its flags. `max_length` 0 = any. Raises InvalidChannelName."""
    if not text:
        raise InvalidChannelName("Channel name is empty")
    if 0 < max_length < len(text):
        raise InvalidChannelName(f"Channel name is longer than {max_length} characters")
    return _parse(text, lenient) if len(text) <= _REMEMBERED else _parse.__wrapped__(text, lenient)


# Both clients and backends repeat few names; 0.15 µs on a hit against 1.5 µs for the full parse.
@lru_cache(maxsize=8_192)
def _parse(text: str, lenient: bool) -> ChannelName:
    if has_surrogate(text):
        raise InvalidChannelName(f"Channel name has a lone surrogate: {text[:200]!r}")
    if text[0] == "#":
        user_id = text.removeprefix(USER_PREFIX)
        if user_id == text or not _USER_ID.match(user_id):
            raise InvalidChannelName(f"Invalid channel name: {text[:200]!r}")
        return ChannelName(text, user_id=user_id)
    if not (_LENIENT if lenient else _NAME).match(text):
        raise InvalidChannelName(f"Invalid channel name: {text[:200]!r}")
    for prefix, kind in _PREFIXES:
        if text.startswith(prefix):
            return structs.replace(kind, text=text)
    return ChannelName(text)


def kind_of(text: str) -> str:
    """The prefix of a name that need not be one: `presence-`, `#` for a user's channel, "" for a public one."""
    if text.startswith("#"):
        return "#"
    return next((prefix for prefix, _ in _PREFIXES if text.startswith(prefix)), "")


def user_channel(user_id: str) -> ChannelName:
    """Return the channel of a signed-in user; sign-in accepts ids that no API call could address.

    See docs/protocol/users.md#own-channel.
    """
    return ChannelName(USER_PREFIX + user_id, user_id=user_id)
