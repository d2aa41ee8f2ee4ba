"""Short floods of every shape, and proof that a server without a bound does not pass.

The floods are a program of their own (`make abuse`); here it runs as one. What it prints is shown when it
fails.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.abuse.setups import SETUPS

TOP = Path(__file__).resolve().parents[2]


def abuse(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run it to its end."""
    command = [sys.executable, "-m", "tests.abuse", "--quick", *arguments]
    return subprocess.run(command, cwd=TOP, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("server", SETUPS)
def test_nobody_feels_a_stranger(server: str) -> None:
    run = abuse("--servers", server)
    assert run.returncode == 0, run.stdout + run.stderr


@pytest.mark.parametrize(
    ("bound", "flood", "complaint"),
    [
        ("turns", "long 1-byte fragments", "units in a turn"),
        ("turns", "POST /events", "units in a turn"),
    ],
)
def test_a_server_without_a_bound_does_not_pass(bound: str, flood: str, complaint: str) -> None:
    run = abuse("--servers", "uvloop", "--floods", flood, "--break", bound)
    assert run.returncode == 1, run.stdout + run.stderr
    assert complaint in run.stdout
