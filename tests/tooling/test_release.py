"""`scripts.release` refuses each state that is not consistent, and names it."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pytest

from scripts import constraints, interpreters, package, release, run_checks

TOP = Path(__file__).parents[2]
TODAY = date(2026, 12, 1)
CHANGELOG = """\
# Changelog

## [Unreleased]

## [0.2.0] - 2026-11-30

The story.

### Added

- Something.

## [0.1.0] - 2026-11-23

First release.
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A small tree that can be released as 0.2.0, with a tag of 0.1.0."""
    (tmp_path / "pusher_server").mkdir()
    (tmp_path / "pusher_server" / "__init__.py").write_text('__version__ = "0.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(TOP / name, tmp_path)
    (tmp_path / "README.md").write_text("pip install pusher-server==0.2.0\n")
    (tmp_path / "chart").mkdir()
    (tmp_path / "chart" / "Chart.yaml").write_text('version: 0.2.0\nappVersion: "0.2.0"\n')
    git(tmp_path, "init", "--quiet")
    commit(tmp_path)
    git(tmp_path, "tag", "v0.1.0")
    return tmp_path


def git(tree: Path, *arguments: str) -> None:
    names = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(("git", *names, *arguments), cwd=tree, check=True, capture_output=True)


def commit(tree: Path) -> None:
    git(tree, "add", "--all")
    git(tree, "commit", "--quiet", "--allow-empty", "--message", "a state")


def change(tree: Path, name: str, old: str, new: str) -> None:
    text = (tree / name).read_text("utf-8")
    changed = re.sub(old, new, text, count=1, flags=re.MULTILINE)
    assert changed != text
    (tree / name).write_text(changed, "utf-8")
    commit(tree)


def only(problems: Iterable[str]) -> str:
    (problem,) = problems
    assert "\n" not in problem
    return problem


def test_a_consistent_state_is_released(tree: Path) -> None:
    assert list(release.problems(tree, TODAY)) == []


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("CHANGELOG.md", r"^## \[Unreleased\]$", "", "has no [Unreleased] at its beginning"),
        ("CHANGELOG.md", r"(\[Unreleased\])", r"\1\n\n- More.", "lines under [Unreleased]"),
        ("CHANGELOG.md", r"\[0\.2\.0\]", "[0.3.0]", "has no [0.2.0] under [Unreleased]"),
        ("CHANGELOG.md", " - 2026-11-30", "", "has no date for 0.2.0"),
        ("CHANGELOG.md", "2026-11-30", "soon", "has no date for 0.2.0"),
        ("CHANGELOG.md", "2026-11-30", "2026-12-02", "dates 0.2.0 2026-12-02, which is to come"),
        ("CHANGELOG.md", "2026-11-30", "2026-11-22", "before the release under it"),
        ("CHANGELOG.md", r"The story\.\n\n### Added\n\n- Something\.\n", "", "says nothing"),
        ("pyproject.toml", r'"click>=8\.2,<9"', '"click>=8.2.1,<9"', "run `make constraints`"),
        ("pyproject.toml", r'    "Programming.*3\.12",\n', "", "classifiers"),
        ("constraints.txt", r"^# made for: .*", "#", "run `make constraints`"),
        ("README.md", "0.2.0", "0.1.9", "README.md names 0.1.9 and not 0.2.0"),
        ("chart/Chart.yaml", r"^version: 0\.2\.0", "version: 1.0.0", "Chart.yaml names 1.0.0 and"),
        ("chart/Chart.yaml", r'"0\.2\.0"', "0.1.0", "chart/Chart.yaml names 0.1.0 and not 0.2.0"),
    ],
)
def test_each_thing_that_does_not_agree_is_named(
    tree: Path, name: str, old: str, new: str, words: str
) -> None:
    change(tree, name, old, new)
    assert words in only(release.problems(tree, TODAY))


@pytest.mark.parametrize(
    ("version", "words"),
    [
        ("0.2.0.dev1", "a release has a plain one"),
        ("0.2.0rc1", "a release has a plain one"),
        ("0.2.0+local", "a release has a plain one"),
        ("v0.2.0", "a release has a plain one"),
        ("two", "which is no version"),
        ("0.1.0", "the tag v0.1.0 exists"),
        ("0.0.9", "v0.1.0 is a later version than 0.0.9"),
    ],
)
def test_a_version_that_is_none_or_taken_is_refused(tree: Path, version: str, words: str) -> None:
    change(tree, "pusher_server/__init__.py", "0.2.0", version)
    assert any(words in problem for problem in release.problems(tree, TODAY))


@pytest.mark.parametrize("name", ["new.txt", "README.md"])
def test_a_tree_that_is_not_committed_is_refused(tree: Path, name: str) -> None:
    with (tree / name).open("a") as file:
        file.write("more\n")
    problem = only(release.problems(tree, TODAY))
    assert problem == f"1 files are not committed: {name}"


def test_a_release_is_prepared_where_the_entries_stand(tree: Path) -> None:
    change(tree, "CHANGELOG.md", r"(\[Unreleased\])", r"\1\n\n### Added\n\n- More.")
    release.prepare(tree, "0.3.0", TODAY)
    change(tree, "README.md", "0.2.0", "0.3.0")
    assert list(release.problems(tree, TODAY)) == []
    chart = (tree / "chart" / "Chart.yaml").read_text()
    assert chart == 'version: 0.3.0\nappVersion: "0.3.0"\n'
    text = (tree / "CHANGELOG.md").read_text()
    assert (
        "## [Unreleased]\n\n## [0.3.0] - 2026-12-01\n\n### Added\n\n- More.\n\n## [0.2.0]" in text
    )


@pytest.mark.parametrize(
    ("version", "words"),
    [("0.1.0", "tag v0.1.0 exists"), ("0.2.0", "has 0.2.0"), ("x", "no version")],
)
def test_nothing_is_prepared_that_could_not_be_released(
    tree: Path, version: str, words: str
) -> None:
    before = (tree / "CHANGELOG.md").read_text()
    with pytest.raises(ValueError, match=words):
        release.prepare(tree, version, TODAY)
    assert (tree / "CHANGELOG.md").read_text() == before


def test_steps_that_have_not_passed_on_this_tree_are_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(interpreters, "FOLDER", tmp_path)
    for version in interpreters.SUPPORTED:
        (tmp_path / version / "bin").mkdir(parents=True)
        (tmp_path / version / "bin" / "python").touch()
    steps = {step.name for step in run_checks.steps("all", full=True) if step.lasting}
    assert list(release.tests_problems(steps)) == []
    problem = only(release.tests_problems(steps - {"tests/edge"}))
    assert problem.endswith("have not passed on this tree: tests/edge")


def test_a_supported_python_that_has_not_run_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    here = {"3.13": Path("/usr/bin/python3.13")}
    monkeypatch.setattr(interpreters, "FOLDER", tmp_path)
    monkeypatch.setattr(interpreters, "OWN", "3.11")
    monkeypatch.setattr(interpreters, "find", lambda version, environ: here.get(version))
    steps = {step.name for step in run_checks.steps("all", full=True)}
    assert list(release.tests_problems(steps)) == [
        "Python 3.12 is supported, and its tests have not run here: install it",
        "Python 3.13 is supported, and its tests have not run here: `make test-full` makes its environment",
    ]


def test_versions_that_the_tests_have_not_run_with_are_named() -> None:
    text = constraints.FILE.read_text("utf-8")
    older = re.sub(r"^click==\S+", "click==8.1.7", text, count=1, flags=re.MULTILINE)
    named = set(release.installed_problems(older)) - set(release.installed_problems(text))
    assert "constraints.txt has click==8.1.7, and the tests ran with" in only(named)


def test_the_command_says_it_all_and_builds_nothing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(release, "problems", lambda top, today: iter(["one", "two"]))
    monkeypatch.setattr(release, "installed_problems", lambda pinned: iter([]))
    monkeypatch.setattr(release, "tests_problems", lambda passed: iter(["three"]))
    monkeypatch.setattr(package, "main", lambda arguments: pytest.fail("built"))
    assert release.main([]) == 1
    assert capsys.readouterr().err == "one\ntwo\nthree\n"
