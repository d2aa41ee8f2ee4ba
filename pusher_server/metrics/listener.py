"""A small HTTP/1.1 server for operators' programs: few, local, and asking with GET.

Not uvicorn a second time: it owns the process's signals and its own shutdown, and this one has to answer until
the very end of a drain. Heads are bounded in size and time; there are no bodies; connections are bounded.
"""

import asyncio
import logging
import socket
from http import HTTPStatus

from pusher_server.metrics.operations import Operations, OperationsAnswer

logger = logging.getLogger("pusher_server.metrics")

#: Bytes of a request's head, and seconds in which it must come; before the next one the client may rest.
_HEAD_BYTES = 16_384
_HEAD_SECONDS = 10.0
_IDLE_SECONDS = 75.0
#: Clients at a time: a scraper, a load balancer, a person.
_CLIENTS = 64


class Listener:
    """Serves `operations` on a socket that is bound already."""

    def __init__(self, operations: Operations, bound: socket.socket) -> None:
        self._operations = operations
        self._bound = bound
        self._server: asyncio.Server | None = None
        self._clients: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self._bound.getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    async def open(self) -> None:
        """Listen, in the running loop."""
        self._server = await asyncio.start_server(self._serve, sock=self._bound, limit=_HEAD_BYTES)

    async def close(self) -> None:
        """No longer answer."""
        if self._server is not None:
            self._server.close()
        for client in self._clients:
            client.cancel()
        await asyncio.gather(*self._clients, return_exceptions=True)
        self._bound.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # asyncio starts one for each client
        self._clients.add(task)
        try:
            if len(self._clients) > _CLIENTS:
                writer.write(_response(_refusal(503, "Too many clients\n"), keep=False))
            else:
                await self._converse(reader, writer)
            await asyncio.wait_for(writer.drain(), _HEAD_SECONDS)
        except (OSError, TimeoutError, asyncio.IncompleteReadError):
            pass  # it is gone, or says nothing
        except asyncio.CancelledError:
            pass  # the process ends
        finally:
            self._clients.discard(task)
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One request after the other, until somebody wants to end."""
        patience, keep = _HEAD_SECONDS, True
        while keep:
            try:
                async with asyncio.timeout(patience):
                    head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.LimitOverrunError:
                writer.write(_response(_refusal(431, "The head is too large\n"), keep=False))
                return
            request = _parse(head)
            if request is None:
                writer.write(_response(_refusal(400, "Not an HTTP/1 request\n"), keep=False))
                return
            method, target, version, headers = request
            keep = _keeps(version, headers)
            answer = await self._answer(method, target, headers)
            writer.write(_response(answer, keep=keep, head_only=method == "HEAD"))
            async with asyncio.timeout(_HEAD_SECONDS):
                await writer.drain()
            patience = _IDLE_SECONDS
            await asyncio.sleep(0)  # pipelined requests are answered one a turn of the loop

    async def _answer(self, method: str, target: str, headers: dict[str, str]) -> OperationsAnswer:
        try:
            return await self._operations.answer(method, target, headers)
        except Exception:  # the one place where what failed becomes an answer
            logger.exception(
                "an operator's request failed", extra={"path": target.partition("?")[0]}
            )
            return _refusal(500, "Internal error; the log has more\n")


def _parse(head: bytes) -> tuple[str, str, str, dict[str, str]] | None:
    """Method, target, version and headers (names in lower case); None when it is no HTTP/1 request."""
    first, *lines = head.decode("latin-1").strip("\r\n").split("\r\n")
    words = first.split(" ")
    if len(words) != 3 or words[2] not in ("HTTP/1.0", "HTTP/1.1") or not words[1].startswith("/"):
        return None
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon:
            return None
        headers[name.lower()] = value.strip()
    return words[0], words[1], words[2], headers


def _keeps(version: str, headers: dict[str, str]) -> bool:
    """Whether the connection stays. A body, which nobody needs here, would be read as the next request."""
    if headers.get("content-length", "0") != "0" or "transfer-encoding" in headers:
        return False
    wish = headers.get("connection", "").lower()
    return wish != "close" and (version == "HTTP/1.1" or wish == "keep-alive")


def _refusal(status: int, text: str) -> OperationsAnswer:
    return OperationsAnswer(status, text.encode())


def _response(answer: OperationsAnswer, *, keep: bool, head_only: bool = False) -> bytes:
    lines = [
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        f"content-type: {answer.content_type}",
        f"content-length: {len(answer.body)}",
        "cache-control: no-store",
        *(f"{name}: {value}" for name, value in answer.headers),
        f"connection: {'keep-alive' if keep else 'close'}",
    ]
    head = "\r\n".join([*lines, "", ""]).encode("latin-1")
    return head if head_only else head + answer.body
