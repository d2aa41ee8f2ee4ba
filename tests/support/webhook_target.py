"""A target of webhooks on a real socket, byte by byte: it keeps every request and answers as it is told."""

import asyncio
import json
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Self

#: How long anything may take that should come soon.
PATIENCE = 10.0


@dataclass(frozen=True)
class Request:
    """One request as it was on the wire; header names as they were spelt, in their order."""

    line: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    #: Which connection it came on, counted from 1; seconds of the running loop.
    connection: int
    at: float

    def header(self, name: str) -> str | None:
        """The value under exactly this name."""
        return dict(self.headers).get(name)

    @property
    def ids(self) -> tuple[str, ...]:
        """Of its events."""
        return tuple((self.header("X-Pusher-Server-Event-Ids") or "").split(","))

    @property
    def events(self) -> list[dict[str, Any]]:
        """What it tells."""
        found: list[dict[str, Any]] = json.loads(self.body)["events"]
        return found


#: Answers a request; a connection is closed when it has returned False.
Answering = Callable[[Request, asyncio.StreamWriter], Awaitable[bool]]


def with_status(status: int, *, head: str = "", body: str = "") -> Answering:
    """An answer as most targets give it; `head` is more header lines, each with its line break."""

    async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
        writer.write(
            f"HTTP/1.1 {status} -\r\n{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()
        )
        await writer.drain()
        return True

    return answer


async def hanging(request: Request, writer: asyncio.StreamWriter) -> bool:
    """No answer at all."""
    await asyncio.get_running_loop().create_future()
    return False


async def cutting(request: Request, writer: asyncio.StreamWriter) -> bool:
    """The connection ends instead."""
    return False


class WebhookTarget:
    """Listens on a port, 0 for a free one, as an async context manager. `answer` may be changed at any time."""

    def __init__(
        self, answer: Answering | None = None, *, tls: ssl.SSLContext | None = None, port: int = 0
    ) -> None:
        self.answer = answer or with_status(200)
        self.requests: list[Request] = []
        self.port = port
        self._tls = tls
        self._connections: set[asyncio.Task[None]] = set()
        self._count = 0
        self._heard = asyncio.Event()

    @property
    def url(self) -> str:
        """Where webhooks are to go."""
        return f"{'https' if self._tls else 'http'}://localhost:{self.port}/hooks"

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events of all requests."""
        return [event for request in self.requests for event in request.events]

    async def until(self, condition: Callable[[], bool], patience: float = PATIENCE) -> None:
        """Return once it holds; it is looked at again with each request."""
        try:
            async with asyncio.timeout(patience):
                while not condition():
                    self._heard.clear()
                    await self._heard.wait()
        except TimeoutError:
            heard = [(each.at, each.line, each.ids, each.events) for each in self.requests]
            raise AssertionError(f"not within {patience} s; heard {heard}") from None

    async def heard(self, count: int, patience: float = PATIENCE) -> list[Request]:
        """Return once there were so many requests."""
        await self.until(lambda: len(self.requests) >= count, patience)
        return self.requests

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def open(self) -> None:
        """Listen, at the same port as before if there was one."""
        self._server = await asyncio.start_server(
            self._serve, "127.0.0.1", self.port, ssl=self._tls
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse connections from now on, and cut those there are."""
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._connections.add(task)
        self._count += 1
        number = self._count
        try:
            while True:
                request = await _read(reader, number)
                self.requests.append(request)
                self._heard.set()
                if not await self.answer(request, writer):
                    return
        except (asyncio.IncompleteReadError, asyncio.CancelledError, OSError):
            return  # a task of a connection that ends as cancelled would be reported by asyncio
        finally:
            self._connections.discard(task)
            writer.transport.abort()


async def _read(reader: asyncio.StreamReader, connection: int) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode().removesuffix("\r\n\r\n")
    line, *lines = head.split("\r\n")
    headers = tuple((name, value) for name, _, value in (each.partition(": ") for each in lines))
    body = await reader.readexactly(int(dict(headers)["Content-Length"]))
    return Request(line, headers, body, connection, asyncio.get_running_loop().time())
