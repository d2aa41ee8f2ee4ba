"""Tiers hold what CONTRIBUTING says they hold."""

import re
import subprocess
import sys
from pathlib import Path

TOP = Path(__file__).parents[2]

STARTS = """
import asyncio, os, subprocess

def test_run():
    subprocess.run(["true"])

def test_asyncio():
    asyncio.run(asyncio.create_subprocess_exec("true"))

def test_system():
    os.system("true")

def test_fork():
    os._exit(0) if os.fork() == 0 else None

def test_spawn():
    os.posix_spawn("/bin/true", ["true"], {})

def test_nothing():
    pass
"""


def test_a_unit_test_that_starts_a_process_fails(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text((TOP / "tests/unit/conftest.py").read_text())
    (tmp_path / "test_starts.py").write_text(STARTS)
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "-c", "/dev/null", str(tmp_path)], capture_output=True, text=True
    )
    said = run.stdout + run.stderr
    refused = ["run", "asyncio", "system", "fork", "spawn"]
    assert re.findall(r"^FAILED \S+::test_(\w+)", run.stdout, re.M) == refused, said
    assert len(re.findall(r"^E +RuntimeError: a unit test starts", run.stdout, re.M)) == 5, said
    assert re.findall(r"^PASSED \S+::test_(\w+)", run.stdout, re.M) == ["nothing"], said
