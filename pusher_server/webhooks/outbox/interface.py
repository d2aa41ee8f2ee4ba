"""Where webhook events are kept between being decided and being delivered: the seam of every outbox.

An entry is one event for one webhook. Entries of an app are delivered in the order in which they were
appended, by whoever has claimed the app; what was claimed by a process that died is free again when its
claim has run out. `tests/contract/test_outbox.py` holds every outbox to the rules that stand here.

Every verb may raise OutboxUnavailable: the file or the server cannot be had now; try again later.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from msgspec import Struct

from pusher_server.errors import PusherServerError

#: Seconds until the next attempt while the outbox, the roster or the apps are away.
PAUSE = 1.0


class OutboxUnavailable(PusherServerError):
    """The outbox cannot be read or written now. The text is one line for the operator, without secrets."""


class Entry(Struct, frozen=True, array_like=True):
    """One event for one webhook.

    `id` is the same however often the event is decided or sent. `webhook` is `Webhook.id`. `event` is the
    JSON object as it stands in a body's `events` (docs/protocol/webhooks.md#events).
    `decided_at` is in seconds of the epoch.
    """

    id: str
    webhook: str
    channel: str
    event: str
    decided_at: float


class Presence(NamedTuple):
    """Something that an app's owner is told comes and goes: a channel, or with `user_id` a member of it."""

    app_id: str
    channel: str
    user_id: str = ""


class Decision(Struct, frozen=True):
    """What happened once, for all webhooks that want it: `entries`, in one step with what is remembered.

    `presence` and `held` say what the owner believes from here on, for a start after a crash; None when the
    event is not of that kind. `held`: when it is believed already, the entries are dropped: it came back.
    `only_if_believed`: a leave that counts only when its coming was announced and nothing else since.
    """

    app_id: str
    entries: tuple[Entry, ...]
    presence: Presence | None = None
    held: bool = False
    only_if_believed: bool = False


class Pending(Struct, frozen=True):
    """An entry that waits. `position` sorts by time of appending and names it within its app."""

    position: str
    entry: Entry


class AttemptRecord(Struct, frozen=True, kw_only=True):
    """One line of the delivery log: one request, what it carried and what came of it.

    `at` is in seconds of the epoch, `took` in seconds. `status` is the HTTP status, 0 when there was no
    answer; `answer` its first bytes as text, or what went wrong. `outcome` is one of `delivered`, `retry`,
    `dead`.
    """

    at: float
    webhook: str
    url: str
    ids: tuple[str, ...]
    events: tuple[str, ...]
    number: int
    status: int
    took: float
    outcome: str
    answer: str


class Dead(Struct, frozen=True, kw_only=True):
    """An entry that was given up, when and why."""

    entry: Entry
    at: float
    reason: str


class Appended(NamedTuple):
    """What became of entries besides being kept, by app id.

    `crowded_out` were given up untried, because too many waited. `undone` are not sent, because one of them
    undid the other while both waited (`undoing`).
    """

    crowded_out: Mapping[str, int] = {}
    undone: Mapping[str, int] = {}


class Backlog(Struct, frozen=True):
    """What of an app waits: how many entries, since when the oldest (seconds of the epoch), and dead ones."""

    pending: int
    oldest: float | None
    dead: int


class Outbox(Protocol):
    """Kept entries, claims, the delivery log and the dead letters."""

    async def append(self, decisions: Sequence[Decision]) -> Appended:
        """Keep what was decided, in this order. When it returns, a crash loses none of it.

        An entry whose id and webhook wait already, or were delivered lately, is not kept twice. What waits
        beyond what `leave_out` has named, and what undoes it, are not sent. When too many of an app wait, or
        too much, those go first of which most waits: of a webhook and kind of event, then of a channel, then
        the oldest (`overflow`).
        """

    async def claim(self, worker: str, seconds: float) -> list[str]:
        """Apps that have something waiting and that `worker` alone may deliver for the next `seconds`.

        Renews its claims and takes those that nobody has. Whatever the machines' clocks do meanwhile, a claim
        that is renewed is kept, and one that is not runs out after the seconds for which it was taken.
        """

    async def release(self, worker: str) -> None:
        """Others may have what `worker` has claimed."""

    async def pending(self, app_id: str, after: str, limit: int) -> list[Pending]:
        """Up to `limit` waiting entries beyond the position `after` ("" is the beginning), in order."""

    async def leave_out(self, worker: str, app_id: str, beyond: Mapping[str, str]) -> None:
        """By webhook, the position beyond which `worker` has read none of its entries but by `take`.

        In the place of what was named before. Nothing comes of it unless the app is the worker's.
        """

    async def take(
        self, worker: str, app_id: str, webhook: str, after: str, limit: int
    ) -> list[Pending]:
        """As `pending`, of all webhooks; what is given is left out no longer for this one.

        With less than `limit`, there is nothing more to leave out.
        """

    async def finish(self, app_id: str, positions: Sequence[str]) -> None:
        """They were delivered, or are no longer wanted."""

    async def bury(self, app_id: str, positions: Sequence[str], reason: str, at: float) -> None:
        """They were given up: dead letters from here on; the oldest beyond the bounds go."""

    async def record(self, app_id: str, attempt: AttemptRecord) -> None:
        """One more line of the delivery log; the oldest beyond the bounds go."""

    async def log(self, app_id: str, webhook: str = "", limit: int = 50) -> list[AttemptRecord]:
        """The latest attempts, the newest first, of one webhook or of all."""

    async def dead(self, app_id: str, limit: int = 50) -> list[Dead]:
        """The latest dead letters, the newest first."""

    async def resend(self, app_id: str, ids: Sequence[str] | None = None) -> int:
        """Dead letters wait again, at the end and under the ids they have; all of them without `ids`."""

    async def backlog(self) -> dict[str, Backlog]:
        """By app id, for those that have anything."""

    async def believed(self) -> list[Presence]:
        """What owners were told is there and not told is gone, where a crash would not be noticed otherwise."""

    async def close(self) -> None:
        """Let go of file and connections."""
