"""Our server, soketi and the C floor under the same work, interleaved in one run.

    make bench-compare                          the full comparison, up to 30 minutes
    make bench-compare ARGS=--quick             one repetition of each, about 3 minutes
    python -m benchmarks.load.compare --only trigger --only memory
    python -m benchmarks.load.compare reverb=127.0.0.1:8080:app-id:app-key:app-secret:4711

Each server runs on one core and the load client on another; nothing else should run meanwhile. The page,
the chart and the raw lines go to docs/performance/. When our server loses, doubles or swaps a delivery, that
ends it with status 1.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from benchmarks.load import (
    blocks,
    chart,
    contestants,
    first_page,
    kernel,
    machine,
    programs,
    raw,
    scenarios,
    sizing,
    tables,
)
from benchmarks.load.contestants import CannotStart, Contestant
from benchmarks.load.measuring import IncorrectDelivery, Result, measure
from benchmarks.load.model import OURS, SOKETI, Effort, Scenario
from benchmarks.load.progress import Progress
from benchmarks.load.results import Standings, relative_cost, standings

PAGES = contestants.TOP / "docs" / "performance"
OVERVIEW = contestants.TOP / "docs" / "performance.md"
METHOD = """Servers and load client have a core each, on loopback, where the receiving half of TCP runs on the
sender's core: CPU is an upper bound of what a network card would cost. The contestants take turns within each
scenario, and each figure is the median of {repetitions}. Every event carries its sender, number and time; the
load client checks that each subscriber got each once and in order, and a contestant that fails this gets no
number. CPU and memory are the kernel's accounting of the server's processes. Levels differ between machines
and days: compare within this page."""
RAW = Path("raw", "comparison.jsonl")
#: 15,000 connections and what else a server opens; hard limits below this are common.
NEEDED_FILES, FILES = 16_000, 32_768
QUICK = Effort(repetitions=1, time=0.3)


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("others", nargs="*", metavar="NAME=host:port:app:key:secret:pid")
    parser.add_argument("--only", action="append", default=[], metavar="SCENARIO")
    parser.add_argument("--list", action="store_true", help="list the scenarios and stop")
    parser.add_argument("--again", action="store_true", help="write the pages from the last run")
    parser.add_argument("--quick", action="store_true", help="one short repetition of each")
    parser.add_argument("--repetitions", type=int, help="medians of this many (3)")
    parser.add_argument("--scale", type=float, default=1.0, help="shrink the work, for trying out")
    parser.add_argument("--without", action="append", default=[], choices=["soketi", "floor"])
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--client-cpu", type=int, default=1)
    parser.add_argument("--out", type=Path, default=PAGES, help="where the page and chart go")
    return parser.parse_args(arguments)


def effort_of(options: argparse.Namespace) -> Effort:
    """How much to measure."""
    base = QUICK if options.quick else Effort()
    repetitions = options.repetitions or base.repetitions
    return Effort(repetitions, base.time if options.scale >= 1 else 0.1, options.scale)


def describe(effort: Effort) -> str:
    """For the page: how much was measured, and how quiet the machine was."""
    kind = (
        "full"
        if effort.time >= 1
        else "quick"
        if effort.scale >= 1
        else "a trial, its numbers mean nothing"
    )
    return (
        f"{kind}, repetitions: {effort.repetitions}, load average before: {os.getloadavg()[0]:.2f}"
    )


def line_up(options: argparse.Namespace, directory: Path) -> list[Contestant]:
    """Who takes part, ours first."""
    cpu = options.server_cpu
    found = [contestants.ours(directory, cpu=cpu)]
    if "soketi" not in options.without:
        found.append(contestants.soketi(cpu=cpu))
    if "floor" not in options.without:
        found.append(contestants.floor(cpu=cpu))
    return [*found, *(contestants.running(spec) for spec in options.others)]


class Comparison:
    """Measures scenario after scenario, contestants taking turns, and keeps what they said."""

    def __init__(
        self, options: argparse.Namespace, field: list[Contestant], lines: raw.RawLines
    ) -> None:
        self.effort = effort_of(options)
        self.field = field
        self.chosen = scenarios.chosen(options.only)
        self._lines = lines
        self._client = programs.load_client()
        self._client_cpu = options.client_cpu
        self._rates: dict[str, float] = {}

    def run(self) -> None:
        """Everything. Raises IncorrectDelivery as soon as our server makes a mistake."""
        plan = [(turn, s) for turn in range(self.effort.repetitions) for s in self.chosen]
        progress = Progress([len(self._able(s)) * self._estimate(s) for _, s in plan])
        for turn, scenario in plan:
            able = self._able(scenario)
            shift = turn % len(able)  # nobody always runs after the same neighbour
            done = [self._one(scenario, c, turn) for c in able[shift:] + able[:shift]]
            figures = "  ".join(f"{r.contestant} {_figure(scenario, r)}" for r in done)
            progress.step(f"{scenario.name}, {turn + 1}. time: {figures} {scenario.headline.unit}")

    def _estimate(self, scenario: Scenario) -> float:
        return scenario.estimate * (1 if self.effort.time >= 1 else 0.6)

    def _able(self, scenario: Scenario) -> list[Contestant]:
        return [c for c in self.field if scenario.needs <= c.can]

    def _one(self, scenario: Scenario, contestant: Contestant, turn: int) -> Result:
        if scenario.fresh:
            contestant.stop()
        try:
            contestant.start()
            kernel.wait_for_rest([c.pid for c in self.field if c.pid])
            result = measure(
                scenario,
                contestant,
                self.effort,
                client=self._client,
                client_cpu=self._client_cpu,
                rates=self._rates,
                repetition=turn,
            )
        except CannotStart as error:
            result = Result(scenario.name, contestant.name, turn, error=str(error))
        self._lines.add(result)
        if result.error and contestant.command:
            contestant.stop()  # the next scenario finds a new one
        if contestant.name == OURS and (result.faults or result.error):
            what = "; ".join(result.faults) or result.error
            raise IncorrectDelivery(f"{OURS} failed in {scenario.name}: {what}")
        if contestant.name == SOKETI and "events_s" in result.metrics:
            self._rates[scenario.name] = result.metrics["events_s"]
        return result


def _figure(scenario: Scenario, result: Result) -> str:
    return "failed" if result.error or result.faults else scenario.headline.text(result.metrics)


def draw(chosen: tuple[Scenario, ...], found: Standings, names: list[str]) -> str:
    """The chart of all scenarios whose headline can be compared."""
    groups = []
    for scenario in chosen:
        of_scenario = found.get(scenario.name, {})
        ratios = relative_cost(scenario, of_scenario)
        if len(ratios) > 1:
            column = scenario.headline
            figures = {n: f"{column.text(of_scenario[n].metrics)} {column.unit}" for n in ratios}
            groups.append(chart.Group(scenario.label, column.heading, ratios, figures))
    return chart.bar_chart(
        groups,
        names,
        title="What the same work costs",
        subtitle="Bars to the right cost more than ours, bars to the left less; the figures stand beside them",
    )


def write(out: Path) -> None:
    """The page, the chart, and the goals in the overview, from the raw lines."""
    conditions, results = raw.read(out / RAW)
    found = standings(results)
    measured = tuple(s for s in scenarios.SCENARIOS if s.name in found)
    names = list(dict.fromkeys(r.contestant for r in sorted(results, key=_first_ours)))
    (out / "comparison.svg").write_text(draw(measured, found, names))
    page = tables.page(
        measured,
        found,
        names,
        conditions,
        method=METHOD.format(repetitions=1 + max(result.repetition for result in results)),
        chart="comparison.svg",
    )
    (out / "comparison.md").write_text(page)
    if out == PAGES:
        sizing.fill(sizing.PAGE, out)
        goals = tables.goals_block(measured, found, names, conditions)
        OVERVIEW.write_text(blocks.replace(OVERVIEW.read_text(), "goals", goals))
        first_page.write()
    print(tables.goals_table(measured, found, names))


def _first_ours(result: Result) -> int:
    """Ours, then soketi, then whoever else."""
    order = [OURS, SOKETI]
    return order.index(result.contestant) if result.contestant in order else len(order)


def compare(options: argparse.Namespace, directory: Path) -> None:
    """Measure everything that was asked for. Servers that we start are stopped in any case."""
    field: list[Contestant] = []
    try:
        field = line_up(options, directory)
        conditions = machine.conditions(soketi="soketi" not in options.without)
        conditions["effort"] = describe(effort_of(options))
        lines = raw.RawLines(options.out / RAW, conditions)
        Comparison(options, field, lines).run()
    finally:
        for contestant in field:
            contestant.stop()


def can_measure(options: argparse.Namespace) -> str:
    """Why this machine is unfit, or nothing."""
    if not {options.server_cpu, options.client_cpu} <= os.sched_getaffinity(0):
        return "two cores are needed: --server-cpu and --client-cpu"
    files = kernel.raise_file_limit(FILES)
    if files < NEEDED_FILES and options.scale >= 1:
        return f"only {files} open files are allowed: run `ulimit -n {FILES}` before (as root)"
    return ""


def measured(
    options: argparse.Namespace,
    measure_all: Callable[[argparse.Namespace, Path], None],
    write_pages: Callable[[Path], None],
) -> int:
    """Measure with a directory for what is needed, unless the last run is to be written `again`, and write.

    The exit status: 1 when a server was wrong about a delivery, 2 when it could not be measured.
    """
    try:
        if not options.again:
            problem = can_measure(options)
            if problem:
                raise ValueError(problem)
            with tempfile.TemporaryDirectory() as directory:
                measure_all(options, Path(directory))
        write_pages(options.out)
    except (CannotStart, programs.BuildFailed, ValueError) as error:
        print(error, file=sys.stderr)
        return 2
    except IncorrectDelivery as error:
        print(f"{error}\nNo page is written.", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    """See `measured`."""
    options = read_arguments()
    if options.list:
        print("\n".join(f"{s.name:20} {s.title}" for s in scenarios.SCENARIOS))
        return 0
    return measured(options, compare, write)


if __name__ == "__main__":
    sys.exit(main())
