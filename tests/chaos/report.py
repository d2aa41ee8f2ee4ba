"""The table of runs, for people and for the documentation; findings in readable form."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.chaos.findings import KINDS, Findings

#: Violations of each kind that are printed with their context.
SHOWN = 5


@dataclass(frozen=True)
class Run:
    """One seed's."""

    seed: int
    bus: str
    seconds: float
    clients: int
    rounds: int
    faults: Counter[str]
    findings: Findings

    @property
    def slowest_rest(self) -> float:
        """Seconds that it took at most until everything agreed again."""
        return max(self.findings.rests, default=0.0)


def table(runs: Sequence[Run]) -> Iterator[str]:
    """One row per run in Markdown, and their sum."""
    names = ("seed", "bus", "s", "clients", "joins", "events received", "faults")
    tail = ("signals excused", "rest, mean s", "rest, max s")
    yield _row([*names, *KINDS, *tail])
    yield _row(["---:"] * (len(names) + len(KINDS) + len(tail)))
    for run in runs:
        yield _row(_cells(run))
    if len(runs) > 1:
        yield _row(_sum(runs))


def lost_table(runs: Sequence[Run]) -> Iterator[str]:
    """Deliveries per kind of fault, and how many of them did not happen."""
    lost, expected, faults = Counter[str](), Counter[str](), Counter[str]()
    for run in runs:
        lost.update(run.findings.lost_in)
        expected.update(run.findings.sent_in)
        faults.update(run.faults)
    yield _row(["faults", "times"])
    yield _row(["---", "---:"])
    for name in sorted(faults):
        yield _row([name, f"{faults[name]:,}"])
    yield ""
    yield _row(["while on", "deliveries due", "lost"])
    yield _row(["---", "---:", "---:"])
    for name in sorted(expected, key=lambda each: (each != "no fault", " + " in each, each)):
        yield _row([name, f"{expected[name]:,}", f"{lost[name]:,}"])


def meanings() -> Iterator[str]:
    """What each column that must be 0 stands for."""
    for name, meaning in KINDS.items():
        yield f"- **{name}**: {meaning}"


def violations(run: Run) -> Iterator[str]:
    """The first ones with the frames around them."""
    shown: Counter[str] = Counter()
    for each in run.findings.violations:
        shown[each.kind] += 1
        if shown[each.kind] > SHOWN:
            continue
        yield f"\n[{each.kind}] at {each.at:.3f} s: {each.text}"
        yield from (f"      {line}" for line in each.context[-15:])
    for kind, count in run.findings.counts.items():
        if count > SHOWN:
            yield f"\n… and {count - SHOWN} more of [{kind}]"


def _row(cells: Sequence[object]) -> str:
    return "| " + " | ".join(str(each) for each in cells) + " |"


def _cells(run: Run) -> list[object]:
    findings = run.findings
    seen, rests = findings.seen, findings.rests
    mean = sum(rests) / len(rests) if rests else 0.0
    return [
        run.seed,
        run.bus,
        round(run.seconds),
        run.clients,
        f"{seen['joins']:,}",
        f"{seen['events received']:,}",
        run.faults.total(),
        *(findings.counts[kind] for kind in KINDS),
        findings.signals_lost,
        f"{mean:.1f}",
        f"{run.slowest_rest:.1f}",
    ]


def _sum(runs: Sequence[Run]) -> list[object]:
    def total(name: str) -> int:
        return sum(run.findings.seen[name] for run in runs)

    rests = [rest for run in runs for rest in run.findings.rests]
    return [
        "**sum**",
        "",
        round(sum(run.seconds for run in runs)),
        "",
        f"{total('joins'):,}",
        f"{total('events received'):,}",
        sum(run.faults.total() for run in runs),
        *(sum(run.findings.counts[kind] for run in runs) for kind in KINDS),
        sum(run.findings.signals_lost for run in runs),
        f"{sum(rests) / max(1, len(rests)):.1f}",
        f"{max(rests, default=0.0):.1f}",
    ]
