"""Encodes a store's commands for Redis, and decodes the replies.

Most commands run a script (`lua/`). A command that only reads one key is a plain command of Redis.
"""

import re
import secrets
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any
from urllib.parse import unquote

import msgspec

from pusher_server.cluster import commands
from pusher_server.cluster.commands import Command
from pusher_server.cluster.redis.connection import Argument
from pusher_server.cluster.wire import UNREADABLE, is_epoch

#: Approximate number of entries in a page of a scan.
PAGE = 1_000

#: [order, value last given, {holder: value}], as in `lua/store.lua`.
Entry = tuple[int, str, dict[str, str]]
_entry = msgspec.msgpack.Decoder(Entry).decode
#: Receives each entry that cannot be read and is left out: the key in Redis, and its field.
LeftOut = Callable[[str, bytes], None]
ReadEntry = Callable[[bytes, bytes], tuple[str, Entry] | None]


class Query:
    """A script or command with its arguments, and the function that decodes the reply.

    `script` is "" for a plain command, whose arguments contain its name and key.
    """

    __slots__ = ("arguments", "read", "script")

    def __init__(
        self, script: str, arguments: tuple[Argument, ...], read: Callable[[Any], object]
    ) -> None:
        self.script = script
        self.arguments = arguments
        self.read = read


def query_of(command: Command[Any], base: str, run_id: str, left_out: LeftOut) -> Query:
    """Encode any command but subscriptions and publications; `base` is the prefix of the store's keys."""

    def entry_of(address: str) -> ReadEntry:
        """Decode a field and its value; None when they cannot be read, while other entries still can."""

        def read(field: bytes, packed: bytes) -> tuple[str, Entry] | None:
            try:
                return field.decode(), _entry(packed)
            except UNREADABLE:
                left_out(f"{base}:t:{address}", field)
                return None

        return read

    match command:
        case commands.Track(holder, address, key, value, limit, again, tell):
            flags = ("1" if flag else "" for flag in (again, tell))
            return Query("track", (holder, address, key, value, limit, *flags), _tracked)
        case commands.Untrack(holder, address, key):
            return Query("untrack", (holder, address, key), _released)
        case commands.Snapshot(address, entries):
            read = partial(_topic_state, entry_of(address))
            return Query("snapshot", (address, "1" if entries else ""), read)
        case commands.Recall(address):
            return Query("recall", (address,), _remembered)
        case commands.Lookup(address, keys):
            if not keys:
                return Query("", ("HLEN", f"{base}:t:{address}"), lambda _: commands.Holders({}))
            topic = f"{base}:t:{address}"
            return Query("", ("HMGET", topic, *keys), partial(_holders, entry_of(address), keys))
        case commands.Count(address):
            return Query("", ("HLEN", f"{base}:t:{address}"), int)
        case commands.Scan(address, prefix, cursor):
            match = ("MATCH", _escaped(prefix) + "*") if prefix else ()
            place = ("HSCAN", f"{base}:t:{address}", cursor or "0")
            return Query("", (*place, *match, "COUNT", PAGE), partial(_page, entry_of(address)))
        case _:
            return _lease(command, run_id)


def _lease(command: Command[Any], run_id: str) -> Query:
    match command:
        case commands.Renew(holder, confirmed, tallies):
            pairs = (part for tally in tallies.items() for part in tally)
            return Query("renew", (holder, confirmed, *pairs), _renewed)
        case commands.Enter(holder, succeeds, confirmed, known):
            arguments = (holder, succeeds, confirmed, known, run_id, secrets.token_hex(8))
            return Query("enter", arguments, _entered)
        case commands.Retire(holder, confirmed):
            return Query(
                "retire", (holder, confirmed), lambda reply: commands.Retired(more=bool(reply))
            )
        case commands.ReportGone(address, key):
            return Query("report_gone", (address, key), lambda _: commands.Nothing())
        case commands.Tally(name, besides):
            return Query("tally", (name, besides), int)
        case _:
            raise TypeError(f"not a command of the store: {command!r}")


def _escaped(prefix: str) -> str:
    """Escape a prefix for Redis's glob patterns."""
    return re.sub(r"([*?\[\]\\])", r"\\\1", prefix)


def _epoch(raw: bytes) -> str:
    """Decode an epoch. Raises ValueError if no node wrote it: then nothing of the store can be trusted."""
    epoch = raw.decode()
    if not is_epoch(epoch):
        raise ValueError("an epoch that is none of ours")
    return epoch


def _text(raw: bytes) -> str:
    """Decode a name for logs, or a key for a comparison: one that is not UTF-8 matches no other."""
    return raw.decode(errors="replace")


def _entered(reply: Any) -> commands.Entered:
    return commands.Entered(_epoch(reply[0]), [_text(holder) for holder in reply[1]])


def _renewed(reply: Any) -> commands.Renewed:
    epoch, batch, due, holders, sums, swept, count, more, gone = reply
    return commands.Renewed(
        epoch=_epoch(epoch),
        batch=batch,
        due=[
            commands.Announcement(_text(address), _text(key), bool(held), _text(version))
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


def _tracked(reply: Any) -> commands.Tracked:
    n, *flags = reply
    return commands.Tracked(n, *map(bool, flags))


def _released(reply: Any) -> commands.Released:
    return commands.Released(reply[0], _text(reply[1]))


def _topic_state(read: ReadEntry, reply: Any) -> commands.TopicState:
    epoch, n, flat = reply
    entries = list(_entries(read, flat))
    entries.sort(key=lambda item: item[1][0])
    return commands.TopicState(_epoch(epoch), n, {key: entry[1] for key, entry in entries})


def _holders(read: ReadEntry, keys: list[str], reply: Any) -> commands.Holders:
    pairs = ((key.encode(), packed) for key, packed in zip(keys, reply, strict=True))
    entries = (read(field, packed) for field, packed in pairs if packed is not None)
    return commands.Holders({entry[0]: entry[1][2] for entry in entries if entry is not None})


def _page(read: ReadEntry, reply: Any) -> commands.Page:
    cursor, flat = reply
    return commands.Page(
        "" if cursor == b"0" else cursor.decode(),
        {key: entry[2] for key, entry in _entries(read, flat)},
    )


def _entries(read: ReadEntry, flat: list[bytes]) -> Iterator[tuple[str, Entry]]:
    for field, packed in zip(flat[::2], flat[1::2], strict=True):
        entry = read(field, packed)
        if entry is not None:
            yield entry


def _remembered(reply: Any) -> commands.Remembered:
    cached, milliseconds = reply
    return (
        commands.Remembered(cached, milliseconds / 1_000)
        if cached
        else commands.Remembered(b"", 0.0)
    )
