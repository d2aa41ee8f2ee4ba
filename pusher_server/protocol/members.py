"""Identities: `channel_data` of presence channels and `user_data` of sign-in.

See docs/protocol/presence.md#channel-data.
"""

import re
from itertools import filterfalse

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from pusher_server.app import Member
from pusher_server.protocol import text
from pusher_server.protocol.errors import MalformedText, ProtocolError, TooDeep
from pusher_server.protocol.surrogates import escaped, has_surrogate, replaced

# JSON's integers only: `10.0` and `1e1` are no ids, and an id beyond 2**53 keeps its digits.
_INTEGER = re.compile(rb"\A-?[0-9]+\Z")


class InvalidIdentity(ProtocolError):
    """The data is no JSON object or has no usable id."""


class UnusableIdentifier(InvalidIdentity):
    """The id is a text with which nobody can be addressed."""


class _ChannelData(Struct):
    user_id: Raw | UnsetType = UNSET
    user_info: Raw | UnsetType = UNSET


class _UserData(Struct):
    id: Raw | UnsetType = UNSET
    user_info: Raw | UnsetType = UNSET
    watchlist: Raw | UnsetType = UNSET


class User(Struct, frozen=True):
    """A signed-in user. `data` is the signed text, which the confirmation repeats to the client.

    `unwatchable` are ids of the watchlist that nobody can have, because they hold lone surrogates.
    """

    id: str
    data: str
    info: bytes | None = None
    watchlist: tuple[str, ...] = ()
    unwatchable: tuple[str, ...] = ()

    def as_member(self) -> Member:
        """Return the identity with which the user joins a presence channel without `channel_data`."""
        return Member(self.id, self.info)


_channel_data = msgspec.json.Decoder(_ChannelData)
_user_data = msgspec.json.Decoder(_UserData)
_string = msgspec.json.Decoder(str)
# `Raw`, because a fraction is no id, and a fraction that is out of range is no reason to refuse the sign-in.
_list = msgspec.json.Decoder(list[object], float_hook=Raw)


def decode_member(channel_data: str) -> Member:
    """`{"user_id": string|integer, "user_info"?: any}` -> Member. Raises InvalidIdentity."""
    try:
        fields = text.decode(_channel_data, escaped(channel_data))
    except TooDeep as error:
        raise InvalidIdentity(f"channel_data: {error.message}") from None
    except MalformedText:
        raise InvalidIdentity("channel_data is not a JSON object") from None
    return Member(_identifier(fields.user_id, "user_id"), _info(fields.user_info))


def decode_user(user_data: str) -> User:
    """`{"id": string|integer, "user_info"?: any, "watchlist"?: [string]}` -> User.

    An id that was a number is written back as a string: pusher-js silently ignores the sign-in
    otherwise (docs/protocol/users.md#sign-in). Raises InvalidIdentity.
    """
    raw = escaped(user_data)
    try:
        fields = text.decode(_user_data, raw)
        user_id = _identifier(fields.id, "id")
        if bytes(fields.id)[:1] != b'"':  # type: ignore[arg-type]  # _identifier has refused UNSET
            user_data = text.rewritten(raw, id=user_id).decode()
        watchlist, unwatchable = _watchlist(fields.watchlist)
    except TooDeep as error:
        raise InvalidIdentity(f"The returned user data: {error.message}") from None
    except MalformedText:
        raise InvalidIdentity("The returned user data is not a JSON object.") from None
    except UnusableIdentifier as error:
        raise InvalidIdentity(f"The returned user data: {error.message}") from None
    except InvalidIdentity:
        raise InvalidIdentity('The returned user data must contain the "id" field.') from None
    return User(user_id, user_data, _info(fields.user_info), watchlist, unwatchable)


def _identifier(raw: Raw | UnsetType, field: str) -> str:
    value = b"" if raw is UNSET else bytes(raw)
    if value[:1] == b'"':
        name = text.read(_string, value)
        if has_surrogate(name):
            raise UnusableIdentifier(f"{field} has a lone surrogate: {name[:200]!r}")
        if name:
            return name
    elif _INTEGER.match(value):
        return value.decode()
    raise InvalidIdentity(f"{field} must be a non-empty string or an integer")


def _info(raw: Raw | UnsetType) -> bytes | None:
    """Return `user_info` without lone surrogates: it becomes part of JSON that every client must read."""
    return None if raw is UNSET else replaced(bytes(raw))


def _watchlist(raw: Raw | UnsetType) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the ids to watch, each once and in order, and the ids that nobody can have.

    Both are empty for anything that is no list of ids.
    """
    if raw is UNSET or bytes(raw)[:1] != b"[":
        return (), ()
    ids = dict.fromkeys(
        str(item)
        for item in text.read(_list, bytes(raw))
        if type(item) in (str, int) and item != ""
    )
    return tuple(filterfalse(has_surrogate, ids)), tuple(filter(has_surrogate, ids))
