"""A store's commands as Redis's, and its replies as answers.

Most are scripts (`lua/`). Those that only read one key, and plain publications, are commands of Redis.
"""

import re
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote

import msgspec

from pusher_server.cluster import commands as ask
from pusher_server.cluster.commands import Command
from pusher_server.cluster.redis.connection import Argument
from pusher_server.cluster.wire import UNREADABLE, is_epoch

#: Entries in a page of a scan, about.
PAGE = 1_000

#: [order, value last given, {holder: value}], as `lua/store.lua` has it.
Entry = tuple[int, str, dict[str, str]]
_entry = msgspec.msgpack.Decoder(Entry).decode
#: Told of what is left out: the key in Redis, and its field.
LeftOut = Callable[[str, bytes], None]
ReadEntry = Callable[[bytes, bytes], tuple[str, Entry] | None]


class Query:
    """What to send, and how to read the reply. `script` is "" for a plain command, which has its key in it."""

    __slots__ = ("arguments", "read", "script")

    def __init__(
        self, script: str, arguments: tuple[Argument, ...], read: Callable[[Any], object]
    ) -> None:
        self.script = script
        self.arguments = arguments
        self.read = read


def asked(command: Command[Any], base: str, run_id: str, left_out: LeftOut) -> Query:
    """For all but subscriptions and publications; `base` is what the store's keys start with."""

    def entry_of(address: str) -> ReadEntry:
        """Reads a field and its value; None when they cannot be read, which concerns no other."""

        def read(field: bytes, packed: bytes) -> tuple[str, Entry] | None:
            try:
                return field.decode(), _entry(packed)
            except UNREADABLE:
                left_out(f"{base}:t:{address}", field)
                return None

        return read

    match command:
        case ask.Track(holder, address, key, value, limit, again, tell):
            flags = ("1" if each else "" for each in (again, tell))
            return Query("track", (holder, address, key, value, limit, *flags), _tracked)
        case ask.Untrack(holder, address, key):
            return Query("untrack", (holder, address, key), _released)
        case ask.Snapshot(address, entries):
            read = partial(_topic_state, entry_of(address))
            return Query("snapshot", (address, "1" if entries else ""), read)
        case ask.Recall(address):
            return Query("recall", (address,), _remembered)
        case ask.Lookup(address, keys):
            if not keys:
                return Query("", ("HLEN", f"{base}:t:{address}"), lambda _: ask.Holders({}))
            topic = f"{base}:t:{address}"
            found = partial(_holders, entry_of(address), keys)
            return Query("", ("HMGET", topic, *keys), found)
        case ask.Count(address):
            return Query("", ("HLEN", f"{base}:t:{address}"), int)
        case ask.Scan(address, prefix, cursor):
            match = ("MATCH", _escaped(prefix) + "*") if prefix else ()
            place = ("HSCAN", f"{base}:t:{address}", cursor or "0")
            return Query("", (*place, *match, "COUNT", PAGE), partial(_page, entry_of(address)))
        case _:
            return _lease(command, run_id)


def _lease(command: Command[Any], run_id: str) -> Query:
    match command:
        case ask.Renew(holder, confirmed, tallies):
            pairs = (each for name in tallies for each in (name, tallies[name]))
            return Query("renew", (holder, confirmed, *pairs), _renewed)
        case ask.Enter(holder, succeeds, confirmed, known):
            arguments = (holder, succeeds, confirmed, known, run_id, secrets.token_hex(8))
            return Query("enter", arguments, _entered)
        case ask.Retire(holder, confirmed):
            return Query("retire", (holder, confirmed), lambda reply: ask.Retired(more=bool(reply)))
        case ask.ReportGone(address, key):
            return Query("report_gone", (address, key), lambda _: ask.Nothing())
        case ask.Tally(name, besides):
            return Query("tally", (name, besides), int)
        case _:
            raise TypeError(f"not a command of the store: {command!r}")


def _escaped(prefix: str) -> str:
    """For Redis's glob patterns."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", prefix)


def _epoch(raw: bytes) -> str:
    """Raises ValueError when it is none of ours: then nothing of the store can be trusted."""
    epoch = raw.decode()
    if not is_epoch(epoch):
        raise ValueError("an epoch that is none of ours")
    return epoch


def _text(raw: bytes) -> str:
    """For names in logs, and keys that are compared: what is not UTF-8 matches nothing."""
    return raw.decode(errors="replace")


def _entered(reply: Any) -> ask.Entered:
    return ask.Entered(_epoch(reply[0]), [_text(each) for each in reply[1]])


def _renewed(reply: Any) -> ask.Renewed:
    epoch, batch, due, holders, sums, swept, count, more, gone = reply
    return ask.Renewed(
        epoch=_epoch(epoch),
        batch=batch,
        due=[
            ask.Announcement(_text(address), _text(key), bool(held), _text(version))
            for address, key, held, version in zip(*(due[at::4] for at in range(4)), strict=True)
        ],
        holders=holders,
        elsewhere={_text(name): count for name, count in zip(sums[::2], sums[1::2], strict=True)},
        swept={_text(swept): count} if swept else {},
        more=bool(more),
        evicted={
            unquote(_text(app)): int(number)
            for app, number in zip(gone[::2], gone[1::2], strict=True)
        },
    )


def _tracked(reply: Any) -> ask.Tracked:
    n, *flags = reply
    return ask.Tracked(n, *map(bool, flags))


def _released(reply: Any) -> ask.Released:
    return ask.Released(reply[0], _text(reply[1]))


def _topic_state(read: ReadEntry, reply: Any) -> ask.TopicState:
    epoch, n, flat = reply
    entries = list(_entries(read, flat))
    entries.sort(key=lambda each: each[1][0])
    return ask.TopicState(_epoch(epoch), n, {key: entry[1] for key, entry in entries})


def _holders(read: ReadEntry, keys: list[str], reply: Any) -> ask.Holders:
    pairs = ((key.encode(), packed) for key, packed in zip(keys, reply, strict=True))
    found = (read(*each) for each in pairs if each[1] is not None)
    return ask.Holders({each[0]: each[1][2] for each in found if each is not None})


def _page(read: ReadEntry, reply: Any) -> ask.Page:
    cursor, flat = reply
    return ask.Page(
        "" if cursor == b"0" else cursor.decode(),
        {key: entry[2] for key, entry in _entries(read, flat)},
    )


def _entries(read: ReadEntry, flat: list[bytes]) -> Iterator[tuple[str, Entry]]:
    for field, packed in zip(flat[::2], flat[1::2], strict=True):
        found = read(field, packed)
        if found is not None:
            yield found


def _remembered(reply: Any) -> ask.Remembered:
    cached, milliseconds = reply
    return ask.Remembered(cached, milliseconds / 1_000) if cached else ask.Remembered(b"", 0.0)
