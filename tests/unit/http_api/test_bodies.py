"""Bodies: limits, chunks, clients that leave or never end, gzip."""

import asyncio
import gzip
import zlib
from typing import Any

import pytest

from tests.unit.http_api.backend import Backend

EVENT = b'{"name":"e","channel":"a","data":"x"}'


async def test_body_limit() -> None:
    """413 and the end of the connection; a body of just that size passes."""
    backend = Backend(request_bytes=len(EVENT))
    assert (await backend.post("/events", EVENT)).status_code == 200
    response = await backend.post("/events", EVENT + b" ")
    assert (response.status_code, response.headers["connection"]) == (413, "close")


class Pipe:
    """A hand-driven ASGI exchange: messages to receive, then silence; and what was sent."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.sent: list[Any] = []

    async def receive(self) -> dict[str, Any]:
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def run(self, backend: Backend, headers: list[tuple[bytes, bytes]]) -> int | None:
        scope = {
            "type": "http",
            "method": "POST",
            "path": "/apps/3/events",
            "raw_path": b"/apps/3/events",
            "query_string": backend.signed("POST", "/apps/3/events", EVENT)
            .partition("?")[2]
            .encode(),
            "headers": headers,
        }
        await backend.api(scope, self.receive, self.send)
        return self.sent[0]["status"] if self.sent else None


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_chunked_body() -> None:
    """Gathered, however it is cut."""
    pipe = Pipe(*(part(EVENT[i : i + 1]) for i in range(len(EVENT))), part(b"", more=False))
    assert await pipe.run(Backend(), [(b"transfer-encoding", b"chunked")]) == 200


async def test_endless_body_is_not_read_on() -> None:
    """Past the limit: the answer, then as much again is dropped, so that the client can read it."""
    pipe = Pipe(*(part(b"x" * 10) for _ in range(20)))
    backend = Backend(request_bytes=25)
    assert await pipe.run(backend, [(b"transfer-encoding", b"chunked")]) == 413
    assert len(pipe.messages) == 20 - 3 - 3
    assert [message.get("more_body", False) for message in pipe.sent[1:]] == [True, False]


@pytest.mark.parametrize("last", [part(b"x", more=False), {"type": "http.disconnect"}])
async def test_lingering_ends_with_the_body_or_the_client(last: dict[str, Any]) -> None:
    """Nothing is received beyond."""
    pipe = Pipe(part(b"x" * 30), part(b"x"), last, part(b"x"))
    backend = Backend(request_bytes=25)
    assert await pipe.run(backend, [(b"transfer-encoding", b"chunked")]) == 413
    assert len(pipe.messages) == 1


async def test_lingering_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that neither sends nor leaves holds its connection for a moment only."""
    monkeypatch.setattr("pusher_server.http_api.asgi._LINGER_SECONDS", 0.01)
    pipe = Pipe(part(b"x" * 30))
    backend = Backend(request_bytes=25)
    async with asyncio.timeout(5):
        assert await pipe.run(backend, [(b"transfer-encoding", b"chunked")]) == 413


@pytest.mark.parametrize("length", [b"26", b"9" * 5_000])
async def test_declared_length_is_enough_to_refuse(length: bytes) -> None:
    """Nothing is received, so `Expect: 100-continue` is never answered with a go-ahead."""
    pipe = Pipe(part(EVENT, more=False))
    headers = [(b"content-length", length), (b"expect", b"100-continue")]
    assert await pipe.run(Backend(request_bytes=25), headers) == 413
    assert len(pipe.messages) == 1


async def test_client_leaves_early() -> None:
    """Nobody is left to answer."""
    pipe = Pipe(part(EVENT[:5]), {"type": "http.disconnect"})
    assert await pipe.run(Backend(), [(b"content-length", b"%d" % len(EVENT))]) is None


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", " GZIP "])
async def test_gzip(encoding: str) -> None:
    """The digest is over the bytes as received, the JSON is what they hold."""
    backend = Backend()
    headers = {"content-encoding": encoding}
    response = await backend.post("/events", gzip.compress(EVENT), headers=headers)
    assert response.status_code == 200, response.text
    assert backend.sent == [("e", ["a"], b'"x"', None)]


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", EVENT, 400),
        ("gzip", gzip.compress(EVENT)[:-1], 400),
        ("gzip", gzip.compress(EVENT) + b"more", 400),
        ("gzip", gzip.compress(b" " * 1_001), 413),
        ("deflate", zlib.compress(EVENT), 415),
        ("gzip, gzip", gzip.compress(gzip.compress(EVENT)), 415),
        ("identity", EVENT, 200),
        ("gzip", b"", 400),
    ],
)
async def test_bad_encodings(encoding: str, body: bytes, status: int) -> None:
    """A small body must not become a huge one."""
    backend = Backend(request_bytes=1_000)
    response = await backend.post("/events", body, headers={"content-encoding": encoding})
    assert response.status_code == status
