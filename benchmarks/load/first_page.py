"""Draws README's chart: a sentence for each row, with our figure, and a bar for each server.

    python -m benchmarks.load.first_page

The figures are those of two pages. docs/tried-by-hand.md has one run beside five other servers,
docs/performance/comparison.md has memory. Nothing is measured here.
`make bench-compare` draws it at its end, too.
"""

import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass

from benchmarks.load import chart, tables
from benchmarks.load.contestants import TOP
from benchmarks.load.model import FLOOR, OURS

PICTURE = TOP / "docs" / "performance" / "first-page.svg"
TRIED = TOP / "docs" / "tried-by-hand.md"
COMPARISON = TOP / "docs" / "performance" / "comparison.md"
#: Our column in the table of the trial.
TRIED_AS = "ours"
MEMORY = "memory per idle subscribed connection at 10,000"


@dataclass(frozen=True)
class Recorded:
    """A row of the trial's table, and its sentence: `{}` is our figure, or how often it fits into a second."""

    row: str
    sentence: str
    detail: str
    unit: str
    per_second: bool = False


ROWS = (
    Recorded(
        "a delivery to 1,000, one event in flight",
        "One core carries {} deliveries a second",
        "CPU per delivery to 1,000 subscribers,\none event at a time",
        "µs",
        per_second=True,
    ),
    Recorded(
        "the same, 8 in flight",
        "Under load it carries {} a second",
        "the same with 8 events at a time: those that meet\nshare one write per subscriber",
        "µs",
        per_second=True,
    ),
    Recorded(
        "500 presence members join, until all have seen all (ms)",
        "500 people enter one room in {} ms",
        "until each of them has seen all others",
        "ms",
    ),
    Recorded(
        "signed trigger",
        "A backend's event costs {} µs of a core",
        "CPU per signed HTTP request that publishes",
        "µs",
    ),
    Recorded(
        "connect and subscribe",
        "A new client costs {} µs of a core",
        "CPU per connection with one subscription",
        "µs",
    ),
)


def first_table(page: str, heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, without the rule. Raises ValueError if there is none."""
    _, headed, rest = page.partition(f"# {heading}\n")
    table = re.search(r"^\|.*?(?=\n(?!\|)|\Z)", rest, re.M | re.S)
    if not headed or not table:
        raise ValueError(f"there is no table under {heading!r}")
    lines = [line.strip().strip("|").split("|") for line in table[0].splitlines()]
    return [[cell.strip() for cell in line] for i, line in enumerate(lines) if i != 1]


def date_in(page: str) -> str:
    """The first date of a page: the day of its run."""
    date = re.search(r"\d{4}-\d\d-\d\d", page)
    if not date:
        raise ValueError("the page has no date")
    return date[0]


def chart_row(sentence: str, detail: str, unit: str, cells: Mapping[str, str]) -> chart.Row:
    """A row of the chart, the least first. A cell that is no number is shown as it is, and stands last."""
    bars = []
    for name, cell in cells.items():
        number = re.fullmatch(r"[\d,]+(\.\d+)?", cell)
        value = float(cell.replace(",", "")) if number else None
        bars.append(chart.Bar(name, f"{cell} {unit}" if number else cell, value))
    bars.sort(key=lambda bar: float("inf") if bar.value is None else bar.value)
    return chart.Row(sentence, detail, bars)


def from_trial(page: str) -> list[chart.Row]:
    """The rows of the trial beside other servers. Our C floor is none of them: it serves nobody."""
    head, *lines = first_table(page, "Beside other servers")
    names = [OURS if name == TRIED_AS else name for name in head[1:]]
    recorded = {line[0]: dict(zip(names, line[1:], strict=True)) for line in lines}
    rows = []
    for row in ROWS:
        if row.row not in recorded:
            raise ValueError(f"the trial has no row {row.row!r}")
        cells = recorded[row.row]
        cells.pop(FLOOR, None)
        ours = cells[OURS]
        figure = tables.two_digits(1e6 / float(ours)) if row.per_second else ours
        rows.append(chart_row(row.sentence.format(figure), row.detail, row.unit, cells))
    return rows


def from_comparison(page: str) -> chart.Row:
    """The row of memory, from the run of `make bench-compare`."""
    _, *lines = first_table(page, MEMORY)
    version = re.search(r"^- soketi: (soketi [\d.]+)", page, re.M)
    cells = {line[0]: line[1] for line in lines if line[0] != FLOOR}
    if version and "soketi" in cells:
        cells[version[1]] = cells.pop("soketi")
    detail = f"memory at 10,000 subscribed connections\n(a run of {date_in(page)})"
    return chart_row(f"An idle connection takes {cells[OURS]} kB", detail, "kB", cells)


def draw(trial: str, comparison: str) -> str:
    """The picture, from the text of both pages."""
    return chart.row_chart(
        [*from_trial(trial), from_comparison(comparison)],
        OURS,
        title="What one core does",
        subtitle="Shorter bars are better. Each row has a scale of its own.",
        foot=f"One run on {date_in(trial)}, a core for each server, medians of 3. "
        "Levels differ between machines: compare within a row.",
    )


def write() -> None:
    """Draw the picture anew from the recorded pages."""
    PICTURE.write_text(draw(TRIED.read_text("utf-8"), COMPARISON.read_text("utf-8")), "utf-8")


if __name__ == "__main__":
    try:
        write()
    except ValueError as error:
        sys.exit(str(error))
