"""The interface of an outbox, which stores webhook events between the decision and the delivery.

An entry is one event for one webhook. The worker that has claimed an app delivers its entries, in the order
in which they were appended. The claim of a process that died expires, and the app is free again.
`tests/contract/test_outbox.py` tests the rules of this module on every outbox.

Every method may raise OutboxUnavailable: the file or the server is not available now; retry later.
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
    """A channel that is occupied, or with `user_id` a member of it; webhooks announce its start and its end."""

    app_id: str
    channel: str
    user_id: str = ""


class Decision(Struct, frozen=True):
    """One event for all webhooks that want it: `entries`, stored in one step with the change of presence.

    `presence` and `held` are what the app's owner believes after this event, for a start after a crash. None:
    the event does not change a presence. With `held`, the entries are dropped if it is believed already: it
    came back. `only_if_believed`: a leave that counts only if its join was announced, and nothing else since.
    """

    app_id: str
    entries: tuple[Entry, ...]
    presence: Presence | None = None
    held: bool = False
    only_if_believed: bool = False


class Pending(Struct, frozen=True):
    """An entry that waits. `position` sorts in the order of appending, and is unique within the app."""

    position: str
    entry: Entry


class AttemptRecord(Struct, frozen=True, kw_only=True):
    """One line of the delivery log: one request with its events and its outcome.

    `at` is in seconds of the epoch, `took` in seconds. `status` is the HTTP status, 0 when there was no
    answer. `answer` is the answer's first bytes as text, or the error. `outcome` is one of `delivered`,
    `retry`, `dead`.
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
    """An entry that was given up, with time and reason."""

    entry: Entry
    at: float
    reason: str


class Appended(NamedTuple):
    """The numbers of entries, by app id, that an append did not keep.

    `crowded_out` were given up untried, because too many waited. `undone` are not sent, because one of them
    undid the other while both waited (`undoing`).
    """

    crowded_out: Mapping[str, int] = {}
    undone: Mapping[str, int] = {}


class Backlog(Struct, frozen=True):
    """An app's number of waiting entries, time of the oldest (seconds of the epoch), number of dead letters."""

    pending: int
    oldest: float | None
    dead: int


class Outbox(Protocol):
    """Stores entries, claims, the delivery log and the dead letters."""

    async def append(self, decisions: Sequence[Decision]) -> Appended:
        """Store decisions, in this order. When it returns, a crash loses none of them.

        An entry whose id and webhook wait already, or were delivered lately, is not stored twice. An entry
        can undo a waiting one, if that is beyond the position of `leave_out`: neither is sent. An entry that
        replaces a waiting one there is sent alone. When an app's entries are too many, or too large, some are
        given up. The most numerous go first: of a webhook and kind of event, then of a channel, then the
        oldest (`overflow`).
        """

    async def claim(self, worker: str, seconds: float) -> list[str]:
        """Return apps with waiting entries that `worker` alone may deliver for the next `seconds`.

        It renews the worker's claims and takes free apps. Changes of the machines' clocks do not matter: a
        renewed claim is kept, and others expire after the seconds for which they were taken.
        """

    async def release(self, worker: str) -> None:
        """Release all claims of `worker`."""

    async def pending(self, app_id: str, after: str, limit: int) -> list[Pending]:
        """Return up to `limit` waiting entries beyond the position `after` ("" is the beginning), in order."""

    async def leave_out(self, worker: str, app_id: str, beyond: Mapping[str, str]) -> None:
        """Set, by webhook, the position beyond which `worker` reads entries only with `take`.

        This replaces all earlier positions of the app. It has no effect unless the worker has claimed the app.
        """

    async def take(
        self, worker: str, app_id: str, webhook: str, after: str, limit: int
    ) -> list[Pending]:
        """As `pending`, with the entries of all webhooks; moves the position of `webhook` behind them.

        If there are fewer than `limit`, nothing of this webhook is left out any more.
        """

    async def finish(self, app_id: str, positions: Sequence[str]) -> None:
        """Remove entries that were delivered, or that no webhook wants any more."""

    async def bury(self, app_id: str, positions: Sequence[str], reason: str, at: float) -> None:
        """Make entries dead letters; the oldest dead letters beyond the bounds are deleted."""

    async def record(self, app_id: str, attempt: AttemptRecord) -> None:
        """Add a line to the delivery log; the oldest lines beyond the bounds are deleted."""

    async def log(self, app_id: str, webhook: str = "", limit: int = 50) -> list[AttemptRecord]:
        """Return the latest attempts of one webhook or of all, the newest first."""

    async def dead(self, app_id: str, limit: int = 50) -> list[Dead]:
        """Return the latest dead letters, the newest first."""

    async def resend(self, app_id: str, ids: Sequence[str] | None = None) -> int:
        """Let dead letters wait again, at the end, with their ids; all without `ids`. Returns their number."""

    async def backlog(self) -> dict[str, Backlog]:
        """Return by app id the backlog of apps that have one."""

    async def believed(self) -> list[Presence]:
        """Return presences announced and not yet announced as gone; none if the roster survives a crash."""

    async def close(self) -> None:
        """Close file and connections."""
