"""`scripts.interpreters`: which versions of Python are tested, and which are named as not run."""

import re
from pathlib import Path

import pytest

from scripts import interpreters, run_checks


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder of environments, seen from Python 3.11."""
    monkeypatch.setattr(interpreters, "FOLDER", tmp_path)
    monkeypatch.setattr(interpreters, "OWN", "3.11")
    return tmp_path


def test_the_promised_versions_are_the_tested_ones() -> None:
    """In the metadata, and on the pages that name them."""
    top = interpreters.TOP
    listed = re.findall(r"Python :: (3\.\d+)", (top / "pyproject.toml").read_text("utf-8"))
    assert tuple(listed) == interpreters.SUPPORTED
    row = f"| Python | {', '.join(interpreters.SUPPORTED)} (CPython) |"
    assert row in (top / "SECURITY.md").read_text("utf-8")
    words = "{}, {} or {}".format(*interpreters.SUPPORTED)
    assert f"It needs Python {words}" in (top / "docs" / "package.md").read_text("utf-8")


def add(folder: Path, version: str) -> None:
    python = folder / version / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()


def on_others() -> list[str]:
    steps = run_checks.steps("all", full=True)
    return [step.name for step in steps if " on Python " in step.name]


def test_each_version_that_is_there_runs_three_tiers_in_the_full_run(folder: Path) -> None:
    for version in ("3.12", "3.13"):
        add(folder, version)
    assert on_others() == [
        f"tests/{tier} on Python {version}"
        for version in ("3.12", "3.13")
        for tier in ("unit", "edge", "conformance")
    ]
    assert "Python" not in " ".join(step.name for step in run_checks.steps("all", full=False))
    (edge,) = [
        step
        for step in run_checks.steps("all", full=True)
        if step.name == "tests/edge on Python 3.13"
    ]
    python = str(folder / "3.13" / "bin" / "python")
    assert edge.command[0] == python
    assert edge.environment["PATH"].startswith(str(Path(python).parent))
    assert "--no-skips" in edge.command


def test_what_is_missing_is_named(folder: Path) -> None:
    add(folder, "3.13")
    assert on_others() == [f"tests/{tier} on Python 3.13" for tier in interpreters.TIERS]
    assert (
        interpreters.summary() == "Python 3.11, 3.13; NOT RUN, because none was found: 3.12, 3.14"
    )


def test_a_later_version_runs_when_it_is_there(folder: Path) -> None:
    for version in ("3.12", "3.13", "3.14"):
        add(folder, version)
    assert "tests/edge on Python 3.14" in on_others()
    assert interpreters.summary() == "Python 3.11, 3.12, 3.13, 3.14"
