"""When too many events wait: which of them go, and what is said of it.

Those go first of which most wait, so that one channel, kind of event or app cannot push out the others: of the
heaviest app, there of the heaviest kind, there of the heaviest channels, and of these the oldest. Nobody
has to give anything as long as another one has more. Each place where events wait follows this rule: memory
here, the outboxes in SQL (`sqlite/overflow`) and in Lua (`outbox.lua`), where a kind is one webhook's, and each
app has bounds of its own: on their number, where each weighs the same, and on their bytes.
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

from pusher_server.log_rate_limit import LogRateLimit

logger = logging.getLogger("pusher_server.webhooks")

#: Bytes of an app that may wait unless something else is set: 26,000 of the largest client events by default
#: (10 kB), 100,000 of 2.6 kB.
WAITING_BYTES = 268_435_456
#: Bytes of the delivery log of an app, all its webhooks together: 200 lines of 60 webhooks with 1.4 kB each.
LOG_BYTES = 16_777_216
#: Ids of an app that are remembered of what was delivered or given up, so that it is not kept twice.
MOST_REMEMBERED = 100_000


class Waiting(NamedTuple):
    """Something that waits, under the number by which it is known. `weight` is its share of what is full."""

    number: int
    app_id: str
    kind: str
    channel: str
    weight: int


class Overflow:
    """`waiting` events of `waiting_bytes` may wait of an app. `clock` gives seconds that only rise."""

    def __init__(self, waiting: int, waiting_bytes: int, clock: Callable[[], float]) -> None:
        #: Of the dead letters.
        self.reason = f"more than {waiting} events waited"
        self.reason_bytes = f"events of more than {waiting_bytes} bytes waited"
        self._clock = clock
        self._limit = LogRateLimit()

    def note(self, crowded_out: Mapping[str, int]) -> None:
        """So many of these apps; a line about it once a minute."""
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
    """By name, how much of its weight goes, so that `excess` goes in all: the heaviest are levelled first.

    What cannot be shared evenly goes from those that come first.
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
    found: dict[str, int] = {}
    for name, weight in weights.items():
        share = max(0, weight - level)
        if left and weight >= level:
            share, left = share + 1, left - 1
        if share:
            found[name] = share
    return found


def to_drop(waiting: Iterable[Waiting], excess: int) -> list[int]:
    """The numbers of those that go, so that at least `excess` weight goes. `waiting` begins with the oldest."""
    by_app: dict[str, dict[str, list[Waiting]]] = {}
    weights: dict[str, int] = {}
    for each in waiting:
        by_app.setdefault(each.app_id, {}).setdefault(each.kind, []).append(each)
        weights[each.app_id] = weights.get(each.app_id, 0) + each.weight
    dropped: list[int] = []
    for app_id, of_app in shares(weights, excess).items():
        kinds = by_app[app_id]
        by_kind = {kind: sum(each.weight for each in found) for kind, found in kinds.items()}
        for kind, of_kind in shares(by_kind, of_app).items():
            dropped += oldest_of_heaviest(kinds[kind], of_kind)
    return dropped


def oldest_of_heaviest(waiting: list[Waiting], excess: int) -> list[int]:
    """Of one kind: each channel gives the oldest that its share holds, then the oldest of all what is due."""
    weights: dict[str, int] = {}
    for each in waiting:
        weights[each.channel] = weights.get(each.channel, 0) + each.weight
    due = shares(weights, excess)
    found: list[int] = []
    rest: list[Waiting] = []
    for each in waiting:
        if due.get(each.channel, 0) >= each.weight:
            due[each.channel] -= each.weight
            excess -= each.weight
            found.append(each.number)
        else:
            rest.append(each)
    for each in rest:
        if excess <= 0:
            break
        if due.get(each.channel, 0) > 0:
            due[each.channel] -= each.weight
            excess -= each.weight
            found.append(each.number)
    return found
