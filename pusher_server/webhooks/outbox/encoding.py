"""How outboxes write down entries and attempts: JSON with names and a version, so that releases can share it.

A later release may add names, which this one does not look at. What it writes under another version is not
for us: such an entry stays for those that understand it.
"""

from typing import TypeVar

import msgspec
from msgspec import Struct, structs

from pusher_server.webhooks.outbox.interface import AttemptRecord, Entry

VERSION = 1
#: Characters of an event that the delivery log keeps whole, and of each of its values if it is longer.
_WHOLE_EVENT, _CUT_TEXT = 1_000, 200
#: Characters of one line's events; further ones are left out. And of its URL, which is a tenant's own words.
_EVENTS_OF_LINE, _URL = 10_000, 500
#: In the place of what was left out.
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
    """Read by `decode_entry`."""
    return msgspec.json.encode({"v": VERSION, **structs.asdict(entry)})


def decode_entry(data: bytes) -> Entry | None:
    """None: it is of another version, or damaged."""
    found = _decode(data, _Entry)
    return None if found is None else Entry(*structs.astuple(found))


def encode_attempt(attempt: AttemptRecord) -> bytes:
    """Read by `decode_attempt`. Long events are cut, and many of them: the log is for people."""
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
    """None: it is of another version, or damaged."""
    return _decode(data, AttemptRecord)


def shortened(event: str) -> str:
    """The event, with its long values cut if it is long as a whole; one that is no text becomes its JSON."""
    if len(event) <= _WHOLE_EVENT:
        return event
    try:
        fields = msgspec.json.decode(event, type=dict[str, object])
    except msgspec.DecodeError:
        return event[:_WHOLE_EVENT]
    return msgspec.json.encode({name: _cut(value) for name, value in fields.items()}).decode()


def _cut(value: object) -> object:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return value if len(text) <= _CUT_TEXT else text[:_CUT_TEXT] + _ELLIPSIS


def _decode(data: bytes, kind: type[T]) -> T | None:
    try:
        if msgspec.json.decode(data, type=_Version).v != VERSION:
            return None
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
