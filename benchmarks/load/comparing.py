"""From results of `cluster` to figures: differences to one process in the same repetition, medians of these."""

from collections.abc import Iterable, Mapping
from statistics import median

from benchmarks.load.cluster_cases import CASES
from benchmarks.load.formations import ALONE, REDIS
from benchmarks.load.measuring import Result
from benchmarks.load.model import Metrics

#: Case -> formation -> metrics of each repetition, where there were no faults.
Measured = Mapping[str, Mapping[str, Mapping[int, Metrics]]]

#: Of which cases what is added to one process, as what.
ADDED = (
    ("cpu-", "cpu", "cpu_us_event"),
    ("latency-", "p50", "p50_us"),
    ("latency-", "p99", "p99_us"),
)


def by_case(results: Iterable[Result]) -> Measured:
    """What was measured without faults."""
    found: dict[str, dict[str, dict[int, Metrics]]] = {}
    for each in results:
        if not each.faults and not each.error:
            of_case = found.setdefault(each.scenario, {})
            of_case.setdefault(each.contestant, {})[each.repetition] = each.metrics
    return found


def medians(measured: Measured, case: str, formation: str) -> Metrics:
    """Of each metric over the repetitions."""
    runs = measured.get(case, {}).get(formation, {}).values()
    names = {name for run in runs for name in run}
    return {name: median(run[name] for run in runs if name in run) for name in names}


def figures(measured: Measured, formations: Iterable[str]) -> Metrics:
    """What the goals are about, by `formation/figure` or `formation/figure/case`.

    Added CPU counts the bus process of the workers, but not redis-server, which is shown beside it.
    """
    found: Metrics = {}
    for formation in formations:
        if formation == ALONE:
            continue
        for case in CASES:
            for prefix, figure, metric in ADDED:
                if case.name.startswith(prefix):
                    name = f"{formation}/{figure}/{case.name.removeprefix(prefix)}"
                    _put(found, name, _added(measured, case.name, formation, metric))
        for name, figure in (("cpu-1000-one", "delivery"), ("cpu-1000", "delivery-8")):
            _put(found, f"{formation}/{figure}", _ratios(measured, name, formation, "cpu_us"))
        _put(found, f"{formation}/member", _further_member(measured, formation))
        _put(found, f"{formation}/join", _join_ratio(measured, formation))
    return found


def _put(found: Metrics, name: str, values: list[float]) -> None:
    if values:
        found[name] = median(values)


def _pairs(measured: Measured, case: str, formation: str) -> list[tuple[Metrics, Metrics]]:
    """This formation's and one process's metrics, of the same repetition."""
    of_case = measured.get(case, {})
    alone = of_case.get(ALONE, {})
    return [(own, alone[n]) for n, own in of_case.get(formation, {}).items() if n in alone]


def whole(metrics: Metrics, metric: str, formation: str) -> float:
    """The figure with that of the bus process in it."""
    beside = {"cpu_us_event": "beside_us_event", "join_us": "beside_join_us"}.get(metric)
    if beside is None or formation.startswith(REDIS):
        return metrics[metric]
    return metrics[metric] + metrics.get(beside, 0.0)


def _added(measured: Measured, case: str, formation: str, metric: str) -> list[float]:
    pairs = _pairs(measured, case, formation)
    return [whole(own, metric, formation) - alone[metric] for own, alone in pairs]


def _ratios(measured: Measured, case: str, formation: str, metric: str) -> list[float]:
    return [own[metric] / alone[metric] for own, alone in _pairs(measured, case, formation)]


def _join_ratio(measured: Measured, formation: str) -> list[float]:
    """CPU of a join for each member, in a channel of 500 as a multiple of that in one of 10."""
    small, large = (measured.get(f"join-{n}", {}).get(formation, {}) for n in (10, 500))
    return [
        (whole(large[n], "join_us", formation) / 500) / (whole(small[n], "join_us", formation) / 10)
        for n in large
        if n in small
    ]


def _further_member(measured: Measured, formation: str) -> list[float]:
    """CPU that each member beyond the tenth adds to a join, as a multiple of what it adds with one process."""
    return [
        (whole(large, "join_us", formation) - whole(small, "join_us", formation))
        / (alone_large["join_us"] - alone_small["join_us"])
        for (large, alone_large), (small, alone_small) in zip(
            _pairs(measured, "join-500", formation),
            _pairs(measured, "join-10", formation),
            strict=False,  # --only, or a run that was interrupted
        )
        if alone_large["join_us"] > alone_small["join_us"]
    ]
