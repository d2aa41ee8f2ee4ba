"""The results of `cluster` as Markdown: its page, and the section of docs/performance.md. Pure functions."""

from collections.abc import Mapping, Sequence

from benchmarks.load import blocks, tables
from benchmarks.load.cluster_cases import CASES, GOALS, Case
from benchmarks.load.comparing import Measured, figures, medians
from benchmarks.load.formations import ALONE, BEFORE, LEASE

#: Which cases stand in one table, by the beginning of their names.
GROUPS = {
    "cpu-": "CPU per event",
    "latency-": "Latency at a fixed rate",
    "storm-": "A join storm",
    "join-": "One join, one leave",
    "death-": "The death of a node",
}


def _text(value: float | None) -> str:
    if value is None:
        return "-"
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{decimals}f}"


def goals_table(found: Mapping[str, float]) -> str:
    """Each goal with what was measured for it."""
    rows = []
    for goal in GOALS:
        value = found.get(goal.figure)
        mark = "-" if value is None else "✓" if value <= goal.at_most else "✗"
        shown = "-" if value is None else f"{_text(value)} {goal.unit}"
        rows.append([goal.text, f"≤ {goal.at_most:g} {goal.unit}", shown, mark])
    return tables.table(["Goal", "bound", "measured", ""], rows)


def added_table(found: Mapping[str, float], formations: Sequence[str]) -> str:
    """What a cluster adds to one process, wherever that was measured."""
    cases = dict.fromkeys(name.split("/")[2] for name in found if name.count("/") == 2)
    rows = []
    for case in cases:
        title = next(c.title for c in CASES if c.name == f"cpu-{case}")
        for formation in formations:
            figures_of = [found.get(f"{formation}/{n}/{case}") for n in ("cpu", "p50", "p99")]
            if formation != ALONE and any(each is not None for each in figures_of):
                rows.append([f"{title}: {formation}", *map(_text, figures_of)])
    head = ["Added to one process, µs", "CPU per event", "p50 at a fixed rate", "p99"]
    return tables.table(head, rows)


def case_table(case: Case, measured: Measured, formations: Sequence[str]) -> str:
    """One case with all its figures, per formation."""
    rows = []
    for formation in formations:
        metrics = medians(measured, case.name, formation)
        if metrics:
            rows.append([formation, *(_text(metrics.get(metric)) for metric in case.columns)])
    where = "" if case.fatal else f" (subscribers {case.where})"
    command = f"Load client: `{case.arguments}`{where}"
    return f"### {case.title}\n\n{command}\n\n{tables.table(['', *case.columns.values()], rows)}"


METHOD = """All processes of a formation share one core and the load client has the other, on loopback, so
the CPU of several processes compares with that of one. The formations take turns within each case, and each
figure is the median of {repetitions}; what is "added" is the difference to one process in the same repetition.
Triggers are signed HTTP requests over kept connections. Each event carries its sender, number and time; one
that is lost, doubled or out of order ends the run, and so does a member who is not told of a join, a leave or a
death exactly once. The lease is {lease:g} s. Added CPU counts both workers and the bus process; with Redis both
nodes, and redis-server is shown beside them. Levels differ between machines and days: compare within this
page."""
DEATH_NOTE = """The node is killed with SIGKILL. "First told" has the lease in it, which began up to half a
second before the kill. How long the survivor's loop is held up is found out by the probe, a channel of one with
500 events a second; the CPU is what goes beyond that of the probe, from shortly before the lease's end until
all have been told."""


def page(
    measured: Measured, formations: Sequence[str], conditions: Mapping[str, str], repetitions: int
) -> str:
    """docs/performance/cluster.md."""
    parts = [
        "# Several processes",
        "<!-- written by `make bench-cluster`; not by hand -->",
        tables.conditions_list(conditions),
        METHOD.format(repetitions=repetitions, lease=LEASE),
        "## Goals",
        goals_table(figures(measured, formations)),
        "## What a cluster adds",
        added_table(figures(measured, formations), formations),
    ]
    if any(name.endswith(BEFORE) for name in formations):
        parts.append(f'"{BEFORE.strip()}" is the checkout named above, measured in the same run.')
    for prefix, title in GROUPS.items():
        cases = [c for c in CASES if c.name.startswith(prefix) and c.name in measured]
        if cases:
            note = [DEATH_NOTE] if prefix == "death-" else []
            tables_of = [case_table(case, measured, formations) for case in cases]
            parts += [f"## {title}", *note, *tables_of]
    return "\n\n".join(parts) + "\n"


def fill(text: str, measured: Measured, formations: Sequence[str]) -> str:
    """docs/performance.md with this run's goals. Raises ValueError when their markers are missing."""
    own = [name for name in formations if not name.endswith(BEFORE)]
    table = goals_table(figures(measured, own))
    return blocks.replace(text, "several processes", table)
