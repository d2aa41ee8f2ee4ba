"""Several processes as one: sums, replacements, silence."""

import asyncio
from collections.abc import Awaitable, Callable

import msgspec

from pusher_server.metrics import catalogue
from pusher_server.metrics.catalogue import Metric
from pusher_server.metrics.process_group import Probe, ProcessGroup, ProcessSums
from pusher_server.metrics.reading import Reading, State
from tests.unit.metrics.counted import reading

LAG = catalogue.LOOP_LAG.name


def asks(found: Reading) -> Callable[[], Awaitable[Reading]]:
    async def ask() -> Reading:
        return found

    return ask


async def never() -> Reading:
    await asyncio.Event().wait()
    raise AssertionError


def process(name: str, found: Reading | None, *, phase: str = "ready", starts: int = 1) -> Probe:
    return Probe(name, phase, starts, None if found is None else asks(found))


def total(snapshot: ProcessSums, metric: Metric, *labels: str) -> float | None:
    return snapshot.sums.numbers.get(metric.name, {}).get(labels)


async def test_counters_gauges_and_histograms_are_added_up() -> None:
    one = reading("a", connections={("1",): 2}, deliveries_total={("1",): 10}, histogram=[1] * 12)
    two = reading(
        "b", connections={("1",): 3, ("2",): 1}, deliveries_total={("1",): 5}, histogram=[2] * 12
    )
    snapshot = await ProcessGroup(lambda: [process("1", one), process("2", two)]).snapshot()
    assert total(snapshot, catalogue.CONNECTIONS, "1") == 5
    assert total(snapshot, catalogue.CONNECTIONS, "2") == 1
    assert total(snapshot, catalogue.DELIVERIES, "1") == 15
    assert snapshot.sums.histograms[LAG].counts == [3] * 12
    assert snapshot.sums.histograms[LAG].total == 3.0
    assert total(snapshot, catalogue.WORKERS) == 2
    assert total(snapshot, catalogue.WORKERS_READY) == 2
    assert total(snapshot, catalogue.WORKERS_UNANSWERED) == 0


async def test_of_ages_the_largest_counts() -> None:
    """Two workers may tell of one app's webhooks while it changes hands; what waits is of both."""
    one = reading("a", webhooks_oldest_age_seconds={("1",): 9}, webhooks_waiting={("1",): 2})
    two = reading(
        "b",
        webhooks_oldest_age_seconds={("1",): 4, ("2",): 0},
        webhooks_waiting={("1",): 1, ("2",): 0},
    )
    for order in ([one, two], [two, one]):
        found = await ProcessGroup(
            lambda order=order: [process(each.node, each) for each in order]  # type: ignore[misc]
        ).snapshot()
        assert total(found, catalogue.WEBHOOKS_OLDEST, "1") == 9
        assert total(found, catalogue.WEBHOOKS_OLDEST, "2") == 0
        assert total(found, catalogue.WEBHOOKS_WAITING, "1") == 3


async def test_a_replaced_worker_does_not_make_counters_fall() -> None:
    """They go on from what its predecessor was last heard to have; its gauges are gone with it."""
    now = [
        process("1", reading("a", deliveries_total={("1",): 10}, connections={("1",): 7})),
        process("2", reading("b", deliveries_total={("1",): 5})),
    ]
    team = ProcessGroup(lambda: now)
    await team.snapshot()
    now[0] = process("1", None, phase="waiting")
    gone = await team.snapshot()
    assert total(gone, catalogue.DELIVERIES, "1") == 15
    assert total(gone, catalogue.CONNECTIONS, "1") is None
    assert gone.states["1"] == "waiting"
    now[0] = process("1", reading("c", deliveries_total={("1",): 1}), starts=2)
    for _ in range(2):  # once, however often it is asked
        back = await team.snapshot()
        assert total(back, catalogue.DELIVERIES, "1") == 16
        assert total(back, catalogue.WORKER_STARTS, "1") == 2
    now[0] = process("1", reading("d", deliveries_total={("1",): 2}))
    assert total(await team.snapshot(), catalogue.DELIVERIES, "1") == 18


async def test_a_worker_that_does_not_answer_is_left_out_and_counted(monkeypatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr("pusher_server.metrics.process_group.PATIENCE", 0.01)
    now = [
        process("1", reading("a", connections={("1",): 7}, deliveries_total={("1",): 10})),
        process("2", reading("b", connections={("1",): 1})),
    ]
    team = ProcessGroup(lambda: now)
    await team.snapshot()
    now[0] = Probe("1", "ready", 1, never)
    snapshot = await team.snapshot()
    assert total(snapshot, catalogue.WORKERS_UNANSWERED) == 1
    assert total(snapshot, catalogue.WORKERS_READY) == 1
    assert total(snapshot, catalogue.CONNECTIONS, "1") == 1
    assert total(snapshot, catalogue.DELIVERIES, "1") == 10
    assert snapshot.states == {"1": "does not answer", "2": State()}


async def test_a_reading_of_another_release_is_no_answer() -> None:
    """The package may be replaced under a running supervisor: then a worker is of another one."""

    async def other() -> Reading:
        return msgspec.json.decode(b'{"node": 1}', type=Reading)

    found = await ProcessGroup(lambda: [Probe("1", "ready", 1, other)]).snapshot()
    assert found.states == {"1": "does not answer"}
