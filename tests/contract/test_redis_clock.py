"""Leases and leaves go by Redis's clock, which an operator or NTP may set, forwards or back."""

import pytest

from pusher_server.cluster.commands import Track, Untrack
from tests.contract.stores import (
    LEASE,
    UNDO_WINDOW,
    RedisHarness,
    StoreClient,
    past_its_beginning,
    running_redis,
)

ROOM = "members:1:presence-x"
HOUR = 3_600.0


@pytest.mark.parametrize("step", [HOUR, -HOUR, -30 * HOUR])
async def test_a_step_of_the_clock_ends_no_lease_and_keeps_none(step: float) -> None:
    """Who renews stays; who does not is swept after a lease; a leave is settled after the undo window."""
    harness = RedisHarness(running_redis("redis"))
    await past_its_beginning(harness)
    alive, dead = StoreClient(harness.link()), StoreClient(harness.link())
    for number, client in enumerate((alive, dead)):
        await client.link.open()
        await client.enter(f"n{number}.1.1")
    await dead.do(Track(dead.holder, ROOM, "of the dead", ""))
    for user in ("goes", "stays"):
        await alive.do(Track(alive.holder, ROOM, user, ""))
    alive.confirmed = (await alive.renew()).batch
    await alive.do(Untrack(alive.holder, ROOM, "goes"))
    await harness.wait(step)
    told = await alive.renew()
    assert (told.holders, told.swept) == (2, {})
    await harness.wait(UNDO_WINDOW + 0.1)
    due = [(each.key, each.held) for each in (await alive.renew()).due]
    assert due == [("goes", False)]
    swept: dict[str, int] = {}
    for _ in range(3):
        await harness.wait(LEASE / 3)
        told = await alive.renew()
        swept |= told.swept
    assert (told.holders, swept) == (1, {dead.holder: 1})
    assert (await alive.do(Track(alive.holder, ROOM, "stays", ""))).held_now is False
    for client in (alive, dead):
        client.link.close()
