"""Counting instructions: what the dumps of callgrind say, what is compared, and what counts as grown."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import instructions
from benchmarks.hot_path import CROWD
from benchmarks.instructions import (
    OTHER_LIMIT,
    ROWS,
    SAME_LIMIT,
    CountingFailed,
    Record,
    closest,
    compare,
    least,
    load,
    replaced,
    rows_of,
    store,
    total,
)

STORED = Record("CPython 3.11", "x86_64", "3.11.7", 100.0, {"trigger": 1_000.0, "delivery": 10.0})
#: The same Python, built otherwise: everything takes a tenth less.
OTHER_BUILD = replace(STORED, reference=90.0, rows={"trigger": 900.0, "delivery": 9.0})


@pytest.fixture
def baseline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with one record, which is the baseline."""
    path = tmp_path / "instructions.json"
    store([STORED], path)
    monkeypatch.setattr(instructions, "BASELINE", path)
    return path


def test_the_sum_of_a_dump() -> None:
    assert total("version: 1\nevents: Ir\nsummary: 1234\n\nfn=x\n1 7\ntotals: 1234\n") == 1_234


def test_a_dump_without_a_sum_is_an_error() -> None:
    with pytest.raises(CountingFailed, match="without a summary"):
        total("version: 1\nevents: Ir\n")


def test_start_up_warm_up_and_turns_of_the_loop_do_not_count() -> None:
    """Each part comes behind what is before it, and loses a turn of the loop for each repetition."""
    parts = {"reference": 1_100, "turn": 100, "trigger": 5_100, "crowd": 5_100 + 7 * (CROWD - 1)}
    marked = [(name, 10) for name in parts]
    dumps = [each for part in parts.values() for each in (999_999_999, part * 10)]
    assert rows_of(marked, dumps) == {"reference": 1_000, "trigger": 5_000, "delivery": 7}


def test_a_mark_that_was_not_seen_is_an_error() -> None:
    with pytest.raises(CountingFailed, match="saw 1 marks instead of 2"):
        rows_of([("turn", 10)], [5])


def test_the_least_of_each_row_counts() -> None:
    assert least([{"a": 1.26, "b": 5.0}, {"a": 3.0, "b": 4.0}]) == {"a": 1.3, "b": 4.0}


def test_records_are_stored_and_read(baseline: Path) -> None:
    store([STORED, OTHER_BUILD], baseline)
    assert load(baseline) == [STORED, OTHER_BUILD]
    assert load(baseline.with_name("none.json")) == []


def test_the_closest_record_is_of_the_architecture_then_of_the_python_then_of_the_build() -> None:
    newer = replace(STORED, python="CPython 3.12")
    foreign = replace(STORED, machine="aarch64")
    records = [foreign, newer, OTHER_BUILD, STORED]
    assert closest(replace(STORED, reference=101.0), records) == STORED
    assert closest(replace(STORED, reference=91.0), records) == OTHER_BUILD
    assert closest(replace(newer, reference=91.0), records) == newer
    assert closest(STORED, [newer]) == newer
    assert closest(STORED, [foreign]) is None


def test_a_new_record_takes_the_place_of_its_build() -> None:
    new = replace(STORED, reference=100.1, rows={"trigger": 5.0})
    assert replaced(new, [STORED, OTHER_BUILD]) == [OTHER_BUILD, new]
    newer = replace(new, python="CPython 3.12")
    assert replaced(newer, [STORED]) == [STORED, newer]


def test_the_same_build_is_compared_as_it_is() -> None:
    now = replace(STORED, reference=100.2, rows={"trigger": 1_020.0, "delivery": 9.0})
    assert now.factors(STORED) == {"trigger": 1.02, "delivery": 0.9}


def test_another_build_is_compared_in_units_of_the_reference_loop() -> None:
    assert OTHER_BUILD.factors(STORED) == {"trigger": 1, "delivery": 1}


def grown(record: Record, factor: float) -> Record:
    """The same, but a trigger takes more."""
    return replace(record, rows={**record.rows, "trigger": record.rows["trigger"] * factor})


@pytest.mark.parametrize(
    ("now", "status", "said"),
    [
        (STORED, 0, "limit 1.03"),
        (grown(STORED, SAME_LIMIT - 0.001), 0, ""),
        (grown(STORED, SAME_LIMIT + 0.001), 1, "grown or gone: trigger"),
        (grown(STORED, 0.5), 0, ""),
        (grown(OTHER_BUILD, SAME_LIMIT + 0.001), 0, "nothing is stored for this build of Python"),
        (grown(OTHER_BUILD, OTHER_LIMIT + 0.001), 1, "grown or gone: trigger"),
        (replace(STORED, rows={"delivery": 10.0}), 1, "grown or gone: trigger"),
        (replace(STORED, rows={**STORED.rows, "new": 5.0}), 0, "new"),
        (replace(STORED, made_with="3.11.8"), 0, "before: 3.11.7"),
        (grown(replace(STORED, machine="aarch64"), 9.0), 0, "nothing is stored for aarch64"),
    ],
)
@pytest.mark.usefixtures("baseline")
def test_what_fails(
    now: Record, status: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(now) == status
    assert said in capsys.readouterr().out


def test_without_valgrind_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CountingFailed, match="scripts/debian-packages valgrind"):
        instructions.count(instructions.TOP, 1)


def test_the_stored_baseline_has_every_row() -> None:
    stored = load(instructions.BASELINE)
    assert stored
    assert all(each.rows.keys() == ROWS.keys() for each in stored)
