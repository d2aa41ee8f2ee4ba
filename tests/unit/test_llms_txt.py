"""`llms.txt`: the format of llmstxt.org, with every page of the site once."""

import re

import pytest

from scripts import docs_site

TEXT = (docs_site.TOP / docs_site.LLMS).read_text("utf-8")
#: A link and what the page is about.
LINE = re.compile(r"- \[([^\]]+)\]\(([^)\s]+)\): (.+)")


def links() -> list[tuple[str, str, str]]:
    """Name, path and sentence of each link."""
    return [match.groups() for line in TEXT.splitlines() if (match := LINE.fullmatch(line))]  # type: ignore[misc]


def pages_of_the_site() -> list[str]:
    """The paths in the navigation of mkdocs.yml."""
    text = (docs_site.TOP / "mkdocs.yml").read_text("utf-8")
    section = text.partition("\nnav:\n")[2].partition("\n\n")[0]
    return re.findall(r"^ +- [^:\n]+: (\S+)$", section, re.M)


def test_it_has_the_parts_of_the_format() -> None:
    """One title, a summary in a quotation, text, then sections that hold nothing but links."""
    title, _, summary, *rest = TEXT.splitlines()
    assert title == "# pusher-server"
    assert summary.startswith("> ")
    sections = "\n".join(rest).split("\n## ")[1:]
    assert len(sections) >= 5
    for section in sections:
        heading, blank, *lines = section.rstrip("\n").splitlines()
        assert heading
        assert not blank
        assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert [line for line in TEXT.splitlines() if line.startswith("# ")] == [title]


def test_each_page_of_the_site_is_in_it_once() -> None:
    """And nothing else."""
    pages = pages_of_the_site()
    assert len(pages) > 40
    assert sorted(path for _, path, _ in links()) == sorted(pages)


@pytest.mark.parametrize(("name", "path", "about"), links(), ids=lambda text: text[:40])
def test_a_link_leads_to_a_file_and_has_a_sentence(name: str, path: str, about: str) -> None:
    """One sentence that ends in a full stop."""
    assert (docs_site.TOP / path).is_file()
    assert name
    assert re.fullmatch(r"\S.*[^.]\.", about)
    assert re.search(r"[a-z]{2}\. [A-Z]", about) is None


def test_in_the_site_its_links_are_those_of_the_site() -> None:
    """Each is the address of the page that the repository's file links."""
    addresses = re.findall(r"^- \[[^\]]+\]\(([^)\s]+)\): ", docs_site.llms_text(), re.M)
    assert addresses == [docs_site.address(path) for _, path, _ in links()]
    assert "index.html" in addresses
    assert "clients/vue.html" in addresses
