"""Leaves that were undone in time: a page that is loaded anew must cause no signal.

See docs/protocol/webhooks.md#delay.

Judged only while no fault is on, because only then clients and servers agree about when somebody left.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from tests.chaos.ledger import Ledger, Stay
from tests.chaos.signal_log import Key

#: Client and server may differ by this much about a moment.
BLUR = 0.35
#: Somebody who came less than this before may still owe a signal of an earlier leave.
STEADY = 3.0


@dataclass(frozen=True)
class Undone:
    """Nobody held the key from `left` to `back`, and that was too short to count."""

    key: Key
    left: float
    back: float


def undone_leaves(ledger: Ledger, until: float, window: float) -> Iterator[Undone]:
    """All that were over by `until`; `window` is the server's undo window."""
    for channel in ledger.channels():
        by_key: dict[Key, list[Stay]] = {}
        for stay in ledger.stays(channel):
            by_key.setdefault((channel,), []).append(stay)
            if channel.startswith("presence-") and stay.user is not None:
                by_key.setdefault((channel, stay.user), []).append(stay)
        if channel.startswith("#"):
            continue
        for key, stays in by_key.items():
            for left, back in _gaps(stays):
                if back + BLUR < until and back - left < window - BLUR:
                    yield Undone(key, left, back)


def _gaps(stays: list[Stay]) -> Iterator[tuple[float, float]]:
    """Between the end of the last stay and the begin of the next, where somebody was there for long."""
    since, end = 0.0, None
    for stay in sorted(stays, key=lambda each: each.asked):
        if end is not None and stay.asked > end:
            if end - since >= STEADY and stay.granted is not None:
                yield end, stay.granted
            since = stay.asked
        elif end is None:
            since = stay.asked
        end = max(end or 0.0, float("inf") if stay.ended is None else stay.ended)
