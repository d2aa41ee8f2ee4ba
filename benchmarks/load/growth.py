"""How cost grows with the work: every quantity over two orders of magnitude, as cost per unit.

    make bench-growth                    three repetitions, up to 15 minutes
    make bench-growth ARGS=--quick       one short repetition

Cost per unit that stays or falls is linear growth or better. What rises is held against the C floor in the same
run, where that can do the work: the machine itself becomes slower per connection when sockets no longer fit its
caches. Writes docs/performance/growth.md and fills the tables of docs/sizing.md.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.load import compare, contestants, kernel, machine, programs, raw, sizing, tables
from benchmarks.load.contestants import Contestant
from benchmarks.load.measuring import IncorrectDelivery, Result, measure
from benchmarks.load.model import FLOOR, OURS, Column, Effort, Run, Scenario
from benchmarks.load.progress import Progress
from benchmarks.load.results import Standings, standings

RAW = Path("raw", "growth.jsonl")
APPS = 100
#: Over two orders of magnitude, 1.5 is an exponent of 1.09: below that, it is caches and noise.
TOLERANCE = 1.5


@dataclass(frozen=True)
class Series:
    """One quantity that grows: sizes with their runs, and what a unit of cost is."""

    name: str
    title: str
    unit: str
    metric: str
    runs: Mapping[int, Run]
    #: Metric -> cost of one unit of work, at a size.
    per_unit: Callable[[float, int], float] = lambda value, size: value
    with_floor: bool = False
    fresh: bool = False

    def scenario(self, size: int) -> Scenario:
        """The run at a size, as something to measure."""
        return Scenario(
            name=f"{self.name}-{size}",
            title=f"{self.title}: {size:,}",
            label=self.name,
            runs=(self.runs[size],),
            columns=(Column(self.title, self.metric, self.unit, decimals=2),),
            goals=(),
            fresh=self.fresh,
        )

    def costs(self, found: Standings, contestant: str) -> dict[int, float]:
        """Cost per unit by size, where it was measured."""
        costs = {}
        for size in self.runs:
            standing = found.get(f"{self.name}-{size}", {}).get(contestant)
            if standing is not None and self.metric in standing.metrics:
                costs[size] = self.per_unit(standing.metrics[self.metric], size)
        return costs


def _sizes(make: Callable[[int], Run], *sizes: int) -> dict[int, Run]:
    return {size: make(size) for size in sizes}


def _fan_out(subscribers: int) -> Run:
    return Run("-m fanout -w 1", subscribers)


def _channels(channels: int) -> Run:
    return Run("-m fanout -w 4", channels * 10, channels)


def _idle(connections: int) -> Run:
    return Run("-m idle -e 1.5", connections, seconds=0.5)


SERIES: tuple[Series, ...] = (
    Series(
        "subscribers",
        "subscribers of one channel",
        "CPU µs per delivery",
        "cpu_us",
        _sizes(_fan_out, 150, 1_500, 15_000),
        with_floor=True,
    ),
    Series(
        "channels",
        "channels of ten subscribers",
        "CPU µs per delivery",
        "cpu_us",
        _sizes(_channels, 10, 100, 1_000),
        with_floor=True,
    ),
    Series(
        "listing",
        "channels that GET /channels lists",
        "µs per channel until the response",
        "p50_us",
        _sizes(lambda n: Run("-m list", 10, n, rate=2), 500, 5_000, 50_000),
        per_unit=lambda value, size: value / size,
    ),
    Series(
        "connections",
        "connections (connect and subscribe)",
        "CPU µs per connection",
        "conn_cpu_us",
        _sizes(_idle, 150, 1_500, 15_000),
        with_floor=True,
    ),
    Series(
        "memory",
        "connections (memory)",
        "kB per connection",
        "kb_per_conn",
        _sizes(_idle, 150, 1_500, 15_000),
        fresh=True,
    ),
    Series(
        "apps",
        "apps that 100 channels of ten are spread over",
        "CPU µs per delivery",
        "cpu_us",
        _sizes(lambda n: Run("-m fanout -w 4", 1_000, 100, apps=n), 1, 10, APPS),
    ),
    Series(
        "payload",
        "bytes of payload, to 100 subscribers",
        "CPU µs per delivered kB",
        "cpu_us",
        _sizes(lambda n: Run(f"-m fanout -w 1 -D {n}", 100), 1_000, 10_000, 100_000),
        per_unit=lambda value, size: value / (size / 1_000),
    ),
    Series(
        "presence",
        "members who join a presence channel at once",
        "CPU µs per pair of members",
        "cpu_ms",
        _sizes(lambda n: Run("-m presence", n, seconds=0.5), 20, 200, 2_000),
        per_unit=lambda value, size: value * 1_000 / (size * (size - 1) / 2),
    ),
)


def factor(costs: Mapping[int, float]) -> float | None:
    """Cost per unit at the largest size, as a multiple of the least at a smaller one."""
    if len(costs) < 2:
        return None
    *smaller, largest = (costs[size] for size in sorted(costs))
    return largest / min(smaller) if min(smaller) > 0 else None


def verdict(ours: float | None, floor: float | None) -> str:
    """Whether cost grows with the work, or faster."""
    if ours is None:
        return "not measured"
    allowed = TOLERANCE * max(1.0, floor or 1.0)
    return "with the work" if ours <= allowed else f"FASTER than the work (allowed {allowed:.2f}x)"


def growth_table(series: Sequence[Series], found: Standings) -> str:
    """Every series with its cost per unit at each size."""
    rows = []
    for one in series:
        ours, floor = one.costs(found, OURS), one.costs(found, FLOOR)
        grown, floor_grown = factor(ours), factor(floor)
        cells = [f"{size:,}: {ours[size]:,.2f}" if size in ours else "-" for size in one.runs]
        shown = [f"{value:.2f}x" if value is not None else "-" for value in (grown, floor_grown)]
        rows.append([f"{one.title} ({one.unit})", *cells, *shown, verdict(grown, floor_grown)])
    head = ["What grows (cost per unit)", "small", "10x", "100x", "growth", "C floor's", "grows"]
    return tables.table(head, rows)


def run(options: argparse.Namespace, directory: Path) -> None:
    """Measure all series into the raw lines."""
    effort = compare.effort_of(options)
    cpu = options.server_cpu
    ours, floor = contestants.ours(directory, cpu=cpu, apps=APPS), contestants.floor(cpu=cpu)
    client = programs.load_client()
    conditions = machine.conditions(soketi=False) | {"effort": compare.describe(effort)}
    lines = raw.RawLines(options.out / RAW, conditions)
    plan = [
        (turn, one.scenario(size), [ours, floor] if one.with_floor else [ours])
        for turn in range(effort.repetitions)
        for one in SERIES
        for size in one.runs
    ]
    progress = Progress([scenario.estimate * len(field) for _, scenario, field in plan])
    try:
        for turn, scenario, field in plan:
            for contestant in field:
                result = _one(scenario, contestant, effort, client, options.client_cpu, turn)
                lines.add(result)
                if result.faults or result.error:
                    what = "; ".join(result.faults) or result.error
                    raise IncorrectDelivery(f"{contestant.name} failed, {scenario.name}: {what}")
            progress.step(f"{scenario.title}, {turn + 1}. time")
    finally:
        ours.stop()
        floor.stop()


def _one(
    scenario: Scenario, contestant: Contestant, effort: Effort, client: Path, cpu: int, turn: int
) -> Result:
    if scenario.fresh:
        contestant.stop()
    contestant.start()
    kernel.wait_for_rest([contestant.pid])
    return measure(
        scenario, contestant, effort, client=client, client_cpu=cpu, rates={}, repetition=turn
    )


def write(out: Path) -> None:
    """The page, from the raw lines; and the tables of docs/sizing.md."""
    conditions, results = raw.read(out / RAW)
    table = growth_table(SERIES, standings(results))
    parts = [
        "# Growth",
        "<!-- written by `make bench-growth`; not by hand -->",
        tables.conditions_list(conditions),
        'Each quantity over two orders of magnitude, cost per unit of work. "growth" is the cost at the'
        " largest size as a multiple of the least at a smaller one; 1 or less is linear or better. It is"
        f" allowed {TOLERANCE:g} times what the C floor shows for the machine itself.",
        table,
    ]
    (out / "growth.md").write_text("\n\n".join(parts) + "\n")
    if out == compare.PAGES:
        sizing.fill(sizing.PAGE, out)
    print(table)


def main() -> int:
    """See `compare.measured`."""
    options = compare.read_arguments()
    return compare.measured(options, run, write)


if __name__ == "__main__":
    sys.exit(main())
