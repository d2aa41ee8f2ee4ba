"""What became of events, by app: plain numbers for metrics to read.

Counts only rise. What waits in the outbox is that of all nodes, so each process tells only of the apps that it
has claimed: then the sum over processes is right.
"""

from collections.abc import Collection, Mapping

from pusher_server.histogram import DELIVERY_BOUNDS, Histogram
from pusher_server.webhooks.outbox.interface import Backlog


class AppDeliveryStats:
    """One app's."""

    __slots__ = (
        "attempts",
        "crowded_out",
        "dead",
        "delivered",
        "dropped_in_memory",
        "failures",
        "oldest",
        "undone",
        "unwanted",
        "waiting",
    )

    def __init__(self) -> None:
        #: Requests, and those of them that no 2xx answered.
        self.attempts = 0
        self.failures = 0
        #: Entries: accepted by their webhook, given up.
        self.delivered = 0
        self.dead = 0
        #: Lost: because the outbox could not keep them, because too many waited, because nobody wants them now.
        self.dropped_in_memory = 0
        self.crowded_out = 0
        self.unwanted = 0
        #: Not sent, because one undid the other while both waited.
        self.undone = 0
        #: Entries that wait, if the app is ours to deliver; the oldest in seconds of the epoch.
        self.waiting = 0
        self.oldest: float | None = None


class DeliveryStats:
    """Of all apps, and how long it took from decided to delivered."""

    def __init__(self) -> None:
        self.apps: dict[str, AppDeliveryStats] = {}
        self.latency = Histogram(DELIVERY_BOUNDS)

    def of(self, app_id: str) -> AppDeliveryStats:
        """The app's numbers, made on first use."""
        found = self.apps.get(app_id)
        if found is None:
            found = self.apps[app_id] = AppDeliveryStats()
        return found

    def note_backlog(self, backlog: Mapping[str, Backlog], claimed: Collection[str]) -> None:
        """What the outbox says of all apps, and those that this process has claimed."""
        for stats in self.apps.values():
            stats.waiting, stats.oldest = 0, None
        for app_id in claimed:
            found = backlog.get(app_id)
            if found is not None:
                stats = self.of(app_id)
                stats.waiting, stats.oldest = found.pending, found.oldest
