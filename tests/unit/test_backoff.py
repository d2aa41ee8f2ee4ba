"""Attempts come more and more rarely, and those of many nodes not at once."""

from pusher_server.backoff import Backoff, pause_after


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(0.1, 5.0)
    assert [backoff.next() for _ in range(8)] == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0]


def test_it_stays_at_the_longest_for_ever() -> None:
    backoff = Backoff(1e-9, 290.0)
    assert [backoff.next() for _ in range(5_000)][-1] == 290.0


def test_chance_takes_up_to_a_half_off() -> None:
    assert Backoff(0.1, 5.0, lambda: 0.0).next() == 0.05
    assert Backoff(0.1, 5.0, lambda: 1.0).next() == 0.1


def test_after_a_success_it_begins_anew() -> None:
    backoff = Backoff(0.1, 5.0)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert [backoff.next(), backoff.next()] == [0.1, 0.2]


def test_the_pause_of_attempts_that_are_counted_elsewhere() -> None:
    assert [pause_after(attempts, 1.0, 60.0) for attempts in (1, 2, 3, 7, 10_000)] == [
        1,
        2,
        4,
        60,
        60,
    ]
