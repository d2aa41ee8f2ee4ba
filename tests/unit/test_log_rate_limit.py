"""The same line not too often."""

from pusher_server.log_rate_limit import LINES, LogRateLimit, SourceRateLimit


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


def test_each_source_has_a_line_of_its_own() -> None:
    limit = SourceRateLimit(60.0)
    assert [limit.due("a", "x", 0.0), limit.due("a", "y", 0.0), limit.due("b", "x", 0.0)] == [1] * 3
    assert [limit.due("a", "x", now) for now in (1.0, 59.0)] == [0, 0]
    assert limit.due("a", "x", 60.0) == 3, "with those that had no line"


def test_many_sources_of_one_subject_have_a_few_lines() -> None:
    limit = SourceRateLimit(60.0, sources=3)
    lines = [limit.due("a", number, float(number % 60)) for number in range(100)]
    assert sum(1 for count in lines if count) == 3
    assert limit.due("a", "new", 60.0) == 98


def test_a_source_that_comes_later_reports_what_went_before() -> None:
    limit = SourceRateLimit(60.0)
    limit.due("a", "x", 0.0)
    limit.due("a", "x", 1.0)
    assert limit.due("a", "y", 2.0) == 2


def test_a_clock_that_is_set_back_silences_no_source() -> None:
    limit = SourceRateLimit(60.0)
    limit.due("a", "x", 1_000.0)
    assert limit.due("a", "x", 10.0) == 1


def test_subjects_with_sources_are_bounded() -> None:
    limit = SourceRateLimit(60.0, sources=2, kept=100)
    for number in range(1_000):
        limit.due(number, "x", 0.0)
        assert len(limit._begun) <= 100


def test_a_source_that_varies_its_lines_takes_no_other_ones() -> None:
    limit = SourceRateLimit(60.0, sources=2)
    counts = [limit.due("a", "x", 0.0, line) for line in range(100)]
    assert counts[:LINES] == [1] * LINES
    assert not any(counts[LINES:])
    assert limit.due("a", "x", 0.0, 0) == 0, "the same line again"
    assert limit.due("a", "y", 0.0, 1) == 100 - LINES + 2
