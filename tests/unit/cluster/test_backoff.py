"""Attempts come more and more rarely, and those of many nodes not at once."""

from pusher_server.cluster.backoff import FIRST, LONGEST, Backoff

LEASE = 60.0


def test_pauses_double_up_to_the_longest() -> None:
    backoff = Backoff(lambda: 1.0, LEASE)
    pauses = [backoff.next() for _ in range(10)]
    assert pauses[:3] == [FIRST, 2 * FIRST, 4 * FIRST]
    assert pauses[-1] == LONGEST


def test_no_pause_lasts_as_long_as_others_wait_for_a_node() -> None:
    backoff = Backoff(lambda: 1.0, 1.5)
    assert max(backoff.next() for _ in range(10)) == 0.5


def test_chance_takes_up_to_a_half_off() -> None:
    assert Backoff(lambda: 0.0, LEASE).next() == FIRST / 2


def test_after_a_success_it_begins_anew() -> None:
    backoff = Backoff(lambda: 1.0, LEASE)
    for _ in range(5):
        backoff.next()
    backoff.reset()
    assert backoff.next() == FIRST
