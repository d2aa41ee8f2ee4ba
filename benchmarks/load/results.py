"""From results to verdicts: medians over the repetitions, and goals held against them. Pure functions."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median

from benchmarks.load.measuring import Result
from benchmarks.load.model import OURS, Goal, Metrics, Scenario


class Verdict(StrEnum):
    """How a goal stands."""

    REACHED = "reached"
    MISSED = "missed"
    UNKNOWN = "not measured"


@dataclass(frozen=True)
class Judged:
    """A goal and what was measured for it: the same kind of number as its bound."""

    goal: Goal
    verdict: Verdict
    measured: float | None = None

    @property
    def text(self) -> str:
        """The measured value as people read it."""
        if self.measured is None:
            return "-"
        if self.goal.times:
            if self.goal.inverted:
                return f"{self.goal.times}: {self.measured:.1f}x ours"
            return f"{self.measured:.2f}x {self.goal.times}"
        value = self.measured / self.goal.divisor
        decimals = 0 if value == int(value) else 2 if abs(value) < 10 else 1
        return f"{value:,.{decimals}f} {self.goal.unit}".strip()


@dataclass
class Standing:
    """Medians of one contestant in one scenario, and what went wrong in any repetition."""

    metrics: Metrics = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def measured(self) -> bool:
        """Whether there are numbers."""
        return bool(self.metrics)


#: Scenario -> contestant -> where it stands, in the order of measuring.
Standings = dict[str, dict[str, Standing]]


def standings(results: Iterable[Result]) -> Standings:
    """Medians by scenario and contestant. Results with an error or with faults give no numbers."""
    groups: dict[str, dict[str, list[Result]]] = {}
    for result in results:
        groups.setdefault(result.scenario, {}).setdefault(result.contestant, []).append(result)
    return {
        scenario: {contestant: _standing(of_one) for contestant, of_one in contestants.items()}
        for scenario, contestants in groups.items()
    }


def _standing(results: list[Result]) -> Standing:
    good = [result for result in results if not result.error and not result.faults]
    standing = Standing()
    for name in good[0].metrics if good else ():
        standing.metrics[name] = median(r.metrics[name] for r in good if name in r.metrics)
    notes = [r.error for r in results if r.error] + [f for r in results for f in r.faults]
    if any(r.behind for r in good):
        notes.append("did not keep up")
    standing.notes = list(dict.fromkeys(notes))
    return standing


def judge(goal: Goal, of_scenario: Mapping[str, Standing]) -> Judged:
    """Whether our median is within the goal's bound."""
    ours = _value(of_scenario, OURS, goal.metric)
    if ours is None:
        return Judged(goal, Verdict.UNKNOWN)
    measured = ours
    if goal.times:
        other = _value(of_scenario, goal.times, goal.metric)
        if not other:
            return Judged(goal, Verdict.UNKNOWN)
        measured = other / max(ours, 1e-9) if goal.inverted else ours / other
    reached = (goal.at_most is None or measured <= goal.at_most) and (
        goal.at_least is None or measured >= goal.at_least
    )
    return Judged(goal, Verdict.REACHED if reached else Verdict.MISSED, measured)


def _value(of_scenario: Mapping[str, Standing], contestant: str, metric: str) -> float | None:
    standing = of_scenario.get(contestant)
    return standing.metrics.get(metric) if standing else None


def relative_cost(scenario: Scenario, of_scenario: Mapping[str, Standing]) -> dict[str, float]:
    """Each contestant's headline as a multiple of ours; above 1 is worse than ours."""
    metric = scenario.headline.metric
    ours = _value(of_scenario, OURS, metric)
    costs = {}
    for name in of_scenario:
        value = _value(of_scenario, name, metric)
        if ours is None or value is None or ours <= 0 or value <= 0:
            continue
        costs[name] = ours / value if scenario.more_is_better else value / ours
    return costs
