"""The same line not too often."""

from pusher_server.log_rate_limit import LogRateLimit


def test_a_subject_is_logged_at_once_and_then_once_in_the_interval() -> None:
    limit = LogRateLimit(60.0)
    assert limit.due("a", 0.0) == 1
    assert [limit.due("a", now) for now in (0.0, 1.0, 59.9)] == [0, 0, 0]
    assert limit.due("a", 60.0) == 4
    assert limit.due("a", 60.1) == 0
    assert limit.due("a", 200.0) == 2


def test_subjects_do_not_silence_each_other() -> None:
    limit = LogRateLimit(60.0)
    assert limit.due(("app", 1), 0.0) == 1
    assert limit.due(("app", 2), 0.0) == 1


def test_a_line_stands_for_all_events_since_the_last_one() -> None:
    limit = LogRateLimit(60.0)
    assert limit.due("dropped", 0.0, 7) == 7
    assert limit.due("dropped", 30.0, 5) == 0
    assert limit.due("dropped", 59.0, 0) == 0
    assert limit.due("dropped", 60.0, 0) == 5, "what was left out is reported when nothing new came"


def test_no_event_makes_no_line_and_delays_none() -> None:
    limit = LogRateLimit(60.0)
    assert limit.due("dropped", 0.0, 0) == 0
    assert limit.due("dropped", 1.0, 3) == 3


def test_a_clock_that_is_set_back_silences_nothing() -> None:
    """The API has the epoch's clock only."""
    limit = LogRateLimit(60.0)
    assert limit.due("clock", 1_800_000_000.5) == 1
    assert limit.due("clock", 1_800_000_000.5) == 0
    assert limit.due("clock", 1_799_990_000.0) == 2
    assert limit.due("clock", 1_799_990_059.9) == 0
    assert limit.due("clock", 1_799_990_060.0) == 2


def test_what_is_remembered_is_bounded() -> None:
    limit = LogRateLimit(60.0, kept=100)
    for number in range(10_000):
        assert limit.due(number, 0.0) == 1
        assert len(limit._written) <= 100
