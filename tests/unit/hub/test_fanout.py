"""One flush per turn, channels in turn, chunks bounded."""

import pytest

from tests.unit.hub.hub_fixture import HubFixture, heard


def test_one_callback_serves_everything_that_gathers() -> None:
    house = HubFixture()
    house.crowd(2, "a")
    house.crowd(2, "b")
    for name in "abab":
        house.deliver("x", name)
    assert len(house.loop.callbacks) == 1
    house.loop.run()
    assert not house.loop.callbacks


def test_it_is_armed_again_after_it_has_come_to_rest() -> None:
    house = HubFixture()
    (client,) = house.crowd(1)
    for payload in "ab":
        house.deliver(payload)
        house.loop.run()
    assert heard(client) == "a b"


def test_a_small_channel_does_not_wait_for_a_large_one() -> None:
    """A channel goes to the end of the queue after each of its chunks."""
    house = HubFixture(chunk=2)
    large = house.crowd(7, "large")
    small = house.client("2.2")
    house.join(small, "small")
    small.writes.clear()
    house.deliver("a", "large")
    house.deliver("b", "small")
    house.loop.turn()
    assert [heard(client) for client in large].count("a") == 2
    house.loop.turn()
    assert heard(small) == "b"
    assert [heard(client) for client in large].count("a") < 7
    house.loop.run()
    assert [heard(client) for client in large] == ["a"] * 7


def test_small_channels_share_one_turn() -> None:
    house = HubFixture(chunk=3)
    clients = [house.client(f"3.{i}") for i in range(4)]
    for i, client in enumerate(clients):
        house.join(client, f"c{i}")
        client.writes.clear()
        house.deliver("a", f"c{i}")
    house.loop.turn()
    assert [heard(client) for client in clients] == ["a", "a", "a", ""]
    house.loop.turn()
    assert heard(clients[3]) == "a"


def test_a_channel_that_owes_nothing_costs_nothing() -> None:
    house = HubFixture(chunk=1)
    (client,) = house.crowd(1)
    house.deliver("a")
    house.hub.settle(client.subscriptions["c"])
    house.loop.run()
    assert heard(client) == "a"
    assert not client.subscriptions["c"].channel.owes


def test_a_transport_that_raises_ends_nobody_elses_fan_out() -> None:
    """The loop reports the error; what comes next is served."""
    house = HubFixture()
    (broken,) = house.crowd(1, "a")
    (healthy,) = house.crowd(1, "b")
    broken.subscriptions["a"].channel.subscribers[broken.subscriptions["a"]] = _refuse
    house.deliver("1", "a")
    house.deliver("2", "b")
    with pytest.raises(ConnectionError):
        house.loop.turn()
    house.loop.run()
    assert heard(healthy) == "2"


def _refuse(data: bytes) -> None:
    raise ConnectionError


def test_latency_is_from_the_first_event_of_a_batch_to_its_last_write() -> None:
    """A small channel's batch takes a turn; a large one's as many as it has chunks."""
    house = HubFixture(chunk=2)
    house.crowd(1, "small")
    house.crowd(5, "large")
    house.seconds = 10.0
    house.deliver("a", "small")
    house.deliver("b", "large")
    house.seconds = 10.3
    house.loop.turn()  # small, and two of large
    assert house.hub.traffic.latency.total == pytest.approx(0.3)
    house.seconds = 11.0
    house.loop.turn()
    house.seconds = 12.0
    house.loop.run()
    assert sum(house.hub.traffic.latency.counts) == 2
    assert house.hub.traffic.latency.total == pytest.approx(0.3 + 2.0)


def test_a_channel_that_never_comes_to_rest_tells_its_latency_all_the_same() -> None:
    """What is queued behind a running batch has waited since that one began, at the most."""
    house = HubFixture(chunk=2)
    house.crowd(4, "large")
    latency = house.hub.traffic.latency
    for second in range(20):
        house.seconds = float(second)
        house.deliver("x", "large")
        house.loop.turn()
    assert sum(latency.counts) >= 5
    assert latency.total / sum(latency.counts) <= 4.0


def test_what_reaches_nobody_has_no_latency() -> None:
    house = HubFixture()
    (client,) = house.crowd(1, "a")
    house.deliver("x", "a")
    house.hub.close(client, settle=False)
    house.loop.run()
    assert sum(house.hub.traffic.latency.counts) == 0
