"""Selects the events to drop when too many wait, and logs how many were given up.

One channel, kind of event or app must not push out the others, so events of the heaviest app go first. Of this
app those of the heaviest kind go, of this kind those of the heaviest channels, and of these the oldest. An app,
kind or channel loses events only if none of the others has more.

The rule holds for events in memory here, and for the outboxes in SQL (`sqlite/overflow`) and Lua
(`outbox.lua`). In the outboxes a kind is one webhook's. Each app has its own bounds there: on the number of
its events, where each weighs the same, and on their bytes.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from pusher_server.log_rate_limit import LogRateLimit

logger = logging.getLogger("pusher_server.webhooks")

#: Bytes of an app's events that may wait, by default. These are 26,000 of the largest client events (10 kB, the
#: default), or 100,000 of 2.6 kB.
WAITING_BYTES = 268_435_456
#: Bytes of the delivery log of an app, all its webhooks together: 200 lines of 60 webhooks with 1.4 kB each.
LOG_BYTES = 16_777_216
#: Ids of delivered or dropped entries that are remembered per app, so that none is stored twice.
MOST_REMEMBERED = 100_000


class Waiting(NamedTuple):
    """A waiting event, with its number for the caller. `weight` is 1 for a bound on numbers, else its bytes."""

    number: int
    app_id: str
    kind: str
    channel: str
    weight: int


class Overflow:
    """Logs overflow. Of an app `waiting` events of `waiting_bytes` may wait. `clock` gives rising seconds."""

    def __init__(self, waiting: int, waiting_bytes: int, clock: Callable[[], float]) -> None:
        #: Reasons that stand in the dead letters.
        self.reason = f"more than {waiting} events waited"
        self.reason_bytes = f"events of more than {waiting_bytes} bytes waited"
        self._clock = clock
        self._limit = LogRateLimit()

    def note(self, crowded_out: Mapping[str, int]) -> None:
        """Count given-up events by app; at most one log line a minute."""
        events = self._limit.due("given up", self._clock(), sum(crowded_out.values()))
        if events:
            logger.error(
                "webhook events were given up untried: of an app, %s, or %s (%d of those of which most waited)."
                " Its targets take less than happens: `pusher-server webhooks log` says which;"
                " webhooks.waiting and webhooks.waiting_bytes let more wait",
                self.reason,
                self.reason_bytes,
                events,
                extra={"apps": ", ".join(crowded_out)},
            )


def shares(weights: Mapping[str, int], excess: int) -> dict[str, int]:
    """The weight to drop by name, `excess` in all: the heaviest are reduced to the same level first.

    A remainder that cannot be shared evenly is taken from the first names.
    """
    if excess >= sum(weights.values()):
        return dict(weights)
    level, left = 0, excess
    ordered = sorted(weights.values(), reverse=True)
    for count, weight in enumerate(ordered, 1):
        below = ordered[count] if count < len(ordered) else 0
        if (weight - below) * count >= left:
            level = weight - left // count
            left %= count
            break
        left -= (weight - below) * count
    due: dict[str, int] = {}
    for name, weight in weights.items():
        share = max(0, weight - level)
        if left and weight >= level:
            share, left = share + 1, left - 1
        if share:
            due[name] = share
    return due


def to_drop(waiting: Iterable[Waiting], excess: int) -> list[int]:
    """The numbers of the events to drop, `excess` weight at least. `waiting` begins with the oldest."""
    by_app: dict[str, dict[str, list[Waiting]]] = {}
    weights: dict[str, int] = {}
    for event in waiting:
        by_app.setdefault(event.app_id, {}).setdefault(event.kind, []).append(event)
        weights[event.app_id] = weights.get(event.app_id, 0) + event.weight
    dropped: list[int] = []
    for app_id, of_app in shares(weights, excess).items():
        kinds = by_app[app_id]
        by_kind = {kind: sum(event.weight for event in events) for kind, events in kinds.items()}
        for kind, of_kind in shares(by_kind, of_app).items():
            dropped += oldest_of_heaviest(kinds[kind], of_kind)
    return dropped


def oldest_of_heaviest(waiting: list[Waiting], excess: int) -> list[int]:
    """The events to drop of one kind: per channel the oldest within its share, then the oldest of them all."""
    weights: dict[str, int] = {}
    for event in waiting:
        weights[event.channel] = weights.get(event.channel, 0) + event.weight
    due = shares(weights, excess)
    dropped: list[int] = []
    rest: list[Waiting] = []
    for event in waiting:
        if due.get(event.channel, 0) >= event.weight:
            due[event.channel] -= event.weight
            excess -= event.weight
            dropped.append(event.number)
        else:
            rest.append(event)
    for event in rest:
        if excess <= 0:
            break
        if due.get(event.channel, 0) > 0:
            due[event.channel] -= event.weight
            excess -= event.weight
            dropped.append(event.number)
    return dropped
