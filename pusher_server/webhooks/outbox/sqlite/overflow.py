"""Which entries of an app are given up when too many wait in the file: the rule of `overflow`, in SQL."""

import sqlite3

from pusher_server.webhooks.outbox.overflow import Waiting, oldest_of_heaviest, shares

#: Room is made when one in so many too many wait, or bytes likewise, and for all: to find out whose turn it is
#: takes 0.3 s with 100,000 entries.
TOLERANCE = 50

#: Entries that go at once, besides twice as many as came: a bound that was lowered is reached within a few
#: calls, in each of which other processes wait for a second.
AT_ONCE = 5_000
#: With the index that has all that is asked for. The planner would take one by which each event is read, which
#: takes three to six times as long.
_ENTRIES = "entries INDEXED BY entries_by_kind_and_size"
#: What somebody has read already may be on its way: it goes last.
_UNREAD = (
    "position > coalesce((SELECT left_out.position FROM left_out WHERE left_out.app = entries.app"
    " AND left_out.webhook = entries.webhook), 0)"
)


def to_give_up(db: sqlite3.Connection, app_id: str, excess: int) -> list[int]:
    """The positions of so many, the oldest first. Raises sqlite3.Error."""
    rows = db.execute(
        f"SELECT webhook, kind, count(*) FROM {_ENTRIES} WHERE app = ? AND {_UNREAD} GROUP BY webhook, kind",
        (app_id,),
    ).fetchall()
    names = {f"{webhook} {kind}": (webhook, kind) for webhook, kind, _ in rows}
    waiting = {f"{webhook} {kind}": count for webhook, kind, count in rows}
    found: list[int] = []
    for name, share in shares(waiting, excess).items():
        found += _of_kind(db, app_id, *names[name], share)
    if len(found) < excess:
        rest = db.execute(
            "SELECT position FROM entries WHERE app = ? ORDER BY position LIMIT ?", (app_id, excess)
        )
        chosen = set(found)
        more = [position for (position,) in rest if position not in chosen]
        found += more[: excess - len(found)]
    return sorted(found)


def bytes_to_give_up(db: sqlite3.Connection, app_id: str, excess: int) -> list[int]:
    """The positions of so many bytes, the oldest first. Raises sqlite3.Error."""
    rows = db.execute(
        f"SELECT webhook, kind, sum(size) FROM {_ENTRIES} WHERE app = ? AND {_UNREAD} GROUP BY webhook, kind",
        (app_id,),
    ).fetchall()
    names = {f"{webhook} {kind}": (webhook, kind) for webhook, kind, _ in rows}
    weights = {f"{webhook} {kind}": size for webhook, kind, size in rows}
    sizes: dict[int, int] = {}
    for name, share in shares(weights, excess).items():
        waiting = _waiting_of_kind(db, app_id, *names[name])
        by_number = {each.number: each.weight for each in waiting}
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
    """The oldest first."""
    rows = db.execute(
        f"SELECT position, channel, size FROM {_ENTRIES}"
        f" WHERE app = ? AND webhook = ? AND kind = ? AND {_UNREAD} ORDER BY position",
        (app_id, webhook, kind),
    )
    return [Waiting(position, app_id, kind, channel, size) for position, channel, size in rows]


def _of_kind(db: sqlite3.Connection, app_id: str, webhook: str, kind: str, share: int) -> list[int]:
    """Of the channels of which most wait, the oldest each: those with most younger ones of their channel."""
    rows = db.execute(
        "SELECT position FROM (SELECT position, row_number() OVER (PARTITION BY channel ORDER BY position DESC)"
        f" AS depth FROM {_ENTRIES} WHERE app = ? AND webhook = ? AND kind = ? AND {_UNREAD})"
        " ORDER BY depth DESC, position LIMIT ?",
        (app_id, webhook, kind, share),
    )
    return [position for (position,) in rows]
