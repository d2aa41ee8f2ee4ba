"""The comparison as Markdown. Pure functions."""

from collections.abc import Mapping, Sequence

from benchmarks.load.model import OURS, Scenario
from benchmarks.load.results import Judged, Standing, Standings, Verdict, judge

MARKS = {Verdict.REACHED: "✓", Verdict.MISSED: "✗", Verdict.UNKNOWN: "-"}


def row(cells: Sequence[str]) -> str:
    """One row of a table; a vertical bar inside a cell would end it."""
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose first column is text and whose others are numbers."""
    rule = "|---" + "|---:" * (len(head) - 1) + "|"
    return "\n".join([row(head), rule, *(row(cells) for cells in rows)])


def two_digits(value: float) -> str:
    """A count with two digits that count: more is not known of another machine."""
    digits = max(0, len(str(int(value))) - 2)
    return f"{round(value, -digits):,.0f}"


def goals_table(scenarios: Sequence[Scenario], found: Standings, names: Sequence[str]) -> str:
    """Every scenario with its headline figures, goals, and verdicts."""
    lines = []
    for scenario in scenarios:
        of_scenario = found.get(scenario.name, {})
        judged = [judge(goal, of_scenario) for goal in scenario.goals]
        unit = f", {scenario.headline.unit}" if scenario.headline.unit else ""
        lines.append(
            [
                f"{scenario.title} — {scenario.headline.heading}{unit}",
                *(_headline(scenario, of_scenario, name) for name in names),
                "<br>".join(j.goal.text for j in judged),
                "<br>".join(f"{j.text} {MARKS[j.verdict]}" for j in judged),
            ]
        )
    head = ["Work — figure", *names, "Goal", "Measured"]
    rule = "|---" + "|---:" * len(names) + "|---|---|"
    return "\n".join([row(head), rule, *(row(cells) for cells in lines)])


def _headline(scenario: Scenario, of_scenario: Mapping[str, Standing], name: str) -> str:
    standing = of_scenario.get(name)
    if standing is None:
        return "-"
    if not standing.measured:
        return "failed"
    text = scenario.headline.text(standing.metrics)
    return f"**{text}**" if name == OURS else text


def details(scenario: Scenario, of_scenario: Mapping[str, Standing]) -> str:
    """One scenario with all its figures, per contestant."""
    head = [
        "",
        *(f"{c.heading}{f', {c.unit}' if c.unit else ''}" for c in scenario.columns),
        "check",
    ]
    rows = []
    for name, standing in of_scenario.items():
        if standing.measured:
            cells = [column.text(standing.metrics) for column in scenario.columns]
            rows.append([name, *cells, "; ".join(standing.notes) or "ok"])
        else:
            rows.append([name, *("-" for _ in scenario.columns), "; ".join(standing.notes)])
    note = f"{scenario.note[0].upper()}{scenario.note[1:]}.\n\n" if scenario.note else ""
    commands = ", then ".join(
        f"`{' '.join(_shown(scenario, i))}`" for i in range(len(scenario.runs))
    )
    return f"### {scenario.title}\n\n{note}Load client: {commands}\n\n{table(head, rows)}\n"


def _shown(scenario: Scenario, index: int) -> list[str]:
    run = scenario.runs[index]
    rate = (
        ["-r", "half of soketi's"] if run.half_of else ["-r", f"{run.rate:g}"] if run.rate else []
    )
    slow = ["-S", str(run.slow)] if run.slow else []
    sizes = ["-n", str(run.connections), "-k", str(run.channels)]
    return [*run.arguments.split(), *sizes, *slow, *rate]


def summary(judged: Sequence[Judged]) -> str:
    """How many goals stand how."""
    counts = {v: sum(j.verdict is v for j in judged) for v in Verdict}
    return ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)


def judgements(scenarios: Sequence[Scenario], found: Standings) -> list[Judged]:
    """Every goal of the scenarios with how it stands."""
    return [judge(goal, found.get(s.name, {})) for s in scenarios for goal in s.goals]


def goals_block(
    scenarios: Sequence[Scenario],
    found: Standings,
    names: Sequence[str],
    conditions: Mapping[str, str],
) -> str:
    """For the overview: every goal beside what was measured, when and on what."""
    head = f"{conditions['date']}, commit {conditions['commit']}; {conditions['machine']}"
    return (
        f"{head}. Goals: {summary(judgements(scenarios, found))}.\n\n"
        f"{goals_table(scenarios, found, names)}"
    )


def conditions_list(conditions: Mapping[str, str]) -> str:
    """The head of a page with numbers."""
    return "\n".join(f"- {name}: {value}" for name, value in conditions.items())


def page(
    scenarios: Sequence[Scenario],
    found: Standings,
    names: Sequence[str],
    conditions: Mapping[str, str],
    *,
    method: str,
    chart: str,
) -> str:
    """The whole page."""
    measured = [s for s in scenarios if s.name in found]
    parts = [
        "# Comparison",
        "<!-- written by `make bench-compare`; not by hand -->",
        f"![Cost relative to ours, per scenario]({chart})",
        conditions_list(conditions),
        method,
        f"Goals: {summary(judgements(measured, found))}.",
        goals_table(measured, found, names),
        "## Every figure",
        *(details(s, found[s.name]) for s in measured),
    ]
    return "\n\n".join(part.rstrip() for part in parts) + "\n"
