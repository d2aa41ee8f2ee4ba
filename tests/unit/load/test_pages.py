"""Tables, chart, and the sizing page: pure functions from numbers to text."""

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from benchmarks.load import blocks, compare, sizing
from benchmarks.load.chart import Group, bar_chart
from benchmarks.load.growth import SERIES, Series, factor, growth_table, verdict
from benchmarks.load.model import FLOOR, OURS, SOKETI, Effort, Run
from benchmarks.load.progress import Progress, duration
from benchmarks.load.results import Standing, Standings
from benchmarks.load.scenarios import SCENARIOS, chosen
from benchmarks.load.tables import goals_block, goals_table, page

TOP = Path(__file__).parents[3]
FAN_OUT = SCENARIOS[0]
FOUND: Standings = {
    FAN_OUT.name: {
        OURS: Standing({"cpu_us": 2.9, "deliv_s": 340_000, "p50_us": 3_000, "p99_us": 4_000}),
        SOKETI: Standing({"cpu_us": 9.5, "deliv_s": 100_000, "p50_us": 9_000, "p99_us": 10_000}),
        FLOOR: Standing({"cpu_us": 2.4}, ["did not keep up"]),
    }
}


def test_the_table_shows_figures_goals_and_verdicts() -> None:
    row = goals_table([FAN_OUT], FOUND, [OURS, SOKETI, FLOOR]).splitlines()[-1]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:4] == ["**2.90**", "9.50", "2.40"]
    assert cells[4] == "≤ 1.2x C floor<br>≥ 3x soketi's deliveries/s"
    assert cells[5] == "1.21x C floor ✗<br>3.40x soketi ✓"


def test_a_contestant_that_failed_says_so_in_the_table_and_why_below() -> None:
    failed: Standings = {FAN_OUT.name: {OURS: Standing(), SOKETI: Standing({}, ["lost: 3"])}}
    text = page([FAN_OUT], failed, [OURS, SOKETI], {"date": "today"}, method="How.", chart="c.svg")
    assert "failed" in text
    assert "lost: 3" in text
    assert "2 not measured" in text
    assert "- date: today" in text


def test_the_chart_is_xml_with_a_legend_and_bars_on_the_right_side_of_ours() -> None:
    ratios = {OURS: 1.0, SOKETI: 10.0, FLOOR: 0.5}
    figures = {OURS: "2 µs", SOKETI: "20 µs", FLOOR: "1 µs"}
    svg = bar_chart(
        [Group("a & b", "CPU", ratios, figures)],
        [OURS, SOKETI, FLOOR],
        title="Title",
        subtitle="less is better",
    )
    root = ET.fromstring(svg)
    texts = {text.text for text in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"Title", "less is better", "a & b", "CPU", *ratios, *figures.values()} <= texts
    assert "prefers-color-scheme: dark" in svg
    bars = {}
    for bar in root.iter("{http://www.w3.org/2000/svg}rect"):
        for title in bar:
            bars[str(title.text).partition(":")[0]] = (
                float(bar.attrib["x"]),
                float(bar.attrib["width"]),
            )
    one = bars[SOKETI][0]
    assert bars[SOKETI][1] == pytest.approx(bars[FLOOR][1] * 3.32, rel=0.01)
    assert sum(bars[FLOOR]) == pytest.approx(one, abs=0.2)
    assert bars[OURS][0] < one < sum(bars[OURS])


def test_scenarios_have_names_of_their_own_and_goals() -> None:
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert all(scenario.goals for scenario in SCENARIOS)
    assert [s.name for s in chosen(["trigger", "fanout-100"])] == ["fanout-100", "trigger"]
    with pytest.raises(ValueError, match="no scenario nonsense"):
        chosen(["nonsense"])


@pytest.mark.parametrize("run", [run for scenario in SCENARIOS for run in scenario.runs])
def test_scaled_work_keeps_its_shape(run: Run) -> None:
    words = run.command(Effort(scale=0.02, time=0.1), run.rate)
    value = {words[i]: words[i + 1] for i in range(len(words)) if words[i] in {"-n", "-k"}}
    connections, channels = int(value["-n"]), int(value["-k"])
    assert connections % channels == 0 or channels % connections == 0
    assert connections <= run.connections


def test_growth_is_the_largest_against_the_cheapest_smaller() -> None:
    assert factor({10: 4.0, 100: 2.0, 1_000: 3.0}) == 1.5
    assert factor({10: 4.0}) is None
    assert verdict(1.4, None) == "with the work"
    assert verdict(2.0, 1.6) == "with the work"
    assert verdict(2.0, 1.0).startswith("FASTER")


def test_growth_that_is_quadratic_is_flagged() -> None:
    series = Series(
        "s", "things", "µs", "cpu_us", {1: Run("", 1), 10: Run("", 10), 100: Run("", 100)}
    )
    found = {f"s-{n}": {OURS: Standing({"cpu_us": float(n)})} for n in (1, 10, 100)}
    row = growth_table([series], found).splitlines()[-1]
    assert "100.00x" in row
    assert "FASTER" in row


def test_every_series_spans_two_orders_of_magnitude() -> None:
    for series in SERIES:
        assert max(series.runs) >= 100 * min(series.runs)


def test_progress_scales_its_estimate_by_what_the_finished_steps_took(
    capsys: pytest.CaptureFixture[str],
) -> None:
    progress = Progress([10, 30])
    progress.step("first")
    assert progress.left(20.0) == pytest.approx(60.0)
    assert "[1/2] first" in capsys.readouterr().err
    assert duration(89) == "89 s"
    assert duration(600) == "10 min"


def test_the_sizing_page_has_a_place_for_every_table() -> None:
    text = sizing.PAGE.read_text()
    for name in ("conditions", "core", "memory", "growth"):
        text = blocks.replace(text, name, f"| table {name} |")
        assert f"| table {name} |\n<!-- end -->" in text
    with pytest.raises(ValueError, match="no markers"):
        blocks.replace(text, "unknown", "x")


def test_the_performance_page_has_a_place_for_every_goal() -> None:
    goals = goals_block(
        [FAN_OUT], FOUND, [OURS, SOKETI], {"date": "d", "commit": "c", "machine": "m"}
    )
    text = blocks.replace(compare.OVERVIEW.read_text(), "goals", goals)
    assert "d, commit c; m. Goals: 1 reached, 1 missed." in text
    assert all(goal.text in text for goal in FAN_OUT.goals)


def test_sizing_turns_costs_into_what_a_core_carries() -> None:
    table = sizing.core_table({"fanout-1000": {"cpu_us": 2.5}})
    assert "| deliveries/s, channels of 1,000 | 2.50 | 400,000 | 200,000 |" in table
    memory = sizing.memory_table({"rss_before_kb": 20_480, "kb_per_conn": 2.048})
    assert "| 10,000 | 40 |" in memory
