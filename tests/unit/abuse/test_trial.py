"""Judging: medians, the ratio, the floor."""

import pytest

from tests.abuse.flood import Flood
from tests.abuse.report import Row, line, table
from tests.abuse.stranger import Sent
from tests.abuse.trial import FLOOR, RATIO, Trial
from tests.abuse.victim import Round, percentile

SENT = Sent(bytes=10_000_000, connections=1, refused=0, seconds=2.0)


def round_of(p99: float, newcomer: float = 0.001, **counts: int) -> Round:
    """A round in which everything took as long."""
    return Round([p99] * 50, [newcomer] * 5, **counts)


def trial_of(flooded: list[Round], ordinary: list[Round], *, newcomers: bool = True) -> Trial:
    """One that has been measured."""
    return Trial(flooded, ordinary, SENT, newcomers=newcomers)


@pytest.mark.parametrize(
    ("samples", "share", "rank"),
    [([], 0.99, 0.0), ([3.0, 1.0, 2.0], 0.5, 2.0), ([1.0, 2.0], 0.99, 2.0), (range(1, 201), 0.99, 198)],
)  # fmt: skip
def test_percentiles_are_samples(samples: list[float], share: float, rank: float) -> None:
    assert percentile(samples, share) == rank


def test_medians_are_compared() -> None:
    """One disturbed round on either side decides nothing."""
    ordinary = [round_of(0.10), round_of(0.11), round_of(5.0)]
    assert trial_of([round_of(0.30), round_of(0.31), round_of(4.0)], ordinary).holds
    assert not trial_of([round_of(0.30), round_of(0.50), round_of(4.0)], ordinary).holds


def test_a_ratio_above_three_does_not_hold_unless_nobody_would_notice() -> None:
    quick, noticed = FLOOR * 0.99, FLOOR * 1.01
    assert trial_of([round_of(quick)], [round_of(quick / 10)]).holds
    assert not trial_of([round_of(noticed)], [round_of(noticed / (RATIO + 0.1))]).holds
    assert trial_of([round_of(noticed)], [round_of(noticed / (RATIO - 0.1))]).holds


def test_new_clients_are_judged_unless_the_flood_stands_in_their_queue() -> None:
    slow, ordinary = [round_of(0.001, newcomer=1.0)], [round_of(0.001, newcomer=0.01)]
    assert trial_of(slow, ordinary).faults == ["new clients wait 100.0 times as long"]
    assert trial_of(slow, ordinary, newcomers=False).holds


def test_what_is_refused_or_cut_off_does_not_hold() -> None:
    found = trial_of([round_of(0.001, refused=2, lost=1)], [round_of(0.001)])
    assert found.faults == ["2 publications refused", "1 subscribers lost"]


def test_speed_is_told_in_what_a_flood_is_made_of() -> None:
    assert SENT.speed == "5.00 MB/s"
    assert Sent(0, 5_000, 0, 2.0).speed == "2,500 connections/s"


def test_the_table_has_a_line_per_flood_and_says_what_failed() -> None:
    flood = Flood("a flood", "a | b", b"x")
    good = Row("uvloop", flood, trial_of([round_of(0.004)], [round_of(0.002)]), 64, 4_096)
    bad = Row(
        "asyncio", flood, trial_of([round_of(0.2)], [round_of(0.02)]), 9, 9, ("1 workers killed",)
    )
    assert good.holds
    assert not bad.holds
    head, rule, first, second, _, end = table([good, bad])
    assert head.count("|") == rule.count("|") == first.replace("\\|", "").count("|")
    assert "| 4.0 | 4.0 | 2.0 | 2.0 |" in first
    assert first.endswith("| 64 | 4 | yes |")
    assert second.endswith("**no**: events wait 10.0 times as long; 1 workers killed |")
    assert end == "1 of 2 held; 1 within the goal of 50 ms."
    assert "FAILED" in line(bad)
    assert line(good).endswith("ok")
