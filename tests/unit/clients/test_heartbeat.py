"""The wheel: everybody is looked at when due, nobody more often; slow readers every time."""

from itertools import pairwise
from math import inf

from pusher_server.clients.heartbeat import INTERVAL, Heartbeat


class Watched:
    """Writes down when it was looked at; `again` says what it answers."""

    def __init__(self, again: float | None = None) -> None:
        self.again = again
        self.looks: list[float] = []
        self.silences: list[float] = []
        self.writing_looks = 0

    def check(self, now: float, silence: float = inf) -> float | None:
        self.looks.append(now)
        self.silences.append(silence)
        return None if self.again is None else now + self.again

    def check_writing(self, now: float) -> None:
        self.writing_looks += 1


def swept(heartbeat: Heartbeat, start: float, seconds: float) -> None:
    """Ticks as the server gives them."""
    for step in range(int(seconds / INTERVAL) + 1):
        heartbeat.tick(start + step * INTERVAL)


def test_who_is_due_is_looked_at_within_two_sweeps() -> None:
    heartbeat = Heartbeat()
    heartbeat.tick(100.0)
    due = {at: Watched() for at in (100.2, 101.0, 104.9, 130.0)}
    for at, watched in due.items():
        heartbeat.watch(watched, at)
    swept(heartbeat, 100.25, 40)
    for at, watched in due.items():
        (look,) = watched.looks
        assert at <= look <= at + 2 * INTERVAL
    assert len(heartbeat) == 0


def test_it_is_looked_at_again_when_it_says_so() -> None:
    heartbeat = Heartbeat()
    heartbeat.tick(100.0)
    watched = Watched(again=10.0)
    heartbeat.watch(watched, 110.0)
    swept(heartbeat, 100.0, 65)
    assert len(watched.looks) == 6
    assert all(10 <= after - before <= 10.5 for before, after in pairwise(watched.looks))
    assert len(heartbeat) == 1


def test_a_deadline_in_the_past_is_due_with_the_next_sweep() -> None:
    heartbeat = Heartbeat()
    heartbeat.tick(100.0)
    watched = Watched()
    heartbeat.watch(watched, 3.0)
    swept(heartbeat, 100.0, 2)
    assert watched.looks == [100.0 + INTERVAL]


def test_one_that_was_there_before_the_first_sweep_is_not_forgotten() -> None:
    heartbeat = Heartbeat()
    watched = Watched()
    heartbeat.watch(watched, 100.0)
    heartbeat.tick(500.0)
    swept(heartbeat, 500.0, 2)
    assert len(watched.looks) == 1


def test_watching_again_replaces_the_time() -> None:
    heartbeat = Heartbeat()
    heartbeat.tick(100.0)
    watched = Watched()
    heartbeat.watch(watched, 105.0)
    heartbeat.watch(watched, 120.0)
    swept(heartbeat, 100.0, 30)
    assert watched.looks == [120.0 + INTERVAL]


def test_who_is_forgotten_is_not_looked_at() -> None:
    heartbeat = Heartbeat()
    heartbeat.tick(100.0)
    gone, stays = Watched(), Watched()
    for watched in (gone, stays):
        heartbeat.watch(watched, 101.0)
    heartbeat.forget(gone)
    heartbeat.forget(gone)
    swept(heartbeat, 100.0, 5)
    assert (gone.looks, len(stays.looks)) == ([], 1)


def test_who_is_forgotten_by_the_one_before_it_in_the_same_sweep() -> None:
    heartbeat = Heartbeat()
    heartbeat.tick(100.0)
    second = Watched(again=1.0)

    class First(Watched):
        def check(self, now: float, silence: float = inf) -> float | None:
            heartbeat.forget(second)
            return super().check(now, silence)

    heartbeat.watch(First(), 101.0)
    heartbeat.watch(second, 101.0)
    swept(heartbeat, 100.0, 5)
    assert second.looks == []
    assert len(heartbeat) == 0


def test_a_look_between_two_sweeps_puts_the_next_one_in_its_place() -> None:
    heartbeat = Heartbeat()
    heartbeat.tick(100.0)
    watched = Watched(again=5.0)
    heartbeat.watch(watched, 160.0)
    heartbeat.look(watched, 101.0, 10.0)
    assert (watched.looks, watched.silences) == ([101.0], [10.0])
    swept(heartbeat, 101.0, 8)
    assert 106.0 <= watched.looks[1] <= 106.0 + 2 * INTERVAL
    assert watched.silences[1] == inf


def test_nobody_looks_at_one_that_is_over() -> None:
    heartbeat = Heartbeat()
    watched = Watched(again=5.0)
    heartbeat.watch(watched, 160.0)
    heartbeat.forget(watched)
    heartbeat.look(watched, 101.0, 10.0)
    assert watched.looks == []


def test_a_leap_of_time_misses_nobody() -> None:
    heartbeat = Heartbeat()
    heartbeat.tick(100.0)
    everybody = [Watched() for _ in range(5)]
    for i, watched in enumerate(everybody):
        heartbeat.watch(watched, 101.0 + 7 * i)
    heartbeat.tick(500.0)
    assert [watched.looks for watched in everybody] == [[500.0]] * 5


def test_slow_readers_are_looked_at_in_every_sweep() -> None:
    heartbeat = Heartbeat()
    slow, well = Watched(), Watched()
    heartbeat.writing_paused(slow)
    heartbeat.writing_paused(well)
    heartbeat.writing_resumed(well)
    heartbeat.writing_resumed(well)
    for step in range(3):
        heartbeat.tick(100.0 + step * INTERVAL)
    assert (slow.writing_looks, well.writing_looks) == (3, 0)
