"""Selects the entries of an app to give up when too many wait in the file: `overflow`'s rule, in SQL."""

import sqlite3

from pusher_server.webhooks.outbox.overflow import Waiting, oldest_of_heaviest, shares

#: Entries are given up only when a bound is exceeded by one in so many; then all of the excess goes. To select
#: them takes 0.3 s with 100,000 entries.
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


def to_give_up(db: sqlite3.Connection, app_id: str, excess: int) -> list[int]:
    """The positions of `excess` entries to give up, the oldest first. Raises sqlite3.Error."""
    rows = db.execute(
        f"SELECT webhook, kind, count(*) FROM {_ENTRIES} WHERE app = ? AND {_UNREAD} GROUP BY webhook, kind",
        (app_id,),
    ).fetchall()
    names = {f"{webhook} {kind}": (webhook, kind) for webhook, kind, _ in rows}
    waiting = {f"{webhook} {kind}": count for webhook, kind, count in rows}
    positions: list[int] = []
    for name, share in shares(waiting, excess).items():
        positions += _of_kind(db, app_id, *names[name], share)
    if len(positions) < excess:
        rest = db.execute(
            "SELECT position FROM entries WHERE app = ? ORDER BY position LIMIT ?", (app_id, excess)
        )
        chosen = set(positions)
        more = [position for (position,) in rest if position not in chosen]
        positions += more[: excess - len(positions)]
    return sorted(positions)


def bytes_to_give_up(db: sqlite3.Connection, app_id: str, excess: int) -> list[int]:
    """The positions of entries with `excess` bytes to give up, the oldest first. Raises sqlite3.Error."""
    rows = db.execute(
        f"SELECT webhook, kind, sum(size) FROM {_ENTRIES} WHERE app = ? AND {_UNREAD} GROUP BY webhook, kind",
        (app_id,),
    ).fetchall()
    names = {f"{webhook} {kind}": (webhook, kind) for webhook, kind, _ in rows}
    weights = {f"{webhook} {kind}": size for webhook, kind, size in rows}
    sizes: dict[int, int] = {}
    for name, share in shares(weights, excess).items():
        waiting = _waiting_of_kind(db, app_id, *names[name])
        by_number = {event.number: event.weight for event in waiting}
        sizes |= {number: by_number[number] for number in oldest_of_heaviest(waiting, share)}
    left = excess - sum(sizes.values())
    if left > 0:
        rest = db.execute(
            "SELECT position, size FROM entries WHERE app = ? ORDER BY position", (app_id,)
        )
        for position, size in rest:
            if left <= 0:
                break
            if position not in sizes:
                sizes[position] = size
                left -= size
    return sorted(sizes)


def _waiting_of_kind(db: sqlite3.Connection, app_id: str, webhook: str, kind: str) -> list[Waiting]:
    """The unread entries of one kind of a webhook, the oldest first."""
    rows = db.execute(
        f"SELECT position, channel, size FROM {_ENTRIES}"
        f" WHERE app = ? AND webhook = ? AND kind = ? AND {_UNREAD} ORDER BY position",
        (app_id, webhook, kind),
    )
    return [Waiting(position, app_id, kind, channel, size) for position, channel, size in rows]


def _of_kind(db: sqlite3.Connection, app_id: str, webhook: str, kind: str, share: int) -> list[int]:
    """The oldest positions of the heaviest channels: those with the most younger entries in their channel."""
    rows = db.execute(
        "SELECT position FROM (SELECT position, row_number() OVER (PARTITION BY channel ORDER BY position DESC)"
        f" AS depth FROM {_ENTRIES} WHERE app = ? AND webhook = ? AND kind = ? AND {_UNREAD})"
        " ORDER BY depth DESC, position LIMIT ?",
        (app_id, webhook, kind, share),
    )
    return [position for (position,) in rows]
