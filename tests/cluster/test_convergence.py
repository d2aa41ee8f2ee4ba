"""Whatever happens to links, nodes and the store: at rest every client's view equals the truth.

The real node, hub, roster and broker run on a simulated store, in virtual time. The last tests break one
rule each, to show that the simulation would notice.
"""

import asyncio
import logging
import os
from collections.abc import Iterator

import pytest

from pusher_server.cluster.followed_topics import FollowedTopics
from pusher_server.cluster.held_keys import HeldKeys
from pusher_server.cluster.membership import StoreMembership
from pusher_server.cluster.replica import Replica, Verdict
from pusher_server.hub.hub import Hub
from tests.cluster.simulation import LEASE, SimulatedNode, Simulation
from tests.cluster.virtual_loop import VirtualLoop

#: 400 of each take 40 minutes and more while coverage is measured.
SEEDS = 50 if os.environ.get("HYPOTHESIS_PROFILE") == "full" else 25
STEPS = 160

SCENARIOS: dict[str, tuple[str, ...]] = {
    "quiet": (),
    "cut": ("cut",),
    "away": ("away",),
    "frozen": ("frozen",),
    "stopped": ("stopped",),
    "killed": ("killed",),
    "store lost": ("store lost",),
    "store away": ("store away",),
    "holes": ("holes",),
    "everything": ("cut", "holes", "away", "frozen", "stopped", "killed", "store lost"),
}


class Faults:
    """What goes wrong in a run.

    A store that loses its memory and a node that dies, or is away for long, within two leases of each other are
    kept apart: then nobody is there who knows what the node had announced, and a webhook may be lost or told
    twice (docs/clustering.md).
    """

    def __init__(self, run: Simulation, kinds: tuple[str, ...]) -> None:
        self._run = run
        self._kinds = kinds
        self._lost_at = self._ended_at = -2 * LEASE

    async def strike(self) -> None:
        """Perhaps one fault."""
        random, loop = self._run.random, asyncio.get_running_loop()
        if not self._kinds or random.random() > 0.15:
            return
        node, now = random.choice(self._run.nodes), loop.time()
        match random.choice(self._kinds):
            case "cut":
                node.link.cut("cut")
            case "holes":
                node.link.holes = random.randint(1, 40)
            case "away" if now > self._lost_at + 2 * LEASE:
                self._ended_at = now
                node.link.is_unreachable = True
                node.link.cut("cut")
                loop.call_later(
                    random.random() * 2 * LEASE, setattr, node.link, "is_unreachable", False
                )
            case "frozen" if now > self._lost_at + 2 * LEASE:
                self._ended_at = now
                node.link.is_frozen = True
                loop.call_later(random.random() * 2 * LEASE, node.link.thaw)
            case "store lost" if now > max(self._lost_at, self._ended_at) + 2 * LEASE:
                self._lost_at = now
                self._run.lose_memory()
            case "store away" if now > max(self._lost_at, self._ended_at) + 2 * LEASE:
                away = random.random() * 2 * LEASE
                self._lost_at = now + away
                self._run.store.is_down = True
                loop.call_later(away, self._run.store.come_back)
                self._run.lose_memory()
            case ("killed" | "stopped") as how if now > self._lost_at + 2 * LEASE:
                self._ended_at = now
                await self._end(node, how)

    async def _end(self, node: SimulatedNode, how: str) -> None:
        if how == "killed":
            self._run.kill(node)
        else:
            await self._run.stop(node)


async def simulate(seed: int, kinds: tuple[str, ...]) -> tuple[str, list[str]]:
    """What was wrong in one run, or nothing; and what observers were told wrongly."""
    run = Simulation(seed)
    faults = Faults(run, kinds)
    for _ in range(STEPS):
        await asyncio.sleep(run.random.random() * 0.3)
        run.act()
        await faults.strike()
    await run.settle()
    wrong = run.faults() + await run.answers()
    await run.end()
    return f"{dict(wrong)} {run.complaints[:5]}" if wrong else "", run.wrong_signals


def outcome(seed: int, kinds: tuple[str, ...]) -> tuple[str, list[str]]:
    """One run in a loop of its own."""
    loop = VirtualLoop()
    try:
        return loop.run_until_complete(simulate(seed, kinds))
    finally:
        loop.close()


@pytest.fixture(autouse=True)
def _quiet_logs() -> Iterator[None]:
    """Thousands of links are lost here on purpose."""
    logging.disable(logging.ERROR)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("name", SCENARIOS)
def test_at_rest_every_view_is_the_truth(name: str) -> None:
    """And observers were told of every join and leave once, in turns."""
    found = {seed: outcome(seed, SCENARIOS[name]) for seed in range(SEEDS)}
    assert {seed: wrong for seed, wrong in found.items() if any(wrong)} == {}


def assert_noticed(*kinds: str) -> None:
    found = (outcome(seed, kinds) for seed in range(SEEDS))
    assert any(wrong or signals for wrong, signals in found), "the simulation sees nothing wrong"


def test_without_versions_it_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every transition is taken for the next one."""
    monkeypatch.setattr(Replica, "judge", lambda self, transition: Verdict.NEXT)
    assert_noticed("holes")


def test_without_snapshots_after_a_lost_link_it_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FollowedTopics, "again", lambda self: iter(()))
    assert_noticed("away")


def test_without_declaring_again_it_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HeldKeys, "places", lambda self: [])
    assert_noticed("store lost")


def test_without_waiting_for_ones_own_transition_it_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A joiner that is activated from a list without itself hears of itself."""

    async def at_once(self: FollowedTopics, address: str, n: int) -> None:
        return None

    monkeypatch.setattr(FollowedTopics, "seen", at_once)
    assert_noticed()


def test_without_holding_back_for_the_pending_it_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A pending joiner that is told of a member finds it in its list, too."""
    deliver = Hub.deliver
    monkeypatch.setattr(
        Hub, "deliver", lambda self, *args, hold=True, **more: deliver(self, *args, **more)
    )
    assert_noticed()


def test_without_retiring_the_old_name_it_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was released while the link was away stays for ever when the old lease is kept alive."""
    fresh = StoreMembership.__init__

    def one_name(self: StoreMembership, *args: object, **more: object) -> None:
        fresh(self, *args, **more)  # type: ignore[arg-type]  # passed on
        self.held_keys.release = lambda place: self.held_keys._held.pop(place, None)  # type: ignore[method-assign,assignment]  # the broken rule

    monkeypatch.setattr(StoreMembership, "__init__", one_name)
    assert_noticed()
