"""The audit's command line: `python -m tests.chaos --bus redis --seconds 60 --seed 7`."""

import argparse
import asyncio
import os
import resource
import secrets
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from tests.chaos import broken_rules, report
from tests.chaos.audit import Audit
from tests.chaos.plan import Plan, Sizes
from tests.chaos.redis_setups import OnCluster, OnSentinel, OnSingle
from tests.chaos.report import Run
from tests.chaos.setups import Local, Setup
from tests.chaos.unix_setup import OnUnix
from tests.chaos.world import Timing

#: How the nodes are joined, as `make chaos BUS=…` chooses it.
SETUPS: dict[str, type[Setup]] = {
    "local": Local,
    "unix": OnUnix,
    "redis": OnSingle,
    "sentinel": OnSentinel,
    "cluster": OnCluster,
}


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(prog="make chaos", description="Audit a cluster under faults.")
    parser.add_argument("--bus", choices=sorted(SETUPS), default="redis")
    parser.add_argument("--seconds", type=float, default=60.0, help="per seed")
    parser.add_argument("--minutes", type=float, help="instead of --seconds")
    parser.add_argument("--seed", type=int, help="the first one; drawn if not given")
    parser.add_argument("--seeds", type=int, default=1, help="how many, counting up")
    parser.add_argument("--clients", type=int, default=Sizes.clients)
    parser.add_argument("--rest", type=float, default=Timing.rest, help="deadline, in seconds")
    parser.add_argument("--faults", nargs="+", metavar="NAME", help="only these kinds")
    parser.add_argument("--break", dest="broken", choices=sorted(broken_rules.RULES), default="")
    parser.add_argument("--markdown", type=Path, help="write the tables there")
    parser.add_argument("--keep", type=Path, help="keep configs, logs and signals there")
    return parser.parse_args()


async def one(asked: argparse.Namespace, seed: int, seconds: float, directory: Path) -> Run:
    """The run of one seed."""
    timing = Timing(rest=asked.rest)
    setup = SETUPS[asked.bus](directory, timing, asked.broken)
    spans = {
        name: (kind.least, kind.most)
        for name, kind in setup.kinds.items()
        if asked.faults is None or name in asked.faults
    }
    if not spans:
        raise SystemExit(f"faults on {asked.bus}: {', '.join(setup.kinds)}")
    began, cpu = time.monotonic(), _cpu()
    async with setup:
        plan = Plan(seed, spans, setup.processes, timing, Sizes(clients=asked.clients))
        audit = Audit(plan, setup)
        findings = await audit.run(seconds)
    faults = Counter(audit.fault_kinds)
    lasted = time.monotonic() - began
    print(f"  CPU: {(_cpu() - cpu) / lasted / (os.cpu_count() or 1):.0%} of this machine")
    return Run(seed, asked.bus, lasted, asked.clients, audit.rounds, faults, findings)


def _cpu() -> float:
    """Seconds of CPU taken so far, here and by processes that have ended."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def main() -> int:
    """Run all seeds, print the tables; 1 when any of them found something."""
    asked = arguments()
    first = secrets.randbelow(100_000) if asked.seed is None else asked.seed
    seconds = asked.seconds if asked.minutes is None else 60 * asked.minutes
    runs = []
    for seed in range(first, first + asked.seeds):
        print(f"seed {seed} on {asked.bus} ...", flush=True)
        with tempfile.TemporaryDirectory(prefix="chaos-") as temporary:
            directory = Path(temporary) if asked.keep is None else asked.keep / str(seed)
            directory.mkdir(parents=True, exist_ok=True)
            run = asyncio.run(one(asked, seed, seconds, directory))
        runs.append(run)
        print(f"  {run.rounds} rounds, faults: {dict(run.faults)}")
        print(f"  {dict(sorted(run.findings.seen.items()))}", flush=True)
        if run.findings.failed:
            print("\n".join(report.violations(run)))
            again = f"BUS={asked.bus} SECONDS={seconds:g} SEED={seed}"
            print(f"\nseed {seed} FAILED; replay: make chaos {again}", flush=True)
    text = "\n".join([*report.table(runs), "", *report.lost_table(runs), "", *report.meanings()])
    print(f"\n{text}", flush=True)
    if asked.markdown is not None:
        asked.markdown.write_text(text + "\n")
    return 1 if any(run.findings.failed for run in runs) else 0


if __name__ == "__main__":
    sys.exit(main())
