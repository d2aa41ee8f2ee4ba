"""The Java programs of the conformance tests: what is missing is an error, never a skipped test."""

from pathlib import Path

import pytest

from tests.conformance.official import driver


def test_a_missing_java_names_the_script_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(RuntimeError, match=r"java is missing: scripts/debian-packages java"):
        driver.java_command("PusherJavaClient")


def test_programs_that_are_not_built_name_the_script_that_builds_them(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(driver, "JAVA_BUILD", tmp_path)
    with pytest.raises(RuntimeError, match=r"not built: scripts/setup-tests"):
        driver.java_command("PusherJavaClient")
