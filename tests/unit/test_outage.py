"""One line when it breaks, one when it is back."""

from pusher_server.outage import Outage


def test_only_the_beginning_and_the_end_are_news() -> None:
    outage = Outage()
    assert outage.problem is None
    reasons = ["no answer", "no answer", "refused"]
    assert [outage.begin(reason) for reason in reasons] == [True, False, False]
    assert outage.problem == "refused", "the latest reason is shown"
    assert [outage.end(), outage.end()] == [True, False]
    assert outage.problem is None
    assert outage.begin("no answer"), "another outage is news again"


def test_a_trouble_that_lasts_is_logged_once_a_minute() -> None:
    outage = Outage()
    times = [5.0, 6.0, 64.9, 65.0, 66.0, 125.0]
    due = [now for now in times if outage.begin("refused", now=now)]
    assert due == [5.0, 65.0, 125.0]
    assert outage.end()
    assert outage.begin("refused", now=126.0), "another outage is news again"


def test_another_kind_is_news_and_the_minute_begins_anew() -> None:
    outage = Outage()
    lines = [("a", 0.0), ("b", 50.0), ("b", 100.0), ("b", 110.0)]
    assert [outage.begin(kind, kind, now) for kind, now in lines] == [True, True, False, True]


def test_another_kind_of_trouble_is_news_too() -> None:
    outage = Outage()
    assert outage.begin("no answer for 1 s", kind=TimeoutError)
    assert not outage.begin("no answer for 2 s", kind=TimeoutError)
    assert outage.begin("no such table", kind=LookupError)
    assert outage.begin("no answer for 1 s", kind=TimeoutError)


def test_what_has_not_worked_yet_has_its_problem_from_the_start() -> None:
    outage = Outage("not connected yet")
    assert outage.problem == "not connected yet"
    assert not outage.begin("not connected yet", kind="not connected yet")
    assert outage.begin("refused", kind="refused")
    assert outage.end()


def test_that_it_works_at_the_first_attempt_is_news_if_it_had_a_problem() -> None:
    assert Outage("not connected yet").end()
    assert not Outage().end()
