"""What strangers can make a server keep, and for how long: bodies that nobody has signed."""

import asyncio
import os
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack, suppress

import pytest

from tests.abuse.flood import APP_ID, KEY, SECRET
from tests.abuse.setups import SETUPS, AuditedServer, serving, share_cores
from tests.support.signing import signed_query, unsigned_query
from tests.support.wire import Wire, opened, request

CONNECTIONS, BODY = 100, 10_000_000
#: 64 MB are kept for requests that are not verified; the rest is what a hundred connections are worth.
MOST_MEMORY = 100_000_000
PATH = f"/apps/{APP_ID}/events"
PIECE = bytes(100_000)
#: Seconds: a body's rate is not looked at before the tenth.
SLOWEST = 16.0

pytestmark = pytest.mark.parametrize("server", ["uvloop", "asyncio"], indirect=True)


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[AuditedServer]:
    """One process."""
    cores = share_cores()
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores.others)
    try:
        with serving(SETUPS[request.param], cores) as running:
            yield running
    finally:
        os.sched_setaffinity(0, before)


def heads() -> dict[str, bytes]:
    """Requests without their bodies, which a stranger can make up."""
    key = unsigned_query(KEY, b"x")
    wrong = f"{PATH}?{key}&auth_signature={'0' * 64}"
    targets = {
        "unsigned": PATH,
        "wrong signature": wrong,
        "unknown app": "/apps/nobody/events",
        "no such path": "/nothing",
    }
    return {
        "chunked": request(wrong, method="POST", Transfer_Encoding="chunked"),
        **{
            kind: request(target, method="POST", Content_Length=str(BODY))
            for kind, target in targets.items()
        },
    }


async def pour(wire: Wire, head: bytes) -> None:
    """Send one large body, as far as it is taken."""
    chunked = b"chunked" in head
    with suppress(OSError):
        await wire.send(head)
        for _ in range(BODY // len(PIECE)):
            await wire.send(b"%x\r\n%b\r\n" % (len(PIECE), PIECE) if chunked else PIECE)


async def watched(server: AuditedServer, done: asyncio.Event) -> int:
    """The most memory that the server has until then."""
    most = server.memory()
    while not done.is_set():
        with suppress(TimeoutError):
            await asyncio.wait_for(done.wait(), 0.02)
        most = max(most, server.memory())
    return most


async def test_bodies_of_strangers_do_not_fill_the_memory(server: AuditedServer) -> None:
    before = server.memory()
    for kind, head in heads().items():
        done = asyncio.Event()
        watching = asyncio.create_task(watched(server, done))
        async with AsyncExitStack() as stack:
            wires = [
                await stack.enter_async_context(opened(server.address)) for _ in range(CONNECTIONS)
            ]
            with suppress(TimeoutError):
                async with asyncio.timeout(10):
                    await asyncio.gather(*(pour(wire, head) for wire in wires))
            done.set()
            most = await watching
        assert most - before < MOST_MEMORY, f"{kind}: {(most - before) / 1e6:.0f} MB more"


async def ended(wire: Wire, head: bytes) -> float:
    """Seconds until the server gives up somebody who sends a byte a second after this head."""
    began = time.monotonic()
    reading = asyncio.ensure_future(wire.rest(patience=60))
    with suppress(OSError):
        await wire.send(head)
        while not reading.done() and time.monotonic() - began < SLOWEST + 2:
            await wire.send(b"x")
            await asyncio.wait([reading], timeout=1)
    reading.cancel()
    return time.monotonic() - began


async def test_a_body_of_a_byte_a_second_ends(server: AuditedServer) -> None:
    signed = f"{PATH}?{signed_query(KEY, SECRET, 'POST', PATH, bytes(1_000))}"
    every = {
        "signed": request(signed, method="POST", Content_Length="1000"),
        "unsigned": request(PATH, method="POST", Content_Length="1000"),
        "no such path": request("/nothing", method="POST", Content_Length="1000"),
    }

    async def one(head: bytes) -> float:
        async with opened(server.address) as wire:
            return await ended(wire, head)

    lasted = dict(zip(every, await asyncio.gather(*map(one, every.values())), strict=True))
    assert max(lasted.values()) < SLOWEST, lasted
