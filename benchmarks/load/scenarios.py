"""Every row of the comparison, with its goal as data.

The goals are what a minimal prototype of our design reached beside soketi 1.6.1 and the C floor, on two cores
over loopback, before the server was written. CPU is the server's, in µs of the kernel's accounting.
"""

from benchmarks.load.model import FLOOR, SOKETI, Column, Goal, Metrics, Run, Scenario

CPU_DELIVERY = Column("CPU per delivery", "cpu_us", "µs", decimals=2)
DELIVERIES = Column("deliveries/s", "deliv_s", decimals=0)
P50 = Column("p50", "p50_us", "ms", 1000, 2)
P99 = Column("p99", "p99_us", "ms", 1000, 2)
CLIENT = Column("load client busy", "client_util", "%", 0.01, 0)
TRAFFIC = (CPU_DELIVERY, DELIVERIES, P50, P99, CLIENT)
PROBE_P99 = Column("probe p99", "probe_p99_us", "ms", 1000, 2)
PROBE_MAX = Column("longest stall (probe's maximum)", "probe_max_us", "ms", 1000, 2)

#: What all but the floor can do.
PRESENCE, SLOW_READERS, MANY_CHANNELS = "presence", "slow readers", "many channels"


def _cost(limit: float) -> Goal:
    return Goal(f"≤ {limit:g}x C floor", "cpu_us", at_most=limit, times=FLOOR)


def _rate(limit: float, metric: str = "deliv_s", what: str = "deliveries/s") -> Goal:
    return Goal(f"≥ {limit:g}x soketi's {what}", metric, at_least=limit, times=SOKETI)


def _cheaper(limit: float, than: str) -> Goal:
    text = f"{than}'s cost ≥ {limit:g}x ours"
    return Goal(text, "cpu_us", at_least=limit, times=than, inverted=True)


def _milliseconds(text: str, metric: str, limit: float) -> Goal:
    return Goal(text, metric, at_most=limit * 1000, divisor=1000, unit="ms")


def _fan_out(subscribers: int, cost: float, rate: float) -> Scenario:
    return Scenario(
        name=f"fanout-{subscribers}",
        title=f"fan-out to {subscribers:,}, one event in flight",
        label=f"fan-out to {subscribers:,}",
        runs=(Run("-m fanout -w 1", subscribers),),
        columns=TRAFFIC,
        goals=(_cost(cost), _rate(rate)),
    )


def _flatness(metrics: Metrics) -> Metrics:
    """Cost of a connection into a channel of all, as a multiple of that into channels of ten."""
    small = metrics["small_conn_cpu_us"]
    return {"flatness": metrics["conn_cpu_us"] / small} if small else {}


def _others(metrics: Metrics) -> Metrics:
    """What slow readers do to the others: compared with a run in which there are none."""
    alone = metrics["alone_deliv_s"]
    found = {"others_p99_rise_us": metrics["p99_us"] - metrics["alone_p99_us"]}
    return found | ({"others_share": metrics["deliv_s"] / alone} if alone else {})


SCENARIOS: tuple[Scenario, ...] = (
    _fan_out(1_000, 1.2, 3),
    _fan_out(100, 1.35, 2.8),
    _fan_out(5_000, 1.3, 2.8),
    _fan_out(15_000, 1.4, 2.8),
    Scenario(
        name="in-flight-8",
        title="8 events in flight to 1,000",
        label="8 events in flight to 1,000",
        runs=(Run("-m fanout -w 8", 1_000),),
        columns=TRAFFIC,
        goals=(_cheaper(11, SOKETI), _cheaper(2.5, FLOOR)),
        note="events that meet in one turn of the loop leave in one write per subscriber",
    ),
    Scenario(
        name="bursts-16",
        title="bursts of 16 events to 1,000",
        label="bursts of 16 events to 1,000",
        runs=(Run("-m fanout -w 1 -b 16", 1_000),),
        columns=TRAFFIC,
        goals=(_cheaper(18, SOKETI),),
    ),
    Scenario(
        name="overload",
        title="overload: 600 events/s to 1,000",
        label="600 events/s to 1,000",
        runs=(Run("-m fanout", 1_000, rate=600),),
        columns=(
            P99,
            P50,
            CPU_DELIVERY,
            DELIVERIES,
            Column("not delivered", "missing", decimals=0),
        ),
        goals=(
            Goal("all delivered", "missing", at_most=0, unit="missing"),
            _milliseconds("p50 ≤ 10 ms", "p50_us", 10),
            _milliseconds("p99 ≤ 25 ms", "p99_us", 25),
        ),
    ),
    Scenario(
        name="half-load",
        title="latency at half of soketi's capacity, 1,000",
        label="half of soketi's capacity, 1,000",
        runs=(Run("-m fanout", 1_000, half_of="fanout-1000"),),
        columns=(P99, P50, CPU_DELIVERY, Column("events/s", "events_s", decimals=0)),
        goals=(
            Goal("p50 ≤ 0.45x soketi's", "p50_us", at_most=0.45, times=SOKETI),
            Goal("p99 ≤ 0.3x soketi's", "p99_us", at_most=0.3, times=SOKETI),
        ),
    ),
    Scenario(
        name="small-beside-large",
        title="a channel of 1 while a channel of 10,000 is served 4 events/s",
        label="channel of 1 beside one of 10,000",
        runs=(Run("-m fanout -q 500", 10_000, rate=4, seconds=4),),
        columns=(
            PROBE_P99,
            Column("probe p50", "probe_p50_us", "ms", 1000, 2),
            PROBE_MAX,
            CPU_DELIVERY,
        ),
        goals=(_milliseconds("p99 ≤ 5 ms", "probe_p99_us", 5),),
    ),
    Scenario(
        name="trigger",
        title="signed HTTP trigger, 1 subscriber, 8 kept connections",
        label="signed HTTP trigger",
        runs=(Run("-m http -H 8", 1),),
        columns=(
            Column("CPU per request", "cpu_us", "µs"),
            Column("requests/s", "http_s", decimals=0),
            P50,
            P99,
            Column("connections opened", "reconnects", decimals=0),
        ),
        goals=(
            _rate(1.6, "http_s", "requests/s"),
            Goal("≤ 50 µs", "cpu_us", at_most=50, unit="µs"),
        ),
        note="soketi closes its connection after each response; the next step for us is 28 µs",
    ),
    Scenario(
        name="connect",
        title="connect and subscribe, 5,000",
        label="connect and subscribe, 5,000",
        runs=(Run("-m connect", 5_000, seconds=0),),
        columns=(
            Column("CPU per connection", "conn_cpu_us", "µs", decimals=0),
            Column("connections/s", "conn_s", decimals=0),
        ),
        goals=(
            _rate(2.5, "conn_s", "rate"),
            Goal("≤ 110 µs", "conn_cpu_us", at_most=110, unit="µs"),
        ),
    ),
    Scenario(
        name="connect-flat",
        title="connect and subscribe, 10,000 into one channel against channels of 10",
        label="10,000 into one channel or many",
        runs=(
            Run("-m connect", 10_000, 1_000, seconds=0, name="small"),
            Run("-m connect", 10_000, seconds=0),
        ),
        columns=(
            Column("cost, one channel : channels of 10", "flatness", "x", decimals=2),
            Column("CPU, channels of 10", "small_conn_cpu_us", "µs", decimals=0),
            Column("CPU, one channel", "conn_cpu_us", "µs", decimals=0),
        ),
        goals=(Goal("flat (≤ 1.25x)", "flatness", at_most=1.25, unit="x"),),
        derive=_flatness,
    ),
    Scenario(
        name="memory",
        title="memory per idle subscribed connection at 10,000",
        label="10,000 idle connections",
        runs=(Run("-m idle -e 1.5", 10_000, seconds=0.5),),
        columns=(
            Column("per connection", "kb_per_conn", "kB", decimals=2),
            Column("process before", "rss_before_kb", "MB", 1024, 0),
            Column("process after", "rss_after_kb", "MB", 1024, 0),
        ),
        goals=(Goal("≤ 4 kB", "kb_per_conn", at_most=4, unit="kB"),),
        fresh=True,
    ),
    Scenario(
        name="client-event",
        title="client event relayed to one peer (20 pairs, 4 in flight)",
        label="client event to one peer",
        runs=(Run("-m client -w 4", 40),),
        columns=(
            Column("CPU per message", "cpu_us", "µs", decimals=2),
            Column("messages/s", "deliv_s", decimals=0),
            P50,
            P99,
        ),
        goals=(
            _rate(1.7, "deliv_s", "messages/s"),
            Goal("≤ 8 µs", "cpu_us", at_most=8, unit="µs"),
        ),
    ),
    Scenario(
        name="presence",
        title="500 members join one presence channel at once",
        label="500 join a presence channel",
        runs=(Run("-m presence", 500, seconds=0.5),),
        columns=(
            Column("until all have seen all", "ms_all_seen", "ms", decimals=0),
            Column("CPU", "cpu_ms", "ms", decimals=0),
            Column("member_added sent", "member_added", decimals=0),
        ),
        goals=(Goal("≤ 0.15x soketi's time", "ms_all_seen", at_most=0.15, times=SOKETI),),
        needs=frozenset({PRESENCE}),
    ),
    Scenario(
        name="slow-readers",
        title="50 of 100 subscribers stop reading, 10 s at 1,500 events/s",
        label="50 of 100 stop reading",
        runs=(
            Run("-m fanout -D 640", 50, rate=1_500, seconds=3, name="alone"),
            Run("-m fanout -D 640", 100, rate=1_500, slow=50, seconds=10, fixed=True),
        ),
        columns=(
            Column("memory rises by", "rss_rise_mb", "MB"),
            Column("then, in the second half, by", "rss_later_rise_mb", "MB"),
            Column("others get, of what they get alone", "others_share", "%", 0.01, 1),
            Column("others' p99 rises by", "others_p99_rise_us", "ms", 1000, 1),
            Column("slow ones dropped", "slow_dropped", decimals=0),
            Column("of those, back", "slow_back", decimals=0),
        ),
        goals=(
            Goal(
                "others get everything (≥ 99 %)",
                "others_share",
                at_least=0.99,
                divisor=0.01,
                unit="%",
            ),
            _milliseconds("others' p99 rises ≤ 5 ms", "others_p99_rise_us", 5),
            Goal("memory +≤ 60 MB", "rss_rise_mb", at_most=60, unit="MB"),
            Goal("then flat (≤ 2 MB)", "rss_later_rise_mb", at_most=2, unit="MB"),
            Goal("all 50 dropped", "slow_dropped", at_least=50),
            Goal("all 50 come back", "slow_back", at_least=50),
        ),
        needs=frozenset({SLOW_READERS}),
        fresh=True,
        derive=_others,
    ),
    Scenario(
        name="idle",
        title="idle server with 15,000 connections",
        label="idle with 15,000 connections",
        runs=(Run("-m idle -e 1.5", 15_000, seconds=6),),
        columns=(Column("CPU", "idle_cpu_percent", "%", decimals=2),),
        goals=(Goal("< 1 % CPU", "idle_cpu_percent", at_most=1, unit="%"),),
    ),
    Scenario(
        name="list-channels",
        title="GET /channels with 50,000 channels, twice a second",
        label="GET /channels of 50,000",
        runs=(Run("-m list -q 500", 10, 50_000, rate=2, seconds=4),),
        columns=(PROBE_MAX, PROBE_P99, Column("response after", "p50_us", "ms", 1000, 0)),
        goals=(_milliseconds("no stall above 10 ms", "probe_max_us", 10),),
        needs=frozenset({MANY_CHANNELS}),
    ),
    Scenario(
        name="leave",
        title="a connection with 1,000 subscriptions closes, once a second",
        label="1,000 subscriptions end at once",
        runs=(Run("-m leave -q 500", 1, 1_000, rate=1, seconds=5),),
        columns=(PROBE_MAX, PROBE_P99, Column("times", "departures", decimals=0)),
        goals=(_milliseconds("no stall above 10 ms", "probe_max_us", 10),),
        needs=frozenset({MANY_CHANNELS}),
    ),
)


def chosen(names: list[str]) -> tuple[Scenario, ...]:
    """The scenarios of these names, in the table's order; all when there are none. Raises ValueError."""
    unknown = set(names) - {scenario.name for scenario in SCENARIOS}
    if unknown:
        known = ", ".join(scenario.name for scenario in SCENARIOS)
        raise ValueError(f"no scenario {', '.join(sorted(unknown))}; there are {known}")
    return tuple(s for s in SCENARIOS if not names or s.name in names)
