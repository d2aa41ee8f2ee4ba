"""Whether to send clients here."""

import pytest

from pusher_server.metrics.health import accepts_traffic, ready
from pusher_server.metrics.reading import State


@pytest.mark.parametrize(
    ("state", "good", "words"),
    [
        (State(), True, "OK"),
        (State(draining=True), False, "draining\n"),
        (State(lag=0.99), True, "OK"),
        (State(lag=1.0), False, "overloaded: the event loop was 1.0 s late\n"),
        (
            State(not_ready="the database was never reached"),
            False,
            "the database was never reached\n",
        ),
        (State(problem="redis: away"), True, "degraded: redis: away\n"),
        ("starting", False, "starting\n"),
    ],
)
def test_one_process(state: State | str, good: bool, words: str) -> None:
    verdict = ready({"1": state})
    assert (verdict.good, verdict.text) == (good, words)


def test_a_machine_is_ready_as_long_as_one_of_its_workers_is() -> None:
    verdict = ready({"1": State(draining=True), "2": State(), "3": "waiting"})
    assert verdict.good
    assert verdict.text == "1: draining\n2: OK\n3: waiting\n"
    assert not ready({"1": State(draining=True), "2": "waiting"}).good
    assert ready({"1": State(), "2": State()}).text == "OK"


@pytest.mark.parametrize(
    ("state", "words"),
    [
        (State(connections=5, max_connections=5), "full: 5 connections\n"),
        (State(open_files=960, max_files=1_024), "full: 960 of 1024 files are open\n"),
        (State(draining=True), "draining\n"),
        (State(memory=900 << 20), "900 MiB of 1000 MiB memory in use\n"),
    ],
)
def test_no_further_clients_are_asked_for(state: State, words: str) -> None:
    verdict = accepts_traffic({"1": state}, 1_000 << 20)
    assert (verdict.good, verdict.text) == (False, words)


def test_further_clients_are_welcome_below_every_limit() -> None:
    """And where nobody knows a limit."""
    roomy = State(
        connections=4, max_connections=5, open_files=959, max_files=1_024, memory=850 << 20
    )
    assert accepts_traffic({"1": roomy}, 1_000 << 20).text == "OK"
    assert accepts_traffic({"1": State(memory=2**40)}, 0).text == "OK"


def test_memory_is_that_of_all_processes_together() -> None:
    half = State(memory=500 << 20)
    assert accepts_traffic({"1": half}, 1_000 << 20).good
    assert not accepts_traffic({"1": half, "2": half}, 1_000 << 20).good
