"""A store's commands as Redis's, and its replies as answers.

Most are scripts (`lua/`). Those that only read one key, and plain publications, are commands of Redis.
"""

import re
import secrets
from collections.abc import Callable
from typing import Any

import msgspec

from pusher_server.cluster import store as ask
from pusher_server.cluster.redis.link import Argument
from pusher_server.cluster.store import Command

#: Entries in a page of a scan, about.
PAGE = 1_000

#: [order, value last given, {holder: value}], as `lua/store.lua` has it.
_entry = msgspec.msgpack.Decoder(tuple[int, str, dict[str, str]]).decode


class Asked:
    """What to send, and how to read the reply. `script` is "" for a plain command, which has its key in it."""

    __slots__ = ("arguments", "read", "script")

    def __init__(
        self, script: str, arguments: tuple[Argument, ...], read: Callable[[Any], object]
    ) -> None:
        self.script = script
        self.arguments = arguments
        self.read = read


def asked(command: Command[Any], base: str, run_id: str) -> Asked:
    """For all but subscriptions and publications; `base` is what the store's keys start with."""
    match command:
        case ask.Track(holder, address, key, value, limit, again, tell):
            flags = ("1" if each else "" for each in (again, tell))
            return Asked("track", (holder, address, key, value, limit, *flags), _tracked)
        case ask.Untrack(holder, address, key):
            return Asked("untrack", (holder, address, key), _released)
        case ask.Snapshot(address, entries):
            return Asked("snapshot", (address, "1" if entries else ""), _topic_state)
        case ask.Recall(address):
            return Asked("recall", (address,), _remembered)
        case ask.Lookup(address, keys):
            if not keys:
                return Asked("", ("HLEN", f"{base}:t:{address}"), lambda _: ask.Holders({}))
            topic = f"{base}:t:{address}"
            return Asked("", ("HMGET", topic, *keys), lambda reply: _holders(keys, reply))
        case ask.Count(address):
            return Asked("", ("HLEN", f"{base}:t:{address}"), int)
        case ask.Scan(address, prefix, cursor):
            match = ("MATCH", _escaped(prefix) + "*") if prefix else ()
            place = ("HSCAN", f"{base}:t:{address}", cursor or "0")
            return Asked("", (*place, *match, "COUNT", PAGE), _page)
        case _:
            return _lease(command, run_id)


def _lease(command: Command[Any], run_id: str) -> Asked:
    match command:
        case ask.Renew(holder, confirmed, tallies):
            pairs = (each for name in tallies for each in (name, tallies[name]))
            return Asked("renew", (holder, confirmed, *pairs), _renewed)
        case ask.Enter(holder, succeeds, confirmed, known):
            arguments = (holder, succeeds, confirmed, known, run_id, secrets.token_hex(8))
            return Asked("enter", arguments, _entered)
        case ask.Retire(holder, confirmed):
            return Asked("retire", (holder, confirmed), lambda reply: ask.Retired(more=bool(reply)))
        case ask.Mourn(address, key):
            return Asked("mourn", (address, key), lambda _: ask.Nothing())
        case ask.Tally(name, besides):
            return Asked("tally", (name, besides), int)
        case _:
            raise TypeError(f"not a command of the store: {command!r}")


def _escaped(prefix: str) -> str:
    """For Redis's glob patterns."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", prefix)


def _entered(reply: Any) -> ask.Entered:
    return ask.Entered(reply[0].decode(), [each.decode() for each in reply[1]])


def _renewed(reply: Any) -> ask.Renewed:
    epoch, batch, due, holders, sums, swept, count, more = reply
    return ask.Renewed(
        epoch=epoch.decode(),
        batch=batch,
        due=[
            ask.Due(address.decode(), key.decode(), bool(held), version.decode())
            for address, key, held, version in zip(*(due[at::4] for at in range(4)), strict=True)
        ],
        holders=holders,
        elsewhere={name.decode(): count for name, count in zip(sums[::2], sums[1::2], strict=True)},
        swept={swept.decode(): count} if swept else {},
        more=bool(more),
    )


def _tracked(reply: Any) -> ask.Tracked:
    n, *flags = reply
    return ask.Tracked(n, *map(bool, flags))


def _released(reply: Any) -> ask.Released:
    return ask.Released(reply[0], reply[1].decode())


def _topic_state(reply: Any) -> ask.TopicState:
    epoch, n, flat = reply
    entries = [(_entry(packed), key) for key, packed in zip(flat[::2], flat[1::2], strict=True)]
    entries.sort(key=lambda each: each[0][0])
    return ask.TopicState(epoch.decode(), n, {key.decode(): entry[1] for entry, key in entries})


def _holders(keys: list[str], reply: Any) -> ask.Holders:
    found = zip(keys, reply, strict=True)
    return ask.Holders({key: _entry(packed)[2] for key, packed in found if packed is not None})


def _page(reply: Any) -> ask.Page:
    cursor, flat = reply
    pairs = zip(flat[::2], flat[1::2], strict=True)
    return ask.Page(
        "" if cursor == b"0" else cursor.decode(),
        {key.decode(): _entry(packed)[2] for key, packed in pairs},
    )


def _remembered(reply: Any) -> ask.Remembered:
    cached, milliseconds = reply
    return ask.Remembered(cached, milliseconds / 1_000) if cached else ask.Remembered(b"", 0.0)
