"""The numbers and the state of one process at one moment, and sums of several. They travel as JSON."""

from collections.abc import Iterable

from msgspec import Struct

#: Values of a metric's labels, in the catalogue's order.
Labels = tuple[str, ...]


class Distribution(Struct, array_like=True):
    """A histogram: how many values up to each bound (each in one place), and their sum."""

    counts: list[int]
    total: float


class State(Struct, kw_only=True):
    """The state that health is judged by. `not_ready`: why no client should come; `problem`: other trouble."""

    #: It waits for the cluster and accepts no client yet.
    starting: bool = False
    draining: bool = False
    not_ready: str | None = None
    problem: str | None = None
    #: Seconds that the event loop was late at worst, lately.
    lag: float = 0.0
    connections: int = 0
    #: Of the process; 0 = no limit.
    max_connections: int = 0
    open_files: int = 0
    max_files: int = 0
    memory: int = 0
    cpu_seconds: float = 0.0
    uptime: float = 0.0


class Reading(Struct, kw_only=True):
    """`node` names the process among all there ever were. Numbers by metric and label values."""

    node: str
    state: State
    numbers: dict[str, list[tuple[Labels, float]]]
    histograms: dict[str, Distribution]


class Sums:
    """Numbers added up, label by label."""

    def __init__(self) -> None:
        self.numbers: dict[str, dict[Labels, float]] = {}
        self.histograms: dict[str, Distribution] = {}

    def __len__(self) -> int:
        """How many numbers there are."""
        return sum(map(len, self.numbers.values()))

    def add(self, name: str, samples: Iterable[tuple[Labels, float]]) -> None:
        """Add samples of one metric."""
        sums = self.numbers.setdefault(name, {})
        for labels, value in samples:
            sums[labels] = sums.get(labels, 0) + value

    def add_largest(self, name: str, samples: Iterable[tuple[Labels, float]]) -> None:
        """Add samples of a metric whose largest value counts."""
        sums = self.numbers.setdefault(name, {})
        for labels, value in samples:
            sums[labels] = max(sums.get(labels, value), value)

    def add_histogram(self, name: str, other: Distribution) -> None:
        """Add a histogram. All histograms of one name have the same bounds."""
        sum_so_far = self.histograms.get(name)
        if sum_so_far is None:
            self.histograms[name] = Distribution(list(other.counts), other.total)
        else:
            sum_so_far.counts = [
                a + b for a, b in zip(sum_so_far.counts, other.counts, strict=True)
            ]
            sum_so_far.total += other.total
