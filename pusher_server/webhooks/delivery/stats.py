"""Results of deliveries by app: plain numbers for metrics to read.

Counts only rise. The waiting entries in the outbox are of all nodes. So each process reports only the apps that
it has claimed: then the sum over processes is right.
"""

from collections.abc import Collection, Mapping

from pusher_server.histogram import DELIVERY_BOUNDS, Histogram
from pusher_server.webhooks.outbox.interface import Backlog


class AppDeliveryStats:
    """The numbers of one app."""

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
        #: Entries lost: the outbox could not store them, too many waited, or no webhook wants them any more.
        self.dropped_in_memory = 0
        self.crowded_out = 0
        self.unwanted = 0
        #: Entries not sent, because one undid the other while both waited.
        self.undone = 0
        #: Waiting entries, if this process has claimed the app; the oldest in seconds of the epoch.
        self.waiting = 0
        self.oldest: float | None = None


class DeliveryStats:
    """The numbers of all apps, and the latency from decision to delivery."""

    def __init__(self) -> None:
        self.apps: dict[str, AppDeliveryStats] = {}
        self.latency = Histogram(DELIVERY_BOUNDS)

    def of(self, app_id: str) -> AppDeliveryStats:
        """The app's numbers, made on first use."""
        stats = self.apps.get(app_id)
        if stats is None:
            stats = self.apps[app_id] = AppDeliveryStats()
        return stats

    def note_backlog(self, backlog: Mapping[str, Backlog], claimed: Collection[str]) -> None:
        """Note the backlog of the apps that this process has claimed; `backlog` is that of all apps."""
        for stats in self.apps.values():
            stats.waiting, stats.oldest = 0, None
        for app_id in claimed:
            of_app = backlog.get(app_id)
            if of_app is not None:
                stats = self.of(app_id)
                stats.waiting, stats.oldest = of_app.pending, of_app.oldest
