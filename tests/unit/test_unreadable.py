"""Data that nobody can read: one line a minute of each kind, which says where it is and how to repair it."""

import pytest

from pusher_server.log_rate_limit import INTERVAL
from pusher_server.unreadable import UnreadableLog
from tests.support.fakes import FakeClock


def test_each_kind_makes_a_line_a_minute_with_how_many_there_were(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = FakeClock()
    log = UnreadableLog(clock)
    for _ in range(100):
        log.report("an entry", "in Redis", "delete it")
        log.report("an answer", "at Redis", "restart it")
    assert [record.getMessage() for record in caplog.records] == [
        "an entry cannot be read and is left out: in Redis; delete it",
        "an answer cannot be read and is left out: at Redis; restart it",
    ]
    assert "more" not in vars(caplog.records[0])
    clock.advance(INTERVAL)
    log.report("an entry", "in Redis", "delete it")
    assert vars(caplog.records[2])["more"] == 99
