"""`scripts/run_checks.py`: nothing of `make test` can be left out. `tests/tooling` runs it."""

from pathlib import Path

import pytest

from scripts import run_checks
from tests.conformance import clusters

TOP = Path(__file__).parents[2]


def names(what: str, *, full: bool = False) -> list[str]:
    """The steps of a make target."""
    return [step.name for step in run_checks.steps(what, full=full)]


def test_every_directory_with_tests_is_a_tier() -> None:
    tiers = {path.relative_to(TOP / "tests").parts[0] for path in TOP.glob("tests/*/**/test_*.py")}
    assert tiers - {"js"} <= {*run_checks.TIERS, *run_checks.FULL_TIERS}


def test_all_is_lint_and_every_tier() -> None:
    lint = ["format", "lint", "types", "imports"]
    tiers = [f"tests/{tier}" for tier in run_checks.TIERS]
    after = tiers.index("tests/conformance") + 1
    tiers[after:after] = ["conformance (2 workers)", "conformance (2 nodes on Redis)"]
    assert names("all") == [*lint, "docs", *tiers, "instructions", "package"]
    assert names("quick") == [*lint, "tests/unit"]
    assert names("docs") == ["docs"]
    assert names("unit") == ["tests/unit"]


def test_the_protocol_suite_runs_on_every_kind_of_cluster() -> None:
    steps = {step.name: step for step in run_checks.steps("all", full=False)}
    kinds = {
        step.environment["CONFORMANCE_CLUSTER"]
        for step in steps.values()
        if "CONFORMANCE_CLUSTER" in step.environment
    }
    assert kinds | {""} == set(clusters.KINDS)


def test_full_repeats_what_depends_on_timing_and_measures_coverage() -> None:
    full = names("all", full=True)
    assert "tests/edge (run 3)" in full
    assert "tests/unit (run 2)" not in full
    assert full[-3:] == ["coverage: processes", "coverage: combine", "coverage: report"]


def test_what_takes_minutes_to_build_is_built_with_full_only() -> None:
    full, quick = names("all", full=True), names("all")
    assert [name for name in full if name in {f"tests/{t}" for t in run_checks.FULL_TIERS}] == [
        "tests/deployment"
    ]
    assert "tests/deployment" not in quick


def test_tiers_that_judge_waiting_have_both_cores_to_themselves() -> None:
    divided = {step.name for step in run_checks.steps("all", full=False) if "-n" in step.command}
    undivided = {f"tests/{tier}" for tier in run_checks.UNDIVIDED}
    assert undivided == {"tests/chaos", "tests/abuse"}
    assert (
        divided
        == {name for name in names("all") if name.startswith(("tests/", "conf"))} - undivided
    )


def test_every_tier_has_a_budget() -> None:
    assert set(run_checks.BUDGETS) == set(run_checks.TIERS)
    assert set(run_checks.FULL_BUDGETS) == {*run_checks.TIERS, *run_checks.FULL_TIERS}


def test_a_record_that_was_cut_short_is_none(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text('{"tree": "one", "pass')
    assert run_checks.Record(record, "one").passed == set()


def test_nothing_to_run_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_checks, "steps", lambda what, full: iter(()))
    assert run_checks.main(["bench"]) == 1


@pytest.mark.parametrize(("minutes", "status"), [(0.5, 0), (1.5, 1)])
def test_a_full_run_fails_when_all_steps_together_take_too_long(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    minutes: float,
    status: int,
) -> None:
    times = iter((0.0, 60 * minutes))
    monkeypatch.setattr(run_checks, "tree", lambda: "one")
    monkeypatch.setattr(run_checks, "run", lambda step, inherited: True)
    monkeypatch.setattr(run_checks, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(run_checks, "FULL_BUDGET", 1)
    monkeypatch.setattr(
        run_checks, "steps", lambda what, full: iter([run_checks.Step("a tier", ("true",))])
    )
    assert run_checks.main(["all", "--full"], lambda: next(times)) == status
    told = "failed: the budget of 1 minutes for all steps together\n"
    assert capsys.readouterr().err == (told if status else "")
