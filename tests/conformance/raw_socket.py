"""A WebSocket client that obeys no rule on its own: it answers no ping and sends any frame."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.conformance.client import Frame
from tests.conformance.target import Credentials, Target
from tests.support.frames import PING, TEXT
from tests.support.waiting import PATIENCE
from tests.support.wire import QUERY, Address, Wire, closing, opened


async def next_message(wire: Wire, patience: float = PATIENCE) -> Frame:
    """The next text frame; WebSocket pings on the way are ignored, not answered."""
    while True:
        opcode, payload = await wire.frame(patience)
        if opcode == TEXT:
            return Frame.parse(payload.decode())
        assert opcode == PING, (opcode, payload)


async def finish_closing(wire: Wire, code: int, patience: float = 2.0) -> None:
    """Expect a close frame, answer it, and see the server end TCP (RFC 6455 §7.1.1)."""
    await wire.expect_close(code)
    await wire.send(closing(code))
    await wire.expect_end(patience)


@asynccontextmanager
async def raw_connected(target: Target, app: Credentials) -> AsyncIterator[Wire]:
    """An upgraded connection of which nothing has been read yet."""
    async with opened(Address(target.host, target.port)) as wire:
        host = f"{target.host}:{target.port}"
        await wire.handshake(f"{target.prefix}/app/{app.key}{QUERY}", Host=host)
        yield wire
