"""docs/decisions.md: each record is complete, true of today's code, and found from the code that cites it."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PAGE = (TOP / "docs" / "decisions.md").read_text("utf-8")

#: Title -> text of each record.
RECORDS = dict(re.findall(r"^### (.+?)\n(.+?)(?=^##|\Z)", PAGE, re.M | re.S))

#: Where code that people write is, and its documents.
FOLDERS = ("pusher_server", "tests", "benchmarks", "scripts", "examples", "ops", "docs")
FOREIGN = {"node_modules", "__pycache__"}
CITED = re.compile(r"docs/decisions\.md#([\w-]+)")


def anchor_of(title: str) -> str:
    """The anchor of a heading, as GitHub and MkDocs make it."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def texts() -> Iterator[tuple[str, str]]:
    """Name and text of every text file but this one."""
    inside = (path for folder in FOLDERS for path in (TOP / folder).rglob("*"))
    for path in sorted([*TOP.glob("*"), *inside]):
        own = path == Path(__file__).resolve()
        if own or not path.is_file() or FOREIGN & set(path.parts):
            continue
        try:
            yield path.relative_to(TOP).as_posix(), path.read_text("utf-8")
        except UnicodeDecodeError:
            continue


TEXTS = dict(texts())


@pytest.mark.parametrize("title", RECORDS)
def test_a_record_has_every_part(title: str) -> None:
    """Status, context, decision, consequence; then a number, or where it stands in the repository."""
    parts = re.findall(r"^- \*\*(\w+):\*\* \S", RECORDS[title], re.M)
    assert parts[:4] == ["Status", "Context", "Decision", "Consequence"]
    assert parts[4:] in (["Measured"], ["Source"], ["Measured", "Source"])


@pytest.mark.parametrize("title", RECORDS)
def test_a_record_names_files_that_exist(title: str) -> None:
    """A decision about code that is gone is no longer in force."""
    names = re.findall(r"`((?:\w+/)*\w+\.py|tests/\w+)`", RECORDS[title])
    places = {name: (TOP / name, TOP / "pusher_server" / name) for name in names}
    assert [name for name, where in places.items() if not any(map(Path.exists, where))] == []


def test_every_heading_is_a_record() -> None:
    """Otherwise the tests above would not look at it; two records do not share an anchor."""
    titles = re.findall(r"^### (.+)$", PAGE, re.M)
    assert titles == list(RECORDS)
    assert len({anchor_of(title) for title in titles}) == len(titles)
    assert "Fan-out" in titles


def test_citations_name_records() -> None:
    """By the anchor of a record; and there are citations."""
    anchors = {anchor_of(title) for title in RECORDS}
    cited = {name: set(CITED.findall(text)) for name, text in TEXTS.items()}
    assert cited["pusher_server/hub/channel.py"] == {"fan-out"}
    assert {name: found - anchors for name, found in cited.items() if found - anchors} == {}
