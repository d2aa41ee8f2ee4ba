"""The slow-down check of the hot path: what counts as slower, and when it measures again."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import compare_micro
from benchmarks.compare_micro import LEAST_RUNS, MOST_RUNS, Baseline, Run, best, measure, slower

BASELINE = {"row": 2.0, "other": 1.0}


def run(row: float, reference: float = 1.0) -> Run:
    """A run in which the reference took that long; ratios are what the run itself would print."""
    return {
        "row": {"us": row, "ratio": row / reference},
        "other": {"us": 1.0, "ratio": 1.0 / reference},
    }


def test_a_disturbed_reference_does_not_make_a_row_look_fast() -> None:
    assert best([run(2.0), run(2.0, reference=5.0)])["row"] == 2.0


def test_a_disturbed_row_counts_as_its_best_run() -> None:
    assert best([run(9.0), run(2.0), run(4.0)])["row"] == 2.0


def test_a_row_is_slower_only_beyond_the_limit() -> None:
    assert slower({"row": 2.6, "other": 1.0}, BASELINE, 1.35) == {}
    assert slower({"row": 2.8, "other": 1.0}, BASELINE, 1.35) == {"row": pytest.approx(1.4)}


def test_a_new_row_is_not_slower() -> None:
    assert slower({"new": 9.0}, BASELINE, 1.35) == {}


@pytest.mark.parametrize(
    ("rows", "runs", "verdict"),
    [
        ([2.0] * 8, LEAST_RUNS, {}),
        ([9.0, 9.0, 9.0, 9.0, 2.0, 9.0, 9.0, 9.0], 5, {}),
        ([9.0] * 8, MOST_RUNS, {"row": 4.5}),
    ],
)
def test_what_looks_slow_is_measured_again(
    rows: list[float], runs: int, verdict: dict[str, float]
) -> None:
    left: Iterator[float] = iter(rows)
    ratios = measure(lambda: run(next(left)), BASELINE, 1.35)
    assert len(rows) - len(list(left)) == runs
    assert slower(ratios, BASELINE, 1.35) == verdict


def test_the_baseline_is_stored_and_read(tmp_path: Path) -> None:
    Baseline("here", {"row": 1.23456}).store(tmp_path / "b.json")
    assert Baseline.load(tmp_path / "b.json") == Baseline("here", {"row": 1.235})


def test_the_stored_baseline_has_every_row() -> None:
    from benchmarks.bench_micro import BENCHMARKS

    stored = Baseline.load(compare_micro.BASELINE)
    assert set(stored.ratios) == {work.__name__ for work in BENCHMARKS}
