"""References lead somewhere: links of pages, citations in code, tests that the protocol pages name."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conformance.test_rows import ROWS

TOP = Path(__file__).resolve().parents[2]
PROTOCOL = TOP / "docs" / "protocol"

#: Folders that tools make.
FOREIGN = {".venv", "node_modules", ".git", "build", "dist", "site", "__pycache__"}

#: Citations of documents that are no part of the repository; a blank stands for any or none.
GONE = ("PROTOCOL §", "PROTOCOL.md", "DESIGN §", "PERFORMANCE §", "HOUSE_REVIEW")

#: The suite's own page, and those that state no rule of this server.
WITHOUT_TESTS = ("README.md", "conformance.md", "fallback.md")

_CODE = re.compile(r"^```.*?^```", re.M | re.S)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_SCHEME = re.compile(r"[a-z]+:")
#: A page with its place in the repository, or any page with an anchor.
_CITED = re.compile(r"(?<![\w/.#-])(docs/[\w./-]+\.md(?:#[\w-]+)?|[\w./-]+\.md#[\w-]+)(?![\w/])")
_ANCHOR = re.compile(r'<a (?:id|name)="([^"]+)"></a>')
_HEADING = re.compile(r"^#+ (.+)$", re.M)
_SECTION = re.compile(r'^<a id="([\w-]+)"></a>\n\n#+ [^\n]+\n(.*?)(?=^<a id=|^#|\Z)', re.M | re.S)
_TESTS = re.compile(r"^Tests: (.*?)(?:\n\n|\Z)", re.M | re.S)
_MARK = re.compile(r"§+ ?\w*")
_BEFORE_MARK = re.compile(r"RFC \d+\b[^§]{0,3}(?:§[^§]{1,24})*\Z")


def page_name(path: Path) -> str:
    """The path from the top, for test ids and complaints."""
    return path.relative_to(TOP).as_posix()


def files() -> Iterator[Path]:
    """Every file that people wrote."""
    for path in sorted(TOP.rglob("*")):
        parts = path.relative_to(TOP).parts
        is_foreign = FOREIGN & set(parts) or any(part.endswith("_cache") for part in parts)
        if not is_foreign and path.is_file():
            yield path


def texts() -> dict[Path, str]:
    """The text files among them."""
    found = {}
    for path in files():
        try:
            found[path] = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue
    return found


TEXTS = texts()
PAGES = [path for path in TEXTS if path.suffix == ".md"]


def headings_of(page: str) -> list[str]:
    """Headings as links to them are written, where GitHub and MkDocs agree on it; "" where not."""
    slugs = []
    for heading in _HEADING.findall(_CODE.sub("", page)):
        kept = re.sub(r"[^\w\- ]", "", heading.lower()).strip()
        slugs.append(kept.replace(" ", "-") if "  " not in kept and "--" not in kept else "")
    return slugs


def anchors_of(page: str) -> set[str]:
    """Names that a link to this page may have behind its `#`."""
    counts = Counter(headings_of(page))
    return {slug for slug in counts if slug} | set(_ANCHOR.findall(page))


def leads_nowhere(reference: str, *folders: Path) -> bool:
    """Whether `page#anchor` is found from none of these folders."""
    name, _, anchor = reference.partition("#")
    for folder in folders:
        target = folder / name
        if target.exists() and (not anchor or anchor in anchors_of(target.read_text("utf-8"))):
            return False
    return True


def broken_links(path: Path, text: str) -> list[str]:
    """The relative links of a page that lead nowhere."""
    links = [link for link in _LINK.findall(_CODE.sub("", text)) if not _SCHEME.match(link)]
    return [
        link
        for link in links
        if leads_nowhere(path.name + link if link.startswith("#") else link, path.parent)
    ]


def broken_citations(path: Path, text: str, top: Path = TOP) -> list[str]:
    """Pages that a file names, by their path from the top or from its own folder, and that are not there."""
    return [found for found in _CITED.findall(text) if leads_nowhere(found, top, path.parent)]


#: Files with made-up citations.
MADE_UP = {
    "tests/tooling/test_docs_site.py",
    "tests/unit/test_citations.py",
    "tests/unit/test_docs_site.py",
}


def dangling_marks(text: str) -> list[str]:
    """Each § that belongs to no RFC."""
    return [
        found[0]
        for found in _MARK.finditer(text)
        if not _BEFORE_MARK.search(text[max(0, found.start() - 100) : found.start()])
    ]


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_links_lead_somewhere(path: Path) -> None:
    """Files exist; headings and anchors, too."""
    assert broken_links(path, TEXTS[path]) == []


def test_citations_lead_somewhere() -> None:
    """In code, tests, settings and scripts as in pages."""
    broken = {page_name(path): broken_citations(path, text) for path, text in TEXTS.items()}
    for path in MADE_UP:
        del broken[path]
    assert {name: found for name, found in broken.items() if found} == {}


def citing(words: str) -> re.Pattern[str]:
    """A pattern for one of `GONE`, also where a line breaks in it."""
    return re.compile(r"(?<!\w)" + re.escape(words).replace(r"\ ", r"[\s#:*]*"))


@pytest.mark.parametrize("words", GONE)
def test_documents_that_are_not_here_are_not_cited(words: str) -> None:
    """A reader of the repository does not have them."""
    pattern = citing(words)
    found = [page_name(path) for path, text in TEXTS.items() if pattern.search(text)]
    assert [path for path in found if path != page_name(Path(__file__))] == []


def test_sections_are_those_of_an_rfc() -> None:
    """A § without a document means nothing."""
    found = {page_name(path): dangling_marks(text) for path, text in TEXTS.items()}
    del found[page_name(Path(__file__))]
    assert {name: marks for name, marks in found.items() if marks} == {}


@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_an_anchor_means_one_place(path: Path) -> None:
    """Written once, and not the same as the heading of another section."""
    text = _CODE.sub("", TEXTS[path])
    anchors = _ANCHOR.findall(text)
    assert [name for name, count in Counter(anchors).items() if count > 1] == []
    own = re.findall(r'^<a id="([\w-]+)"></a>\n\n(#+ .+)$', text, re.M)
    others = Counter(headings_of(text)) - Counter(
        slug for name, heading in own for slug in headings_of(heading) if slug == name
    )
    assert [name for name in anchors if name in others] == []


def protocol_pages() -> list[Path]:
    """The pages that state rules."""
    return [path for path in sorted(PROTOCOL.glob("*.md")) if path.name not in WITHOUT_TESTS]


def named_tests(section: str) -> set[str]:
    """Rows and paths that the last lines of a rule name."""
    found = _TESTS.search(section)
    return set() if found is None else set(re.findall(r"`([^`]+)`", found[1]))


def unknown_tests(named: set[str]) -> set[str]:
    """Those that are neither a row of the conformance suite nor a path of the repository."""
    return {name for name in named if name not in ROWS and not (TOP / name).exists()}


def sections_of(path: Path) -> dict[str, str]:
    """Anchor -> text, of each rule of a page."""
    return dict(_SECTION.findall(path.read_text("utf-8")))


@pytest.mark.parametrize("path", protocol_pages(), ids=page_name)
def test_every_rule_names_tests_that_exist(path: Path) -> None:
    """At least one each, as a row or a path."""
    sections = sections_of(path)
    assert len(sections) == path.read_text("utf-8").count("<a id=")
    for anchor, section in sections.items():
        named = named_tests(section)
        assert named, anchor
        assert unknown_tests(named) == set(), anchor


def test_every_row_leads_to_the_rules_that_name_it() -> None:
    """The table of docs/protocol/conformance.md against the rules, both ways."""
    page = (PROTOCOL / "conformance.md").read_text("utf-8")
    linked = {
        row: set(_LINK.findall(rules))
        for row, rules in re.findall(r"^\| ([A-Z]\d+b?) \| (.+) \|$", page, re.M)
    }
    assert set(linked) == ROWS
    named: dict[str, set[str]] = {row: set() for row in ROWS}
    for path in protocol_pages():
        for anchor, section in sections_of(path).items():
            for row in named_tests(section) & ROWS:
                named[row].add(f"{path.name}#{anchor}")
    assert linked == named


def test_every_page_of_the_protocol_is_in_its_index() -> None:
    """So that a reader finds it."""
    linked = set(_LINK.findall((PROTOCOL / "README.md").read_text("utf-8")))
    assert {path.name for path in PROTOCOL.glob("*.md")} - {"README.md"} <= linked


def test_what_leads_nowhere_is_found(tmp_path: Path) -> None:
    """The checks themselves, on made-up files."""
    (tmp_path / "docs").mkdir()
    page = tmp_path / "docs" / "page.md"
    page.write_text(
        '# A page\n\n<a id="rule"></a>\n\n## A & B\n\n```\n# no heading\n[no link](x.md)\n```\n'
    )
    text = (
        "[a](page.md) [b](page.md#a-page) [c](page.md#rule) [d](page.md#a--b) [e](page.md#no-heading)"
        " [f](other.md) [g](#rule) [h](#none) [i](https://example.com/x.md)\n```\n[no link](x.md)\n```\n"
    )
    assert broken_links(page, text) == [
        "page.md#a--b",
        "page.md#no-heading",
        "other.md",
        "#none",
    ]
    code = tmp_path / "code.py"
    cited = "docs/page.md, (docs/page.md#rule): docs/page.md#rules. docs/pages.md x/page.md#rule hashlib.md5"
    assert broken_citations(code, cited, tmp_path) == [
        "docs/page.md#rules",
        "docs/pages.md",
        "x/page.md#rule",
    ]


def test_a_citation_of_what_is_gone_is_found() -> None:
    """On one line, over two, and not in names of code."""
    pattern = citing("PROTOCOL §")
    assert pattern.search("the list (PROTOCOL §3.1)")
    assert pattern.search("#: the list (PROTOCOL\n#: §3.1)")
    assert not pattern.search("ssl.PROTOCOL_TLS, RFC 9110 §5, UNSUPPORTED_PROTOCOL §")


def test_a_mark_without_a_document_is_found() -> None:
    """A list of sections belongs to the RFC at its beginning."""
    assert dangling_marks("RFC 9110 §5.6.2 and §5.5, (RFC 6052 §2.1), RFC 6455 §8.1") == []
    assert dangling_marks("the order (§2.4); RFC 9110 says more. §3") == ["§2", "§3"]


def test_a_test_that_does_not_exist_is_found() -> None:
    """Rows and paths."""
    named = named_tests(
        "A rule.\n\nTests: `C1`, `C99`,\n`tests/unit/test_docs.py`, `tests/no.py`.\n\nMore `X`."
    )
    assert unknown_tests(named) == {"C99", "tests/no.py"}
    assert named_tests("A rule without tests.") == set()
