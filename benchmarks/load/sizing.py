"""Fills the tables of docs/sizing.md, between their markers, with what the last runs measured.

    python -m benchmarks.load.sizing

`make bench-compare` and `make bench-growth` do this at their end, too.
"""

import sys
from collections.abc import Mapping
from pathlib import Path

from benchmarks.load import raw, tables
from benchmarks.load.blocks import replace
from benchmarks.load.contestants import TOP
from benchmarks.load.model import OURS
from benchmarks.load.results import Standings, standings

PAGE = TOP / "docs" / "sizing.md"
PERFORMANCE = TOP / "docs" / "performance"
#: Plan with this share of a core: the rest is for bursts, reconnects, and the other work of a machine.
PLANNED_SHARE = 0.5


def core_table(metrics: Mapping[str, Mapping[str, float]]) -> str:
    """What a core carries: all of it, and the share to plan with. `metrics` are ours by scenario."""
    kinds = {
        "deliveries/s, channels of 100": ("fanout-100", "cpu_us"),
        "deliveries/s, channels of 1,000": ("fanout-1000", "cpu_us"),
        "deliveries/s, channels of 15,000": ("fanout-15000", "cpu_us"),
        "deliveries/s in bursts of 16 events, channels of 1,000": ("bursts-16", "cpu_us"),
        "signed HTTP triggers/s": ("trigger", "cpu_us"),
        "client events/s, each to one peer": ("client-event", "cpu_us"),
        "new connections/s, each with one subscription": ("connect", "conn_cpu_us"),
    }
    rows = []
    for title, (scenario, metric) in kinds.items():
        cost = metrics.get(scenario, {}).get(metric)
        if cost:
            share = tables.two_digits(PLANNED_SHARE * 1e6 / cost)
            rows.append([title, f"{cost:,.2f}", tables.two_digits(1e6 / cost), share])
    return tables.table(["Work", "CPU, µs each", "a whole core", "to plan with"], rows)


def memory_table(metrics: Mapping[str, float]) -> str:
    """Memory of the process for a number of idle, subscribed connections."""
    base, each = metrics["rss_before_kb"] / 1024, metrics["kb_per_conn"]
    rows = [
        [f"{count:,}", f"{base + count * each / 1024:,.0f}"]
        for count in (1_000, 10_000, 50_000, 100_000)
    ]
    return tables.table(["Connections", "MB of process memory"], rows)


def fill(page: Path, measured: Path) -> None:
    """Rewrite the tables for which there are raw lines."""
    text = page.read_text()
    comparison = measured / "raw" / "comparison.jsonl"
    if comparison.exists():
        conditions, results = raw.read(comparison)
        ours = _ours(standings(results))
        text = replace(text, "conditions", tables.conditions_list(conditions))
        text = replace(text, "core", core_table(ours))
        if "kb_per_conn" in ours.get("memory", {}):
            text = replace(text, "memory", memory_table(ours["memory"]))
    growth = measured / "growth.md"
    if growth.exists():
        table = "\n".join(s for s in growth.read_text().splitlines() if s.startswith("|"))
        text = replace(text, "growth", table)
    page.write_text(text)


def _ours(found: Standings) -> dict[str, dict[str, float]]:
    return {name: of[OURS].metrics for name, of in found.items() if OURS in of}


if __name__ == "__main__":
    try:
        fill(PAGE, PERFORMANCE)
    except ValueError as error:
        sys.exit(str(error))
