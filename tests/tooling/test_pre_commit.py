"""The hooks before a commit are steps of `make check`, and nothing is downloaded for them."""

import shlex
import subprocess
import sys
from pathlib import Path

import yaml

from scripts import run_checks

TOP = Path(__file__).parents[2]
CONFIG = TOP / ".pre-commit-config.yaml"


def test_each_step_of_lint_is_a_hook() -> None:
    (source,) = yaml.safe_load(CONFIG.read_text())["repos"]
    assert source["repo"] == "local"
    assert {hook["language"] for hook in source["hooks"]} == {"system"}
    arguments = [shlex.split(hook["entry"]) for hook in source["hooks"]]
    steps = [step.name for step in run_checks.lint()]
    run = [".venv/bin/python", "scripts/run_checks.py", "quick", "--only"]
    assert arguments == [[*run, step] for step in steps]
    for step in steps:
        plan = [each.name for each in run_checks.steps("quick", full=False) if step in each.name]
        assert plan == [step], "--only takes what contains it"


def test_pre_commit_reads_it() -> None:
    command = (sys.executable, "-m", "pre_commit", "validate-config", str(CONFIG))
    run = subprocess.run(command, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr
