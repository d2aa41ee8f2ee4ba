"""SVG bar charts, drawn by hand: readable on light and dark pages. Pure functions.

`bar_chart` has multiples of ours, `row_chart` the figures themselves with a sentence for each row.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

LABELS, PLOT, MARGIN = 310, 540, 80
WIDTH = LABELS + PLOT + MARGIN
TOP, BAR, GAP, GROUP_GAP = 104, 13, 2, 13
#: Ours, and whatever is as good: still to be seen.
LEAST_WIDTH = 5.0
TICKS = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000)

#: Colours told apart by people who see no red or green, too; repeated for a fourth contestant on.
COLOURS = ("ours", "first", "second", "third")
STYLE = """
svg { --page: #ffffff; --text: #1f2328; --quiet: #59636e; --line: #d1d9e0; --ours: #0a6cbd; --first: #d9822b;
 --second: #8c959f; --third: #6f42c1 }
@media (prefers-color-scheme: dark) { svg { --page: #0d1117; --text: #f0f6fc; --quiet: #9198a1; --line: #3d444d;
 --ours: #58a6ff; --first: #f0a15a; --second: #767e88; --third: #b392f0 } }
text { font: 12px system-ui, sans-serif; fill: var(--text) }
.title { font-size: 16px; font-weight: 600 } .quiet { fill: var(--quiet) } .bold { font-weight: 600 }
.page { fill: var(--page) } .line { stroke: var(--line) } .one { stroke: var(--quiet) }
.ours { fill: var(--ours) } .first { fill: var(--first) }
.second { fill: var(--second) } .third { fill: var(--third) }
"""

#: In `row_chart`: names end here, bars begin a little behind, and the longest leaves room for its figure.
ROW_NAMES, ROW_PLOT, ROW_TOP, ROW_BAR, ROW_GAP = 455, 370, 72, 11, 20


@dataclass(frozen=True)
class Bar:
    """One server in a row: its number as people read it. Without a value there is only the text."""

    name: str
    figure: str
    value: float | None


@dataclass(frozen=True)
class Row:
    """A sentence, how its figure was taken, and the bars, each as long as its value."""

    sentence: str
    detail: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Group:
    """The bars of one scenario: ratio to ours, and the figure itself, by contestant."""

    title: str
    what: str
    ratios: Mapping[str, float]
    figures: Mapping[str, str]


def bar_chart(groups: Sequence[Group], names: Sequence[str], *, title: str, subtitle: str) -> str:
    """SVG text. `names` gives order and colour; the first is the one that the others are compared with."""
    low, high = _range([ratio for group in groups for ratio in group.ratios.values()])
    body, y = [], float(TOP)
    for group in groups:
        lines, height = _group(group, names, y, low, high)
        body += lines
        y += height + GROUP_GAP
    colours = {name: COLOURS[min(i, len(COLOURS) - 1)] for i, name in enumerate(names)}
    lines = [*_legend(names, colours), *_axis(low, high, y), *body]
    return _picture(round(y + 34), title, subtitle, lines)


def row_chart(rows: Sequence[Row], ours: str, *, title: str, subtitle: str, foot: str) -> str:
    """SVG text: rows of bars from zero, each row to a scale of its own. The bar called `ours` stands out."""
    lines: list[str] = []
    y = float(ROW_TOP)
    for row in rows:
        text_end = y + 14
        lines.append(_text(20, y + 10, row.sentence, "bold"))
        for part in row.detail.split("\n"):
            text_end += 15
            lines.append(_text(20, text_end - 2, part, "quiet"))
        most = max(bar.value or 0 for bar in row.bars)
        for bar in row.bars:
            lines += _bar_of_row(bar, y, most, is_ours=bar.name == ours)
            y += ROW_BAR + GAP + 2
        y = max(y, text_end) + ROW_GAP
    lines.append(_text(20, y + 6, foot, "quiet"))
    return _picture(round(y + 22), title, subtitle, lines)


def _bar_of_row(bar: Bar, y: float, most: float, *, is_ours: bool) -> list[str]:
    style = "bold" if is_ours else "quiet"
    length = 0.0 if bar.value is None else max(2.0, ROW_PLOT * bar.value / most)
    lines = [_text(ROW_NAMES, y + ROW_BAR - 1, bar.name, style, "end")]
    if bar.value is not None:
        lines.append(
            f'<rect class="{"ours" if is_ours else "second"}" x="{ROW_NAMES + 8}" y="{y:.1f}"'
            f' width="{length:.1f}" height="{ROW_BAR}" rx="1.5"/>'
        )
    return [*lines, _text(ROW_NAMES + 13 + length, y + ROW_BAR - 1, bar.figure, style)]


def _picture(height: int, title: str, subtitle: str, lines: Sequence[str]) -> str:
    """The whole SVG: page, title, subtitle, and what is drawn on it."""
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}"'
            f' height="{height}" role="img" aria-labelledby="title">',
            f'<title id="title">{escape(title)}</title>',
            f"<style>{STYLE}</style>",
            f'<rect class="page" width="{WIDTH}" height="{height}" rx="6"/>',
            _text(20, 30, title, "title"),
            _text(20, 50, subtitle, "quiet"),
            *lines,
            "</svg>\n",
        ]
    )


def _range(ratios: Sequence[float]) -> tuple[float, float]:
    """Ticks that enclose all ratios, and 1."""
    smallest, largest = min([1.0, *ratios]), max([1.0, *ratios])
    low = max((t for t in TICKS if t < smallest), default=TICKS[0])
    high = min((t for t in TICKS if t >= largest), default=TICKS[-1])
    return low, high * (2 if high == 1 else 1)


def _x(ratio: float, low: float, high: float) -> float:
    """Where a ratio stands on the logarithmic axis."""
    share = math.log(ratio / low) / math.log(high / low)
    return LABELS + PLOT * min(1.0, max(0.0, share))


def _text(x: float, y: float, text: str, style: str = "", anchor: str = "start") -> str:
    klass = f' class="{style}"' if style else ""
    return f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}"{klass}>{escape(text)}</text>'


def _legend(names: Sequence[str], colours: Mapping[str, str]) -> list[str]:
    lines, x = [], 20.0
    for name in names:
        lines.append(
            f'<rect class="{colours[name]}" x="{x:.0f}" y="62" width="12" height="12" rx="2"/>'
        )
        lines.append(_text(x + 17, 72.5, name))
        x += 40 + 7.2 * len(name)
    return lines


def _axis(low: float, high: float, bottom: float) -> list[str]:
    lines = []
    for tick in TICKS:
        if low <= tick <= high:
            x, style = _x(tick, low, high), "one" if tick == 1 else "line"
            lines.append(f'<path class="{style}" d="M{x:.1f} {TOP - 8}V{bottom:.0f}"/>')
            lines.append(_text(x, TOP - 13, f"{tick:g}x", "quiet", "middle"))
    lines.append(
        _text(
            LABELS + PLOT / 2,
            bottom + 18,
            "cost as a multiple of ours (logarithmic)",
            "quiet",
            "middle",
        )
    )
    return lines


def _group(
    group: Group, names: Sequence[str], y: float, low: float, high: float
) -> tuple[list[str], float]:
    """The bars of a scenario, from the line of ours to either side, and their height."""
    present = [name for name in names if name in group.ratios]
    height = len(present) * (BAR + GAP) - GAP
    lines = [
        _text(LABELS - 62, y + height / 2 - 2, group.title, anchor="end"),
        _text(LABELS - 62, y + height / 2 + 13, group.what, "quiet", "end"),
    ]
    one = _x(1, low, high)
    for name in present:
        end, figure = _x(group.ratios[name], low, high), group.figures[name]
        left, right = min(one, end), max(one, end)
        if right - left < LEAST_WIDTH:
            left, right = one - LEAST_WIDTH / 2, one + LEAST_WIDTH / 2
        colour = COLOURS[min(names.index(name), len(COLOURS) - 1)]
        lines.append(
            f'<rect class="{colour}" x="{left:.1f}" y="{y:.1f}" width="{right - left:.1f}"'
            f' height="{BAR}" rx="1.5"><title>{escape(name)}: {escape(figure)}</title></rect>'
        )
        style, cheaper = "bold" if name == names[0] else "quiet", end < one - LEAST_WIDTH
        at, anchor = (left - 5, "end") if cheaper else (right + 5, "start")
        lines.append(_text(at, y + BAR - 2.5, figure, style, anchor))
        y += BAR + GAP
    return lines, height
