"""Slots for requests: bounded, and shared between apps."""

import asyncio
import random
from collections import Counter

import pytest

from pusher_server.webhooks.delivery.slots import Slots


class Users:
    """Tasks that hold a slot of their app until they are told to end."""

    def __init__(self, total: int) -> None:
        self.slots = Slots(total)
        self.held: Counter[str] = Counter()
        self.tasks: list[tuple[str, asyncio.Task[None]]] = []

    async def _hold(self, app_id: str) -> None:
        async with self.slots.of(app_id):
            self.held[app_id] += 1
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                self.held[app_id] -= 1

    async def ask(self, app_id: str, count: int = 1) -> None:
        for _ in range(count):
            self.tasks.append((app_id, asyncio.create_task(self._hold(app_id))))
        await asyncio.sleep(0)

    async def end(self, app_id: str, count: int = 1) -> None:
        """The longest first, those that wait among them."""
        for place in [place for place in self.tasks if place[0] == app_id][:count]:
            place[1].cancel()
            self.tasks.remove(place)
        for _ in range(3):
            await asyncio.sleep(0)


async def test_one_app_has_half_of_all_and_there_is_one_for_each_other() -> None:
    users = Users(16)
    await users.ask("greedy", 100)
    assert users.held["greedy"] == 8
    await users.ask("greedy too", 100)
    assert users.held["greedy too"] == 4
    for number in range(2):
        await users.ask(f"modest {number}")
        assert users.held[f"modest {number}"] == 1
    assert users.held.total() <= 16


async def test_whoever_has_fewest_is_served_first_and_nothing_is_lost() -> None:
    users = Users(4)
    await users.ask("a", 10)
    await users.ask("b", 10)
    assert (users.held["a"], users.held["b"]) == (2, 1)
    await users.end("a", 2)
    assert sorted(users.held.values()) == [1, 2]
    await users.end("a", 8)
    await users.end("b", 10)
    assert users.held.total() == 0
    await users.ask("c", 10)
    assert users.held["c"] == 2


@pytest.mark.parametrize("seed", range(20))
async def test_in_every_history_an_app_without_any_gets_one(seed: int) -> None:
    chance = random.Random(seed)
    users = Users(10)
    for step in range(200):
        app_id = chance.choice("abcd")
        if chance.random() < 0.6:
            await users.ask(app_id, chance.randrange(5))
        else:
            await users.end(app_id, chance.randrange(5))
        assert users.held.total() <= 10
        waits = {app for app, _ in users.tasks if not users.held[app]}
        assert not waits, step
    for app_id in "abcd":
        await users.end(app_id, 1_000)
    assert users.held.total() == 0
    assert users.slots._free == 10
    assert not users.slots._waiting
    assert not users.slots._used
