"""What is measured and what is to be reached, as values: `scenarios.py` fills them in."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

#: What one or more runs of the load client said: its JSON line, names prefixed by the run's.
Metrics = dict[str, float]

OURS = "pusher-server"
SOKETI = "soketi"
FLOOR = "C floor"


@dataclass(frozen=True)
class Effort:
    """How thoroughly to measure. `scale` shrinks the work itself and is for trying things out."""

    repetitions: int = 3
    time: float = 1.0
    scale: float = 1.0


@dataclass(frozen=True)
class Run:
    """One run of the load client. `arguments` are its own, without -n, -k, -d and -r."""

    arguments: str
    connections: int
    channels: int = 1
    #: Measured seconds; `fixed` ones are not shortened, because what is to be seen takes its time.
    seconds: float = 2.5
    fixed: bool = False
    rate: float = 0
    #: Apps that the channels are spread over.
    apps: int = 1
    #: Connections that stop reading.
    slow: int = 0
    #: Scenario of which half the baseline's events/s becomes the rate.
    half_of: str = ""
    #: Prefix of its metrics, for a scenario's second run.
    name: str = ""

    def command(self, effort: Effort, rate: float) -> list[str]:
        """Arguments for the load client."""
        connections, channels = self._scaled(effort.scale)
        seconds = self.seconds if self.fixed else max(0.3, self.seconds * effort.time)
        sizes = ["-n", str(connections), "-k", str(channels), "-d", f"{seconds:g}"]
        if self.apps > 1:
            sizes += ["-g", str(self.apps)]
        if self.slow:
            sizes += ["-S", str(self.slow * connections // self.connections)]
        return [*self.arguments.split(), *sizes, *(["-r", f"{rate:g}"] if rate else [])]

    def _scaled(self, scale: float) -> tuple[int, int]:
        """Connections and channels, one still a multiple of the other."""
        if scale >= 1:
            return self.connections, self.channels
        if self.channels > self.connections:
            each = max(1, round(self.channels / self.connections * scale))
            return self.connections, self.connections * each
        channels = max(self.apps, round(self.channels * scale))
        if self.channels > 1:
            return channels * (self.connections // self.channels), channels
        return min(self.connections, max(10, round(self.connections * scale))), 1

    @property
    def estimate(self) -> float:
        """Seconds that it takes, roughly: for the progress line only."""
        return self.seconds + 1.5 + 0.0004 * max(self.connections, self.channels)


@dataclass(frozen=True)
class Column:
    """One figure of a scenario: `metric` divided by `divisor`, with `decimals`."""

    heading: str
    metric: str
    unit: str = ""
    divisor: float = 1
    decimals: int = 1

    def text(self, metrics: Mapping[str, float]) -> str:
        """The figure as people read it, without its unit."""
        value = metrics.get(self.metric)
        return "-" if value is None else f"{value / self.divisor:,.{self.decimals}f}"


@dataclass(frozen=True)
class Goal:
    """A bound on one metric of ours, absolute or as a multiple of another contestant's."""

    text: str
    metric: str
    at_most: float | None = None
    at_least: float | None = None
    times: str = ""
    #: The bound is on the other's metric as a multiple of ours.
    inverted: bool = False
    #: For absolute goals: what the number is shown in.
    divisor: float = 1
    unit: str = ""


@dataclass(frozen=True)
class Scenario:
    """One row of the table. The first column is its headline, and the chart's bar."""

    name: str
    title: str
    #: The title in the chart, which has less room.
    label: str
    runs: tuple[Run, ...]
    columns: tuple[Column, ...]
    goals: tuple[Goal, ...]
    #: What a contestant must be able to do, beside events to one channel per connection.
    needs: frozenset[str] = field(default_factory=frozenset)
    #: Start the server anew for each repetition: for memory.
    fresh: bool = False
    #: Whether a higher headline is better.
    more_is_better: bool = False
    #: Metrics that follow from those of several runs.
    derive: Callable[[Metrics], Metrics] | None = None
    note: str = ""

    @property
    def headline(self) -> Column:
        """The figure that stands for the scenario."""
        return self.columns[0]

    @property
    def estimate(self) -> float:
        """Seconds for one contestant, roughly."""
        return sum(run.estimate for run in self.runs) + (2 if self.fresh else 0)
