"""Encodes entries and attempts for outboxes: JSON with names and a version, so that releases can share it.

A later release may add names, which this one ignores. This release skips entries with another version; they
stay for releases that know it.
"""

from typing import TypeVar

import msgspec
from msgspec import Struct, structs

from pusher_server.nesting import is_too_deep
from pusher_server.webhooks.outbox.interface import AttemptRecord, Entry

VERSION = 1
#: Characters of an event that the delivery log keeps whole, and of each of its values if it is longer.
_WHOLE_EVENT, _CUT_TEXT = 1_000, 200
#: Characters of one line's events; further ones are left out. And of its URL, which a tenant chooses.
_EVENTS_OF_LINE, _URL = 10_000, 500
#: Stands in the place of a text that was cut.
_ELLIPSIS = "…"

T = TypeVar("T")


class _Version(Struct, frozen=True):
    v: int


class _Entry(Struct, frozen=True):
    """`Entry`, which is an array elsewhere, with names."""

    id: str
    webhook: str
    channel: str
    event: str
    decided_at: float


def encode_entry(entry: Entry) -> bytes:
    """Encode an entry for `decode_entry`."""
    return msgspec.json.encode({"v": VERSION, **structs.asdict(entry)})


def decode_entry(data: bytes) -> Entry | None:
    """Decode an entry; None if it is of another version, or damaged."""
    entry = _decode(data, _Entry)
    return None if entry is None else Entry(*structs.astuple(entry))


def encode_attempt(attempt: AttemptRecord) -> bytes:
    """Encode an attempt for `decode_attempt`. Long events and long lists are cut: the log is for people."""
    events, left = [], _EVENTS_OF_LINE
    for event in map(shortened, attempt.events):
        left -= len(event)
        if left < 0:
            events.append(_ELLIPSIS)
            break
        events.append(event)
    url = attempt.url if len(attempt.url) <= _URL else attempt.url[:_URL] + _ELLIPSIS
    line = {"v": VERSION, **structs.asdict(attempt), "url": url, "events": events}
    return msgspec.json.encode(line)


def decode_attempt(data: bytes) -> AttemptRecord | None:
    """Decode an attempt; None if it is of another version, or damaged."""
    return _decode(data, AttemptRecord)


def decode_event(event: str, kind: type[T]) -> T | None:
    """Decode an event of an entry; None if it is damaged, or of another form."""
    return _read(event.encode(errors="surrogatepass"), kind)


def shortened(event: str) -> str:
    """The event; if it is too long, with its long values cut. A cut value that is no text becomes its JSON."""
    if len(event) <= _WHOLE_EVENT:
        return event
    fields = decode_event(event, dict[str, object])
    if fields is None:
        return event[:_WHOLE_EVENT]
    return msgspec.json.encode({name: _cut(value) for name, value in fields.items()}).decode()


def _cut(value: object) -> object:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return value if len(text) <= _CUT_TEXT else text[:_CUT_TEXT] + _ELLIPSIS


def _decode(data: bytes, kind: type[T]) -> T | None:
    version = _read(data, _Version)
    return _read(data, kind) if version is not None and version.v == VERSION else None


def _read(data: bytes, kind: type[T]) -> T | None:
    # Others may have written it: Redis is shared, and the file can be damaged.
    if is_too_deep(data):
        return None
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
