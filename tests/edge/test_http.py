"""HTTP as bytes: what clients, proxies and attackers make of a request."""

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from pusher_server.server.paced_protocol import PARSED_AHEAD
from tests.edge.conftest import Bystander
from tests.support import signed, wire
from tests.support.inprocess import APP_ID, KEY, serving
from tests.support.waiting import eventually
from tests.support.wire import Address

EVENTS = f"/apps/{APP_ID}/events"


async def test_one_connection_serves_many_requests(address: Address) -> None:
    """Libraries keep their connection (trap 66); answers of all kinds leave it open."""
    async with wire.opened(address) as client:
        for i in range(100):
            await client.send(signed.event("c", f"{i}"))
            assert (await client.answer()).body == b"{}"
            assert (await client.ask("/up")).status == 200
            assert (await client.ask("/nowhere")).status == 404
            await client.send(signed.get(f"/apps/{APP_ID}/channels"))
            assert (await client.answer()).body == b'{"channels":{}}'
            await client.send(wire.request(EVENTS, method="POST", body=b"{}"))
            assert (await client.answer()).status == 401


async def test_pipelined_requests_are_answered_in_order(address: Address) -> None:
    """Whatever way each of them takes inside."""
    async with wire.opened(address) as client:
        mixed = [
            wire.request("/ping"),
            signed.event("c"),
            signed.get(f"/apps/{APP_ID}/channels/c"),
            wire.request("/nowhere"),
            signed.event("c", info="subscription_count"),
            signed.event("c"),
        ]
        await client.send(*mixed * 8)
        for _ in range(8):
            assert (await client.answer()).text == "Pong!"
            assert (await client.answer()).text == "{}"
            assert (await client.answer()).text == '{"occupied":false}'
            assert (await client.answer()).status == 404
            counted = json.loads((await client.answer()).text)
            assert counted == {"channels": {"c": {"subscription_count": 0}}}
            assert (await client.answer()).text == "{}"


async def test_endless_pipelining_is_answered_in_order(
    address: Address, bystander: Bystander
) -> None:
    """A request that waits costs its bytes only, and nobody else waits for it."""
    asked = ["/up" if i * i % 7 == 2 else "/nowhere" for i in range(2_000)]
    async with wire.opened(address) as client:
        sending = asyncio.create_task(client.send(*map(wire.request, asked)))
        for i, target in enumerate(asked):
            assert (await client.answer()).status == (200 if target == "/up" else 404)
            if i == 1_000:
                await bystander.is_served()
        await sending


async def test_few_of_the_pipelined_requests_are_parsed_ahead(tmp_path: Path) -> None:
    """One that waits, parsed, takes a hundred times its bytes."""
    async with serving(tmp_path) as inside, wire.opened(inside.address) as client:
        most = 0
        sending = asyncio.create_task(client.send(wire.request("/up") * 2_000))
        for _ in range(2_000):
            assert (await client.answer()).status == 200
            (connection,) = inside.uvicorn.server_state.connections
            most = max(most, len(connection.pipeline))  # type: ignore[union-attr]  # an HttpProtocol
        await sending
        assert 0 < most <= PARSED_AHEAD


@pytest.mark.parametrize(
    ("behind", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 101 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\n", 408),
        (wire.upgrade(f"/app/{KEY}"), 400),
        (wire.request(EVENTS, method="POST", Transfer_Encoding="chunked") + b"nonsense\r\n", 400),
        (wire.request(EVENTS, method="POST", Content_Length="9") + b"x", 408),
    ],
    ids=["nonsense", "two hosts", "headers", "slow", "upgrade", "body", "slow body"],
)
@pytest.mark.parametrize("count", [1, 3])
async def test_a_refusal_is_no_answer_to_the_requests_before_it(
    tmp_path: Path, behind: bytes, status: int, count: int
) -> None:
    """They are out by then: a backend that reads a refusal would send its event again."""
    async with serving(tmp_path, {"http": {"header_timeout": 0.2, "body_timeout": 0.2}}) as inside:
        go_on = asyncio.Event()
        counts = inside.node.inspection.subscription_counts

        async def slowly(*asked: Any) -> dict[str, int]:
            await go_on.wait()
            return await counts(*asked)

        inside.node.inspection.subscription_counts = slowly  # type: ignore[method-assign]
        async with wire.opened(inside.address) as client:
            await client.send(signed.event("c", info="subscription_count") * count, behind)
            (connection,) = inside.uvicorn.server_state.connections
            await eventually(lambda: connection._refused)  # type: ignore[union-attr]  # as above
            go_on.set()
            for _ in range(count):
                answer = await client.answer()
                assert (answer.status, "subscription_count" in answer.text) == (200, True)
            assert (await client.answer()).status == status
            await client.expect_end()


async def test_a_request_in_single_bytes(address: Address) -> None:
    """Head and body may be cut anywhere."""
    async with wire.opened(address) as client:
        for byte in signed.event("c", "split") + wire.request("/ping"):
            await client.send(bytes([byte]))
        assert (await client.answer()).text == "{}"
        assert (await client.answer()).text == "Pong!"


async def test_http_1_0_is_answered_and_ends(address: Address) -> None:
    """As its clients expect it."""
    async with wire.opened(address) as client:
        assert (await client.ask("/up", version="1.0")).text == '{"health":"OK"}'
        await client.expect_end()
    body = json.dumps({"name": "e", "channel": "c", "data": "{}"}).encode()
    async with wire.opened(address) as client:
        await client.send(
            wire.request(
                signed.target("POST", EVENTS, body), method="POST", body=body, version="1.0"
            )
        )
        assert (await client.answer()).text == "{}"
        await client.expect_end()


@pytest.mark.parametrize("post", [False, True])
async def test_connection_close_is_heeded(address: Address, post: bool) -> None:
    """The answer says so too."""
    async with wire.opened(address) as client:
        asked = signed.post({"name": "e", "channel": "c", "data": "{}"}, Connection="close")
        await client.send(asked if post else wire.request("/up", Connection="close"))
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (200, "close")
        await client.expect_end()


async def test_head_is_a_get_without_the_body(address: Address) -> None:
    """The length is that of the body which GET would bring."""
    async with wire.opened(address) as client:
        answer = await client.ask("/up", method="HEAD")
        assert (answer.status, answer.headers["content-length"]) == (200, "15")
        assert (await client.ask("/nowhere", method="HEAD")).status == 404
        assert (await client.ask("/ping")).text == "Pong!"


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND"])
async def test_other_methods_are_405(address: Address, method: str) -> None:
    """With the methods that there are."""
    async with wire.opened(address) as client:
        answer = await client.ask(EVENTS, method=method)
        assert (answer.status, answer.headers["allow"]) == (405, "POST")
        assert (await client.ask("/up")).status == 200


async def test_absolute_form(address: Address) -> None:
    """`GET http://host/path`: a proxy may ask so; the signature is over the path."""
    async with wire.opened(address) as client:
        assert (await client.ask("http://localhost/up")).text == '{"health":"OK"}'
        await client.send(
            wire.request(f"http://localhost{signed.target('GET', f'/apps/{APP_ID}/channels')}")
        )
        assert (await client.answer()).text == '{"channels":{}}'
        body = json.dumps({"name": "e", "channel": "c", "data": "{}"}).encode()
        url = f"http://localhost{signed.target('POST', EVENTS, body)}"
        await client.send(wire.request(url, method="POST", body=body))
        assert (await client.answer()).text == "{}"


async def test_a_fragment_is_no_part_of_the_path(address: Address) -> None:
    """Nobody should send one; it takes nobody's breath away."""
    async with wire.opened(address) as client:
        assert (await client.ask("/up#top")).status in (200, 400, 404)
        assert (await client.ask("/up?a#top")).status in (200, 400, 404)


# Bodies


def chunks(body: bytes, size: int = 7, extension: bytes = b"", trailer: bytes = b"") -> bytes:
    """The body in the chunked coding."""
    pieces = [body[i : i + size] for i in range(0, len(body), size)]
    coded = b"".join(b"%x%b\r\n%b\r\n" % (len(each), extension, each) for each in pieces)
    return coded + b"0\r\n" + trailer + b"\r\n"


@pytest.mark.parametrize(
    ("extension", "trailer"), [(b"", b""), (b";a=b", b""), (b"", b"X-Checksum: 1\r\n")]
)
async def test_a_chunked_body(address: Address, extension: bytes, trailer: bytes) -> None:
    """Some libraries send it when they do not know the length; digest and answer are the same."""
    body = json.dumps({"name": "e", "channel": "c", "data": "x" * 1_000}).encode()
    async with wire.opened(address) as client:
        head = wire.request(
            signed.target("POST", EVENTS, body), method="POST", Transfer_Encoding="chunked"
        )
        for _ in range(2):
            await client.send(head, chunks(body, extension=extension, trailer=trailer))
            assert (await client.answer()).text == "{}"


async def test_expect_100_continue(address: Address) -> None:
    """curl and Guzzle wait for leave before a large body (trap 65), and keep the connection."""
    body = json.dumps({"name": "e", "channel": "c", "data": "x" * 50_000}).encode()
    async with wire.opened(address) as client:
        for _ in range(3):
            target = signed.target("POST", EVENTS, body)
            await client.send(
                wire.request(
                    target, method="POST", Content_Length=str(len(body)), Expect="100-continue"
                )
            )
            assert (await client.answer()).status == 100
            await client.send(body)
            assert (await client.answer()).text == "{}"


async def test_a_large_batch_keeps_the_connection(address: Address) -> None:
    """Its body was wanted, whatever way it took, so there is nothing left to drop."""
    events = [{"name": "e", "channel": "c", "data": "x" * 100_000}] * 10
    async with wire.opened(address) as client:
        body = json.dumps({"batch": events, "pad": "y" * 500_000}).encode()
        for _ in range(3):
            target = signed.target("POST", f"/apps/{APP_ID}/batch_events", body)
            await client.send(wire.request(target, method="POST", body=body))
            answer = await client.answer()
            assert (answer.status, answer.headers.get("connection")) == (200, None)


async def test_expect_100_continue_of_too_much_is_refused_at_once(address: Address) -> None:
    """Without leave to send it."""
    async with wire.opened(address) as client:
        await client.send(
            wire.request(
                EVENTS, method="POST", Content_Length="999999999999", Expect="100-continue"
            )
        )
        assert (await client.answer()).status == 413
        await client.expect_end()


async def test_a_body_over_the_limit_is_413(tmp_path: Path) -> None:
    """Declared or found out while it comes; the answer is not lost in a reset."""
    async with serving(tmp_path, {"http": {"request_bytes": 100_000}}) as inside:
        too_much = b" " * 100_001
        for coded in (False, True):
            async with wire.opened(inside.address) as client:
                if coded:
                    target = signed.target("POST", EVENTS, too_much)
                    head = wire.request(target, method="POST", Transfer_Encoding="chunked")
                    await client.send(head, chunks(too_much, 50_000))
                else:
                    await client.send(wire.request(EVENTS, method="POST", body=too_much))
                answer = await client.answer()
                assert answer.status == 413
                assert "100000 bytes" in answer.text
                await client.expect_end()
        async with wire.opened(inside.address) as client:
            body = json.dumps({"name": "e", "channel": "c", "data": "{}"}).encode()
            await client.send(signed.post(body + b" " * (100_000 - len(body))))
            assert (await client.answer()).status == 200


async def test_gzip(address: Address) -> None:
    """Decoded for JSON; the digest is over what was sent. A bomb is refused.

    See docs/protocol/signatures.md#api-readings.
    """
    body = json.dumps({"name": "e", "channel": "c", "data": "x" * 1_000}).encode()
    async with wire.opened(address) as client:
        await client.send(signed.post(gzip.compress(body), Content_Encoding="gzip"))
        assert (await client.answer()).status == 200
        await client.send(signed.post(gzip.compress(body)[:-9], Content_Encoding="gzip"))
        assert (await client.answer()).status == 400
        bomb = gzip.compress(b" " * 30_000_000)
        await client.send(signed.post(bomb, Content_Encoding="gzip"))
        assert (await client.answer()).status == 413
        await client.send(signed.post(body, Content_Encoding="br"))
        assert (await client.answer()).status == 415


# Broken requests

GARBAGE = {
    "no http": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 TLS on a plain port",
    "smuggled lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "two lengths": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
    "negative length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
    "endless length": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 30 + b"\r\n\r\n",
    "header name": b"GET / HTTP/1.1\r\nHost: x\r\nna(me: x\r\n\r\n",
    "blank in header name": b"GET / HTTP/1.1\r\nHost: x\r\nname : x\r\n\r\n",
    "NUL in header": b"GET / HTTP/1.1\r\nHost: x\r\nname: a\x00b\r\n\r\n",
    "folded header": b"GET / HTTP/1.1\r\nHost: x\r\n  folded: x\r\n\r\n",
    "header without colon": b"GET / HTTP/1.1\r\nnothing\r\n\r\n",
    "version": b"GET / HTTP/9.9\r\nHost: x\r\n\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "method": b"G\xffT / HTTP/1.1\r\nHost: x\r\n\r\n",
    "target": b"GET \xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "bytes in path": b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect": b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\n\r\n",
    "connect with upgrade": b"CONNECT example.com:443 HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n"
    b"Connection: upgrade\r\n\r\nGET / HTTP/1.1\r\n\r\n",
    "chunk size": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n",
    "huge chunk size": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"f" * 40
    + b"\r\n",
    "unknown coding": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: magic\r\n\r\n",
}


@pytest.mark.parametrize("garbage", GARBAGE.values(), ids=GARBAGE.keys())
async def test_a_broken_request_is_400_and_the_end(
    address: Address, bystander: Bystander, garbage: bytes
) -> None:
    """Nothing after it can be told apart, so the connection ends with the answer."""
    async with wire.opened(address) as client:
        await client.send(garbage)
        answer = await client.answer()
        assert answer.status == 400
        assert answer.headers["connection"] == "close"
        assert answer.headers["content-type"].startswith("text/plain")
        await client.expect_end()
        await bystander.is_served()


async def test_headers_over_the_limit_are_431(address: Address, bystander: Bystander) -> None:
    """Many, one endless one, or an endless target; in whatever pieces they come."""
    starts = [b"GET /up HTTP/1.1\r\nX: ", b"GET /up HTTP/1.1\r\n", b"GET /"]
    fillers = [b"x" * 1_000, b"X-More: 1234567\r\n" * 60, b"x" * 1_000]
    for start, filler in zip(starts, fillers, strict=True):
        async with wire.opened(address) as client:
            await client.send(start)
            for _ in range(70):
                await client.send(filler)
            answer = await client.answer()
            assert (answer.status, answer.headers["connection"]) == (431, "close")
            await client.expect_end()


async def test_complete_headers_over_the_limit_are_431(address: Address) -> None:
    """The limit does not depend on how TCP cuts the request: all of it at once is no less."""
    huge = wire.request("/up", Cookie="x" * 70_000)
    for piece in (len(huge), 30_000, 69_000):
        async with wire.opened(address) as client:
            for i in range(0, len(huge), piece):
                await client.send(huge[i : i + piece])
            assert (await client.answer()).status == 431
            await client.expect_end()


async def test_headers_below_the_limit_pass(address: Address) -> None:
    """Also with a large body in the same segment, and again on the same connection."""
    async with wire.opened(address) as client:
        for _ in range(3):
            assert (await client.ask("/up", Cookie="x" * 60_000)).status == 200
            await client.send(signed.event("c", "x" * 100_000, Cookie="x" * 10_000))
            assert (await client.answer()).status == 200


async def test_endless_trailers_are_refused(address: Address, bystander: Bystander) -> None:
    """What comes behind a chunked body is kept too, so it is bounded as headers are."""
    async with wire.opened(address) as client:
        await client.send(
            wire.request(EVENTS, method="POST", Transfer_Encoding="chunked"), b"2\r\n{}\r\n0\r\n"
        )
        flood = b"X-More: 1234567\r\n" * 60
        for _ in range(100):
            await client.send(flood)
        assert (await client.answer()).status == 431
        await client.expect_end()
