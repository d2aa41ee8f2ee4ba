"""A full app: dead connections free their places soon, and their owners come back by themselves.

See docs/decisions.md#a-full-app.
"""

from pathlib import Path

from pusher_server.clients.full_apps import LOOK, ROUND, SILENCE
from tests.edge.test_liveness import PONG_TIMEOUT, Slow, by_our_clock
from tests.support import wire
from tests.support.frames import PING, PONG
from tests.support.inprocess import APP_ID, KEY
from tests.support.waiting import eventually
from tests.support.wire import QUERY, frame

#: Seconds in which a dead connection is pinged, and has not answered.
BOUND = SILENCE + ROUND + LOOK + PONG_TIMEOUT + 1.0


async def is_admitted(clock: Slow) -> bool:
    """Connect, as a client that comes back."""
    async with wire.opened(clock.inside.address) as client:
        await client.handshake(f"/app/{KEY}{QUERY}")
        _, payload = await client.frame()
        if b"connection_established" in payload:
            return True
        assert b"4100" in payload
        return False


async def test_a_dead_connection_frees_its_place_and_a_healthy_one_stays(tmp_path: Path) -> None:
    async with by_our_clock(tmp_path, limits={"connections": 2}, activity_timeout=120) as clock:
        address = clock.inside.address
        async with wire.connected(address, KEY) as healthy, wire.connected(address, KEY) as dead:
            assert not await is_admitted(clock)
            began = clock.now
            await clock.pass_by(SILENCE + ROUND + LOOK)
            assert await healthy.frame() == (PING, b"")
            assert await dead.frame() == (PING, b"")
            assert not await is_admitted(clock), "the dead one has time for its answer"
            await healthy.send(frame(PONG, b""))
            await healthy.expect_alive()
            while not await is_admitted(clock):
                await clock.pass_by(1.0)
                assert clock.now - began < BOUND
            while (received := await dead.frame()) == (PING, b""):
                pass  # one each round
            assert b"4201" in received[1]
            connections = clock.inside.node.hub.app_states[APP_ID].connections
            await eventually(lambda: len(connections) == 1)


async def test_an_app_with_room_asks_nobody(tmp_path: Path) -> None:
    """Nor one without a limit: quiet clients are left in peace for the activity timeout."""
    for limits in ({"connections": 2}, {}):
        async with (
            by_our_clock(tmp_path, limits=limits, activity_timeout=120) as clock,
            wire.connected(clock.inside.address, KEY) as client,
        ):
            await clock.pass_by(118)
            await client.expect_alive()  # the next frame is the answer to it, and no ping


async def test_a_client_that_sends_is_not_asked(tmp_path: Path) -> None:
    async with (
        by_our_clock(tmp_path, limits={"connections": 1}, activity_timeout=120) as clock,
        wire.connected(clock.inside.address, KEY) as client,
    ):
        for _ in range(20):
            await clock.pass_by(SILENCE - 1)
            await client.expect_alive()
