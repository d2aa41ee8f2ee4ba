"""`scripts/run_checks.py` and `tests/conftest.py`: nothing of `make test` can be left out."""

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
