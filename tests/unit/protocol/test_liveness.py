"""The table at the top of `liveness`, row by row; time is a number here."""

import math

import pytest

from pusher_server.protocol.errors import Code, ConnectionRejected
from pusher_server.protocol.liveness import Check, Liveness

START = 1_000.0


def check(liveness: Liveness, at: float) -> Check:
    return liveness.check(START + at, activity_timeout=120, pong_timeout=30)


def test_a_fresh_connection_is_looked_at_after_the_activity_timeout() -> None:
    assert check(Liveness(START), 0) == Check(False, START + 120)


def test_an_early_look_asks_for_nothing() -> None:
    assert check(Liveness(START), 119.9) == Check(False, START + 120)


def test_silence_for_the_activity_timeout_is_answered_with_a_ping() -> None:
    assert check(Liveness(START), 120) == Check(True, START + 150)


def test_bytes_put_the_ping_off() -> None:
    liveness = Liveness(START)
    liveness.received(START + 100)
    assert check(liveness, 120) == Check(False, START + 220)


def test_a_ping_is_sent_once_and_then_waited_for() -> None:
    liveness = Liveness(START)
    assert check(liveness, 121).ping
    assert check(liveness, 130) == Check(False, START + 151)


def test_without_a_pong_timeout_pings_go_on_for_ever() -> None:
    """For a transport whose client cannot answer them."""
    liveness = Liveness(START)
    for number in range(1, 1_000):
        expected = Check(True, START + 120 * (number + 1))
        check = liveness.check(START + 120 * number, activity_timeout=120, pong_timeout=math.inf)
        assert check == expected


#: (activity_timeout, pong_timeout), the longer one on either side.
PAIRS = [(3, 10), (20, 30), (30, 30), (1, 100), (120, 30), (60, 1), (7, 3)]


def lived(
    activity: float, pong: float, *, answers_after: float | None, seconds: float
) -> tuple[list[float], float | None]:
    """When a client that says nothing of itself got pings, looked at as asked for; and when it was over."""
    liveness, now, pings, answers = Liveness(START), START, [], []
    while now < START + seconds:
        try:
            ping, again_at = liveness.check(now, activity_timeout=activity, pong_timeout=pong)
        except ConnectionRejected:
            return pings, now - START
        if ping:
            pings.append(now - START)
            if answers_after is not None:
                answers.append(now + answers_after)
        assert again_at > now
        while answers and answers[0] <= again_at:
            liveness.received(answers.pop(0))
        now = again_at
    return pings, None


@pytest.mark.parametrize(("activity", "pong"), PAIRS)
def test_who_answers_is_asked_after_every_activity_timeout_of_silence(
    activity: float, pong: float
) -> None:
    pings, over = lived(activity, pong, answers_after=0.5, seconds=20 * (activity + 0.5))
    assert over is None
    assert pings == [activity + n * (activity + 0.5) for n in range(len(pings))]
    assert len(pings) >= 19


@pytest.mark.parametrize(("activity", "pong"), PAIRS)
def test_who_never_answers_is_asked_again_until_the_first_ping_is_overdue(
    activity: float, pong: float
) -> None:
    pings, over = lived(activity, pong, answers_after=None, seconds=1_000)
    assert over == activity + pong
    assert pings == [n * activity for n in range(1, 1_000) if n * activity < activity + pong]


@pytest.mark.parametrize(("activity", "pong"), [(3, 10), (20, 30)])
def test_a_late_answer_counts_for_all_pings_that_are_out(activity: float, pong: float) -> None:
    pings, over = lived(activity, pong, answers_after=pong - 0.5, seconds=50 * activity)
    assert over is None
    assert len(pings) > 10


def test_no_answer_to_the_ping_is_the_end() -> None:
    liveness = Liveness(START)
    check(liveness, 120)
    assert check(liveness, 149.9) == Check(False, START + 150)
    with pytest.raises(ConnectionRejected) as caught:
        check(liveness, 150)
    assert (caught.value.code, caught.value.message) == (
        Code.PONG_TIMEOUT,
        "Pong reply not received",
    )


def test_any_bytes_answer_the_ping() -> None:
    liveness = Liveness(START)
    check(liveness, 120)
    liveness.received(START + 149)
    assert check(liveness, 150) == Check(False, START + 269)


def test_a_changed_activity_timeout_counts_from_the_next_look_on() -> None:
    liveness = Liveness(START)
    assert liveness.check(START + 10, activity_timeout=5, pong_timeout=30).ping


def test_who_must_authorize_and_does_not_is_told_4009() -> None:
    liveness = Liveness(START, authorization_timeout=10)
    assert check(liveness, 0) == Check(False, START + 10)
    assert check(liveness, 9.9) == Check(False, START + 10)
    with pytest.raises(ConnectionRejected) as caught:
        check(liveness, 10)
    assert caught.value.code == Code.UNAUTHORIZED
    assert caught.value.message == "Connection not authorized within timeout"


def test_hearing_from_somebody_does_not_authorize() -> None:
    liveness = Liveness(START, authorization_timeout=10)
    liveness.received(START + 9)
    with pytest.raises(ConnectionRejected):
        check(liveness, 10)


def test_who_has_authorized_is_only_asked_for_life() -> None:
    liveness = Liveness(START, authorization_timeout=10)
    liveness.authorized()
    assert check(liveness, 10) == Check(False, START + 120)


def test_the_authorization_deadline_stands_while_a_ping_is_out() -> None:
    liveness = Liveness(START, authorization_timeout=130)
    assert check(liveness, 120) == Check(True, START + 130)


def test_one_seconds_worth_of_client_events_then_no_more() -> None:
    liveness = Liveness(START)
    assert [liveness.may_send_client_event(START, 10) for _ in range(12)] == [True] * 10 + [
        False
    ] * 2


def test_client_events_come_back_with_time_but_never_more_than_a_seconds_worth() -> None:
    liveness = Liveness(START)
    for _ in range(10):
        liveness.may_send_client_event(START, 10)
    assert liveness.may_send_client_event(START + 0.1, 10)
    assert not liveness.may_send_client_event(START + 0.1, 10)
    later = START + 3_600
    assert [liveness.may_send_client_event(later, 10) for _ in range(11)] == [True] * 10 + [False]


def test_a_refused_event_costs_nothing() -> None:
    liveness = Liveness(START)
    assert liveness.may_send_client_event(START, 1)
    for step in range(9):
        assert not liveness.may_send_client_event(START + 0.1 * (step + 1), 1)
    assert liveness.may_send_client_event(START + 1.01, 1)


def test_a_rate_of_0_is_no_limit() -> None:
    liveness = Liveness(START)
    assert all(liveness.may_send_client_event(START, 0) for _ in range(1_000))


def test_a_lowered_rate_counts_at_once() -> None:
    liveness = Liveness(START)
    liveness.may_send_client_event(START, 10)
    assert [liveness.may_send_client_event(START, 2) for _ in range(3)] == [True, True, False]


def test_subscriptions_above_their_pace_wait_after_a_burst() -> None:
    liveness = Liveness(START)
    for _ in range(100):
        liveness.subscribed(START, 10)
    assert liveness.subscription_wait(START, 10, burst=100) == 0
    liveness.subscribed(START, 10)
    assert liveness.subscription_wait(START, 10, burst=100) == pytest.approx(0.1)
    assert liveness.subscription_wait(START + 0.1, 10, burst=100) == 0
    liveness.subscribed(START + 0.1, 10)
    assert liveness.subscription_wait(START + 0.1, 10, burst=100) == pytest.approx(0.1)


def test_the_burst_of_subscriptions_is_full_again_after_a_pause() -> None:
    liveness = Liveness(START)
    for now in (START, START + 10):
        for _ in range(100):
            liveness.subscribed(now, 10)
            assert liveness.subscription_wait(now, 10, burst=100) == 0
