"""Which events are no news when both of them still wait: one undoes the other, or tells the same anew (pure).

Somebody who comes and goes thousands of times would otherwise fill the outbox with what is over before anybody
is told. Only events for the same webhook undo each other, and only as long as no attempt has had the first one:
a webhook that wants to hear of leaves alone gets each of them.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from msgspec import Struct

from pusher_server.webhooks.outbox.interface import Entry

#: By what leaves nothing to tell, the kind before it that it undoes.
_UNDOES: Mapping[str, str] = {
    "channel_vacated": "channel_occupied",
    "member_removed": "member_added",
}
#: Kinds of which only the newest of a channel says anything.
_LATEST_COUNTS = frozenset({"subscription_count", "cache_miss"})
#: Events begin with their name (`payloads`).
_BEGINNING = '{"name":"'


class Subject(NamedTuple):
    """What an event tells of: its kind, and of members whose. The channel and the webhook are the entry's."""

    kind: str
    user_id: str = ""

    @property
    def undone(self) -> "Subject | None":
        """What need not be told when this follows while it waits; the same kind if this says it anew."""
        kind = _UNDOES.get(self.kind)
        if kind is not None:
            return Subject(kind, self.user_id)
        return self if self.kind in _LATEST_COUNTS else None

    @property
    def is_undoing(self) -> bool:
        """Whether it need not be told either, if what it undoes need not."""
        return self.kind in _UNDOES

    @property
    def may_be_undone(self) -> bool:
        """Whether a later event can make it no news."""
        return self.kind in _LATEST_COUNTS or self.kind in _UNDOES.values()


class _Member(Struct, frozen=True):
    user_id: str = ""


def subject_of(entry: Entry) -> Subject:
    """Of the entry's event; the kind is "" when another release has written it in its own way."""
    event = entry.event
    if not event.startswith(_BEGINNING):
        return Subject("")
    kind = event[len(_BEGINNING) : event.find('"', len(_BEGINNING))]
    if not kind.startswith("member_"):
        return Subject(kind)
    try:
        return Subject(kind, msgspec.json.decode(event, type=_Member).user_id)
    except msgspec.DecodeError:
        return Subject("")
