"""Silent clients and dead ones, by a clock of our own: no test waits for time.

See docs/protocol/connection.md#liveness.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pusher_server.clients.heartbeat import INTERVAL
from tests.support import signed, wire
from tests.support.frames import PING, PONG
from tests.support.inprocess import KEY, SECRET, Inside, app, serving
from tests.support.signing import channel_auth, user_auth
from tests.support.waiting import eventually
from tests.support.wire import QUERY, Wire, frame

ACTIVITY, PONG_TIMEOUT = 60, 30.0


@dataclass
class Slow:
    """A server whose connections live by this clock."""

    inside: Inside
    now: float

    def __call__(self) -> float:
        return self.now

    async def pass_by(self, seconds: float) -> None:
        """Let time pass, with every look at the connections that falls into it."""
        end = self.now + seconds
        while self.now < end:
            self.now += INTERVAL
            self.inside.clients.heartbeat.tick(self.now)
            self.inside.edge.admission.full_apps.tick()
            await asyncio.sleep(0)


@asynccontextmanager
async def by_our_clock(tmp_path: Path, **switches: Any) -> AsyncIterator[Slow]:
    """Serve an app with these switches."""
    settings = {
        "apps": [app(**{"activity_timeout": ACTIVITY, **switches})],
        "websocket": {"pong_timeout": PONG_TIMEOUT},
    }
    async with serving(tmp_path, settings) as inside:
        clock = Slow(inside, asyncio.get_running_loop().time() + 10)
        inside.uvicorn._tick = lambda now: None  # the looks are ours
        inside.edge.clock = inside.clients.clock = clock
        yield clock


async def test_a_silent_client_is_asked_and_then_closed_with_4201(tmp_path: Path) -> None:
    """A control frame after the activity timeout; error and close when nothing comes."""
    async with by_our_clock(tmp_path) as clock:
        async with wire.connected(clock.inside.address, KEY) as client:
            await clock.pass_by(ACTIVITY - 2)
            await client.expect_alive()
            await clock.pass_by(ACTIVITY + 2)
            assert await client.frame() == (PING, b"")
            await clock.pass_by(PONG_TIMEOUT - 3)
            assert len(clock.inside.clients.connections) == 1
            await clock.pass_by(5)
            assert await client.expect_refusal(4201) == "Pong reply not received"
        assert not clock.inside.clients.connections


async def test_a_client_that_answers_pings_stays_for_hours(tmp_path: Path) -> None:
    """A pong of the WebSocket layer is enough: browsers answer by themselves."""
    async with by_our_clock(tmp_path) as clock, wire.connected(clock.inside.address, KEY) as client:
        for _ in range(60):
            await clock.pass_by(ACTIVITY + 2)
            assert await client.frame() == (PING, b"")
            await client.send(frame(PONG), frame(PING, b"seen"))
            assert await client.frame() == (PONG, b"seen")
        await client.expect_alive()


async def test_a_client_that_only_receives_stays(tmp_path: Path) -> None:
    """On a busy channel it never sends: silence alone closes nobody (trap 9)."""
    async with (
        by_our_clock(tmp_path) as clock,
        wire.connected(clock.inside.address, KEY) as client,
        wire.opened(clock.inside.address) as backend,
    ):
        await client.join("c")
        pinged = 0
        for number in range(100):
            await clock.pass_by(10)
            await backend.send(signed.event("c", str(number)))
            assert (await backend.answer()).status == 200
            opcode, payload = await client.frame()
            if opcode == PING:  # answered as a browser does, before anything else
                pinged += 1
                await client.send(frame(PONG), frame(PING, b"seen"))
                found = [await client.frame(), await client.frame()]
                assert (PONG, b"seen") in found
                opcode, payload = next(each for each in found if each[0] != PONG)
            assert b'"my-event"' in payload
        assert pinged > 10
        await client.expect_alive()


async def test_any_inbound_frame_counts(tmp_path: Path) -> None:
    """Also one that is no message at all, or only half a frame."""
    async with by_our_clock(tmp_path) as clock, wire.connected(clock.inside.address, KEY) as client:
        await clock.pass_by(ACTIVITY - 2)
        await client.send(wire.text(b"nonsense"))
        await client.expect_error(4200)
        await clock.pass_by(ACTIVITY - 2)
        ping = wire.message("pusher:ping", data={})
        await client.send(ping[:5])
        await client.send(ping[5:])
        await client.expect("pusher:pong")
        await clock.pass_by(ACTIVITY - 2)
        await client.expect_alive()


async def test_who_does_not_authorize_in_time_is_closed_with_4009(tmp_path: Path) -> None:
    """Where the app asks for it: a public channel is no authorization.

    See docs/protocol/connection.md#authorization-timeout.
    """
    async with (
        by_our_clock(tmp_path, authorization_timeout=20) as clock,
        wire.connected(clock.inside.address, KEY) as client,
    ):
        await client.join("public")
        await clock.pass_by(18)
        await client.expect_alive()
        await clock.pass_by(4)
        said = await client.expect_refusal(4009)
        assert said == "Connection not authorized within timeout"


async def established(client: Wire) -> str:
    """Upgrade; returns the socket id."""
    await client.handshake(f"/app/{KEY}{QUERY}")
    return await client.established()


async def test_who_signs_in_or_joins_a_private_channel_is_authorized(tmp_path: Path) -> None:
    """Either will do, and leaving the channel again takes nothing back."""
    async with by_our_clock(tmp_path, authorization_timeout=20) as clock:
        address = clock.inside.address
        async with wire.opened(address) as member, wire.opened(address) as user:
            auth = channel_auth(KEY, SECRET, await established(member), "private-c")
            await member.join("private-c", auth=auth)
            await member.send(wire.message("pusher:unsubscribe", data={"channel": "private-c"}))
            auth = user_auth(KEY, SECRET, await established(user), '{"id":"1"}')
            await user.send(
                wire.message("pusher:signin", data={"auth": auth, "user_data": '{"id":"1"}'})
            )
            await user.expect("pusher:signin_success")
            await member.expect_alive()
            await clock.pass_by(40)
            await member.expect_alive()
            await user.expect_alive()


async def test_who_does_not_answer_our_close_is_cut(tmp_path: Path) -> None:
    """It got error and close frame; a few seconds later the connection is gone."""
    async with by_our_clock(tmp_path) as clock, wire.opened(clock.inside.address) as client:
        await client.handshake("/app/unknown")
        await client.expect_error(4001)
        await client.expect_close(4001)
        await client.send(wire.message("pusher:ping", data={}))
        assert len(clock.inside.clients.connections) == 1
        await clock.pass_by(8)
        await eventually(lambda: not clock.inside.clients.connections)
        await client.expect_end()
