"""The same line not too often."""

from pusher_server.line_pace import LinePace


def test_a_subject_is_said_at_once_and_then_once_in_the_interval() -> None:
    pace = LinePace(60.0)
    assert pace.due("a", 0.0) == 0
    assert [pace.due("a", now) for now in (0.0, 1.0, 59.9)] == [None, None, None]
    assert pace.due("a", 60.0) == 3
    assert pace.due("a", 60.1) is None
    assert pace.due("a", 200.0) == 1


def test_subjects_do_not_silence_each_other() -> None:
    pace = LinePace(60.0)
    assert pace.due(("app", 1), 0.0) == 0
    assert pace.due(("app", 2), 0.0) == 0


def test_what_is_remembered_is_bounded() -> None:
    pace = LinePace(60.0, kept=100)
    for number in range(10_000):
        assert pace.due(number, 0.0) == 0
        assert len(pace._quiet) <= 100
