"""A publication is answered before it is delivered, and a large channel holds nobody up."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import signed, wire
from tests.support.inprocess import KEY, Inside, serving
from tests.support.wire import Wire

#: The real one is larger; what matters is how many of them a channel takes.
CHUNK = 20
LARGE = CHUNK * 5


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    """A server that serves channels in small chunks."""
    async with serving(tmp_path) as running:
        running.node.hub._fanout._chunk = CHUNK
        yield running


async def crowd(stack: AsyncExitStack, inside: Inside, channel: str, size: int) -> list[Wire]:
    """So many connections, subscribed."""
    clients = []
    for _ in range(size):
        client = await stack.enter_async_context(wire.opened(inside.address, limit=65_536))
        await client.send(wire.upgrade(f"/app/{KEY}"), wire.subscribe(channel))
        clients.append(client)
    for client in clients:
        assert (await client.answer()).status == 101
        await client.established()
        await client.expect("pusher_internal:subscription_succeeded")
    return clients


def noting(log: list[str], word: str, write: Callable[[bytes], None]) -> Callable[[bytes], None]:
    """`write`, noted."""

    def noted(data: bytes) -> None:
        log.append(word)
        write(data)

    return noted


class NotingTransport:
    """A transport whose writes are noted."""

    def __init__(self, log: list[str], transport: Any) -> None:
        self._transport = transport
        self.write = noting(log, "answer", transport.write)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


async def watched_backend(stack: AsyncExitStack, inside: Inside, log: list[str]) -> Wire:
    """A connection of a backend; what the server writes to it is noted."""
    backend = await stack.enter_async_context(wire.opened(inside.address))
    assert (await backend.ask("/up")).status == 200
    (protocol,) = [
        each for each in inside.uvicorn.server_state.connections if hasattr(each, "cycle")
    ]
    protocol.transport = NotingTransport(log, protocol.transport)  # type: ignore[union-attr]
    return backend


def watch(inside: Inside, log: list[str], channel: str) -> None:
    """Note what the server writes to subscribers of `channel`, by its name."""
    (app_state,) = inside.node.hub.app_states.values()
    subscribers = app_state.channels[channel].subscribers
    for subscription, write in subscribers.items():
        subscribers[subscription] = noting(log, channel, write)


@pytest.mark.parametrize("info", [{}, {"info": "subscription_count"}], ids=["short", "with info"])
async def test_the_answer_does_not_wait_for_the_fan_out(
    inside: Inside, info: dict[str, str]
) -> None:
    """It is written before the last subscriber is served, and all are served."""
    log: list[str] = []
    async with AsyncExitStack() as stack:
        clients = await crowd(stack, inside, "large", LARGE)
        backend = await watched_backend(stack, inside, log)
        watch(inside, log, "large")
        await backend.send(signed.event("large", **info))
        answer = await backend.answer()
        assert answer.status == 200
        assert (b"100" in answer.body) is bool(info)
        for client in clients:
            await client.expect("my-event")
    assert log.count("large") == LARGE
    answered = log.index("answer")
    assert answered == 0 if not info else answered < LARGE


async def test_other_channels_are_served_between_the_chunks(inside: Inside) -> None:
    """A small channel waits for one chunk of a large one, not for all of it."""
    log: list[str] = []
    async with AsyncExitStack() as stack:
        many = await crowd(stack, inside, "large", LARGE)
        few = await crowd(stack, inside, "small", 3)
        backend = await watched_backend(stack, inside, log)
        for channel in ("large", "small"):
            watch(inside, log, channel)
        await backend.send(signed.event("large"), signed.event("small"), signed.event("large"))
        for _ in range(3):
            assert (await backend.answer()).status == 200
        for client in few:
            await client.expect("my-event")
        for client in many:
            await client.expect("my-event")
            await client.expect("my-event")
    last_small = len(log) - 1 - log[::-1].index("small")
    assert log[:last_small].count("large") <= CHUNK


async def test_requests_are_served_between_the_chunks(inside: Inside) -> None:
    """The loop itself gets a turn after each chunk: another client is answered meanwhile."""
    log: list[str] = []
    async with AsyncExitStack() as stack:
        many = await crowd(stack, inside, "large", LARGE)
        other = await stack.enter_async_context(wire.connected(inside.address, KEY))
        (connection,) = [each for each in inside.clients.connections if not each.subscriptions]
        connection.write = noting(log, "pong", connection.write)
        backend = await watched_backend(stack, inside, log)
        watch(inside, log, "large")
        # Both are readable in the same turn of the loop; the pong need not wait for the fan-out.
        backend.writer.write(signed.event("large"))
        other.writer.write(wire.message("pusher:ping", data={}))
        assert (await backend.answer()).status == 200
        await other.expect("pusher:pong")
        for client in many:
            await client.expect("my-event")
    assert log.index("pong") < log.index("large") + LARGE
    assert log[-1] == "large"
