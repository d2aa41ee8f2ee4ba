"""Finds events that need not be sent while both wait: one undoes the other, or replaces it (pure).

Otherwise a client that joins and leaves thousands of times would fill the outbox with events that are over
before they are sent. Only events for the same webhook undo each other, and only before the first attempt to
send them. So a webhook that wants leaves alone gets each of them.
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from pusher_server.webhooks.outbox.encoding import decode_event
from pusher_server.webhooks.outbox.interface import Entry

#: By kind of event, the earlier kind that it undoes; then neither is sent.
_UNDOES: Mapping[str, str] = {
    "channel_vacated": "channel_occupied",
    "member_removed": "member_added",
}
#: Kinds of which only the newest event of a channel matters.
_LATEST_COUNTS = frozenset({"subscription_count", "cache_miss"})
#: Events begin with their name (`events`).
_BEGINNING = '{"name":"'


class Subject(NamedTuple):
    """The subject of an event: its kind, and the member's user id. Channel and webhook are in the entry."""

    kind: str
    user_id: str = ""

    @property
    def undone(self) -> "Subject | None":
        """The subject of a waiting event that this one makes needless; the same subject if it replaces it."""
        kind = _UNDOES.get(self.kind)
        if kind is not None:
            return Subject(kind, self.user_id)
        return self if self.kind in _LATEST_COUNTS else None

    @property
    def is_undoing(self) -> bool:
        """Whether this event is needless, too, if it undoes an earlier one."""
        return self.kind in _UNDOES

    @property
    def may_be_undone(self) -> bool:
        """Whether a later event can make this one needless."""
        return self.kind in _LATEST_COUNTS or self.kind in _UNDOES.values()


class _Member(Struct, frozen=True):
    user_id: str = ""


def subject_of(entry: Entry) -> Subject:
    """The subject of an entry's event; its kind is "" when another release wrote the event in another form."""
    event = entry.event
    if not event.startswith(_BEGINNING):
        return Subject("")
    kind = event[len(_BEGINNING) : event.find('"', len(_BEGINNING))]
    if not kind.startswith("member_"):
        return Subject(kind)
    member = decode_event(event, _Member)
    return Subject("") if member is None else Subject(kind, member.user_id)
