"""Compares channel names that are nearly the same: another prefix, other capitals, another separator.

Another id is another channel. So `session.42` and `session.43` are not near.
"""

from typing import NamedTuple

from msgspec import Struct

from pusher_server.protocol.channel_name import kind_of

#: All prefixes that make a kind of channel; "" is a public one.
PREFIXES = (
    "",
    "private-",
    "presence-",
    "private-encrypted-",
    "cache-",
    "private-cache-",
    "presence-cache-",
    "private-encrypted-cache-",
)
#: Prefixes that a library of clients or of backends adds by itself.
_ADDED = ("private-", "presence-", "private-encrypted-")
_DOUBLED = ("private-", "presence-")
#: Prefixes that are taken from a name, at most.
_DEPTH = 3
_SEPARATORS = str.maketrans(".:_", "---")


class Parts(NamedTuple):
    """A name without the prefixes that stand before it, and these prefixes, the first one first."""

    prefixes: tuple[str, ...]
    core: str

    @property
    def prefix(self) -> str:
        """The prefix that makes the kind of the channel."""
        return self.prefixes[0] if self.prefixes else ""


class Laravel(Struct, frozen=True):
    """How Laravel and Echo write a channel: the class, Echo's method, and the name that both get."""

    channel_class: str
    method: str
    name: str


def parts_of(name: str) -> Parts:
    """Return the name's prefixes and the rest. A name that is a prefix alone keeps it as its core."""
    prefixes: list[str] = []
    while len(prefixes) < _DEPTH:
        prefix = kind_of(name)
        if not prefix or prefix == "#" or len(prefix) == len(name):
            break
        prefixes.append(prefix)
        name = name.removeprefix(prefix)
    return Parts(tuple(prefixes), name)


def variants(name: str) -> list[str]:
    """Return the names with the same core and another prefix, or with the prefix twice: 11 at most."""
    core = parts_of(name).core
    names = [prefix + core for prefix in PREFIXES]
    names += [first + second + core for first in _DOUBLED for second in _DOUBLED]
    return [variant for variant in names if variant != name]


def folded(name: str) -> str:
    """Return a text that names share which differ in prefix, capitals and separators only."""
    return parts_of(name).core.translate(_SEPARATORS).lower()


def laravel(name: str) -> Laravel:
    """Return how Laravel and Echo write this channel. `cache-` is written out, as neither adds it."""
    for prefix, channel_class, method in (
        ("private-encrypted-", "EncryptedPrivateChannel", "Echo.encryptedPrivate"),
        ("private-", "PrivateChannel", "Echo.private"),
        ("presence-", "PresenceChannel", "Echo.join"),
    ):
        if name.startswith(prefix):
            return Laravel(channel_class, method, name.removeprefix(prefix))
    return Laravel("Channel", "Echo.channel", name)


def is_doubled(name: str) -> bool:
    """Return whether the name has a prefix that a library has added to one that was there."""
    prefixes = parts_of(name).prefixes
    return len(prefixes) > 1 and prefixes[0] in _ADDED and prefixes[1] in _ADDED
