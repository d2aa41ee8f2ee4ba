"""What must not happen and did, and what may happen and is counted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

#: The columns of the table that must be 0, and what each of them means.
KINDS = {
    "ghosts": "a client, GET or watchlist shows somebody who is not there",
    "missing": "somebody who is there is not shown, or cannot get in",
    "duplicates": "told twice: a join, a leave, an event, a watchlist change",
    "disorder": "an event after its successor, or a frame outside its subscription",
    "counts": "a count that was told or got is not the true one",
    "signals": "occupied, vacated, member added or removed: not exactly once",
    "excluded": "an event reached the socket that it excludes",
    "oneself": "a member frame about the client's own user",
    "refused": "a refusal that a client takes for final",
    "lost": "an event lost while no fault was on, or on the publisher's own node",
}


@dataclass(frozen=True)
class Violation:
    """`context`: what the client saw and sent around it, one line per frame."""

    kind: str
    at: float
    text: str
    context: tuple[str, ...] = ()


@dataclass
class Findings:
    """Of one run. `now` and `began` are on the monotonic clock."""

    began: float = 0.0
    violations: list[Violation] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    #: Events lost while this fault (or these) was on, between different nodes.
    lost_in: Counter[str] = field(default_factory=Counter)
    #: Events that should have reached somebody while this fault was on.
    sent_in: Counter[str] = field(default_factory=Counter)
    #: Signals that ended with a killed process.
    signals_lost: int = 0
    #: What is worth knowing: joins, frames, closings by code ...
    seen: Counter[str] = field(default_factory=Counter)
    #: Seconds from the end of a round's faults and actions to rest.
    rests: list[float] = field(default_factory=list)

    #: Violations kept with their text; above it they are only counted.
    KEPT = 200

    def report(self, kind: str, at: float, text: str, context: Sequence[str] = ()) -> None:
        """Something that must not happen."""
        if kind not in KINDS:
            raise ValueError(f"no such kind of violation: {kind}")
        self.counts[kind] += 1
        if len(self.violations) < self.KEPT:
            self.violations.append(Violation(kind, at - self.began, text, tuple(context)))

    @property
    def failed(self) -> bool:
        """Whether anything is not as it must be."""
        return any(self.counts.values())
