"""How many instructions does the hot path take? Counts `hot_path.py` under callgrind.

    python -m benchmarks.instructions                  0 when no row has grown, 1 when one has
    python -m benchmarks.instructions --record         store what is counted now as the baseline
    python -m benchmarks.instructions --against REV    compare with a revision of git, counted now as well

One run of the interpreter is cut into parts by the marks that `hot_path.py` makes, so start-up does not count.
A bare turn of the event loop is taken off each row. Runs of the same tree differ by less than 0.1 %, so
`--against` shows a change of 1 % beyond doubt. That is what "less than 1 %" means in this project.

The stored baseline is for a build of Python, which is known by what a reference loop of plain Python takes
in it. There the limit is 3 %: several changes of less than 1 % may gather, and so may the releases of
libraries within their pins, before a baseline is recorded again. In other builds rows are compared in units of
that loop. Between five builds of CPython 3.11 to 3.13 these differ by up to SPREAD %, hence the limit there.
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
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

from benchmarks.hot_path import CROWD, REPETITIONS

TOP = Path(__file__).resolve().parents[1]
BASELINE = Path(__file__).with_name("instructions.json")
SAME_LIMIT, OTHER_LIMIT = 1.03, 1.15
#: For two trees that are counted one after the other.
AGAINST_LIMIT = 1.01
#: Two builds are the same when their reference loops differ by less.
_SAME_BUILD = 0.002

#: What a row counts.
ROWS = {
    "trigger": "signed POST /events of 200 bytes to a channel of one subscriber, delivery included",
    "delivery": "each further subscriber of a published event",
    "subscribe": "signed subscription to a private channel of its own",
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
        """How each row has grown since `before`, in units of the reference loop. A new row is left out."""
        unit = self.reference / before.reference
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
    return sorted([*others, record], key=lambda each: (each.machine, each.python, each.made_with))


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


def rows_of(marked: Sequence[tuple[str, int]], dumps: Sequence[int]) -> tuple[float, Counts]:
    """The reference loop's instructions and those of each row.

    `marked` are the parts with how often each did its work. `dumps` are the instructions up to each mark: what
    comes before a part, then the part. Raises CountingFailed when they do not fit.
    """
    if len(dumps) != 2 * len(marked):
        raise CountingFailed(
            f"callgrind saw {len(dumps)} marks instead of {2 * len(marked)}: does the C library call getppid?"
        )
    parts = {name: dumps[2 * at + 1] / times for at, (name, times) in enumerate(marked)}
    turn, crowd = parts.pop("turn"), parts.pop("crowd")
    delivery = (crowd - parts["trigger"]) / (CROWD - 1)
    alone = {name: count - turn for name, count in parts.items()}
    reference = alone.pop("reference")
    return reference, {**alone, "delivery": delivery}


def count(package: Path, repetitions: int = REPETITIONS) -> Record:
    """Count what the hot path takes with `pusher_server` from the folder `package`. Raises CountingFailed."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise CountingFailed("valgrind is missing; run scripts/debian-packages valgrind")
    # Nothing else of the environment, so that Python has no settings that it does not have elsewhere.
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONHASHSEED": "0",
        "PYTHONPATH": f"{package}{os.pathsep}{TOP}",
    }
    work = [sys.executable, "-P", "-m", "benchmarks.hot_path", f"--repetitions={repetitions}"]
    # Python compiles what has changed, and uses other memory in the run that does.
    _output(work, environment)
    with tempfile.TemporaryDirectory() as folder:
        dump = Path(folder, "dump")
        options = ["--quiet", "--dump-before=getppid", f"--callgrind-out-file={dump}"]
        marked = json.loads(_output([valgrind, "--tool=callgrind", *options, *work], environment))
        # The one without a number is what comes after the last mark.
        dumps = sorted(Path(folder).glob("dump.*"), key=lambda each: int(each.suffix[1:]))
        reference, rows = rows_of(marked, [total(each.read_text()) for each in dumps])
    return Record(
        python=_python(),
        machine=platform.machine(),
        made_with=_made_with(),
        reference=round(reference, 1),
        rows={name: round(rows[name], 1) for name in ROWS},
    )


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


def count_revision(revision: str, repetitions: int = REPETITIONS) -> Record:
    """Count the package as a revision of git has it, with today's `hot_path.py`. Raises CountingFailed."""
    with tempfile.TemporaryDirectory() as folder:
        archive = os.path.join(folder, "tree.tar")
        needed = ("pusher_server", "config.example.toml")
        _output(("git", "-C", str(TOP), "archive", f"--output={archive}", revision, *needed))
        _output(("tar", "-xf", archive, "-C", folder))
        return count(Path(folder), repetitions)


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
            f"grown or gone: {names}. Mend it, or run make bench-instructions ARGS=--record and say why"
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
    parser.add_argument("--repetitions", type=int, default=REPETITIONS)
    given = parser.parse_args()
    try:
        now = count(TOP, given.repetitions)
        if given.against:
            before = count_revision(given.against, given.repetitions)
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
