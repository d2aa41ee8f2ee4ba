"""`scripts/run_checks.py` and `tests/conftest.py`, run: verdicts, budgets, resuming, skipped tests, seeds."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts import run_checks
from scripts.run_checks import Step

TOP = Path(__file__).parents[2]


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


def test_what_format_repairs_is_what_the_checks_ask_for(tmp_path: Path) -> None:
    """A file that both steps of `quick` refuse passes them after the steps of `format`."""
    (tmp_path / "pyproject.toml").write_bytes((TOP / "pyproject.toml").read_bytes())
    untidy = tmp_path / "untidy.py"
    untidy.write_text(
        "import os, sys\nfrom typing import List\ndef f(x: List[int])->None: print( x )\n"
    )

    def statuses(what: str) -> list[int]:
        plan = [step for step in run_checks.steps(what, full=False) if "ruff" in step.command[0]]
        return [subprocess.run(step.command, cwd=tmp_path, check=False).returncode for step in plan]

    assert statuses("quick") == [1, 1]
    assert statuses("format") == [0, 0]
    assert statuses("quick") == [0, 0]
    assert untidy.read_text() == "def f(x: list[int]) -> None:\n    print(x)\n"
