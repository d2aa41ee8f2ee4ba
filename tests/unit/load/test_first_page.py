"""README's chart: drawn from the figures that two pages record, and from nothing else."""

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest

from benchmarks.load import first_page
from benchmarks.load.chart import Bar, Row, row_chart
from benchmarks.load.model import OURS

TRIAL = """# Tried by hand

On 2026-01-02.

## Beside other servers

| | ours | C floor | peer 1.0 | other |
|---|---|---|---|---|
| a delivery to 1,000, one event in flight | 4.0 | 3.0 | 8.0 | 1,200 |
| the same, 8 in flight | 0.50 | 5.0 | 6.0 | - |
| 500 presence members join, until all have seen all (ms) | 100 | - | not all | 900 |
| signed trigger | 75 | 15 | 50 | 80 |
| connect and subscribe | 177 | 21 | 176 | 102 |
"""
COMPARISON = """- date: 2026-01-01
- soketi: soketi 1.6.1, Node v18

### memory per idle subscribed connection at 10,000

|  | per connection, kB | check |
|---|---:|---:|
| pusher-server | 3.50 | ok |
| soketi | 7.03 | ok |
| C floor | 0.33 | ok |
"""


def shapes(svg: str, tag: str) -> list[ET.Element]:
    """The elements of a picture that have this tag."""
    return list(ET.fromstring(svg).iter(f"{{http://www.w3.org/2000/svg}}{tag}"))


def test_the_committed_picture_shows_what_the_pages_record() -> None:
    drawn = first_page.draw(
        first_page.TRIED.read_text("utf-8"), first_page.COMPARISON.read_text("utf-8")
    )
    assert first_page.PICTURE.read_text("utf-8") == drawn, (
        "run `python -m benchmarks.load.first_page`"
    )


def test_the_figures_of_the_sentences_are_those_of_the_tables() -> None:
    texts = [str(text.text) for text in shapes(first_page.draw(TRIAL, COMPARISON), "text")]
    assert {
        "One core carries 250,000 deliveries a second",
        "Under load it carries 2,000,000 a second",
        "500 people enter one room in 100 ms",
        "A backend's event costs 75 µs of a core",
        "A new client costs 177 µs of a core",
        "An idle connection takes 3.50 kB",
    } <= set(texts)
    assert any("2026-01-02" in text for text in texts)
    assert "(a run of 2026-01-01)" in texts
    assert {"peer 1.0", "soketi 1.6.1", "1,200 µs", "7.03 kB"} <= set(texts)
    assert "C floor" not in texts


def test_a_better_server_stands_before_ours() -> None:
    trigger = first_page.from_trial(TRIAL)[3]
    assert [bar.name for bar in trigger.bars] == ["peer 1.0", OURS, "other"]


def test_a_cell_that_is_no_number_has_no_bar_and_stands_last() -> None:
    presence = first_page.from_trial(TRIAL)[2]
    assert presence.bars[-1] == Bar("peer 1.0", "not all", None)


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("## Beside other servers", "## Elsewhere", "no table under 'Beside other servers'"),
        ("| signed trigger ", "| trigger ", "no row 'signed trigger'"),
    ],
)
def test_a_page_without_the_figures_is_named(old: str, new: str, what: str) -> None:
    with pytest.raises(ValueError, match=what):
        first_page.draw(TRIAL.replace(old, new), COMPARISON)


def test_bars_are_as_long_as_their_values_and_inside_the_picture() -> None:
    bars = [Bar(OURS, "1 µs", 1.0), Bar("peer", "4 µs", 4.0), Bar("none", "failed", None)]
    svg = row_chart(
        [Row("a & b", "two\nlines", bars)], OURS, title="T", subtitle="s", foot="a foot"
    )
    page, *rectangles = shapes(svg, "rect")
    assert [rectangle.attrib["class"] for rectangle in rectangles] == ["ours", "second"]
    short, long = (float(rectangle.attrib["width"]) for rectangle in rectangles)
    assert long == pytest.approx(4 * short)
    texts = shapes(svg, "text")
    assert {"a & b", "two", "lines", "failed", "a foot"} <= {str(text.text) for text in texts}
    assert all(float(text.attrib["y"]) < float(page.attrib["height"]) for text in texts)


def test_lines_of_text_never_meet() -> None:
    """A row with more text than bars is as high as its text."""
    svg = first_page.draw(TRIAL, COMPARISON)
    heights = sorted(
        float(text.attrib["y"]) for text in shapes(svg, "text") if text.attrib["x"] == "20"
    )
    assert all(below - above >= 15 for above, below in pairwise(heights))
