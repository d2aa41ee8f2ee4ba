"""The application's backend: signed requests to a node's HTTP API, one at a time per connection."""

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

from tests.chaos.findings import Findings
from tests.chaos.ledger import Ledger
from tests.chaos.plan import Publish
from tests.chaos.world import APP_ID, KEY, SECRET, Address
from tests.support.signing import signed_query

#: How long an answer may take; a node that is stopped gives none.
PATIENCE = 2.0


class NoAnswer(Exception):
    """The node is away, or did not answer in time: whether it acted is unknown."""


class Caller:
    """A connection to one node that is made when needed. `generation` counts them."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self.generation = 0
        self.lock = asyncio.Lock()
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, body: Any = None, query: str = "") -> Any:
        """The decoded answer and its status. Raises NoAnswer."""
        content = b"" if body is None else json.dumps(body).encode()
        full = f"/apps/{APP_ID}{path}"
        target = f"{full}?{signed_query(KEY, SECRET, method, full, content, query)}"
        head = (
            f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(content)}\r\n\r\n"
        )
        try:
            async with asyncio.timeout(PATIENCE):
                return await self._exchange(head.encode() + content)
        except (OSError, asyncio.IncompleteReadError, TimeoutError) as error:
            self.close()
            raise NoAnswer(type(error).__name__) from None
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the connection; the next request makes another."""
        self.generation += 1
        if self._streams is not None:
            self._streams[1].transport.abort()
            self._streams = None

    async def _exchange(self, request: bytes) -> tuple[int, Any]:
        if self._streams is None:
            self._streams = await asyncio.open_connection(*self.address)
        reader, writer = self._streams
        writer.write(request)
        head = await reader.readuntil(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
        headers = {name.lower(): value.strip() for name, _, value in lines}
        text = await reader.readexactly(int(headers.get(b"content-length", b"0")))
        return status, json.loads(text) if text.startswith(b"{") else text.decode()


class Backend:
    """Publishers, each with a connection to each node."""

    def __init__(
        self, addresses: list[Address], publishers: int, findings: Findings, ledger: Ledger
    ) -> None:
        self._addresses = addresses
        self._findings = findings
        self._ledger = ledger
        self._callers = {
            (publisher, node): Caller(address)
            for publisher in range(publishers)
            for node, address in enumerate(addresses)
        }
        self._numbers: dict[str, int] = {}
        self._probes = 0

    async def publish(self, plan: Publish, excluded: str | None) -> None:
        """Publish as planned, unless this publisher still waits for this node."""
        node = plan.node % len(self._addresses)
        caller = self._callers[plan.publisher, node]
        if caller.lock.locked():
            self._findings.seen["publications skipped"] += 1
            return
        async with caller.lock:
            for _ in range(plan.times):
                # A new connection is a new stream: what an old one carried may still be under way.
                stream = f"p{plan.publisher}n{node}c{caller.generation}"
                if await self._publish(caller, stream, plan.channels, excluded) is None:
                    return

    async def probe(self, address: Address, channels: Sequence[str]) -> str | None:
        """Publish one event to all these channels over a new connection; its name if that worked."""
        caller = Caller(address)
        self._probes += 1
        try:
            return await self._publish(caller, f"probe{self._probes}", channels, None)
        finally:
            caller.close()

    async def _publish(
        self, caller: Caller, stream: str, channels: Sequence[str], excluded: str | None
    ) -> str | None:
        number = self._numbers[stream] = self._numbers.get(stream, 0) + 1
        name = f"tick:{stream}:{number}"
        data = {"name": name} if excluded is None else {"name": name, "excluded": excluded}
        body: dict[str, Any] = {
            "name": name,
            "channels": list(channels),
            "data": json.dumps(data),
        }
        if excluded is not None:
            body["socket_id"] = excluded
        now = time.monotonic()
        written = [self._ledger.published(name, c, now, excluded=excluded) for c in channels]
        try:
            status, answer = await caller.ask("POST", "/events", body)
        except NoAnswer:
            self._findings.seen["publications without answer"] += 1
            return None
        if status != 200:
            self._findings.report(
                "refused", time.monotonic(), f"publication answered {status}: {answer}"
            )
            return None
        self._findings.seen["publications"] += 1
        for publication in written:
            publication.answered = time.monotonic()
        return name

    async def terminate(self, node: int, user: str) -> None:
        """End a user's connections."""
        caller = Caller(self._addresses[node % len(self._addresses)])
        termination = self._ledger.terminating(user, time.monotonic())
        path = f"/users/{user}/terminate_connections"
        try:
            status, answer = await caller.ask("POST", path, {})
        except NoAnswer:
            return
        finally:
            caller.close()
        if status != 200:
            text = f"POST {path} answered {status}: {answer}"
            self._findings.report("refused", time.monotonic(), text)
            return
        termination.answered = time.monotonic()
        self._findings.seen["terminations"] += 1

    def close(self) -> None:
        """End all connections."""
        for caller in self._callers.values():
            caller.close()
