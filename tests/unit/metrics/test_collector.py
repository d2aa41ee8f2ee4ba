"""What is counted, against what was done: a real node, real hub, clients that keep what they get."""

import msgspec
import pytest

from pusher_server.metrics import catalogue
from pusher_server.metrics.collector import LinkReading, WebhookReading
from pusher_server.metrics.reading import Reading
from pusher_server.protocol.errors import SubscriptionRefused
from tests.support.node import NodeFixture
from tests.unit.metrics.counted import Counted


@pytest.fixture
def counted(fixture: NodeFixture) -> Counted:
    return Counted(fixture)


async def test_gauges_follow_the_hub(fixture: NodeFixture, counted: Counted) -> None:
    first = await fixture.subscriber("a")
    second = await fixture.subscriber("a")
    await fixture.join(second, "b")
    assert counted.value(catalogue.CONNECTIONS, "1") == 2
    assert counted.value(catalogue.SUBSCRIPTIONS, "1") == 3
    assert counted.value(catalogue.CHANNELS, "1") == 2
    fixture.node.close(second, 1000, settle=False)
    assert counted.value(catalogue.CONNECTIONS, "1") == 1
    assert counted.value(catalogue.SUBSCRIPTIONS, "1") == 1
    assert counted.value(catalogue.CHANNELS, "1") == 1
    fixture.node.close(first, 1000, settle=False)
    assert counted.value(catalogue.SUBSCRIPTIONS, "1") == 0
    assert counted.value(catalogue.CONNECTIONS_OPENED, "1") == 2
    assert counted.value(catalogue.CONNECTIONS_CLOSED, "1") == 2


async def test_a_broadcast_counts_by_its_recipients(fixture: NodeFixture, counted: Counted) -> None:
    """What the clients got is what was counted, in messages and in bytes; the excluded one got nothing."""
    clients = [await fixture.subscriber("a") for _ in range(3)]
    fixture.loop.run()
    traffic = fixture.node.hub.traffic.of("1")
    sent, deliveries = traffic.bytes_sent, traffic.deliveries
    before = [len(b"".join(client.writes)) for client in clients]
    fixture.publish("a")
    fixture.publish("a", socket_id=clients[0].socket_id)
    fixture.loop.run()
    after = [len(b"".join(client.writes)) for client in clients]
    assert traffic.deliveries - deliveries == 3 + 2
    assert traffic.bytes_sent - sent == sum(after) - sum(before)
    assert counted.value(catalogue.PUBLISHES, "1") == 2
    assert counted.value(catalogue.DELIVERIES, "1") == traffic.deliveries


async def test_a_publication_to_nobody_is_a_publication_and_no_delivery(
    fixture: NodeFixture, counted: Counted
) -> None:
    fixture.publish("empty")
    assert counted.value(catalogue.PUBLISHES, "1") == 1
    assert counted.value(catalogue.DELIVERIES, "1") == 0


async def test_refused_subscriptions_are_counted_by_reason(
    fixture: NodeFixture, counted: Counted
) -> None:
    client = fixture.connect()
    for kind in ("AuthError", "AuthError", "LimitReached"):
        fixture.node.rejected(client, SubscriptionRefused("private-x", "no", kind=kind))
    assert counted.value(catalogue.SUBSCRIPTIONS_REFUSED, "1", "auth") == 2
    assert counted.value(catalogue.SUBSCRIPTIONS_REFUSED, "1", "limit") == 1


def test_evictions_are_told_by_app(fixture: NodeFixture, counted: Counted) -> None:
    counted.evicted = {"1": 3, "2": 5}
    assert counted.value(catalogue.CACHE_EVICTIONS, "1") == 3
    assert counted.value(catalogue.CACHE_EVICTIONS, "2") == 5


def test_links_are_told_with_their_names(fixture: NodeFixture, counted: Counted) -> None:
    counted.links = [
        LinkReading(
            peer="redis", up=True, opened=2, renewal_age=0.4, commands=7, pushes=5, dropped=3,
            redeclared=11, held_keys=13, followed_topics=17,
        )
    ]  # fmt: skip
    assert counted.value(catalogue.LINK_UP, "redis", "1") == 1
    assert counted.value(catalogue.RENEWAL_AGE, "redis", "1") == 0.4
    assert counted.value(catalogue.REDECLARED, "redis") == 11
    assert counted.value(catalogue.FOLLOWED_TOPICS, "redis") == 17
    read = counted.gathering.read()  # as a worker tells its supervisor
    assert msgspec.json.decode(msgspec.json.encode(read), type=Reading).numbers == read.numbers


def test_webhooks_are_told_by_app(fixture: NodeFixture, counted: Counted) -> None:
    """The age of the oldest is that of the moment, so it grows while nobody delivers."""
    counted.webhooks = [
        WebhookReading(
            app_id="1",
            waiting=3,
            oldest=fixture.clock() - 7,
            attempts=11,
            failures=5,
            delivered=9,
            dead=2,
            dropped={"crowded_out": 1, "memory": 4},
            undone=6,
        ),
        WebhookReading(
            app_id="2",
            waiting=0,
            oldest=None,
            attempts=1,
            failures=0,
            delivered=1,
            dead=0,
            dropped={},
            undone=0,
        ),
    ]
    assert counted.value(catalogue.WEBHOOKS_WAITING, "1") == 3
    assert counted.value(catalogue.WEBHOOKS_OLDEST, "1") == 7
    assert counted.value(catalogue.WEBHOOK_ATTEMPTS, "1") == 11
    assert counted.value(catalogue.WEBHOOK_FAILURES, "1") == 5
    assert counted.value(catalogue.WEBHOOK_EVENTS, "1") == 9
    assert counted.value(catalogue.WEBHOOK_DEAD, "1") == 2
    assert counted.value(catalogue.WEBHOOK_DROPPED, "1", "crowded_out") == 1
    assert counted.value(catalogue.WEBHOOK_DROPPED, "1", "memory") == 4
    assert counted.value(catalogue.WEBHOOK_UNDONE, "1") == 6
    assert counted.value(catalogue.WEBHOOKS_OLDEST, "2") == 0
    fixture.clock.advance(5)
    assert counted.value(catalogue.WEBHOOKS_OLDEST, "1") == 12
    counted.webhook_latency.observe(0.03)
    found = counted.gathering.read().histograms[catalogue.WEBHOOK_LATENCY.name]
    assert found.counts[:2] == [0, 1]


def test_the_process_is_there_with_its_own_numbers(fixture: NodeFixture, counted: Counted) -> None:
    assert counted.value(catalogue.MEMORY, "1") > 2**20
    assert counted.value(catalogue.CPU, "1") > 0
    assert counted.value(catalogue.OPEN_FILES, "1") > 2
    assert counted.value(catalogue.MAX_FILES, "1") >= counted.value(catalogue.OPEN_FILES, "1")


def test_a_late_loop_is_in_the_histogram_and_lately_in_the_state(
    fixture: NodeFixture, counted: Counted
) -> None:
    """Four ticks in time, one that comes 0.7 s late; ten seconds later it is no news any more."""
    for seconds in (0.25, 0.25, 0.95, 0.25, 0.25):
        fixture.clock.advance(seconds)
        counted.lag.tick()
    found = counted.gathering.read()
    assert found.state.lag == pytest.approx(0.7)
    histogram = found.histograms[catalogue.LOOP_LAG.name]
    assert histogram.counts[0] == 3
    assert sum(histogram.counts) == 4
    assert histogram.total == pytest.approx(0.7)
    for _ in range(40):
        fixture.clock.advance(0.25)
        counted.lag.tick()
    assert counted.gathering.read().state.lag == pytest.approx(0)


def test_state_says_what_hinders_and_what_is_wrong(fixture: NodeFixture, counted: Counted) -> None:
    assert counted.gathering.read().state.not_ready is None
    counted.not_ready, counted.problem = "no apps yet", "redis: away"
    fixture.node.draining = True
    state = counted.gathering.read().state
    assert (state.draining, state.not_ready, state.problem) == (True, "no apps yet", "redis: away")
