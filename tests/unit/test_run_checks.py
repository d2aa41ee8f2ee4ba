"""`scripts/run_checks.py` and `tests/conftest.py`: nothing of `make test` can be left out."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import run_checks
from scripts.run_checks import Step
from tests.conformance import clusters

TOP = Path(__file__).parents[2]


def names(what: str, *, full: bool = False) -> list[str]:
    """The steps of a make target."""
    return [step.name for step in run_checks.steps(what, full=full)]


def test_every_directory_with_tests_is_a_tier() -> None:
    tiers = {path.relative_to(TOP / "tests").parts[0] for path in TOP.glob("tests/*/**/test_*.py")}
    assert tiers - {"js"} <= set(run_checks.TIERS)


def test_all_is_lint_and_every_tier() -> None:
    lint = ["format", "lint", "types", "imports"]
    tiers = [f"tests/{tier}" for tier in run_checks.TIERS]
    after = tiers.index("tests/conformance") + 1
    tiers[after:after] = ["conformance (2 workers)", "conformance (2 nodes on Redis)"]
    assert names("all") == [*lint, *tiers, "hot path"]
    assert names("quick") == [*lint, "tests/unit"]


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
    assert full[-1] == "coverage: report"


@pytest.mark.parametrize(("code", "passed"), [("pass", True), ("raise SystemExit(5)", False)])
def test_a_step_says_its_name_its_verdict_and_its_time(
    capfd: pytest.CaptureFixture[str], code: str, passed: bool
) -> None:
    assert run_checks.run(Step("a step", (sys.executable, "-c", code)), {}) is passed
    output = capfd.readouterr().out
    verdict = "ok" if passed else r"FAILED (exit status 5)"
    assert "==> a step\n" in output
    assert f"<== a step: {verdict}, " in output


def test_one_failure_fails_the_whole_but_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    codes = {"first": "raise SystemExit(1)", "second": "print('second ran')"}
    plan = [Step(name, (sys.executable, "-c", code)) for name, code in codes.items()]
    monkeypatch.setattr(run_checks, "steps", lambda what, full: iter(plan))
    assert run_checks.main(["all"]) == 1
    captured = capfd.readouterr()
    assert "second ran" in captured.out
    assert "1 of 2 steps passed" in captured.out
    assert "failed: first" in captured.err


def test_a_step_that_does_not_end_is_ended_and_has_failed(
    capfd: pytest.CaptureFixture[str],
) -> None:
    command = (sys.executable, "-c", "import time; time.sleep(600)")
    assert not run_checks.run(Step("endless", command, minutes=0.01), {})
    assert "FAILED (ended after its budget of 0.01 minutes)" in capfd.readouterr().out


def test_every_tier_has_a_budget() -> None:
    assert set(run_checks.BUDGETS) == set(run_checks.FULL_BUDGETS) == set(run_checks.TIERS)


def test_a_run_is_resumed_where_it_failed(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    marker = tmp_path / "repaired"
    fails_first = f"from pathlib import Path; exit(not Path({str(marker)!r}).exists())"
    codes = {"first": "print('first ran')", "second": fails_first}
    plan = [Step(name, (sys.executable, "-c", code)) for name, code in codes.items()]
    plan.append(Step("report", (sys.executable, "-c", "print('reported')"), lasting=False))
    monkeypatch.setattr(run_checks, "steps", lambda what, full: iter(plan))
    monkeypatch.setattr(run_checks, "RECORD", tmp_path / "record.json")
    monkeypatch.setattr(run_checks, "tree", lambda: "one")

    assert run_checks.main(["all", "--full"]) == 1
    marker.touch()
    capfd.readouterr()
    assert run_checks.main(["all", "--full", "--resume"]) == 0
    output = capfd.readouterr().out
    assert "first ran" not in output
    assert "first: has passed on this tree before" in output
    assert "reported" in output

    monkeypatch.setattr(run_checks, "tree", lambda: "another")
    assert run_checks.main(["all", "--full", "--resume"]) == 0
    assert "first ran" in capfd.readouterr().out


def test_a_record_that_was_cut_short_is_none(tmp_path: Path) -> None:
    record = tmp_path / "record.json"
    record.write_text('{"tree": "one", "pass')
    assert run_checks.Record(record, "one").passed == set()


def test_one_tier_can_be_run_alone(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    plan = [Step(name, (sys.executable, "-c", f"print('ran {name}')")) for name in ("edge", "unit")]
    monkeypatch.setattr(run_checks, "steps", lambda what, full: iter(plan))
    assert run_checks.main(["all", "--only", "edge"]) == 0
    output = capfd.readouterr().out
    assert "ran edge" in output
    assert "ran unit" not in output


def test_the_tree_is_another_one_after_any_change(tmp_path: Path) -> None:
    before = run_checks.tree()
    added = TOP / "tests" / f"untracked-{tmp_path.name}.txt"
    added.write_text("new")
    try:
        assert run_checks.tree() != before
    finally:
        added.unlink()
    assert run_checks.tree() == before


def test_nothing_to_run_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_checks, "steps", lambda what, full: iter(()))
    assert run_checks.main(["bench"]) == 1


@pytest.mark.parametrize(("flags", "status"), [([], 0), (["--no-skips"], 1)])
def test_a_skipped_test_fails_the_tier(tmp_path: Path, flags: list[str], status: int) -> None:
    skipped = "import pytest\n\ndef test_a():\n    pytest.skip('not here')\n"
    (tmp_path / "test_skipped.py").write_text(skipped)
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, f"--rootdir={tmp_path}", "-c", "/dev/null", *flags, str(tmp_path)],
        cwd=TOP,
        capture_output=True,
        text=True,
    )
    assert run.returncode == status, run.stdout + run.stderr


def drawn(folder: Path, seed: int) -> str:
    """What a test of its own is given under a seed."""
    (folder / "test_drawing.py").write_text(
        "from hypothesis import given, strategies as st\n\n"
        "@given(st.lists(st.integers()))\n"
        "def test_draw(numbers):\n    print(numbers)\n"
    )
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "-q", "-s", f"--rootdir={folder}", "-c", "/dev/null", str(folder)],
        cwd=TOP,
        env={**os.environ, "CI": "true", "HYPOTHESIS_SEED": str(seed)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"HYPOTHESIS_SEED={seed} repeats it" in run.stdout
    return "\n".join(line for line in run.stdout.splitlines() if line.startswith("["))


def test_a_seed_repeats_its_examples_and_another_one_has_others(tmp_path: Path) -> None:
    assert drawn(tmp_path, 1) == drawn(tmp_path, 1) != drawn(tmp_path, 2)
