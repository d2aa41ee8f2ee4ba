"""What `cluster` measures, and issue 4's goals for it, as data."""

from dataclasses import dataclass

from benchmarks.load.formations import ALONE, BEFORE, LEASE, REDIS, UNIX

#: Where subscribers are: on the node that the backend talks to, on the other one, on both in turn.
HERE, THERE, BOTH = "on the publisher's node", "on the other node", "on both nodes"


@dataclass(frozen=True)
class Case:
    """One run of the load client, `where` its WebSockets go. `arguments` are all but access and `-d`.

    `columns`: metric -> its heading, as the page shows it. A `fatal` case ends a node, so it needs two of them
    and a start of its own.
    """

    name: str
    title: str
    arguments: str
    columns: dict[str, str]
    where: str = BOTH
    seconds: float = 1.0
    fatal: bool = False


CPU = {
    "cpu_us_event": "CPU of the nodes, µs per event",
    "beside_us_event": "bus or Redis, µs per event",
}
DELIVERY = CPU | {"cpu_us": "CPU of the nodes, µs per delivery", "deliv_s": "deliveries/s"}
LATENCY = {"p50_us": "p50, µs", "p99_us": "p99, µs"}
STORM = {
    "ms_all_seen": "until all have seen all, ms",
    "cpu_ms": "CPU of the nodes, ms",
    "beside_cpu_ms": "bus or Redis, ms",
}
JOIN = {
    "join_us": "CPU of the nodes for a join, µs",
    "beside_join_us": "bus or Redis, µs",
    "leave_us": "CPU of the nodes for a leave, µs",
    "beside_leave_us": "bus or Redis, µs",
}
DEATH = {
    "first_ms": "first told after the kill, ms",
    "told_ms": "from the first to the last, ms",
    "after_lease_ms": "last after the lease's earliest end, ms",
    "cpu_ms": "CPU of the survivor, ms",
    "beside_cpu_ms": "bus or Redis, ms",
    "probe_p50_us": "probe's p50, µs",
    "probe_max_us": "longest stall (probe's maximum), µs",
}
_DEATH = f"-m death -L {LEASE:g} -q 500 -c 256"


def _events(subscribers: int, where: str, name: str) -> tuple[Case, Case]:
    rate = 200 if subscribers < 1000 else 20
    what = f"{subscribers:,} subscriber{'s' if subscribers > 1 else ''} {where}"
    cpu, latency = f"cpu-{name}", f"latency-{name}"
    columns = DELIVERY if subscribers >= 1000 else CPU
    to_all, paced = f"-m fanout -w 8 -n {subscribers}", f"-m fanout -r {rate} -n {subscribers}"
    return (
        Case(cpu, f"{what}, 8 events in flight", to_all, columns, where),
        Case(latency, f"{what}, {rate} events/s", paced, LATENCY, where, seconds=1.5),
    )


CASES: tuple[Case, ...] = (
    *_events(1, HERE, "1-here"),
    *_events(1, THERE, "1-there"),
    *_events(10, BOTH, "10"),
    *_events(1000, BOTH, "1000"),
    Case(
        "cpu-1000-one",
        "1,000 subscribers on both nodes, one event in flight",
        "-m fanout -w 1 -n 1000",
        DELIVERY,
    ),
    Case("storm-500", "500 members join one presence channel at once", "-m presence -n 500", STORM),
    Case(
        "join-10",
        "one member joins a presence channel of 10, and leaves",
        "-m join -n 10 -e 0.3",
        JOIN,
    ),
    Case(
        "join-500",
        "one member joins a presence channel of 500, and leaves",
        "-m join -n 500 -e 0.3",
        JOIN,
    ),
    Case(
        "death-spread",
        "a node with 5,000 members dies; 100 channels of 100, half of each on either node",
        f"{_DEATH} -n 10000 -k 100 -W 50",
        DEATH,
        fatal=True,
    ),
    Case(
        "death-large",
        "a node with 5,000 members dies; 5 channels of 1,000, one more member of each on the survivor",
        f"{_DEATH} -n 5005 -k 5 -W 1",
        DEATH,
        fatal=True,
    ),
)


@dataclass(frozen=True)
class ClusterGoal:
    """A bound on a figure of `comparing`, by its name there."""

    text: str
    figure: str
    at_most: float
    unit: str = "µs"


def _added(formation: str, figure: str, limit: float) -> list[ClusterGoal]:
    """The same bound where it is felt most, and where it is shared by several subscribers."""
    what = {"cpu": "added CPU per event", "p50": "added p50"}[figure]
    who = "workers and bus" if formation == UNIX and figure == "cpu" else "both nodes"
    counted = f" ({who})" if figure == "cpu" else ""
    return [
        ClusterGoal(f"{formation}: {what}{counted}, {place}", f"{formation}/{figure}/{case}", limit)
        for case, place in (
            ("1-there", "1 subscriber on the other node"),
            ("10", "10 on both"),
        )
    ]


GOALS: tuple[ClusterGoal, ...] = (
    *_added(UNIX, "cpu", 20),
    *_added(REDIS, "cpu", 45),
    *_added(UNIX, "p50", 300),
    *_added(REDIS, "p50", 300),
    *(
        ClusterGoal(f"{name}: {text}", f"{name}/{figure}", limit, "x")
        for text, figure, limit in (
            ("per delivery at 1,000 subscribers, of one process's", "delivery", 1.05),
            ("the same with 8 events in flight", "delivery-8", 1.05),
            ("a join per member, channel of 500 : channel of 10", "join", 1.0),
            ("what each further member adds to a join, of one process's", "member", 1.05),
        )
        for name in (UNIX, REDIS)
    ),
)
#: What another checkout is measured with beside this one.
HOT_PATH = ("cpu-1-there", "cpu-10", "cpu-1000-one")
NAMES = (ALONE, UNIX, REDIS)
WITH_BEFORE = (*NAMES, UNIX + BEFORE, REDIS + BEFORE)


def chosen(names: list[str]) -> tuple[Case, ...]:
    """The cases of these names; all when there are none. Raises ValueError."""
    unknown = set(names) - {case.name for case in CASES}
    if unknown:
        known = ", ".join(case.name for case in CASES)
        raise ValueError(f"no case {', '.join(sorted(unknown))}; there are {known}")
    return tuple(case for case in CASES if not names or case.name in names)
