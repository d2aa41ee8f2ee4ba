"""Rounds of pings in full apps: when they begin, and that a tick looks at few clients."""

import pytest

from pusher_server.clients import full_apps
from pusher_server.clients.full_apps import BATCH, LOOK, ROUND, SILENCE, FullApps
from pusher_server.clients.heartbeat import Heartbeat
from pusher_server.clients.registry import ClientRegistry
from tests.support.node import NodeFixture


class Looks(Heartbeat):
    """Notes who is looked at."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[object] = []

    def look(self, connection: object, now: float, silence: float) -> None:
        assert silence == SILENCE
        self.seen.append(connection)


class FullFixture:
    """A node whose app takes `limit` connections and has `here`."""

    def __init__(self, limit: int, here: int) -> None:
        self.fixture = NodeFixture(limits={"connections": limit})
        for _ in range(here):
            self.fixture.connect()
        clients = ClientRegistry(0, self.fixture.clock)
        self.looks = clients.heartbeat = Looks()
        self.full_apps = FullApps(self.fixture.node, clients)

    def ticks(self, seconds: float) -> int:
        """Let time pass; returns how many clients were looked at."""
        before = len(self.looks.seen)
        for _ in range(int(seconds * 4)):
            self.full_apps.tick()
            self.fixture.clock.advance(0.25)
        return len(self.looks.seen) - before


@pytest.mark.parametrize(("limit", "here", "looks"), [(3, 3, 3), (3, 2, 0), (0, 5, 0), (2, 4, 4)])
def test_only_clients_of_a_full_app_are_looked_at(limit: int, here: int, looks: int) -> None:
    fixture = FullFixture(limit, here)
    assert fixture.ticks(LOOK) == looks
    assert len({*fixture.looks.seen}) == looks


def test_a_round_comes_again_while_the_app_is_full_and_no_longer() -> None:
    fixture = FullFixture(2, 2)
    assert fixture.ticks(10 * ROUND) in (20, 18)
    app_state = fixture.fixture.node.hub.app_states["1"]
    fixture.fixture.drop(next(iter(app_state.connections.values())))  # type: ignore[arg-type]
    fixture.ticks(LOOK)
    assert fixture.ticks(2 * ROUND) == 0


def test_a_tick_looks_at_few_of_many() -> None:
    fixture = FullFixture(BATCH * 2 + 7, BATCH * 2 + 7)
    assert [fixture.ticks(0.25) for _ in range(4)] == [BATCH, BATCH, 7, 0]


def test_a_round_that_takes_longer_than_its_time_does_not_pile_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A process may have more clients than it can look at until the next round is due."""
    monkeypatch.setattr(full_apps, "BATCH", 1)
    here = int(ROUND * 4) * 3
    fixture = FullFixture(here, here)
    for _ in range(10):
        fixture.ticks(ROUND)
        assert len(fixture.full_apps._waiting) < here
    everybody = {*fixture.fixture.node.hub.app_states["1"].connections.values()}
    assert {*fixture.looks.seen[:here]} == {*fixture.looks.seen[here : 2 * here]} == everybody
