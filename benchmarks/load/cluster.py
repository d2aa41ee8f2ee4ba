"""One process, two workers on a Unix bus and two nodes on Redis under the same work, interleaved in one run.

    make bench-cluster                                 everything, three repetitions, some eight minutes
    make bench-cluster ARGS=--quick                    one short repetition
    python -m benchmarks.load.cluster --only cpu-10 --before ../another-checkout

The page goes to docs/performance/cluster.md, the goals beside what was measured to docs/performance.md as well.
An event that is lost, doubled or out of order ends the run with status 1, and no page is written.
"""

import argparse
import os
import sys
from pathlib import Path

from benchmarks.load import cluster_cases, cluster_pages, formations, machine, programs, raw
from benchmarks.load.cluster_cases import HERE, THERE, Case
from benchmarks.load.compare import PAGES, measured
from benchmarks.load.comparing import by_case
from benchmarks.load.formations import ALONE, Formation
from benchmarks.load.measuring import IncorrectDelivery, Result, run_client, take_over
from benchmarks.load.progress import Progress

RAW = Path("raw", "cluster.jsonl")
PERFORMANCE = PAGES.parent / "performance.md"


def read_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", default=[], metavar="CASE")
    parser.add_argument("--list", action="store_true", help="list the cases and stop")
    parser.add_argument("--again", action="store_true", help="write the pages from the last run")
    parser.add_argument("--quick", action="store_true", help="one short repetition of each")
    parser.add_argument("--repetitions", type=int, help="medians of this many (3)")
    parser.add_argument("--before", type=Path, help="another checkout, to be measured beside this")
    parser.add_argument("--server-cpu", type=int, default=0)
    parser.add_argument("--client-cpu", type=int, default=1)
    parser.add_argument("--out", type=Path, default=PAGES, help="where the page goes")
    options = parser.parse_args(arguments)
    options.repetitions = options.repetitions or (1 if options.quick else 3)
    options.scale = 1.0
    return options


def arguments_of(case: Case, formation: Formation, *, quick: bool) -> list[str]:
    """The load client's, but for the program itself."""
    ports = list(formation.ports)
    backend = ports[0]
    if case.where == THERE:
        ports = ports[-1:]
    elif case.where == HERE:
        ports = ports[:1]
    nodes = formation.nodes[:1] if case.fatal else formation.nodes
    found = [*formation.access.arguments, "-P", _list(ports), "-B", str(backend)]
    found += ["-p", _list(nodes), *(["-o", _list(formation.beside)] if formation.beside else [])]
    found += ["-V", str(formation.nodes[-1])] if case.fatal else []
    return [*found, *case.arguments.split(), "-d", f"{case.seconds / (3 if quick else 1):g}"]


def _list(numbers: "list[int] | tuple[int, ...]") -> str:
    return ",".join(map(str, numbers))


def can_take(formation: Formation, case: Case) -> bool:
    """A single process has nobody who would be left; what was before is measured on the hot path only."""
    if formation.name.endswith(formations.BEFORE):
        return case.name in cluster_cases.HOT_PATH
    return not (case.fatal and formation.name == ALONE)


def measure(case: Case, formation: Formation, options: argparse.Namespace, turn: int) -> Result:
    """One case against a formation that is started if it does not run. Raises IncorrectDelivery."""
    result = Result(case.name, formation.name, turn)
    if case.fatal:
        formation.stop()
    formation.start()
    formation.rest()
    command = [str(programs.load_client()), *arguments_of(case, formation, quick=options.quick)]
    take_over(result, "", run_client(command, options.client_cpu))
    if case.fatal:
        formation.stop()
    elif not formation.alive:
        result.error = result.error or "a process of it has ended"
    if result.faults or result.error:
        what = "; ".join(result.faults) or result.error
        raise IncorrectDelivery(f"{formation.name} failed in {case.name}: {what}")
    return result


def run(options: argparse.Namespace, directory: Path) -> None:
    """Measure everything that was asked for into the raw lines."""
    cases = cluster_cases.chosen(options.only)
    field = formations.line_up(directory, cpu=options.server_cpu, before=options.before)
    conditions = machine.conditions(soketi=False, redis=True)
    conditions["effort"] = (
        f"{'quick' if options.quick else 'full'}, repetitions: {options.repetitions}, "
        f"load average before: {os.getloadavg()[0]:.2f}"
    )
    if options.before is not None:
        conditions["before"] = machine.commit(options.before)
    lines = raw.RawLines(options.out / RAW, conditions)
    plan = [(turn, case) for turn in range(options.repetitions) for case in cases]
    progress = Progress([14.0 if case.fatal else case.seconds * 4 for _, case in plan])
    try:
        for turn, case in plan:
            able = [each for each in field if can_take(each, case)]
            shift = turn % len(able)  # nobody always runs after the same neighbour
            shown = []
            for formation in able[shift:] + able[:shift]:
                result = measure(case, formation, options, turn)
                lines.add(result)
                shown.append(f"{formation.name} {result.metrics[next(iter(case.columns))]:,.1f}")
            progress.step(f"{case.name}, {turn + 1}. time: {'  '.join(shown)}")
    finally:
        for formation in field:
            formation.stop()


def write(out: Path) -> None:
    """The pages, from the raw lines."""
    conditions, results = raw.read(out / RAW)
    measured = by_case(results)
    names = [n for n in cluster_cases.WITH_BEFORE if any(r.contestant == n for r in results)]
    repetitions = 1 + max(result.repetition for result in results)
    (out / "cluster.md").write_text(cluster_pages.page(measured, names, conditions, repetitions))
    if out == PAGES:
        PERFORMANCE.write_text(cluster_pages.fill(PERFORMANCE.read_text(), measured, names))
    print((out / "cluster.md").read_text())


def main() -> int:
    """See `measured`."""
    options = read_arguments()
    if options.list:
        print("\n".join(f"{case.name:15} {case.title}" for case in cluster_cases.CASES))
        return 0
    return measured(options, run, write)


if __name__ == "__main__":
    sys.exit(main())
