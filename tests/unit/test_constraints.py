"""constraints.txt fits pyproject.toml, and `scripts.constraints` sees when it does not."""

import importlib.metadata
import re

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts import constraints

TEXT = constraints.FILE.read_text("utf-8")
PROJECT = constraints.project()


def test_it_fits() -> None:
    assert list(constraints.problems(TEXT, PROJECT)) == []


def test_each_package_has_one_version_and_hashes_of_files_for_several_platforms() -> None:
    entries = constraints.pins(TEXT)
    assert len(entries) > 20
    for name, (requirement, hashes) in entries.items():
        assert str(constraints.version_of(requirement)) in str(requirement), name
        assert hashes >= 1, name
    assert entries["msgspec"][1] > 30, "wheels for one platform only"


def test_a_line_is_a_version_or_a_hash() -> None:
    line = r"[a-z0-9-]+==\S+( ; [a-z_0-9 =!<>.'()]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?"
    lines = [line for line in TEXT.splitlines() if not line.startswith("#")]
    assert [text for text in lines if not re.fullmatch(line, text)] == []


def test_it_is_closed() -> None:
    """A package that a pinned one needs is pinned too, in a version that it takes."""
    entries = constraints.pins(TEXT)
    looked_at = 0
    for name, (pinned, _) in entries.items():
        try:
            installed = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # of another platform or another Python
        if installed.version != str(constraints.version_of(pinned)):
            continue
        looked_at += 1
        extras = {"asyncio"} if name == "sqlalchemy" else {""}
        for line in installed.requires or ():
            needed = Requirement(line)
            if needed.marker and not any(needed.marker.evaluate({"extra": e}) for e in extras):
                continue
            entry = entries.get(canonicalize_name(needed.name))
            assert entry is not None, f"{name} needs {needed}"
            version = constraints.version_of(entry[0])
            assert needed.specifier.contains(version, prereleases=True), f"{name} needs {needed}"
    assert looked_at > 15


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (r"^click==[^ ]*", "click==7.0", "has click==7.0, and pyproject.toml wants click"),
        (r"^asyncpg==[^ ]*", "asyncpg==0.1", "wants asyncpg"),
        (r"^click==(.*\n    .*)*\n", "", "has no click"),
        (r"^click==([^ ]*).*(\n    --hash.*)*", r"click==\1", "has no hash of click"),
        (r"^# made for: .*", "# made for: 0123456789abcdef", "run `make constraints`"),
        (r"\A", "--index-url x\n", "names an address or an index"),
        (r"\Z", "# from https://example.com\n", "names an address or an index"),
    ],
)
def test_what_does_not_fit_is_named(old: str, new: str, words: str) -> None:
    changed = re.sub(old, new, TEXT, count=1, flags=re.MULTILINE)
    assert changed != TEXT
    assert any(words in problem for problem in constraints.problems(changed, PROJECT))


@pytest.mark.parametrize(
    "change",
    [
        {"dependencies": [*PROJECT["dependencies"], "new>=1"]},  # type: ignore[misc]
        {"optional-dependencies": {}},
        {"requires-python": ">=3.12"},
    ],
)
def test_another_list_of_dependencies_makes_it_stale(change: dict[str, object]) -> None:
    stale = [
        p for p in constraints.problems(TEXT, {**PROJECT, **change}) if "make constraints" in p
    ]
    assert len(stale) == 1
