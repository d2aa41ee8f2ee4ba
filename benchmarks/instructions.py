"""How many instructions does the hot path take? Counts `hot_path.py` under callgrind.

    python -m benchmarks.instructions                  0 when no row has grown, 1 when one has
    python -m benchmarks.instructions --record         store what is counted now as the baseline
    python -m benchmarks.instructions --against REV    compare with a revision of git, counted now as well

One run of the interpreter is cut into parts by the marks that `hot_path.py` makes, so start-up does not count.
A bare turn of the event loop is taken off each row. docs/performance.md#instructions says how to use it.

The noise: the same tree repeats within 0.05 %. Another tree has its objects elsewhere in memory, and CPython
finds cached attributes by address: up to 0.7 % in one layout, 0.4 % in the least of three. So 1 % is the limit
for two trees that are counted now.

A stored baseline gets 3 %: it is compared with one layout, another processor moves rows by up to 1.5 %, and
small changes may gather. It is for one build of Python, which is known by what a loop of plain Python takes in
it. Other builds are compared in units of that loop: four builds of CPython 3.11 to 3.13 differ by up to 12 %.
"""

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.hot_path import CROWD

TOP = Path(__file__).resolve().parents[1]
BASELINE = Path(__file__).with_name("instructions.json")
SAME_LIMIT, OTHER_LIMIT = 1.03, 1.15
#: For two trees that are counted one after the other.
AGAINST_LIMIT = 1.01
#: Two builds are the same when their reference loops differ by less.
_SAME_BUILD = 0.005
#: Strings in front of everything in memory, by run. CPython's cache of attributes is found by address.
LAYOUTS = (0, 1_000, 5_000)

#: What a row counts.
ROWS = {
    "trigger": "signed POST /events of 200 bytes to a channel of one subscriber, delivery included",
    "delivery": "each further subscriber of a published event",
    "subscribe": "signed subscription to a private channel of its own",
    "join": "new member of a presence channel of 100 to 299: its list, and member_added to the others",
    "client event": "client event of a member, relayed to one other",
    "connect": "HTTP request to established WebSocket connection",
}
#: What instructions are spent in, besides Python.
_LIBRARIES = ("httptools", "msgspec", "uvicorn", "uvloop", "websockets")

#: Instructions by row.
Counts = Mapping[str, float]


class CountingFailed(Exception):
    """There is nothing to compare; the text says why."""


@dataclass(frozen=True)
class Record:
    """What one build of Python takes for a call of the reference loop and for each row."""

    #: `CPython 3.11`
    python: str
    #: The architecture, such as `x86_64`.
    machine: str
    #: The exact versions, for people.
    made_with: str
    reference: float
    rows: Counts

    def is_of_same_build(self, other: "Record") -> bool:
        """Whether instructions can be compared as they are."""
        near = abs(self.reference / other.reference - 1) < _SAME_BUILD
        return near and (self.python, self.machine) == (other.python, other.machine)

    def factors(self, before: "Record") -> dict[str, float]:
        """How each row has grown since `before`; of another build in units of the reference loop.

        A row that is new is left out.
        """
        unit = 1 if self.is_of_same_build(before) else self.reference / before.reference
        return {
            name: count / before.rows[name] / unit
            for name, count in self.rows.items()
            if name in before.rows
        }


def closest(record: Record, stored: Iterable[Record]) -> Record | None:
    """The record to compare with: of the same architecture, then Python, then by the reference loop."""
    return min(
        (each for each in stored if each.machine == record.machine),
        key=lambda each: (each.python != record.python, abs(each.reference - record.reference)),
        default=None,
    )


def replaced(record: Record, stored: Iterable[Record]) -> list[Record]:
    """The stored records with this one in place of that of the same build."""
    others = [each for each in stored if not record.is_of_same_build(each)]
    return sorted([*others, record], key=lambda each: (each.machine, each.python, each.reference))


def load(path: Path) -> list[Record]:
    """Read the stored records; none when there is no file."""
    return [Record(**each) for each in json.loads(path.read_text())] if path.exists() else []


def store(records: Iterable[Record], path: Path) -> None:
    """Write them."""
    path.write_text(json.dumps([asdict(each) for each in records], indent=2) + "\n")


def total(dump: str) -> int:
    """The instructions in one of callgrind's dumps. Raises CountingFailed when it names none."""
    for line in dump.splitlines():
        if line.startswith("summary:"):
            return int(line.split()[1])
    raise CountingFailed("callgrind has written a dump without a summary")


def rows_of(marked: Sequence[tuple[str, int]], dumps: Sequence[int]) -> Counts:
    """The instructions of each row, and of one call of the reference loop as `reference`.

    `marked` are the parts with how often each did its work. `dumps` are the instructions up to each mark: what
    comes before a part, then the part. Raises CountingFailed when they do not fit.
    """
    if len(dumps) != 2 * len(marked):
        raise CountingFailed(
            f"callgrind saw {len(dumps)} marks instead of {2 * len(marked)}: does libc have getppid?"
        )
    parts = {name: dumps[2 * at + 1] / times for at, (name, times) in enumerate(marked)}
    turn, crowd = parts.pop("turn"), parts.pop("crowd")
    delivery = (crowd - parts["trigger"]) / (CROWD - 1)
    return {**{name: part - turn for name, part in parts.items()}, "delivery": delivery}


def least(runs: Sequence[Counts]) -> Counts:
    """The least of each row: an unlucky place in memory only adds to it."""
    return {name: round(min(run[name] for run in runs), 1) for name in runs[0]}


def count(package: Path, layouts: int) -> Record:
    """Count what the hot path takes with `pusher_server` from the folder `package`, the least of some layouts.

    Raises CountingFailed.
    """
    if shutil.which("valgrind") is None:
        raise CountingFailed("valgrind is missing; run scripts/debian-packages valgrind")
    # Nothing else of the environment, so that Python has no settings that it does not have elsewhere.
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": f"{package}{os.pathsep}{TOP}",
    }
    # Python compiles what has changed, and uses other memory in the run that does.
    marked = json.loads(_output(_work(0), environment))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        runs = pool.map(lambda shift: _dumps(shift, environment), LAYOUTS[:layouts])
        counts = least([rows_of(marked, dumps) for dumps in runs])
    return Record(
        python=_python(),
        machine=platform.machine(),
        made_with=_made_with(),
        reference=counts["reference"],
        rows={name: counts[name] for name in ROWS},
    )


def _work(shift: int) -> list[str]:
    """The command that runs the hot path with so many strings in front of everything in memory."""
    program = (
        f"import runpy, sys; strings = [sys.intern(f'string {{n}}') for n in range({shift})]; "
        "runpy.run_module('benchmarks.hot_path', run_name='__main__')"
    )
    return [sys.executable, "-P", "-c", program]


def _dumps(shift: int, environment: Mapping[str, str]) -> list[int]:
    """The instructions up to each mark, in one run under callgrind."""
    with tempfile.TemporaryDirectory() as folder:
        options = ["--quiet", "--dump-before=getppid", f"--callgrind-out-file={folder}/dump"]
        _output(["valgrind", "--tool=callgrind", *options, *_work(shift)], environment)
        # The one without a number is what comes after the last mark.
        dumps = sorted(Path(folder).glob("dump.*"), key=lambda each: int(each.suffix[1:]))
        return [total(each.read_text()) for each in dumps]


def _output(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """What a program prints. Raises CountingFailed with its complaints when it fails."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise CountingFailed(f"{' '.join(command)} ended with {done.returncode}:\n{done.stderr}")
    return done.stdout


def _python() -> str:
    major, minor, _ = platform.python_version_tuple()
    return f"{platform.python_implementation()} {major}.{minor}"


def _made_with() -> str:
    libraries = [f"{name} {version(name)}" for name in _LIBRARIES]
    return ", ".join([platform.python_version(), platform.python_compiler(), *libraries])


def count_revision(revision: str, layouts: int) -> Record:
    """Count the package as a revision of git has it, with today's `hot_path.py`. Raises CountingFailed."""
    with tempfile.TemporaryDirectory() as folder:
        archive = os.path.join(folder, "tree.tar")
        needed = ("pusher_server", "config.example.toml")
        _output(("git", "-C", str(TOP), "archive", f"--output={archive}", revision, *needed))
        _output(("tar", "-xf", archive, "-C", folder))
        return count(Path(folder), layouts)


def table(now: Record, before: Record, limit: float) -> str:
    """What is shown: instructions now and before, and the factor between them."""
    factors = now.factors(before)
    lines = [
        f"{'now':>11} {'before':>11} {'factor':>7}  one (limit {limit:g})",
        f"{now.reference:11,.0f} {before.reference:11,.0f} {'':7}  reference loop of plain Python",
    ]
    for name, instructions in now.rows.items():
        then = (
            f"{before.rows[name]:11,.0f} {factors[name]:7.4f}"
            if name in factors
            else f"{'new':>19}"
        )
        mark = "  GROWN" if factors.get(name, 0) > limit else ""
        lines.append(f"{instructions:11,.0f} {then}  {name}: {ROWS.get(name, '')}{mark}")
    return "\n".join(lines)


def verdict(now: Record, before: Record, limit: float) -> int:
    """Print the comparison; 1 when a row has grown or gone."""
    print(table(now, before, limit))
    grown = [name for name, factor in now.factors(before).items() if factor > limit]
    gone = sorted(before.rows.keys() - now.rows.keys())
    if now.made_with != before.made_with:
        print(f"now:    {now.made_with}\nbefore: {before.made_with}")
    if grown or gone:
        names = ", ".join([*grown, *gone])
        print(
            f"grown or gone: {names}. Mend it. If it has to cost more, say why and store a new baseline:"
            " make bench-instructions ARGS=--record"
        )
        return 1
    return 0


def compare(now: Record) -> int:
    """Compare with the stored baseline."""
    before = closest(now, load(BASELINE))
    if before is None:
        print(f"nothing is stored for {now.machine}, so nothing is compared; --record stores this")
        print(table(now, now, SAME_LIMIT))
        return 0
    limit = SAME_LIMIT if now.is_of_same_build(before) else OTHER_LIMIT
    if limit == OTHER_LIMIT:
        print("nothing is stored for this build of Python: compared in units of the reference loop")
    return verdict(now, before, limit)


def main() -> int:
    """Count, then compare or store; 1 when a row has grown, 2 when counting has failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--record", action="store_true", help="store what is counted")
    parser.add_argument("--against", metavar="REV", help="a revision of git to compare with")
    given = parser.parse_args()
    try:
        now = count(TOP, len(LAYOUTS) if given.record or given.against else 1)
        if given.against:
            before = count_revision(given.against, len(LAYOUTS))
            return verdict(now, before, AGAINST_LIMIT)
    except CountingFailed as failure:
        print(failure, file=sys.stderr)
        return 2
    if not given.record:
        return compare(now)
    store(replaced(now, load(BASELINE)), BASELINE)
    print(table(now, now, SAME_LIMIT))
    return 0


if __name__ == "__main__":
    sys.exit(main())
