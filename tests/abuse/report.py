"""The table of floods, for people and for docs/security.md."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.abuse.flood import Flood
from tests.abuse.trial import GOAL, Trial
from tests.abuse.victim import Round

_HEAD = (
    "server",
    "flood",
    "what is sent",
    "speed",
    "events: p50 ms",
    "p99 ms",
    "max ms",
    "beside ordinary: p99 ms",
    "ratio",
    "new clients: p99 ms",
    "ratio",
    "largest turn: units",
    "kB",
    "held",
)
_TEXTS = 3


@dataclass(frozen=True)
class Row:
    """One flood of one server. `units` and `bytes` are the most that one turn did for one connection."""

    setup: str
    flood: Flood
    trial: Trial
    units: int
    bytes: int
    #: Beside what the trial has found: bounds that were passed, workers that were killed.
    faults: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether everything does."""
        return not self.faults and self.trial.holds

    @property
    def complaint(self) -> str:
        """What does not hold, in one line."""
        return "; ".join([*self.trial.faults, *self.faults])


def line(row: Row) -> str:
    """For a person who waits."""
    verdict = "ok" if row.holds else f"FAILED: {row.complaint}"
    p99 = 1_000 * row.trial.middle(Round.p99)
    return f"{row.setup:8} {row.flood.name:24} p99 {p99:8.1f} ms, {row.trial.ratio(Round.p99):6.1f}x  {verdict}"


def table(rows: Sequence[Row]) -> Iterator[str]:
    """One line of Markdown per row, and what it comes to."""
    yield _row(_HEAD)
    yield _row(["---"] * (_TEXTS + 1) + ["---:"] * (len(_HEAD) - _TEXTS - 2) + ["---"])
    for row in rows:
        yield _row(_cells(row))
    yield ""
    within = sum(row.trial.middle(Round.p99) <= GOAL for row in rows)
    held = sum(row.holds for row in rows)
    yield f"{held} of {len(rows)} held; {within} within the goal of {GOAL * 1_000:.0f} ms."


def _cells(row: Row) -> list[str]:
    trial = row.trial

    def ms(seconds: float) -> str:
        return f"{1_000 * seconds:.1f}"

    newcomers = trial.newcomers
    return [
        row.setup,
        row.flood.name,
        row.flood.text,
        trial.sent.speed,
        ms(trial.middle(Round.p50)),
        ms(trial.middle(Round.p99)),
        ms(max(max(each.events) for each in trial.flooded)),
        ms(trial.beside_ordinary(Round.p99)),
        f"{trial.ratio(Round.p99):.1f}",
        ms(trial.middle(Round.newcomer_p99)),
        f"{trial.ratio(Round.newcomer_p99):.1f}" if newcomers else "not judged",
        f"{row.units:,}",
        f"{row.bytes / 1_000:,.0f}",
        "yes" if row.holds else f"**no**: {row.complaint}",
    ]


def _row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"
