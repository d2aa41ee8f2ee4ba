"""Makes a release: the archives, the SBOM and the checksums in dist/, of a state that is consistent.

    python -m scripts.release                      builds it
    python -m scripts.release --check              builds nothing
    python -m scripts.release --prepare VERSION    writes version and date into the tree

A release is refused, with one line for each reason, unless version, changelog, tag, constraints, tests and tree
agree. It publishes nothing: what is left to do is printed.
"""

import argparse
import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path

from packaging.version import InvalidVersion, Version

from scripts import constraints, interpreters, package, run_checks

TOP = Path(__file__).resolve().parent.parent
_HEADING = re.compile(r"^## \[(?P<version>[^\]]+)\](?: - (?P<date>\S+))?\s*$", re.MULTILINE)

_PINNED = re.compile(r"pusher[-_]server(?:==|-)(\d+(?:\.\d+)+)")
#: Helm's charts, and the line of such a file up to its version or the server's: they are the same.
_CHARTS = "**/Chart.yaml"
_OF_A_CHART = re.compile(r"^((?:version|appVersion):\s*[\"']?)[^\"'\s]+", re.MULTILINE)
#: Other files that name the version, where they exist: how they name it.
_ELSEWHERE = (
    (_CHARTS, re.compile(r"^(?:version|appVersion):\s*[\"']?v?([^\"'\s]+)", re.MULTILINE)),
    ("**/compose*.yaml", re.compile(r"image:\s*\S*pusher-server:v?(\d[\w.]*)")),
    ("README.md", _PINNED),
    ("docs/**/*.md", _PINNED),
)


def version_in(top: Path) -> str:
    """`__version__`, as the build backend reads it: without importing anything."""
    text = (top / "pusher_server" / "__init__.py").read_text("utf-8")
    found = re.search(r'^__version__ = "([^"]*)"$', text, re.MULTILINE)
    return found[1] if found else ""


def version_problems(version: str, tags: list[str]) -> Iterator[str]:
    """Say why this version cannot be released beside those that have tags."""
    try:
        own = Version(version)
    except InvalidVersion:
        yield f"__version__ is {version!r}, which is no version"
        return
    if own.is_prerelease or own.is_devrelease or own.local or str(own) != version:
        yield f"__version__ is {version!r}: a release has a plain one, such as 1.2.3"
    if f"v{version}" in tags:
        yield f"the tag v{version} exists: raise __version__ in pusher_server/__init__.py"
    later = [tag for tag in tags if re.fullmatch(r"v\d+(\.\d+)*", tag) and Version(tag) > own]
    if later:
        yield f"{later[-1]} is a later version than {version}"


def changelog_problems(text: str, version: str, today: date) -> Iterator[str]:
    """Say what the changelog lacks for this version."""
    headings = list(_HEADING.finditer(text))
    if not headings or headings[0]["version"] != "Unreleased":
        yield "CHANGELOG.md has no [Unreleased] at its beginning"
        return
    sections = [
        text[heading.end() : following.start()].strip() for heading, following in pairwise(headings)
    ] + [text[headings[-1].end() :].strip()]
    if sections[0]:
        yield "CHANGELOG.md has lines under [Unreleased]: move them under a version's heading"
    if len(headings) < 2 or headings[1]["version"] != version:
        yield f"CHANGELOG.md has no [{version}] under [Unreleased]"
        return
    if not sections[1]:
        yield f"CHANGELOG.md says nothing about {version}"
    day = _day(headings[1]["date"])
    if day is None:
        yield f"CHANGELOG.md has no date for {version}: write ## [{version}] - {today}"
    elif day > today:
        yield f"CHANGELOG.md dates {version} {day}, which is to come"
    else:
        before = _day(headings[2]["date"]) if len(headings) > 2 else None
        if before is not None and before > day:
            yield f"CHANGELOG.md dates {version} {day}, before the release under it"


def elsewhere_problems(top: Path, version: str) -> Iterator[str]:
    """Say which other files name another version."""
    for pattern, naming in _ELSEWHERE:
        for file in _tracked(top, pattern):
            others = {match[1] for match in naming.finditer(file.read_text("utf-8"))} - {version}
            if others:
                name = file.relative_to(top).as_posix()
                yield f"{name} names {', '.join(sorted(others))} and not {version}"


def _tracked(top: Path, pattern: str) -> list[Path]:
    names = set(git(top, "ls-files").splitlines())
    return [file for file in sorted(top.glob(pattern)) if file.relative_to(top).as_posix() in names]


def _day(text: str | None) -> date | None:
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None


def installed_problems(pinned: str) -> Iterator[str]:
    """Say which packages the tests have run with in other versions than the release names."""
    for line in sorted(constraints.installed_here(pinned)):
        name, _, version = line.partition("==")
        try:
            here = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            here = "none"
        if here != version:
            yield f"constraints.txt has {line}, and the tests ran with {here}: `make clean test-full`"


def tests_problems(passed: set[str]) -> Iterator[str]:
    """Say which steps of `make test-full` have not passed on this tree."""
    steps = [step.name for step in run_checks.steps("all", full=True) if step.lasting]
    missing = [name for name in steps if name not in passed]
    if missing:
        first = ", ".join(missing[:3]) + (", …" if len(missing) > 3 else "")
        yield (
            f"{len(missing)} of {len(steps)} steps of `make test-full` have not passed on this tree: {first}"
        )
    for version, python in interpreters.others():
        if python is None and version in interpreters.SUPPORTED:
            is_here = interpreters.find(version, os.environ) is not None
            cure = "`make test-full` makes its environment" if is_here else "install it"
            yield f"Python {version} is supported, and its tests have not run here: {cure}"


def classifier_problems(project: dict[str, object]) -> Iterator[str]:
    """Say which versions of Python are promised and not tested, or the reverse."""
    listed = project["classifiers"]
    assert isinstance(listed, list)
    begin = "Programming Language :: Python :: "
    promised = {line.removeprefix(begin) for line in listed if line.startswith(f"{begin}3.")}
    if promised != set(interpreters.SUPPORTED):
        yield "the classifiers of pyproject.toml differ from scripts/interpreters.py"


def git(top: Path, *arguments: str) -> str:
    """Run git and return what it printed."""
    return subprocess.run(
        ("git", *arguments), cwd=top, check=True, capture_output=True, text=True
    ).stdout


def problems(top: Path, today: date) -> Iterator[str]:
    """Everything in a tree that is not as a release needs it, one line each, but the tests."""
    version = version_in(top)
    yield from version_problems(version, git(top, "tag", "--list").split())
    yield from changelog_problems((top / "CHANGELOG.md").read_text("utf-8"), version, today)
    yield from elsewhere_problems(top, version)
    project = tomllib.loads((top / "pyproject.toml").read_text("utf-8"))["project"]
    pinned = (top / "constraints.txt").read_text("utf-8")
    yield from constraints.problems(pinned, project)
    yield from classifier_problems(project)
    changed = git(top, "status", "--porcelain").splitlines()
    if changed:
        yield f"{len(changed)} files are not committed: {changed[0][3:]}"


def prepare(top: Path, version: str, today: date) -> None:
    """Set the version, and give what is unreleased its heading. Raises ValueError if it cannot be."""
    wrong = list(version_problems(version, git(top, "tag", "--list").split()))
    if wrong:
        raise ValueError(wrong[0])
    changelog = top / "CHANGELOG.md"
    text = changelog.read_text("utf-8")
    if f"## [{version}]" in text:
        raise ValueError(f"CHANGELOG.md has {version} already")
    heading = "## [Unreleased]\n"
    changelog.write_text(
        text.replace(heading, f"{heading}\n## [{version}] - {today}\n", 1), "utf-8"
    )
    module = top / "pusher_server" / "__init__.py"
    named = f'__version__ = "{version_in(top)}"'
    module.write_text(
        module.read_text("utf-8").replace(named, f'__version__ = "{version}"'), "utf-8"
    )
    for chart in _tracked(top, _CHARTS):
        chart.write_text(_OF_A_CHART.sub(rf"\g<1>{version}", chart.read_text("utf-8")), "utf-8")


def main(arguments: list[str]) -> int:
    """Check, and build; the exit status."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--check", action="store_true", help="build nothing")
    parser.add_argument("--prepare", metavar="VERSION", help="write version and date into the tree")
    options = parser.parse_args(arguments)
    today = datetime.now(UTC).date()
    if options.prepare:
        try:
            prepare(TOP, options.prepare, today)
        except ValueError as error:
            print(error, file=sys.stderr)
            return 1
        for problem in elsewhere_problems(TOP, options.prepare):
            print(problem)
        return 0
    passed = run_checks.Record(run_checks.RECORD, run_checks.tree()).passed
    wrong = [
        *problems(TOP, today),
        *installed_problems(constraints.FILE.read_text("utf-8")),
        *tests_problems(passed),
    ]
    for problem in wrong:
        print(problem, file=sys.stderr)
    if wrong:
        return 1
    version = version_in(TOP)
    if options.check:
        print(f"{version} can be released")
        return 0
    if package.main([]):
        return 1
    print(f"\n{version} is in dist/. Left to do:\n")
    print(f"  git tag -a v{version} -m 'pusher-server {version}' && git push origin v{version}")
    print("  twine upload dist/*.whl dist/*.tar.gz")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
