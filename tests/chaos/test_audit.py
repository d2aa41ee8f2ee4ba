"""A little over a minute of the chaos audit, and proof that it can fail.

The audit is a program of its own (`make chaos`); here it runs as one, with fixed seeds. What it prints is
shown when it fails: the seed, the first findings with the frames around them, the table.
"""

import subprocess
import sys
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]


def audit(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [sys.executable, "-m", "tests.chaos", *arguments]
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=300)


@pytest.mark.parametrize(("bus", "seconds"), [("redis", 40), ("unix", 30)])
def test_everything_is_right_again_after_every_fault(bus: str, seconds: int) -> None:
    run = audit("--bus", bus, "--seconds", str(seconds), "--seed", "1")
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("rule", "bus", "fault", "finding"),
    [
        ("excluded", "unix", "worker stopped", "excluded"),
        ("joiners", "unix", "worker stopped", "oneself"),
        ("snapshots", "redis", "link cut", "missing"),
    ],
)
def test_a_server_that_breaks_a_rule_does_not_pass(
    rule: str, bus: str, fault: str, finding: str
) -> None:
    chosen = ("--bus", bus, "--faults", fault, "--break", rule)
    run = audit(*chosen, "--clients", "60", "--seconds", "1", "--rest", "6", "--seed", "1")
    assert run.returncode == 1, run.stdout + run.stderr
    assert f"[{finding}]" in run.stdout
    assert "replay: make chaos" in run.stdout
