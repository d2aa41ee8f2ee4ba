"""One scenario against one contestant: runs the load client and checks what it says about the deliveries."""

import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.load import kernel
from benchmarks.load.contestants import Contestant
from benchmarks.load.model import Effort, Metrics, Scenario

#: Longer than any run may take; a hung one does not hold up the others for ever.
LIMIT_SECONDS = 120.0

#: What the load client counts and nobody may have any of.
FAULTS = {
    "missing": "lost",
    "duplicates": "doubled",
    "reordered": "out of order",
    "misrouted": "on the wrong channel",
    "repeats": "members announced twice",
    "bad_frames": "broken frames",
    "stalled": "stalled",
    "probe_missing": "probe: lost",
    "probe_duplicates": "probe: doubled",
    "probe_reordered": "probe: out of order",
    "http_errors": "HTTP errors",
    "protocol_errors": "pusher:error",
    "closed": "connections closed",
}


class IncorrectDelivery(Exception):
    """Our server lost, doubled or swapped something: no number means anything then."""


@dataclass
class Result:
    """What one contestant did in one repetition of a scenario."""

    scenario: str
    contestant: str
    repetition: int
    metrics: Metrics = field(default_factory=dict)
    #: What was wrong with the deliveries; empty when all were right.
    faults: list[str] = field(default_factory=list)
    #: Why there are no metrics.
    error: str = ""
    #: It did not keep up with the offered rate, and deliveries were still arriving at the end.
    behind: bool = False


def measure(
    scenario: Scenario,
    contestant: Contestant,
    effort: Effort,
    *,
    client: Path,
    client_cpu: int,
    rates: Mapping[str, float],
    repetition: int = 0,
) -> Result:
    """All runs of a scenario against a contestant that is at rest.

    `rates` are the baseline's events/s by scenario, for runs at half of one.
    """
    result = Result(scenario.name, contestant.name, repetition)
    for run in scenario.runs:
        command = [str(client), *contestant.access.arguments, "-p", str(contestant.pid)]
        # Half of a rate that was not measured: what soketi does on a slow machine.
        rate = rates.get(run.half_of, 100.0) / 2 if run.half_of else run.rate
        said = run_client([*command, *run.command(effort, rate)], client_cpu)
        take_over(result, run.name, said)
        if result.error or not contestant.alive:
            result.error = result.error or "the server has ended"
            return result
        kernel.wait_for_rest([contestant.pid])
    if scenario.derive is not None:
        result.metrics |= scenario.derive(result.metrics)
    return result


def run_client(command: list[str], cpu: int) -> dict[str, Any]:
    """The load client's JSON line, or its like with an error."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=LIMIT_SECONDS,
            preexec_fn=partial(os.sched_setaffinity, 0, {cpu}),
        )
    except subprocess.TimeoutExpired:
        return {"error": f"no result within {LIMIT_SECONDS:.0f} s"}
    try:
        said = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        return {"error": f"the load client ended with {done.returncode}: {done.stderr[-300:]}"}
    return said if isinstance(said, dict) else {"error": "the load client printed no object"}


def take_over(result: Result, name: str, said: dict[str, Any]) -> None:
    """The numbers of a run, under its name if it has one, and what was wrong."""
    if "error" in said:
        result.error = " ".join(f"{said['error']} {said.get('first_error', '')}".split())
        return
    prefix = f"{name}_" if name else ""
    for key, value in said.items():
        if isinstance(value, int | float) and not isinstance(value, bool):
            result.metrics[prefix + key] = float(value)
    result.behind = result.behind or bool(said.get("still_arriving"))
    result.faults += faults(said)


def faults(said: Mapping[str, Any]) -> list[str]:
    """What the load client found wrong, in words. Being behind is no fault: nothing is lost."""
    found = []
    for name, words in FAULTS.items():
        count = int(abs(said.get(name, 0)))
        if count and not (name == "missing" and said.get("still_arriving")):
            found.append(f"{words}: {count:,}")
    if said.get("mode") == "presence" and said["complete"] < said["n"]:
        found.append(f"only {said['complete']:,} of {said['n']:,} saw all members")
    if found and said.get("first_error"):
        found.append(str(said["first_error"]))
    return found
