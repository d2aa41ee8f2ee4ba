"""What operators read of webhooks that fail: one line, then what was counted, then that it is over."""

import logging

import pytest

from pusher_server.app import Webhook
from pusher_server.log_rate_limit import INTERVAL, KEPT
from pusher_server.webhooks.delivery.target_log import TargetLog
from tests.support.fakes import FakeClock

WEBHOOK = Webhook(url="https://user:hunter2@example.com/hook?token=hunter3")


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def log(clock: FakeClock, caplog: pytest.LogCaptureFixture) -> TargetLog:
    caplog.set_level(logging.INFO, "pusher_server.webhooks")
    return TargetLog(clock)


def lines(caplog: pytest.LogCaptureFixture) -> list[tuple[str, str]]:
    return [(record.levelname, record.getMessage()) for record in caplog.records]


def test_a_target_that_fails_makes_one_line_and_one_when_it_is_back(
    log: TargetLog, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(1_000):
        log.failed("1", WEBHOOK, "status 500")
    log.delivered("1", WEBHOOK)
    log.delivered("1", WEBHOOK)
    assert lines(caplog) == [
        (
            "WARNING",
            "a webhook does not take its events (status 500); they wait and are sent again",
        ),
        ("INFO", "a webhook takes its events again"),
    ]
    assert vars(caplog.records[1])["failed_attempts"] == 1_000
    assert "hunter" not in str([vars(record) for record in caplog.records])


def test_a_target_that_fails_and_recovers_all_the_time_makes_a_pair_a_minute(
    log: TargetLog, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(10):
        log.failed("1", WEBHOOK, "status 500")
        log.delivered("1", WEBHOOK)
    assert len(caplog.records) == 2
    clock.advance(INTERVAL)
    log.failed("1", WEBHOOK, "status 500")
    log.delivered("1", WEBHOOK)
    assert len(caplog.records) == 4


def test_events_that_are_given_up_are_all_counted(
    log: TargetLog, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    log.buried("1", WEBHOOK, 3, "status 500")
    log.buried("1", WEBHOOK, 4, "status 500")
    log.unwanted("1", "w", 5, "the app is gone")
    clock.advance(INTERVAL)
    log.buried("1", WEBHOOK, 2, "status 500")
    assert [vars(record)["events"] for record in caplog.records] == [3, 5, 6]


def test_claims_that_an_outage_ends_are_one_line(
    log: TargetLog, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(1_000):
        log.claim_lost(f"app {number}")
    clock.advance(INTERVAL)
    log.claim_lost("app 7")
    assert [vars(record)["app"] for record in caplog.records] == ["app 0", "app 7"]
    assert vars(caplog.records[1])["as_before"] == 999


def test_what_is_remembered_of_failing_targets_is_bounded(log: TargetLog) -> None:
    for number in range(2 * KEPT + 5):
        log.failed(f"app {number}", WEBHOOK, "status 500")
        assert len(log._failing) <= KEPT
