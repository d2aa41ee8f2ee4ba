"""How long the successor of a process waits."""

from pusher_server.processes.restarts import LONGEST, STEADY, RestartDelay


def test_the_first_end_costs_nothing_and_the_next_ones_twice_as_much_each_time() -> None:
    restarts = RestartDelay()
    delays = [restarts.after(0.1) for _ in range(10)]
    assert delays == [0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, LONGEST, LONGEST, LONGEST]


def test_it_stays_at_the_longest_for_ever() -> None:
    restarts = RestartDelay()
    assert [restarts.after(0.1) for _ in range(5_000)][-1] == LONGEST


def test_a_process_that_has_served_for_a_while_begins_anew() -> None:
    restarts = RestartDelay()
    assert [restarts.after(lived) for lived in (1, 1, STEADY, 1, STEADY - 1)] == [0, 0.5, 0, 0.5, 1]
