"""Metrics of the packages that may not import metrics: their numbers, under the catalogue's names."""

from collections.abc import Callable, Iterable, Iterator

from pusher_server.cluster.membership import StoreMembership
from pusher_server.metrics import catalogue
from pusher_server.metrics.collector import Sample
from pusher_server.server.cluster import Cluster
from pusher_server.webhooks.delivery.stats import DeliveryStats


def cluster_samples(cluster: Cluster, worker: str, clock: Callable[[], float]) -> Iterator[Sample]:
    """Yield the state of each link, and the evictions of cache channels. `clock` is that of the loop."""
    memberships = () if cluster.stores is None else cluster.stores.memberships
    yield from link_samples(memberships, worker, clock)
    for app_id, count in cluster.evicted.totals.items():
        yield catalogue.CACHE_EVICTIONS, (app_id,), count


def link_samples(
    memberships: Iterable[StoreMembership], worker: str, clock: Callable[[], float]
) -> Iterator[Sample]:
    """Yield the state of each link; nothing when this process is alone."""
    for membership in memberships:
        stats, peer = membership.link.stats, (membership.link.peer,)
        yield catalogue.LINK_UP, (*peer, worker), float(membership.problem is None)
        yield catalogue.RENEWAL_AGE, (*peer, worker), max(0.0, clock() - membership.renewed_at)
        yield catalogue.LINK_OPENED, peer, stats.opened
        yield catalogue.COMMANDS, peer, stats.commands
        yield catalogue.PUSHES, peer, stats.pushes
        yield catalogue.DROPPED, peer, stats.dropped
        yield catalogue.REDECLARED, peer, stats.redeclared
        yield catalogue.HELD_KEYS, peer, len(membership.held_keys)
        yield catalogue.FOLLOWED_TOPICS, peer, len(membership.followed_topics)


def webhook_samples(stats: DeliveryStats, clock: Callable[[], float]) -> Iterator[Sample]:
    """Yield the fates of each app's events, as far as this process knows. `clock` gives Unix seconds."""
    now = clock()
    for app_id, app in stats.apps.items():
        labels = (app_id,)
        yield catalogue.WEBHOOKS_WAITING, labels, app.waiting
        age = 0.0 if app.oldest is None else max(0.0, now - app.oldest)
        yield catalogue.WEBHOOKS_OLDEST, labels, age
        yield catalogue.WEBHOOK_ATTEMPTS, labels, app.attempts
        yield catalogue.WEBHOOK_FAILURES, labels, app.failures
        yield catalogue.WEBHOOK_EVENTS, labels, app.delivered
        yield catalogue.WEBHOOK_DEAD, labels, app.dead
        yield catalogue.WEBHOOK_UNDONE, labels, app.undone
        yield catalogue.WEBHOOK_DROPPED, (app_id, "memory"), app.dropped_in_memory
        yield catalogue.WEBHOOK_DROPPED, (app_id, "crowded_out"), app.crowded_out
        yield catalogue.WEBHOOK_DROPPED, (app_id, "unwanted"), app.unwanted
