"""What every Census promises (`interfaces.Census`), and what those of several nodes promise each other."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from pusher_server.cluster.local import LocalCensus
from pusher_server.interfaces import Census
from tests.contract.nodes import PARAMETERS, SHARED, Made, Nodes
from tests.support.waiting import eventually


class CensusHarness:
    """A census and the connections that it counts."""

    def __init__(self, census: Census, connections: dict[str, int]) -> None:
        self.census = census
        self.connections = connections


@asynccontextmanager
async def local() -> AsyncIterator[CensusHarness]:
    connections: dict[str, int] = {}
    yield CensusHarness(LocalCensus(lambda: connections), connections)


def shared(made: Made) -> Callable[[], AbstractAsyncContextManager[CensusHarness]]:
    """The only node on a store."""

    @asynccontextmanager
    async def harness() -> AsyncIterator[CensusHarness]:
        async with made() as nodes:
            node = await nodes.peer("node")
            yield CensusHarness(node.census, node.connections)

    return harness


FACTORIES = [
    pytest.param(local, id="local"),
    *(pytest.param(shared(made), id=name) for name, made in SHARED),
]


@pytest.fixture(params=FACTORIES)
async def harness(request: pytest.FixtureRequest) -> AsyncIterator[CensusHarness]:
    async with request.param() as made:
        yield made


@pytest.fixture(params=PARAMETERS)
async def nodes(request: pytest.FixtureRequest) -> AsyncIterator[Nodes]:
    async with request.param() as made:
        yield made


async def test_an_app_that_nobody_uses_has_no_connection(harness: CensusHarness) -> None:
    assert harness.census.elsewhere("1") == 0
    assert await harness.census.total("1") == 0


async def test_ones_own_connections_count_at_once_and_are_not_elsewhere(
    harness: CensusHarness,
) -> None:
    harness.connections["1"] = 3
    assert await harness.census.total("1") == 3
    assert await harness.census.total("2") == 0
    harness.connections["1"] = 2
    assert await harness.census.total("1") == 2
    assert harness.census.elsewhere("1") == 0


async def test_the_others_count_as_last_heard(nodes: Nodes) -> None:
    one, two, three = [await nodes.peer(name) for name in ("one", "two", "three")]
    one.connections.update({"1": 5, "2": 1})
    two.connections["1"] = 7
    await eventually(
        lambda: (
            [node.census.elsewhere("1") for node in (one, two, three)] == [7, 5, 12]
            and [node.census.elsewhere("2") for node in (one, two, three)] == [0, 1, 1]
        )
    )
    assert [await node.census.total("1") for node in (one, two, three)] == [12, 12, 12]
    del one.connections["1"]
    await eventually(lambda: two.census.elsewhere("1") == 0)
    assert await three.census.total("1") == 7


async def test_a_node_that_stops_counts_no_more(nodes: Nodes) -> None:
    one, two = await nodes.peer("one"), await nodes.peer("two")
    one.connections["1"] = 5
    await eventually(lambda: two.census.elsewhere("1") == 5)
    nodes.peers.remove(one)
    await one.stores.stop()
    await eventually(lambda: two.census.elsewhere("1") == 0)
    assert await two.census.total("1") == 0


async def test_while_the_store_is_away_the_others_count_as_before(nodes: Nodes) -> None:
    one, two = await nodes.peer("one"), await nodes.peer("two")
    one.connections["1"] = 5
    await eventually(lambda: two.census.elsewhere("1") == 5)
    await nodes.away()
    assert two.census.elsewhere("1") == 5
    one.connections["1"] = 6
    await nodes.back()
    await eventually(lambda: two.census.elsewhere("1") == 6)
