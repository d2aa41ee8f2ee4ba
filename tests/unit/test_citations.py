"""References in code lead somewhere: to a page of this repository, and to a heading on it."""

import re
from pathlib import Path

import pytest

from tests.unit.test_docs import FOREIGN, TOP, anchors_of

#: A page by its path from the top, as code names it, and where on it.
PAGE = re.compile(r"(?<![\w/.-])((?:docs/[\w/-]+|[A-Z]{5,})\.md)(?:#([\w-]+))?")
#: Documents that were used for planning and that no reader has.
ABSENT = re.compile(r"\b(?:DESIGN|PERFORMANCE) §")

KINDS = {
    ".py",
    ".lua",
    ".toml",
    ".yml",
    ".yaml",
    ".sh",
    ".c",
    ".js",
    ".mjs",
    ".php",
    ".html",
    ".md",
}
#: What has no ending, by its name.
NAMES = {"Makefile", ".importlinter"}


def sources() -> list[Path]:
    """Every text that people write; pages, too, for what their links do not say."""
    found = [path for path in TOP.rglob("*") if path.suffix in KINDS or path.name in NAMES]
    here = Path(__file__).resolve()
    return sorted(
        path
        for path in found
        if path != here and not FOREIGN & set(path.relative_to(TOP).parts) and path.is_file()
    )


SOURCES = {path.relative_to(TOP).as_posix(): path.read_text("utf-8") for path in sources()}
CITING = sorted(name for name, text in SOURCES.items() if name[-3:] != ".md" and PAGE.search(text))


def dangling(text: str) -> list[str]:
    """The pages and headings that `text` names and that do not exist."""
    missing = []
    for name, anchor in PAGE.findall(text):
        page = TOP / name
        if not page.is_file():
            missing.append(name)
        elif anchor and anchor not in anchors_of(page.read_text("utf-8")):
            missing.append(f"{name}#{anchor}")
    return missing


@pytest.mark.parametrize("name", CITING)
def test_a_citation_in_code_has_a_target(name: str) -> None:
    """The page exists and has the heading."""
    assert dangling(SOURCES[name]) == []


def test_no_document_is_cited_that_no_reader_has() -> None:
    """Neither in code nor on a page."""
    assert [name for name, text in SOURCES.items() if ABSENT.search(text)] == []


def test_a_citation_without_a_target_is_found() -> None:
    """The check itself: a page that does not exist, a heading that does not, and one that does."""
    text = (
        "(docs/nothing.md) docs/decisions.md#no-such-decision docs/decisions.md#fan-out NOTHING.md"
    )
    assert dangling(text) == ["docs/nothing.md", "docs/decisions.md#no-such-decision", "NOTHING.md"]


def test_the_code_cites_the_decisions() -> None:
    """Otherwise the pattern above would have stopped to see them."""
    assert [name for name in CITING if "docs/decisions.md#" in SOURCES[name]]
