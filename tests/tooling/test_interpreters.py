"""`scripts.interpreters`, run: which interpreter is taken, and that no other is."""

import sys
from pathlib import Path

import pytest

from scripts import interpreters


def interpreter(path: Path, version: str) -> Path:
    """A program that claims to be this version, or refuses to run as pyenv's shims do."""
    path.parent.mkdir(parents=True, exist_ok=True)
    claim = (
        f"import sys; sys.version_info = {tuple(map(int, version.split('.')))!r}" if version else ""
    )
    body = f'exec {sys.executable} -c "{claim}\n$2"' if version else "exit 127"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    return {"PATH": str(tmp_path / "bin"), "HOME": str(tmp_path)}


def test_the_one_in_path_is_taken(tmp_path: Path, environ: dict[str, str]) -> None:
    python = interpreter(tmp_path / "bin" / "python3.13", "3.13.5")
    interpreter(tmp_path / ".pyenv/versions/3.13.0/bin/python3.13", "3.13.0")
    assert interpreters.find("3.13", environ) == python


def test_a_shim_that_refuses_leads_to_the_newest_that_pyenv_has(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    interpreter(tmp_path / "bin" / "python3.12", "")
    for version in ("3.12.2", "3.12.10", "3.12.9"):
        interpreter(tmp_path / f".pyenv/versions/{version}/bin/python3.12", version)
    newest = tmp_path / ".pyenv/versions/3.12.10/bin/python3.12"
    assert interpreters.find("3.12", environ) == newest
    elsewhere = {**environ, "PYENV_ROOT": str(tmp_path / "none")}
    assert interpreters.find("3.12", elsewhere) is None


def test_another_version_under_the_name_is_not_taken(
    tmp_path: Path, environ: dict[str, str]
) -> None:
    interpreter(tmp_path / "bin" / "python3.13", "3.11.2")
    assert interpreters.find("3.13", environ) is None


def test_none_is_none(environ: dict[str, str]) -> None:
    assert interpreters.find("3.14", environ) is None
