"""What `pusher_server.server.samples` says of links and of webhooks, against what was counted."""

from collections.abc import Iterable

import pytest

from pusher_server.cluster.commands import Publish
from pusher_server.cluster.sharding import Shards
from pusher_server.interfaces import channels_topic, members_topic
from pusher_server.metrics import catalogue
from pusher_server.metrics.catalogue import Metric
from pusher_server.metrics.collector import Sample
from pusher_server.metrics.reading import Labels
from pusher_server.server.samples import link_samples, webhook_samples
from pusher_server.webhooks.delivery.stats import DeliveryStats
from tests.contract.stores import LEASE, UNDO_WINDOW, MemoryHarness
from tests.support.waiting import eventually


def numbers(samples: Iterable[Sample]) -> dict[tuple[Metric, Labels], float]:
    """Each number by metric and labels; none comes twice."""
    found: dict[tuple[Metric, Labels], float] = {}
    for metric, labels, value in samples:
        assert len(labels) == len(metric.labels)
        assert (metric, labels) not in found
        found[metric, labels] = value
    return found


async def test_links_are_told_with_their_peer_and_worker() -> None:
    link = MemoryHarness().link()
    shards = Shards([link], "one", lease=LEASE, undo_window=UNDO_WINDOW, random=lambda: 0.5)
    (membership,) = shards.memberships
    peer = (link.peer,)
    found = numbers(link_samples(shards.memberships, "7", lambda: 9.5))
    assert found[catalogue.LINK_UP, (link.peer, "7")] == 0
    assert found[catalogue.RENEWAL_AGE, (link.peer, "7")] == 9.5
    shards.start()
    try:
        await eventually(lambda: membership.problem is None)
        members, channels = members_topic("1", "presence-x"), channels_topic("1")
        membership.followed_topics.follow(shards.at(members)[1], with_entries=True)
        for key in "ab":
            membership.held_keys.hold((shards.at(channels)[1], key), "1", 0)
        link.close()
        assert not link.publish(Publish("channel:1:a", b"dropped"))
        now = membership.renewed_at + 0.4
        found = numbers(link_samples(shards.memberships, "7", lambda: now))
        assert found[catalogue.LINK_UP, (link.peer, "7")] == 1
        assert found[catalogue.RENEWAL_AGE, (link.peer, "7")] == pytest.approx(0.4)
        assert found[catalogue.LINK_OPENED, peer] == link.stats.opened
        assert found[catalogue.COMMANDS, peer] == link.stats.commands
        assert found[catalogue.PUSHES, peer] == link.stats.pushes
        assert found[catalogue.DROPPED, peer] == link.stats.dropped
        assert found[catalogue.REDECLARED, peer] == link.stats.redeclared
        assert found[catalogue.HELD_KEYS, peer] == 2
        assert found[catalogue.FOLLOWED_TOPICS, peer] == 1
    finally:
        await shards.stop()
    assert numbers(link_samples([], "7", lambda: 0.0)) == {}


def test_webhooks_are_told_by_app() -> None:
    """The age of the oldest is that of the moment, so it grows while nobody delivers."""
    stats = DeliveryStats()
    one, two = stats.of("1"), stats.of("2")
    one.waiting, one.oldest = 3, 93.0
    one.attempts, one.failures, one.delivered, one.dead, one.undone = 11, 5, 9, 2, 6
    one.dropped_in_memory, one.crowded_out, one.unwanted = 4, 1, 8
    two.attempts, two.delivered = 1, 1
    found = numbers(webhook_samples(stats, lambda: 100.0))
    assert {metric: value for (metric, labels), value in found.items() if labels == ("1",)} == {
        catalogue.WEBHOOKS_WAITING: 3,
        catalogue.WEBHOOKS_OLDEST: 7,
        catalogue.WEBHOOK_ATTEMPTS: 11,
        catalogue.WEBHOOK_FAILURES: 5,
        catalogue.WEBHOOK_EVENTS: 9,
        catalogue.WEBHOOK_DEAD: 2,
        catalogue.WEBHOOK_UNDONE: 6,
    }
    assert found[catalogue.WEBHOOK_DROPPED, ("1", "memory")] == 4
    assert found[catalogue.WEBHOOK_DROPPED, ("1", "crowded_out")] == 1
    assert found[catalogue.WEBHOOK_DROPPED, ("1", "unwanted")] == 8
    assert found[catalogue.WEBHOOKS_OLDEST, ("2",)] == 0
    later = numbers(webhook_samples(stats, lambda: 105.0))
    assert later[catalogue.WEBHOOKS_OLDEST, ("1",)] == 12
    before = numbers(webhook_samples(stats, lambda: 90.0))
    assert before[catalogue.WEBHOOKS_OLDEST, ("1",)] == 0, "clocks of machines differ"
