"""Connections and attempts by address: what is counted together, for how long, and in how much memory."""

import logging

import pytest

from pusher_server.protocol.errors import Code
from pusher_server.server.address_limits import AddressLimits, Entrance, Visit, key_of
from pusher_server.server.proxies import TrustedProxies
from tests.support.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("203.0.113.7", "203.0.113.7"),
        ("::ffff:203.0.113.7", "203.0.113.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("unknown", "unknown"),
        ("_unknown", "_unknown"),
    ],
)
def test_what_is_counted_together(address: str, key: str) -> None:
    assert key_of(address) == key


def reason(visit: Visit) -> str:
    """Why it is refused, "" when it is not."""
    return "" if visit.refusal is None else visit.refusal.reason


def test_connections_count_until_they_leave(clock: FakeClock) -> None:
    limits = AddressLimits(2, 0, clock=clock)
    first, second = limits.enter("192.0.2.1"), limits.enter("::ffff:192.0.2.1")
    third = limits.enter("192.0.2.1")
    assert [reason(each) for each in (first, second, third)] == ["", "", "address_connections"]
    assert reason(limits.enter("192.0.2.2")) == ""
    limits.leave(third)  # who was refused took no place
    assert reason(limits.enter("192.0.2.1")) == "address_connections"
    limits.leave(first)
    limits.leave(first)  # twice is once
    assert reason(limits.enter("192.0.2.1")) == ""
    assert reason(limits.enter("192.0.2.1")) == "address_connections"


def test_nothing_is_kept_of_who_has_gone(clock: FakeClock) -> None:
    limits = AddressLimits(2, 0, clock=clock)
    for number in range(1_000):
        limits.leave(limits.enter(f"192.0.2.{number}"))
    assert not limits._connections


def test_a_64_is_one_customer(clock: FakeClock) -> None:
    limits = AddressLimits(1, 0, clock=clock)
    assert reason(limits.enter("2001:db8::1")) == ""
    assert reason(limits.enter("2001:db8::ffff:1")) == "address_connections"
    assert reason(limits.enter("2001:db8:0:1::1")) == ""


def test_ten_seconds_of_attempts_may_come_at_once_and_then_the_pace_holds(clock: FakeClock) -> None:
    limits = AddressLimits(0, 5, clock=clock)
    assert [reason(limits.enter("a")) for _ in range(50)] == [""] * 50
    refused = limits.enter("a")
    assert refused.refusal is not None
    assert (refused.refusal.reason, refused.refusal.retry) == ("address_attempts", 1)
    taken = 0
    for _ in range(1_000):  # ten seconds of somebody who tries again and again
        clock.now += 0.01
        taken += reason(limits.enter("a")) == ""
    assert taken in (49, 50)


def test_a_slow_pace_is_one_at_a_time(clock: FakeClock) -> None:
    limits = AddressLimits(0, 1 / 60, clock=clock)
    assert reason(limits.enter("a")) == ""
    refused = limits.enter("a")
    assert refused.refusal is not None
    assert refused.refusal.retry == 60
    clock.now += 60
    assert reason(limits.enter("a")) == ""


def test_a_restarted_servers_crowd_comes_back_at_the_pace(clock: FakeClock) -> None:
    """500 clients behind one address, which come again a second after a 4100."""
    limits = AddressLimits(0, 50, clock=clock)
    waiting = 500
    for _ in range(11):
        waiting -= sum(reason(limits.enter("a")) == "" for _ in range(waiting))
        clock.now += 1
    assert waiting == 0


def test_attempts_are_remembered_in_bounded_memory(clock: FakeClock) -> None:
    limits = AddressLimits(0, 1, clock=clock, kept=1_000)
    for number in range(5_000):
        assert reason(limits.enter(f"10.{number >> 8}.{number & 255}.1")) == ""
        assert len(limits._paid) <= 1_000
    clock.now += 60
    for number in range(1_000):
        limits.enter(f"11.0.{number >> 8}.{number & 255}")
        limits.enter(f"11.0.{number >> 8}.{number & 255}")
    clock.now += 60
    limits.enter("12.0.0.1")
    assert len(limits._paid) < 1_000
    for _ in range(1_000):
        limits.enter("12.0.0.1")
        clock.now += 1
    assert len(limits._paid) == 1


def test_one_line_names_address_and_setting(
    clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    limits = AddressLimits(1, 1, clock=clock)
    with caplog.at_level(logging.WARNING):
        for _ in range(100):
            limits.enter("192.0.2.1")
        assert [record.getMessage() for record in caplog.records] == [
            "clients from 192.0.2.1 are sent away: over server.connections_per_address (1)",
            "clients from 192.0.2.1 are sent away:"
            " over server.connection_attempts_per_address (1 per second)",
        ]


def test_a_refusal_is_never_final(clock: FakeClock) -> None:
    limits = AddressLimits(1, 0, clock=clock)
    assert limits.enter("a").rejection is None
    rejection = limits.enter("a").rejection
    assert rejection is not None
    assert rejection.code == Code.OVER_CAPACITY
    assert rejection.reason == "address_connections"


PROXIES = TrustedProxies(["10.0.0.0/8"])


def test_whom_a_connection_counts_for(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> None:
    """Proxies and Unix sockets are never counted themselves."""
    entrance = Entrance(AddressLimits(1, 0, clock=clock), PROXIES)
    assert entrance.connected(None) is None
    assert entrance.connected("10.0.0.1") is None
    direct = entrance.connected("192.0.2.1")
    assert direct is not None
    assert direct.counted == "192.0.2.1"
    assert reason(entrance.websocket("10.0.0.1", "192.0.2.1")) == "address_connections"
    assert entrance.websocket(None, "192.0.2.2, 10.0.0.9").counted == "192.0.2.2"
    caplog.clear()
    with caplog.at_level(logging.WARNING):
        for forwarded_for in (None, "", "10.0.0.9"):
            assert entrance.websocket("10.0.0.1", forwarded_for) == Visit()
    assert len(caplog.records) == 1
    assert "10.0.0.1 (server.trusted_proxies)" in caplog.text


def test_a_proxys_request_is_an_attempt_but_no_connection(clock: FakeClock) -> None:
    entrance = Entrance(AddressLimits(1, 1, clock=clock), PROXIES)
    visits = [entrance.first_request("10.0.0.1", "192.0.2.1") for _ in range(11)]
    assert [reason(each) for each in visits] == [""] * 10 + ["address_attempts"]
    assert entrance.first_request("10.0.0.1", None) == Visit()
    assert entrance.first_request(None, None) == Visit()
