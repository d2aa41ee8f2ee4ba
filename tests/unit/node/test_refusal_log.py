"""Refused connections, subscriptions and messages in the log: a few lines, with the cause, without secrets."""

import logging

import pytest

from pusher_server.diagnosis.evidence import Evidence
from pusher_server.errors import ClusterUnavailable
from pusher_server.log_rate_limit import INTERVAL, SOURCES
from pusher_server.node.refusal_log import RefusalLog
from pusher_server.protocol.errors import (
    KEY_IS_SECRET,
    Code,
    ConnectionRejected,
    FramingViolation,
    MessageRejected,
    SubscriptionRefused,
)
from tests.support.fakes import FakeClock

DIGEST = "0" * 64
ADDRESS = "192.0.2.1"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> RefusalLog:
    caplog.set_level(logging.WARNING, "pusher_server")
    return RefusalLog(clock, Evidence(clock))


def wrong_signature(channel: str) -> SubscriptionRefused:
    text = f"Invalid signature: Expected HMAC SHA256 hex digest of 1.2:{channel}, but got {DIGEST}"
    return SubscriptionRefused(channel, text, reason="signature")


def wrong_key(channel: str, key: str = "other") -> SubscriptionRefused:
    text = f"Invalid key in subscription auth data: '{key}'"
    return SubscriptionRefused(channel, text, reason="unknown_key", key=key)


def quota(path: str = "/app/key?protocol=7") -> ConnectionRejected:
    error = ConnectionRejected(Code.OVER_QUOTA, "text", reason="over_quota", cause="cause")
    error.path = path
    return error


def test_a_line_names_app_channel_address_cause_and_next_step(
    log: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.subscription("7", ADDRESS, wrong_signature("private-orders.1"))
    (record,) = caplog.records
    assert record.getMessage().startswith(
        "subscription refused: the signature does not match:"
        " the backend's PUSHER_APP_SECRET differs from this app's"
    )
    fields = vars(record)
    assert (fields["app"], fields["channel"]) == ("7", "private-orders.1")
    assert fields["address"] == ADDRESS
    assert DIGEST not in str(fields)


def test_a_storm_is_one_line_and_then_a_number(
    log: RefusalLog, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The channel may be any of the same kind."""
    for n in range(1_000):
        log.subscription("7", ADDRESS, wrong_signature(f"private-orders.{n}"))
    assert len(caplog.records) == 1
    clock.advance(INTERVAL)
    log.subscription("7", ADDRESS, wrong_signature("private-orders.1"))
    assert vars(caplog.records[1])["as_before"] == 999
    clock.advance(INTERVAL)
    log.subscription("7", ADDRESS, wrong_signature("private-orders.1"))
    assert "as_before" not in vars(caplog.records[2])


def test_another_app_kind_of_channel_or_reason_has_a_line_of_its_own(
    log: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    for app, refusal in (
        ("7", wrong_signature("private-a")),
        ("8", wrong_signature("private-a")),
        ("7", wrong_signature("presence-a")),
        ("7", wrong_key("private-a")),
        ("7", SubscriptionRefused("private-a", "Too many", kind="LimitReached", status=4100)),
        ("7", SubscriptionRefused("#a", "Invalid channel name", kind="InvalidChannel", status=400)),
    ):
        log.subscription(app, ADDRESS, refusal)
    assert len(caplog.records) == 6


def test_a_key_that_may_be_a_secret_is_not_shown(
    log: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.subscription("7", ADDRESS, wrong_key("private-a", "0123456789abcdef0123"))
    error = ConnectionRejected(Code.UNKNOWN_APP, "text", cause="cause")
    error.path = "/app/0123456789abcdef0123?protocol=7"
    log.connection("", ADDRESS, error)
    assert vars(caplog.records[0])["key"] == "0123... (20 characters)"
    assert vars(caplog.records[1])["path"] == "/app/0123... (20 characters)"
    for code in (Code.PATH_NOT_FOUND, 426):  # no app was looked up
        error = ConnectionRejected(code, "text", cause="cause")
        error.path = "/ws/app/0123456789abcdef0123"
        log.connection("", ADDRESS, error)
        assert vars(caplog.records.pop())["path"] == "/ws/app/0123... (20 characters)"
    error = ConnectionRejected(Code.UNKNOWN_APP, "text", reason=KEY_IS_SECRET, cause="cause")
    error.path = "/app/secret/?protocol=7"
    log.connection("", ADDRESS, error)
    assert vars(caplog.records[2])["path"] == "/app/***"


def test_a_refused_connection_has_app_path_address_code_and_cause(
    log: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.connection("7", ADDRESS, quota())
    (record,) = caplog.records
    assert record.getMessage() == "connection refused: cause"
    fields = vars(record)
    assert (fields["app"], fields["path"], fields["address"]) == ("7", "/app/key", ADDRESS)
    assert fields["code"] == 4004


def test_many_addresses_have_a_few_lines_for_each_app_and_reason(
    log: RefusalLog, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(10_000):
        log.connection("7", f"10.0.{number >> 8}.{number & 255}", quota(f"/app/key?{number}"))
    assert len(caplog.records) == SOURCES
    log.connection("8", ADDRESS, quota())
    assert len(caplog.records) == SOURCES + 1
    clock.advance(INTERVAL)
    log.connection("7", ADDRESS, quota())
    assert vars(caplog.records[-1])["as_before"] == 10_000 - SOURCES


def test_one_without_a_cause_is_for_debug_alone(
    log: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    """A restart, or a phone that is gone, is nothing that an operator should look at."""
    error = ConnectionRejected(Code.PONG_TIMEOUT, "Pong reply not received")
    log.connection("7", ADDRESS, error)
    assert caplog.records == []
    caplog.set_level(logging.DEBUG, "pusher_server.websocket")
    log.connection("7", ADDRESS, error)
    (record,) = caplog.records
    assert (record.levelname, record.getMessage()) == (
        "DEBUG",
        "connection ended: Pong reply not received",
    )


def test_broken_frames_and_refused_messages_are_lines(
    log: RefusalLog, caplog: pytest.LogCaptureFixture
) -> None:
    log.connection("7", ADDRESS, FramingViolation(1009, "too big"))
    log.message("7", ADDRESS, MessageRejected(None, "no", channel="private-a", cause="it is off"))
    assert [record.getMessage() for record in caplog.records] == [
        "connection ended: too big; the message is larger than limits.message_bytes",
        "message refused: no; it is off",
    ]


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


def test_lines_are_of_bounded_length(log: RefusalLog, caplog: pytest.LogCaptureFixture) -> None:
    long = "x" * 100_000
    log.subscription("7", ADDRESS, SubscriptionRefused(long, long, kind="InvalidData", status=400))
    log.subscription("7", ADDRESS, wrong_key("private-a", long))
    log.message("7", ADDRESS, MessageRejected(None, long, channel=long))
    log.connection("7", ADDRESS, quota(f"/app/{long}"))
    unknown = ConnectionRejected(Code.UNKNOWN_APP, long, cause="cause")
    unknown.path = f"/{long}/app/{long}?{long}"
    log.connection("", ADDRESS, unknown)
    assert len(caplog.records) == 5
    assert all(len(f"{record.getMessage()} {vars(record)}") < 3_000 for record in caplog.records)
