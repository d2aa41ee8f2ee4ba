"""`scripts/docs_site.py`: what belongs to the site, where it stands, and what a page would load."""

import pytest

from scripts import docs_site
from scripts.docs_site import Resources


def test_links_are_those_that_a_reader_can_follow() -> None:
    page = (
        "[a](a.md) ![b](../b.svg) [c](c.md#part) [d](folder/)\n"
        "[out](https://example.com) [here](#part) [mail](mailto:a@example.com)\n"
        "`[code](no.md)`\n```sh\n[fence](no.md)\n```\n[e](e.md)\n"
    )
    assert list(docs_site.links_in(page)) == ["a.md", "../b.svg", "c.md", "folder/", "e.md"]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("README.md", "index.html"),
        ("docs/apps.md", "apps.html"),
        ("docs/performance/chaos.md", "performance/chaos.html"),
        ("docs/protocol/README.md", "protocol/index.html"),
        ("ARCHITECTURE.md", "project/architecture.html"),
        ("LICENSE", "project/license.html"),
        ("examples/comments/README.fr.md", "examples/comments/README.fr.html"),
        ("config.example.toml", "config.example.toml.html"),
        ("docs/deploy", "deploy.html"),
    ],
)
def test_an_address_is_the_path_without_docs(path: str, expected: str) -> None:
    assert docs_site.address(path) == expected


def test_a_text_is_shown_whole_and_linked() -> None:
    page = docs_site.text_page("config.example.toml")
    text = (docs_site.TOP / "config.example.toml").read_text()
    assert f"\n```toml\n{text.rstrip()}\n```\n" in page
    assert "(raw/config.example.toml)" in page
    assert "exclude" not in page, "the search finds settings"
    assert "(../raw/ops/alerts.yml)" in docs_site.text_page("ops/alerts.yml")
    assert "exclude: true" in docs_site.text_page("ops/alerts.yml")


def loaded(page: str) -> list[str]:
    """What a page would load from elsewhere."""
    resources = Resources()
    resources.feed(page)
    return [url for url in resources.loaded if docs_site.is_elsewhere(url)]


@pytest.mark.parametrize(
    "element",
    [
        '<script src="https://x.example/a"></script>',
        '<script src="//x.example/a"></script>',
        '<link rel="stylesheet" href="https://x.example/a">',
        '<link rel="preconnect" href="https://x.example" crossorigin>',
        '<link rel="shortcut icon" href="HTTPS://x.example/a">',
        '<img src="http://x.example/a">',
        '<img srcset="a.png 1x, https://x.example/a 2x">',
        '<iframe src="https://x.example/a"></iframe>',
        '<video poster="https://x.example/a"></video>',
        '<object data="https://x.example/a"></object>',
        '<svg><use href="https://x.example/a"/></svg>',
        '<p style="background: url(https://x.example/a)">',
        "<style>@import 'https://x.example/a';</style>",
        '<style>@font-face {src: url("//x.example/a")}</style>',
        '<form action="https://x.example/a">',
        '<pre class="mermaid"><code>graph</code></pre>',
    ],
)
def test_what_a_page_loads_from_elsewhere_is_found(element: str) -> None:
    assert len(loaded(f"<html><body>{element}</body></html>")) == 1


@pytest.mark.parametrize(
    "element",
    [
        '<a href="https://x.example/">a link</a>',
        '<link rel="canonical" href="https://x.example/">',
        '<link rel="stylesheet" href="../assets/a.css">',
        '<img src="data:image/png;base64,AAAA">',
        "<style>a {background: url('data:image/svg+xml,x')}</style>",
        "<code>url(https://x.example/a)</code>",
    ],
)
def test_what_is_only_linked_or_carried_along_is_not(element: str) -> None:
    assert loaded(f"<html><body>{element}</body></html>") == []


@pytest.mark.parametrize(
    ("page", "broken"),
    [
        ("<p>Two things:\n- one\n- two</p>", ["- one", "- two"]),
        ("<p>First:\n1. one</p>", ["1. one"]),
        ("<p>A range\n<code>- no</code> and 5 - 4</p><ul><li>- yes</li></ul>", []),
        ("<p>An <img src='a'> end.</p><ul><li>fine\n* text</li></ul>", []),
    ],
)
def test_a_list_that_was_taken_for_text_is_found(page: str, broken: list[str]) -> None:
    resources = Resources()
    resources.feed(page)
    assert resources.broken_lists == broken
