"""The flooder's process, held by whoever measures."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.abuse.flood import Flood
from tests.support.wire import Address

#: Seconds for a word from it.
_PATIENCE = 30.0


@dataclass(frozen=True)
class Sent:
    """What a flood came to: bytes, connections that were made, attempts that failed."""

    bytes: int
    connections: int
    refused: int
    seconds: float

    @property
    def speed(self) -> str:
        """For people: bytes in a second, or connections where those are the point."""
        if self.connections > 10 * self.seconds and self.bytes < 10_000 * self.connections:
            return f"{self.connections / self.seconds:,.0f} connections/s"
        return f"{self.bytes / self.seconds / 1e6:.2f} MB/s"


class Stranger:
    """Made by `stranger`."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    async def begin(self, flood: Flood) -> None:
        """Start to send."""
        await self._say(flood.name)

    async def end(self) -> Sent:
        """Stop; what it was."""
        await self._say("")
        return Sent(**json.loads(await self._hear()))

    async def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        await self._process.stdin.drain()

    async def _hear(self) -> str:
        assert self._process.stdout is not None
        async with asyncio.timeout(_PATIENCE):
            line = await self._process.stdout.readline()
        if not line:
            raise RuntimeError("the flooder has ended")
        return line.decode()


@asynccontextmanager
async def stranger(address: Address) -> AsyncIterator[Stranger]:
    """Ready to flood this server; it ends with its standard input, at the latest."""
    options = () if address.tls is None else ("--tls",)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.abuse.flooder", address.host, str(address.port), *options),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    held = Stranger(process)
    try:
        assert await held._hear() == "ready\n"
        yield held
    finally:
        process.kill()
        await process.wait()
