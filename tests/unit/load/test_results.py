"""Medians, verdicts, and faults: what decides whether a number may be shown."""

import pytest

from benchmarks.load.measuring import Result, faults
from benchmarks.load.model import FLOOR, OURS, SOKETI, Column, Goal, Run, Scenario
from benchmarks.load.results import Standing, Verdict, judge, relative_cost, standings

FASTER = Goal("≥ 3x soketi's deliveries/s", "deliv_s", at_least=3, times=SOKETI)
CHEAPER = Goal("≤ 1.2x C floor", "cpu_us", at_most=1.2, times=FLOOR)
ABSOLUTE = Goal("p99 ≤ 25 ms", "p99_us", at_most=25_000, divisor=1_000, unit="ms")


def found(**metrics: dict[str, float]) -> dict[str, Standing]:
    """Standings of one scenario; the argument names are short for the contestants' names."""
    names = {"ours": OURS, "soketi": SOKETI, "floor": FLOOR}
    return {names[name]: Standing(values) for name, values in metrics.items()}


def result(cpu: float, repetition: int = 0, **more: object) -> Result:
    return Result("s", OURS, repetition, {"cpu_us": cpu}, **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(("ours", "verdict"), [(301, Verdict.REACHED), (299, Verdict.MISSED)])
def test_a_rate_is_held_against_a_multiple_of_anothers(ours: float, verdict: Verdict) -> None:
    judged = judge(FASTER, found(ours={"deliv_s": ours}, soketi={"deliv_s": 100}))
    assert judged.verdict is verdict
    assert judged.text == f"{ours / 100:.2f}x soketi"


@pytest.mark.parametrize(("ours", "verdict"), [(1.19, Verdict.REACHED), (1.21, Verdict.MISSED)])
def test_a_cost_may_be_a_multiple_of_the_floors(ours: float, verdict: Verdict) -> None:
    assert judge(CHEAPER, found(ours={"cpu_us": ours}, floor={"cpu_us": 1})).verdict is verdict


@pytest.mark.parametrize(("p99", "verdict"), [(25_000, Verdict.REACHED), (25_100, Verdict.MISSED)])
def test_an_absolute_goal_needs_nobody_else(p99: float, verdict: Verdict) -> None:
    judged = judge(ABSOLUTE, found(ours={"p99_us": p99}))
    assert judged.verdict is verdict
    assert judged.text.endswith(" ms")


@pytest.mark.parametrize(("ours", "verdict"), [(0.9, Verdict.REACHED), (1.1, Verdict.MISSED)])
def test_a_goal_may_be_on_how_much_more_another_costs(ours: float, verdict: Verdict) -> None:
    goal = Goal("soketi's cost ≥ 10x ours", "cpu_us", at_least=10, times=SOKETI, inverted=True)
    judged = judge(goal, found(ours={"cpu_us": ours}, soketi={"cpu_us": 10}))
    assert judged.verdict is verdict
    assert judged.text == f"soketi: {10 / ours:.1f}x ours"


def test_a_goal_without_ours_or_without_the_other_is_not_measured() -> None:
    assert judge(FASTER, found(soketi={"deliv_s": 1})).verdict is Verdict.UNKNOWN
    assert judge(FASTER, found(ours={"deliv_s": 1})).verdict is Verdict.UNKNOWN


def test_figures_are_medians_over_the_repetitions() -> None:
    standing = standings([result(3), result(1, 1), result(10, 2)])["s"][OURS]
    assert standing.metrics == {"cpu_us": 3}
    assert standing.notes == []


def test_a_repetition_with_faults_gives_no_number_and_is_told() -> None:
    lost = result(1, 1, faults=["lost: 1"])
    standing = standings([result(3), lost, result(5, 2, error="gone")])["s"][OURS]
    assert standing.metrics == {"cpu_us": 3}
    assert standing.notes == ["gone", "lost: 1"]


def test_a_contestant_that_always_fails_has_no_numbers() -> None:
    assert not standings([result(1, faults=["doubled: 1"])])["s"][OURS].measured


def test_being_behind_is_told_and_is_no_fault() -> None:
    assert standings([result(1, behind=True)])["s"][OURS].notes == ["did not keep up"]
    assert faults({"missing": 7, "still_arriving": 1}) == []


@pytest.mark.parametrize(
    ("said", "word"),
    [
        ({"missing": 1}, "lost: 1"),
        ({"missing": -2}, "lost: 2"),
        ({"duplicates": 3}, "doubled: 3"),
        ({"reordered": 1}, "out of order: 1"),
        ({"probe_missing": 1}, "probe: lost: 1"),
        ({"mode": "presence", "complete": 4, "n": 5}, "only 4 of 5 saw all members"),
    ],
)
def test_every_kind_of_wrong_delivery_is_a_fault(said: dict[str, object], word: str) -> None:
    assert faults(said) == [word]


def test_cost_relative_to_ours_turns_rates_round() -> None:
    runs = (Run("-m fanout", 10),)
    cost = Scenario("a", "a", "a", runs, (Column("cost", "cpu_us"),), ())
    rate = Scenario("b", "b", "b", runs, (Column("rate", "deliv_s"),), (), more_is_better=True)
    assert relative_cost(cost, found(ours={"cpu_us": 2}, soketi={"cpu_us": 6})) == {
        OURS: 1,
        SOKETI: 3,
    }
    both = found(ours={"deliv_s": 6}, soketi={"deliv_s": 2})
    assert relative_cost(rate, both) == {OURS: 1, SOKETI: 3}
