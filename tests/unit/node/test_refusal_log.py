"""Refused subscriptions in the log: once in a while, with what to check, without what must not be told."""

import logging

import pytest

from pusher_server.errors import ClusterUnavailable
from pusher_server.log_rate_limit import INTERVAL
from pusher_server.node.refusal_log import RefusalLog
from pusher_server.protocol.errors import SubscriptionRefused
from tests.support.fakes import FakeClock

DIGEST = "0" * 64


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> RefusalLog:
    caplog.set_level(logging.WARNING, "pusher_server.node")
    return RefusalLog(clock)


def wrong_signature(channel: str) -> SubscriptionRefused:
    text = f"Invalid signature: Expected HMAC SHA256 hex digest of 1.2:{channel}, but got {DIGEST}"
    return SubscriptionRefused(channel, text)


def test_a_line_names_app_channel_reason_and_what_to_check(
    log: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.refused("7", wrong_signature("private-orders.1"))
    (record,) = caplog.records
    assert "PUSHER_APP_SECRET" in record.getMessage()
    fields = vars(record)
    assert (fields["app"], fields["channel"]) == ("7", "private-orders.1")
    assert fields["reason"] == "Invalid signature"
    assert DIGEST not in str(fields)


def test_a_storm_is_one_line_and_then_a_number(
    log: RefusalLog, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The channel may be any of the same kind."""
    for n in range(1_000):
        log.refused("7", wrong_signature(f"private-orders.{n}"))
    assert len(caplog.records) == 1
    clock.advance(INTERVAL)
    log.refused("7", wrong_signature("private-orders.1"))
    assert vars(caplog.records[1])["as_before"] == 999
    clock.advance(INTERVAL)
    log.refused("7", wrong_signature("private-orders.1"))
    assert "as_before" not in vars(caplog.records[2])


def test_another_app_kind_of_channel_or_reason_has_a_line_of_its_own(
    log: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    for app, refusal in (
        ("7", wrong_signature("private-a")),
        ("8", wrong_signature("private-a")),
        ("7", wrong_signature("presence-a")),
        ("7", SubscriptionRefused("private-a", "Invalid key in subscription auth data: 'x'")),
        ("7", SubscriptionRefused("private-a", "Too many", kind="LimitReached", status=4100)),
        ("7", SubscriptionRefused("#a", "Invalid channel name", kind="InvalidChannel", status=400)),
    ):
        log.refused(app, refusal)
    assert len(caplog.records) == 6


def test_an_outage_is_one_line_for_all_clients_that_are_sent_away(
    log: RefusalLog, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Every client of the node meets it, thousands in a second."""
    for _ in range(1_000):
        log.sent_away(ClusterUnavailable("Redis at a:6379: refused"))
        log.sent_away(ClusterUnavailable("the apps cannot be read"))
    assert [record.getMessage() for record in caplog.records] == [
        "a client is sent away: Redis at a:6379: refused",
        "a client is sent away: the apps cannot be read",
    ]
    clock.advance(INTERVAL)
    log.sent_away(ClusterUnavailable("the apps cannot be read"))
    assert vars(caplog.records[2])["as_before"] == 999
