"""Bodies: limits, chunks, clients that leave or never end, gzip."""

import asyncio
import gzip
import tracemalloc
import zlib
from typing import Any

import pytest

from pusher_server.http_api.asgi import join
from pusher_server.http_api.bodies import RequestBody
from pusher_server.http_api.responses import text_response
from tests.unit.http_api.backend import Backend, app_with

EVENT = b'{"name":"e","channel":"a","data":"x"}'
#: Without a time, which would be in the names of tests.
ZIPPED = gzip.compress(EVENT, mtime=0)


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

    async def run(
        self,
        backend: Backend,
        headers: list[tuple[bytes, bytes]],
        *,
        query: bytes = b"",
        seam: Any = None,
    ) -> int | None:
        scope: dict[str, Any] = {
            "state": {},
            "type": "http",
            "method": "POST",
            "path": "/apps/3/events",
            "raw_path": b"/apps/3/events",
            "query_string": query
            or backend.signed("POST", "/apps/3/events", EVENT).partition("?")[2].encode(),
            "headers": headers,
        }
        if seam is not None:
            join(scope["state"], seam)
        await backend.api(scope, self.receive, self.send)
        return self.sent[0]["status"] if self.sent else None


def part(body: bytes, more: bool = True) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


async def test_chunked_body() -> None:
    """Gathered, however it is cut."""
    pipe = Pipe(*(part(EVENT[i : i + 1]) for i in range(len(EVENT))), part(b"", more=False))
    assert await pipe.run(Backend(), [(b"transfer-encoding", b"chunked")]) == 200


async def test_a_body_in_tiny_pieces_costs_its_bytes() -> None:
    """A list of them would take twenty times as much."""
    pieces = 50_000

    async def receive() -> dict[str, Any]:
        nonlocal pieces
        pieces -= 1
        return part(pieces.to_bytes(2), more=pieces > 0)

    tracemalloc.start()
    try:
        body = await RequestBody(receive, None).gather(1_000_000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert body is not None
    assert len(body) == 100_000
    assert body[:2] == (49_999).to_bytes(2)
    assert most < 400_000


async def test_endless_body_is_not_read_on() -> None:
    """Past the limit comes the answer, which ends the connection."""
    pipe = Pipe(*(part(b"x" * 10) for _ in range(20)))
    backend = Backend(request_bytes=25)
    assert await pipe.run(backend, [(b"transfer-encoding", b"chunked")]) == 413
    assert len(pipe.messages) == 20 - 3
    assert (b"connection", b"close") in pipe.sent[0]["headers"]


class Seam:
    """The server's side of a connection."""

    def __init__(self, verdict: Any = None) -> None:
        self.verdict = verdict
        self.said: list[str] = []

    def is_decided(self) -> None:
        self.said.append("decided")

    def end_after_answer(self) -> None:
        self.said.append("end")


@pytest.mark.parametrize("last", [part(b"x", more=False), {"type": "http.disconnect"}])
async def test_a_refused_body_is_left_to_the_connection(last: dict[str, Any]) -> None:
    """The answer is complete before, and nothing is sent behind it: our half has ended."""
    seam = Seam()
    pipe = Pipe(part(b"x" * 30), part(b"x"), last, {"type": "http.disconnect"})
    status = await pipe.run(
        Backend(request_bytes=25), [(b"transfer-encoding", b"chunked")], seam=seam
    )
    assert status == 413
    assert [message.get("more_body", False) for message in pipe.sent[1:]] == [True]
    assert seam.said[-1] == "end"


async def test_a_verdict_that_is_there_is_not_asked_for_again() -> None:
    """The connection has judged the head already."""
    backend = Backend()
    seam = Seam(text_response(418, "no\n"))
    pipe = Pipe(part(EVENT, more=False))
    headers = [(b"content-length", b"%d" % len(EVENT))]
    assert await pipe.run(backend, headers, seam=seam) == 418
    assert backend.sent == []
    assert backend.fixture.signals == []


@pytest.mark.parametrize("sent", [65_536, 65_537])
@pytest.mark.parametrize("announced", [True, False])
async def test_an_unwanted_body_is_dropped_up_to_a_bound(sent: int, announced: bool) -> None:
    """Beyond it the answer ends the connection; nothing of it is read if that is announced."""
    pipe = Pipe(part(b"x" * 60_000), part(b"x" * (sent - 60_000), more=False), part(b""))
    headers = [
        (b"content-length", b"%d" % sent) if announced else (b"transfer-encoding", b"chunked")
    ]
    assert await pipe.run(Backend(), headers, query=b"auth_key=nobody") == 401
    is_kept = (b"connection", b"close") not in pipe.sent[0]["headers"]
    assert is_kept == (sent == 65_536)
    assert len(pipe.messages) == (3 if announced and not is_kept else 1)


async def test_a_disabled_app_sends_nothing_large() -> None:
    """Its digest comes before its state, as ever, while that costs little."""
    backend = Backend(app_with(enabled=False))
    response = await backend.post("/events", EVENT)
    assert (response.status_code, response.text) == (403, "The app is disabled\n")
    url = backend.signed("POST", "/apps/3/events", EVENT)
    response = await backend.send("POST", url, content=EVENT + b" ")
    assert (response.status_code, response.text) == (401, "Invalid body_md5\n")
    pipe = Pipe(part(EVENT))
    assert await pipe.run(backend, [(b"content-length", b"70000")]) == 403
    assert len(pipe.messages) == 1


async def test_a_key_that_goes_while_the_body_comes() -> None:
    """What the head had earned is gone with it."""
    backend = Backend()

    class Slow(Pipe):
        async def receive(self) -> dict[str, Any]:
            backend.now += 30
            backend.fixture.apps.replace([])
            return await super().receive()

    pipe = Slow(part(EVENT, more=False))
    assert await pipe.run(backend, [(b"content-length", b"%d" % len(EVENT))]) == 401
    assert backend.sent == []


async def test_an_app_that_changes_while_the_body_comes() -> None:
    """The signature was made in time, so a changed app with the same key accepts it."""
    backend = Backend()

    class Slow(Pipe):
        async def receive(self) -> dict[str, Any]:
            backend.now += 3_000
            backend.fixture.apps.replace([app_with(limits={"event_channels": 1})])
            return await super().receive()

    pipe = Slow(part(EVENT, more=False))
    assert await pipe.run(backend, [(b"content-length", b"%d" % len(EVENT))]) == 200
    assert len(backend.sent) == 1


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
    response = await backend.post("/events", ZIPPED, headers=headers)
    assert response.status_code == 200, response.text
    assert backend.sent == [("e", ["a"], b'"x"', None)]


@pytest.mark.parametrize(
    ("encoding", "body", "status"),
    [
        ("gzip", EVENT, 400),
        ("gzip", ZIPPED[:-1], 400),
        ("gzip", ZIPPED + b"more", 400),
        ("gzip", gzip.compress(b" " * 1_001, mtime=0), 413),
        ("deflate", zlib.compress(EVENT), 415),
        ("gzip, gzip", gzip.compress(ZIPPED, mtime=0), 415),
        ("identity", EVENT, 200),
        ("gzip", b"", 400),
    ],
)
async def test_bad_encodings(encoding: str, body: bytes, status: int) -> None:
    """A small body must not become a huge one."""
    backend = Backend(request_bytes=1_000)
    response = await backend.post("/events", body, headers={"content-encoding": encoding})
    assert response.status_code == status
