"""One flush per turn, channels in turn, chunks bounded."""

import pytest

from tests.unit.hub.hub_fixture import HubFixture, heard


def test_one_callback_serves_everything_that_gathers() -> None:
    fixture = HubFixture()
    fixture.crowd(2, "a")
    fixture.crowd(2, "b")
    for name in "abab":
        fixture.deliver("x", name)
    assert len(fixture.loop.callbacks) == 1
    fixture.loop.run()
    assert not fixture.loop.callbacks


def test_it_is_armed_again_after_it_has_come_to_rest() -> None:
    fixture = HubFixture()
    (client,) = fixture.crowd(1)
    for payload in "ab":
        fixture.deliver(payload)
        fixture.loop.run()
    assert heard(client) == "a b"


def test_a_small_channel_does_not_wait_for_a_large_one() -> None:
    """A channel goes to the end of the queue after each of its chunks."""
    fixture = HubFixture(chunk=2)
    large = fixture.crowd(7, "large")
    small = fixture.client("2.2")
    fixture.join(small, "small")
    small.writes.clear()
    fixture.deliver("a", "large")
    fixture.deliver("b", "small")
    fixture.loop.turn()
    assert [heard(client) for client in large].count("a") == 2
    fixture.loop.turn()
    assert heard(small) == "b"
    assert [heard(client) for client in large].count("a") < 7
    fixture.loop.run()
    assert [heard(client) for client in large] == ["a"] * 7


def test_small_channels_share_one_turn() -> None:
    fixture = HubFixture(chunk=3)
    clients = [fixture.client(f"3.{i}") for i in range(4)]
    for i, client in enumerate(clients):
        fixture.join(client, f"c{i}")
        client.writes.clear()
        fixture.deliver("a", f"c{i}")
    fixture.loop.turn()
    assert [heard(client) for client in clients] == ["a", "a", "a", ""]
    fixture.loop.turn()
    assert heard(clients[3]) == "a"


def test_a_channel_that_owes_nothing_costs_nothing() -> None:
    fixture = HubFixture(chunk=1)
    (client,) = fixture.crowd(1)
    fixture.deliver("a")
    fixture.hub.settle(client.subscriptions["c"])
    fixture.loop.run()
    assert heard(client) == "a"
    assert not client.subscriptions["c"].channel.owes


def test_a_transport_that_raises_ends_nobody_elses_fan_out() -> None:
    """The loop reports the error; what comes next is served."""
    fixture = HubFixture()
    (broken,) = fixture.crowd(1, "a")
    (healthy,) = fixture.crowd(1, "b")
    broken.subscriptions["a"].channel.subscribers[broken.subscriptions["a"]] = _refuse
    fixture.deliver("1", "a")
    fixture.deliver("2", "b")
    with pytest.raises(ConnectionError):
        fixture.loop.turn()
    fixture.loop.run()
    assert heard(healthy) == "2"


def _refuse(data: bytes) -> None:
    raise ConnectionError


def test_latency_is_from_the_first_event_of_a_batch_to_its_last_write() -> None:
    """A small channel's batch takes a turn; a large one's as many as it has chunks."""
    fixture = HubFixture(chunk=2)
    fixture.crowd(1, "small")
    fixture.crowd(5, "large")
    fixture.seconds = 10.0
    fixture.deliver("a", "small")
    fixture.deliver("b", "large")
    fixture.seconds = 10.3
    fixture.loop.turn()  # small, and two of large
    assert fixture.hub.traffic.latency.total == pytest.approx(0.3)
    fixture.seconds = 11.0
    fixture.loop.turn()
    fixture.seconds = 12.0
    fixture.loop.run()
    assert sum(fixture.hub.traffic.latency.counts) == 2
    assert fixture.hub.traffic.latency.total == pytest.approx(0.3 + 2.0)


def test_a_channel_that_never_comes_to_rest_tells_its_latency_all_the_same() -> None:
    """What is queued behind a running batch has waited since that one began, at the most."""
    fixture = HubFixture(chunk=2)
    fixture.crowd(4, "large")
    latency = fixture.hub.traffic.latency
    for second in range(20):
        fixture.seconds = float(second)
        fixture.deliver("x", "large")
        fixture.loop.turn()
    assert sum(latency.counts) >= 5
    assert latency.total / sum(latency.counts) <= 4.0


def test_what_reaches_nobody_has_no_latency() -> None:
    fixture = HubFixture()
    (client,) = fixture.crowd(1, "a")
    fixture.deliver("x", "a")
    fixture.hub.close(client, settle=False)
    fixture.loop.run()
    assert sum(fixture.hub.traffic.latency.counts) == 0
