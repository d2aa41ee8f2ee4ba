"""`ClientRegistry`: how many may stay, and what is forgotten of those who go. No transport is needed."""

import logging

import pytest

from pusher_server.clients.registry import ClientRegistry
from pusher_server.protocol.errors import ConnectionRejected
from tests.support.fakes import FakeClock, FakeConnection
from tests.support.node import NodeFixture


class Client(FakeConnection):
    """A client of some transport. `looks` are the times of the sweep's looks at it."""

    def __init__(self, fixture: NodeFixture, number: int) -> None:
        super().__init__(fixture.node.hub.app_state(fixture.app), f"1.{number}", "key")
        self.looks: list[float] = []

    def check(self, now: float, silence: float = 0.0) -> float | None:
        self.looks.append(now)
        return None

    def check_writing(self, now: float) -> None:
        self.looks.append(now)

    def abort(self) -> None:
        """Nobody is there."""


@pytest.fixture
def clients(fixture: NodeFixture) -> list[Client]:
    return [Client(fixture, number) for number in range(4)]


@pytest.fixture
def fixture() -> NodeFixture:
    return NodeFixture()


def arrive(registry: ClientRegistry, clients: list[Client]) -> None:
    for client in clients:
        registry.connections[client] = None
        registry.check_room()


def refused(registry: ClientRegistry) -> tuple[int, str]:
    with pytest.raises(ConnectionRejected) as caught:
        registry.check_room()
    return caught.value.code, caught.value.reason


def test_clients_on_the_way_out_take_nobodys_place(clients: list[Client]) -> None:
    registry = ClientRegistry(2, FakeClock())
    arrive(registry, clients[:2])
    registry.connections[clients[2]] = None
    assert refused(registry) == (4100, "max_connections")
    registry.leaves(clients[0], 5.0)
    registry.check_room()
    registry.gone(clients[0])
    registry.check_room()
    registry.connections[clients[3]] = None
    assert refused(registry) == (4100, "max_connections")


def test_0_is_no_limit(clients: list[Client]) -> None:
    arrive(ClientRegistry(0, FakeClock()), clients)


def test_open_files_are_a_limit_of_their_own_that_is_logged(
    clients: list[Client], caplog: pytest.LogCaptureFixture
) -> None:
    registry = ClientRegistry(0, FakeClock())
    registry.allow(1)
    arrive(registry, clients[:1])
    registry.connections[clients[1]] = None
    with caplog.at_level(logging.WARNING):
        assert [refused(registry) for _ in range(3)] == [(4100, "open_files")] * 3
    (line,) = [record.getMessage() for record in caplog.records]
    assert "open files are enough for 1" in line
    registry.allow(2)
    registry.check_room()


def test_a_client_that_has_to_go_is_looked_at_when_its_time_is_over(clients: list[Client]) -> None:
    clock = FakeClock()
    registry = ClientRegistry(0, clock)
    registry.heartbeat.tick(clock())
    arrive(registry, clients[:2])
    registry.leaves(clients[0], 5.0)
    registry.leaves(clients[1], 5.0)
    registry.heartbeat.writing_paused(clients[1])
    registry.gone(clients[1])
    assert list(registry.leaving) == list(registry.connections) == [clients[0]]
    began = clock()
    while clock() < began + 6:
        clock.advance(0.25)
        registry.heartbeat.tick(clock())
    (look,) = clients[0].looks
    assert began + 5 <= look <= began + 5.5
    assert clients[1].looks == []
