"""Has the hot path become slower? Compares `bench_micro.py` with the stored baseline.

    python -m benchmarks.compare_micro             0 when it has not, 1 when it has
    python -m benchmarks.compare_micro --update    store what is measured now

Compared are ratios to the reference loop of plain Python that bench_micro runs beside each row, so that a
slower machine is not a slower server. Interference only ever makes a measurement longer. So a row's time is
its least over several runs, and it is divided by the least that the reference ever took: the ratios that a
single run prints are no good for this, because a disturbed *reference* makes them too small.

The noise: 24 runs on a machine of two cores, with a load average of up to 5 from other work, resampled.
Largest over smallest value of a row, worst row: 2.4 for one run, 2.1 for two, 1.5 for three, 1.13 for five.
Hence rows that look slow are measured again, up to eight runs in all, and the limit is 1.35. Another
processor or Python shifts the ratios by itself; there the limit is 2, until --update is run on it.
"""

import argparse
import json
import platform
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

BASELINE = Path(__file__).with_name("micro_baseline.json")
LEAST_RUNS, MOST_RUNS = 3, 8
SAME_LIMIT, OTHER_LIMIT = 1.35, 2.0

#: One run: row -> {"us": its time, "ratio": the same in units of the reference loop}.
Run = Mapping[str, Mapping[str, float]]
Ratios = dict[str, float]


@dataclass(frozen=True)
class Baseline:
    """Stored ratios, and the kind of machine they are from."""

    machine: str
    ratios: Ratios

    @classmethod
    def load(cls, path: Path) -> "Baseline":
        """Read a stored one."""
        stored = json.loads(path.read_text())
        return cls(stored["machine"], stored["ratios"])

    def store(self, path: Path) -> None:
        """Write it, to four digits: more would change with every update."""
        ratios = {name: float(f"{ratio:.4g}") for name, ratio in self.ratios.items()}
        path.write_text(json.dumps({"machine": self.machine, "ratios": ratios}, indent=2) + "\n")


def machine() -> str:
    """What decides how fast one thing is beside another: the processor's kind and Python's version."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    model = next((s.partition(":")[2].strip() for s in lines if s.startswith("model name")), "")
    version = ".".join(platform.python_version_tuple()[:2])
    return f"{model or platform.machine()}, {platform.python_implementation()} {version}"


def best(runs: Sequence[Run]) -> Ratios:
    """Each row's least time over all runs, in units of the reference's least time over all of them."""
    reference = min(row["us"] / row["ratio"] for run in runs for row in run.values())
    return {name: min(run[name]["us"] for run in runs) / reference for name in runs[0]}


def slower(ratios: Ratios, baseline: Ratios, limit: float) -> dict[str, float]:
    """Rows above the limit, and by which factor they are slower. A row without a baseline is new."""
    factors = {name: ratios[name] / baseline[name] for name in ratios if name in baseline}
    return {name: factor for name, factor in factors.items() if factor > limit}


def measure(run: Callable[[], Run], baseline: Ratios, limit: float) -> Ratios:
    """Ratios of at least `LEAST_RUNS` runs; of more while some row looks slow."""
    runs: list[Run] = []
    while True:
        runs.append(run())
        ratios = best(runs)
        enough = len(runs) >= LEAST_RUNS and not slower(ratios, baseline, limit)
        if enough or len(runs) == MOST_RUNS:
            return ratios


def run_once() -> Run:
    """One run of the micro-benchmarks, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.bench_micro", "--json"]
    top = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=top, check=True, stdout=subprocess.PIPE)
    rows: Run = json.loads(done.stdout)
    return rows


def table(ratios: Ratios, baseline: Ratios, limit: float) -> str:
    """What is shown: now, then, and the factor between them."""
    lines = [f"{'now':>9} {'baseline':>9} {'factor':>7}  row (limit {limit:g})"]
    for name, ratio in ratios.items():
        then = baseline.get(name)
        factor = f"{ratio / then:7.2f}" if then else "    new"
        mark = "  SLOWER" if then and ratio / then > limit else ""
        lines.append(f"{ratio:9.4f} {then or 0:9.4f} {factor}  {name}{mark}")
    lines += [f"{'gone':>27}  {name}" for name in baseline if name not in ratios]
    return "\n".join(lines)


def main() -> int:
    """Compare or update; 1 when a row is slower or has gone."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--update", action="store_true", help="rewrite the baseline")
    if parser.parse_args().update:
        ratios = best([run_once() for _ in range(MOST_RUNS)])
        Baseline(machine(), ratios).store(BASELINE)
        print(f"{len(ratios)} rows stored for {machine()}")
        return 0
    baseline = Baseline.load(BASELINE)
    limit = SAME_LIMIT if baseline.machine == machine() else OTHER_LIMIT
    ratios = measure(run_once, baseline.ratios, limit)
    print(table(ratios, baseline.ratios, limit))
    if slower(ratios, baseline.ratios, limit) or baseline.ratios.keys() - ratios.keys():
        print(
            "the hot path is slower (or a row has gone): mend it, or run with --update and say why"
        )
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
