"""The table at the top of `session`, row by row; time is a number here."""

import pytest

from pusher_server.protocol.errors import Code, ConnectionRejected
from pusher_server.protocol.session import Check, Session

START = 1_000.0


def check(session: Session, at: float) -> Check:
    return session.check(START + at, activity_timeout=120, pong_timeout=30)


def test_a_fresh_connection_is_looked_at_after_the_activity_timeout() -> None:
    assert check(Session(START), 0) == Check(False, START + 120)


def test_an_early_look_asks_for_nothing() -> None:
    assert check(Session(START), 119.9) == Check(False, START + 120)


def test_silence_for_the_activity_timeout_is_answered_with_a_ping() -> None:
    assert check(Session(START), 120) == Check(True, START + 150)


def test_bytes_put_the_ping_off() -> None:
    session = Session(START)
    session.heard(START + 100)
    assert check(session, 120) == Check(False, START + 220)


def test_a_ping_is_sent_once_and_then_waited_for() -> None:
    session = Session(START)
    assert check(session, 121).ping
    assert check(session, 130) == Check(False, START + 151)


def test_no_answer_to_the_ping_is_the_end() -> None:
    session = Session(START)
    check(session, 120)
    assert check(session, 149.9) == Check(False, START + 150)
    with pytest.raises(ConnectionRejected) as caught:
        check(session, 150)
    assert (caught.value.code, caught.value.message) == (
        Code.PONG_TIMEOUT,
        "Pong reply not received",
    )


def test_any_bytes_answer_the_ping() -> None:
    session = Session(START)
    check(session, 120)
    session.heard(START + 149)
    assert check(session, 150) == Check(False, START + 269)


def test_a_changed_activity_timeout_counts_from_the_next_look_on() -> None:
    session = Session(START)
    assert session.check(START + 10, activity_timeout=5, pong_timeout=30).ping


def test_who_must_authorize_and_does_not_is_told_4009() -> None:
    session = Session(START, authorization_timeout=10)
    assert check(session, 0) == Check(False, START + 10)
    assert check(session, 9.9) == Check(False, START + 10)
    with pytest.raises(ConnectionRejected) as caught:
        check(session, 10)
    assert caught.value.code == Code.UNAUTHORIZED
    assert caught.value.message == "Connection not authorized within timeout"


def test_hearing_from_somebody_does_not_authorize() -> None:
    session = Session(START, authorization_timeout=10)
    session.heard(START + 9)
    with pytest.raises(ConnectionRejected):
        check(session, 10)


def test_who_has_authorized_is_only_asked_for_life() -> None:
    session = Session(START, authorization_timeout=10)
    session.authorized()
    assert check(session, 10) == Check(False, START + 120)


def test_the_authorization_deadline_stands_while_a_ping_is_out() -> None:
    session = Session(START, authorization_timeout=130)
    assert check(session, 120) == Check(True, START + 130)


def test_one_seconds_worth_of_client_events_then_no_more() -> None:
    session = Session(START)
    assert [session.may_send_client_event(START, 10) for _ in range(12)] == [True] * 10 + [
        False
    ] * 2


def test_client_events_come_back_with_time_but_never_more_than_a_seconds_worth() -> None:
    session = Session(START)
    for _ in range(10):
        session.may_send_client_event(START, 10)
    assert session.may_send_client_event(START + 0.1, 10)
    assert not session.may_send_client_event(START + 0.1, 10)
    later = START + 3_600
    assert [session.may_send_client_event(later, 10) for _ in range(11)] == [True] * 10 + [False]


def test_a_refused_event_costs_nothing() -> None:
    session = Session(START)
    assert session.may_send_client_event(START, 1)
    for step in range(9):
        assert not session.may_send_client_event(START + 0.1 * (step + 1), 1)
    assert session.may_send_client_event(START + 1.01, 1)


def test_a_rate_of_0_is_no_limit() -> None:
    session = Session(START)
    assert all(session.may_send_client_event(START, 0) for _ in range(1_000))


def test_a_lowered_rate_counts_at_once() -> None:
    session = Session(START)
    session.may_send_client_event(START, 10)
    assert [session.may_send_client_event(START, 2) for _ in range(3)] == [True, True, False]
