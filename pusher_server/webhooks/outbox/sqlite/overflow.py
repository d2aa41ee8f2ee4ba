"""Selects the entries of an app to give up when too many wait in the file: `overflow`'s rule, in SQL."""

import sqlite3
from typing import Literal

from pusher_server.webhooks.outbox.overflow import Waiting, oldest_of_heaviest, shares

#: Entries are given up only when a bound is exceeded by one in so many; then all of the excess goes. To select
#: them takes 0.4 s with 100,000 entries.
TOLERANCE = 50

#: Entries that one call gives up at most, besides twice as many as it appends. So a lowered bound is reached
#: within a few calls; during each of them other processes wait for a second.
AT_ONCE = 5_000
#: The index contains all columns of these queries. The planner would choose one that has to read each event,
#: which takes three to six times as long.
_ENTRIES = "entries INDEXED BY entries_by_kind_and_size"
#: An entry that a worker has read may be on its way, so it is given up last.
_UNREAD = (
    "position > coalesce((SELECT left_out.position FROM left_out WHERE left_out.app = entries.app"
    " AND left_out.webhook = entries.webhook), 0)"
)


def to_give_up(
    db: sqlite3.Connection, app_id: str, excess: int, weight: Literal["1", "size"]
) -> list[int]:
    """The positions of entries to give up, the oldest first, which weigh `excess` together.

    `weight` is SQL: each entry weighs one, or as many bytes as it has. Raises sqlite3.Error.
    """
    rows = db.execute(
        f"SELECT webhook, kind, sum({weight}) FROM {_ENTRIES} WHERE app = ? AND {_UNREAD}"
        " GROUP BY webhook, kind",
        (app_id,),
    ).fetchall()
    names = {f"{webhook} {kind}": (webhook, kind) for webhook, kind, _ in rows}
    waiting = {f"{webhook} {kind}": total for webhook, kind, total in rows}
    weights: dict[int, int] = {}
    for name, share in shares(waiting, excess).items():
        events = _waiting_of_kind(db, app_id, *names[name], weight)
        by_number = {event.number: event.weight for event in events}
        weights |= {number: by_number[number] for number in oldest_of_heaviest(events, share)}
    left = excess - sum(weights.values())
    if left > 0:
        rest = db.execute(
            f"SELECT position, {weight} FROM entries WHERE app = ? ORDER BY position", (app_id,)
        )
        for position, own in rest:
            if left <= 0:
                break
            if position not in weights:
                weights[position] = own
                left -= own
    return sorted(weights)


def _waiting_of_kind(
    db: sqlite3.Connection, app_id: str, webhook: str, kind: str, weight: Literal["1", "size"]
) -> list[Waiting]:
    """The unread entries of one kind of a webhook, the oldest first."""
    rows = db.execute(
        f"SELECT position, channel, {weight} FROM {_ENTRIES}"
        f" WHERE app = ? AND webhook = ? AND kind = ? AND {_UNREAD} ORDER BY position",
        (app_id, webhook, kind),
    )
    return [Waiting(position, app_id, kind, channel, own) for position, channel, own in rows]
