"""What is counted, against what was done: a real node, real hub, clients that keep what they get."""

import msgspec
import pytest

from pusher_server.metrics import catalogue
from pusher_server.metrics.reading import Reading
from pusher_server.protocol.errors import SubscriptionRefused
from tests.support.node import NodeFixture
from tests.unit.metrics.counted import Counted, Requests


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


def test_requests_of_the_api_are_told_by_app(fixture: NodeFixture, counted: Counted) -> None:
    """Of an app that only the API has heard of, the rest is 0; the other way round too."""
    counted.requests["far"] = Requests(requests=3, bytes_received=20, bytes_sent=30)
    fixture.connect()
    assert counted.value(catalogue.HTTP_REQUESTS, "far") == 3
    assert counted.value(catalogue.HTTP_BYTES_RECEIVED, "far") == 20
    assert counted.value(catalogue.HTTP_BYTES_SENT, "far") == 30
    numbers = counted.gathering.read().numbers
    for metric in (catalogue.HTTP_REQUESTS, catalogue.MESSAGES_SENT, catalogue.PUBLISHES):
        assert {labels for labels, _ in numbers[metric.name]} == {("1",), ("far",)}
    assert dict(numbers[catalogue.HTTP_REQUESTS.name])["1",] == 0
    assert dict(numbers[catalogue.PUBLISHES.name])["far",] == 0


def test_what_others_count_is_told_as_they_say(counted: Counted) -> None:
    counted.samples = [
        (catalogue.CACHE_EVICTIONS, ("1",), 3),
        (catalogue.LINK_UP, ("redis", "1"), 1.0),
        (catalogue.CACHE_EVICTIONS, ("2",), 5),
    ]
    assert counted.value(catalogue.CACHE_EVICTIONS, "1") == 3
    assert counted.value(catalogue.CACHE_EVICTIONS, "2") == 5
    assert counted.value(catalogue.LINK_UP, "redis", "1") == 1
    counted.webhook_latency.observe(0.03)
    read = counted.gathering.read()  # as a worker tells its supervisor
    assert msgspec.json.decode(msgspec.json.encode(read), type=Reading) == read
    assert read.histograms[catalogue.WEBHOOK_LATENCY.name].counts[:2] == [0, 1]


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
