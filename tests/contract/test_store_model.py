"""Random commands have the same answers and pushes on the model in memory and on a real Redis.

The seeds are fixed; a failing one is a test id, so it replays.
"""

import asyncio
import random
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from pusher_server.cluster.commands import (
    AnyCommand,
    Count,
    Enter,
    Lookup,
    Recall,
    Remember,
    Renew,
    ReportGone,
    Retire,
    Scan,
    Snapshot,
    Subscribe,
    Tally,
    Track,
    Untrack,
)
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import RosterFull
from tests.contract.stores import (
    LEASE,
    MemoryHarness,
    RedisHarness,
    StoreClient,
    StoreHarness,
    running_redis,
)
from tests.support.waiting import eventually

ADDRESSES = ["members:1:a", "channels:1:"]
KEYS = [f"k{number}" for number in range(6)]
STEPS = 250


class Commands:
    """Draws what nodes may ask, and remembers what a node knows: its name, and how far it has settled."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.holders: dict[str, str] = {}
        self.number = 0
        self.batches: dict[str, int] = {}

    def draw(self) -> AnyCommand | float:
        """A command, or seconds that pass (eighths, which both clocks can tell exactly)."""
        pick = self.random.choice
        kind = self.random.random()
        node = pick(["one.1", "two.1", "three.1", "one.2"])
        holder = self.holders.get(node, f"{node}.0")
        address, key = pick(ADDRESSES), pick(KEYS)
        if kind < 0.30:
            value, again = str(self.random.randrange(5)), self.random.random() < 0.1
            return Track(holder, address, key, value, pick([0, 0, 3]), again, pick([False, True]))
        if kind < 0.55:
            return Untrack(holder, address, key)
        if kind < 0.72:
            confirmed = self.batches.get(holder, 0) - pick([0, 0, 0, 1])
            tallies = {
                name: self.random.randrange(9) for name in "xyz" if self.random.random() < 0.6
            }
            return Renew(holder, confirmed, tallies)
        if kind < 0.86:
            return pick([0.125, 0.5, 1.0, 3.125, 3.25, 3.25, LEASE / 2 + 0.125])
        return self._rare(node, holder, address, key)

    def _rare(self, node: str, holder: str, address: str, key: str) -> AnyCommand:
        kind = self.random.randrange(18)
        if kind >= 12:
            place = f"channel:{self.random.choice(['1', 'a%3Ab'])}:{key}"
            if kind > 15:
                return Recall(place)
            cached = b"x" * self.random.choice([1, 300, 900, 3_000])
            return Remember(place, b"", cached, 600.0, self.random.choice([0, 3_000, 3_000, 2_000]))
        if kind < 5:
            self.number += 1
            self.holders[node] = f"{node}.{self.number}"
            succeeds = holder if self.random.random() < 0.7 else ""
            known = "f00" if self.random.random() < 0.3 else ""
            return Enter(self.holders[node], succeeds, self.batches.get(holder, 0), known)
        questions = [Snapshot(address), Lookup(address, KEYS), Count(address), Scan(address, "k")]
        if kind < 9:
            others = [Snapshot(address, entries=False), Tally("x"), Tally("x", holder)]
            return self.random.choice([*questions, *others])
        if kind < 11:
            return ReportGone(address, key)
        return Retire(self.random.choice([holder, "no.1.1"]), self.batches.get(holder, 0))


def comparable(answer: Any) -> Any:
    """Without what a store may choose: the epoch's name and the order of what is a set."""
    found = msgspec.to_builtins(answer)
    kind = type(answer).__name__
    if kind in {"Entered", "Renewed", "TopicState"}:
        found[0] = "epoch"
    if kind == "Entered":
        found[1].sort()
    if kind == "Renewed":
        for due in found[2]:
            due[3] = due[3].rpartition(".")[2]
        # Of several mourned ones, none was first.
        found[2].sort(key=lambda due: (not due[2], not due[3], () if due[3] else due))
    if kind == "Remembered":
        found[1] = found[1] > 0  # Redis's own clock does not stand still
    if kind == "TopicState":
        found[2] = list(found[2].items())
    return kind, found


async def answer_of(client: StoreClient, command: AnyCommand) -> Any:
    try:
        return comparable(await client.do(command))
    except (ClusterUnavailable, RosterFull) as error:
        return type(error).__name__, str(error)


def pushes_of(client: StoreClient) -> Iterator[tuple[str, Any]]:
    for address in ADDRESSES:
        for each in client.transitions(address):
            yield address, msgspec.structs.replace(each, epoch="")


@pytest.mark.parametrize("seed", range(20))
async def test_a_redis_answers_as_the_model_does(seed: int) -> None:
    """Every answer, and in the end every push in its order."""
    harnesses: list[StoreHarness] = [
        MemoryHarness(),
        RedisHarness(await asyncio.to_thread(running_redis, "redis")),
    ]
    clients = [StoreClient(harness.link()) for harness in harnesses]
    for client in clients:
        await client.link.open()
        await client.do(Enter("first.1.0"))  # a Redis has no memory before that
        for address in ADDRESSES:
            await client.do(Subscribe(address))
    commands = Commands(seed)
    history: list[Any] = []
    for _ in range(STEPS):
        command = commands.draw()
        history.append(command)
        if isinstance(command, float):
            for harness in harnesses:
                await harness.wait(command)
            continue
        expected, found = [await answer_of(client, command) for client in clients]
        assert found == expected, history
        if isinstance(command, Renew) and expected[0] == "Renewed":
            commands.batches[command.holder] = max(
                expected[1][1], commands.batches.get(command.holder, 0)
            )
    await eventually(lambda: len(clients[0].pushes) == len(clients[1].pushes))
    assert list(pushes_of(clients[1])) == list(pushes_of(clients[0]))
    for client in clients:
        client.link.close()
