"""What is said when too many events wait."""

import logging

import pytest

from pusher_server.webhooks.crowding import Crowding


def test_it_is_said_once_a_minute_with_all_that_was_counted(
    caplog: pytest.LogCaptureFixture,
) -> None:
    now = 100.0
    crowding = Crowding(20, lambda: now)
    with caplog.at_level(logging.ERROR):
        crowding.note({})
        assert not caplog.records
        crowding.note({"1": 3, "2": 1})
        crowding.note({"1": 5})
        now += 59
        crowding.note({"1": 5})
        now += 1
        crowding.note({"1": 1})
    first, second = (each.getMessage() for each in caplog.records)
    assert "more than 20 events waited of an app (4 of the oldest)" in first
    assert "(11 of the oldest)" in second
    assert caplog.records[0].__dict__["apps"] == "1, 2"
