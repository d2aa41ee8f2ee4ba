"""WebSocket frames as bytes (RFC 6455): every broken kind has its code, and costs nobody else."""

import asyncio
import json
import struct
from pathlib import Path

import pytest

from pusher_server.websocket.framing import FrameReader
from tests.edge.conftest import Bystander
from tests.support import wire
from tests.support.frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT
from tests.support.inprocess import KEY, Inside, app, serving
from tests.support.waiting import eventually
from tests.support.wire import QUERY, Address, frame

PING_MESSAGE = b'{"event":"pusher:ping","data":{}}'

BROKEN = {
    "unmasked": (frame(TEXT, PING_MESSAGE, masked=False), 1002),
    "unmasked ping": (frame(PING, b"x", masked=False), 1002),
    "reserved bit 1": (frame(TEXT, PING_MESSAGE, reserved=4), 1002),
    "reserved bit 2": (frame(TEXT, PING_MESSAGE, reserved=2), 1002),
    "reserved bit 3": (frame(PONG, reserved=1), 1002),
    "reserved opcode": (frame(3, b"x"), 1002),
    "reserved control opcode": (frame(11, b"x"), 1002),
    "binary": (frame(BINARY, PING_MESSAGE), 1003),
    "binary fragment": (frame(BINARY, b"x", final=False), 1003),
    "continuation of nothing": (frame(CONTINUATION, b"x"), 1002),
    "text within a text": (frame(TEXT, b"{", final=False) + frame(TEXT, b"}"), 1002),
    "fragmented ping": (frame(PING, b"x", final=False), 1002),
    "long ping": (frame(PING, b"x" * 126), 1002),
    "long close": (frame(CLOSE, b"\x03\xe8" + b"x" * 124), 1002),
    "too large": (frame(TEXT, b"x" * 131_073), 1009),
    "announced too large": (b"\x81\xff" + struct.pack("!Q", 2**40), 1009),
    "length over 63 bits": (b"\x81\xff" + b"\xff" * 8 + b"mask", 1009),
    "too large in fragments": (
        frame(TEXT, b"x" * 66_000, final=False) + frame(CONTINUATION, b"x" * 66_000),
        1009,
    ),
    "too large in a thousand fragments": (
        frame(TEXT, b"", final=False) + frame(CONTINUATION, b"x" * 200, final=False) * 700,
        1009,
    ),
    "no UTF-8": (frame(TEXT, b'{"event":"\xff"}'), 1007),
    "no UTF-8 over fragments": (
        frame(TEXT, b'{"event":"\xc3', final=False) + frame(CONTINUATION, b'("}'),
        1007,
    ),
    "raw surrogate": (frame(TEXT, b'{"event":"client-x","data":"\xed\xa0\x80"}'), 1007),
    "overlong": (frame(TEXT, b'{"event":"\xc0\x80"}'), 1007),
    "cut character": (frame(TEXT, "{}€".encode()[:-1]), 1007),
    "one byte of close": (frame(CLOSE, b"\x03"), 1002),
    "close reason no UTF-8": (wire.closing(1000, b"\xff"), 1007),
    **{
        f"close {code}": (wire.closing(code), 1002)
        for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65_535)
    },
}


@pytest.mark.parametrize(("broken", "code"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_frame_ends_the_connection_with_its_code(
    address: Address, bystander: Bystander, broken: bytes, code: int
) -> None:
    """Said once, in a close frame only; then the end. Others are served meanwhile."""
    async with wire.connected(address, KEY) as client:
        await client.send(broken)
        await client.expect_close(code)
        await bystander.is_served()
        await client.expect_end()


@pytest.mark.parametrize(("broken", "code"), BROKEN.values(), ids=BROKEN.keys())
async def test_a_broken_frame_in_single_bytes_is_the_same(
    tmp_path: Path, broken: bytes, code: int
) -> None:
    """Where TCP cuts makes no difference; what came before it was heard."""
    alone = len(broken) if len(broken) < 1_000 else 20
    pieces = [broken[i : i + 1] for i in range(alone)] + [broken[alone:]]
    async with serving(tmp_path) as inside, wire.connected(inside.address, KEY) as client:
        await client.send(wire.message("pusher:ping", data={}))
        for piece in pieces:
            await client.send(piece)
        await client.expect("pusher:pong")
        await client.expect_close(code)
        await client.expect_end()


async def test_messages_before_a_broken_frame_are_answered(address: Address) -> None:
    """In one segment, in order; messages behind it are not."""
    async with wire.connected(address, KEY) as client:
        await client.send(
            wire.subscribe("a"),
            frame(BINARY, b"x"),
            wire.subscribe("b"),
            wire.message("pusher:ping", data={}),
        )
        await client.expect("pusher_internal:subscription_succeeded")
        await client.expect_close(1003)
        await client.expect_end()


async def test_a_fragmented_message_with_control_frames_between(address: Address) -> None:
    """Pings are answered at once, in between; characters may be cut."""
    words = json.dumps(
        {"event": "pusher:subscribe", "data": {"channel": "c", "auth": "€"}}, ensure_ascii=False
    ).encode()
    async with wire.connected(address, KEY) as client:
        for size in (1, 7, 60):
            pieces = [words[i : i + size] for i in range(0, len(words), size)]
            await client.send(frame(TEXT, pieces[0], final=False))
            for i, piece in enumerate(pieces[1:]):
                await client.send(
                    frame(CONTINUATION, piece, final=False), frame(PING, b"%d" % i), frame(PONG)
                )
                assert await client.frame() == (PONG, b"%d" % i)
            await client.send(frame(CONTINUATION, b""))
            await client.expect("pusher_internal:subscription_succeeded")
        await client.expect_alive()


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 131_072])
async def test_every_length_up_to_the_limit(address: Address, size: int) -> None:
    """The three ways to write a length, at their edges; 131,072 bytes are allowed, one more not."""
    async with wire.connected(address, KEY) as client:
        ping = b'{"event":"pusher:ping"}'
        await client.send(wire.text(ping + b" " * (size - len(ping)) if size > 30 else b" " * size))
        if size > 30:
            await client.expect("pusher:pong")
        else:
            await client.expect_error(4200)
        await client.expect_alive()


async def test_pings_of_the_websocket_layer(address: Address) -> None:
    """A pong with the same payload, of any length that is allowed; a pong is no question."""
    async with wire.connected(address, KEY) as client:
        for payload in (b"", b"\xff\x00", b"x" * 125):
            await client.send(frame(PING, payload), frame(PONG, payload))
            assert await client.frame() == (PONG, payload)
        await client.send(b"".join(frame(PING, b"%d" % i) for i in range(2_000)))
        for i in range(2_000):
            assert await client.frame() == (PONG, b"%d" % i)
        await client.expect_alive()


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1007, 1011, 1013, 3000, 4000, 4999, None])
async def test_a_close_is_echoed_and_ends_it(
    address: Address, bystander: Bystander, code: int | None
) -> None:
    """With its code (RFC 6455 §5.5.1); what came before is answered, what follows is not."""
    async with wire.connected(address, KEY) as client:
        await client.send(
            wire.subscribe("c"),
            wire.closing(code, b"" if code is None else "güle güle".encode()),
            wire.message("pusher:ping", data={}),
        )
        await client.expect("pusher_internal:subscription_succeeded")
        await client.expect_close(code)
        await client.expect_end()


async def gone(inside: Inside) -> None:
    """The server has noticed that nobody but the watcher is there."""
    await eventually(lambda: len(inside.clients.connections) == 1)


@pytest.mark.parametrize("way", ["cut", "half-close", "end in the middle of a frame"])
async def test_a_client_that_goes_without_a_word(tmp_path: Path, way: str) -> None:
    """Its subscriptions end at once, and the others in a presence channel are told."""
    async with serving(tmp_path) as inside, wire.connected(inside.address, KEY) as stays:
        await stays.join("c")
        async with wire.connected(inside.address, KEY) as goes:
            await goes.join("c")
            if way == "cut":
                goes.cut()
            else:
                if way != "half-close":
                    await goes.send(wire.subscribe("x")[:9])
                goes.writer.write_eof()
                await goes.expect_end()
            await gone(inside)
            channel = next(iter(inside.node.hub.app_states.values())).channels["c"]
            assert len(channel) == 1
        await stays.expect_alive()


async def test_thousands_of_subscriptions_on_one_connection(tmp_path: Path) -> None:
    """Up to the limit each is served, past it each is refused; others do not notice."""
    settings = {"apps": [app(limits={"subscriptions_per_connection": 3_000})]}
    async with serving(tmp_path, settings) as inside:
        witness = Bystander(inside.address, await _subscriber(inside.address))
        async with wire.connected(inside.address, KEY) as greedy:
            frames = [wire.subscribe(f"c{i}") for i in range(3_200)]
            sending = asyncio.create_task(greedy.send(*frames))
            for i in range(3_000):
                found = await greedy.expect("pusher_internal:subscription_succeeded")
                assert found["channel"] == f"c{i}"
            await witness.is_served()
            for i in range(3_000, 3_200):
                found = await greedy.expect("pusher:subscription_error")
                assert found["channel"] == f"c{i}"
                assert json.loads(found["data"])["type"] == "LimitReached"
            await sending
            await greedy.send(wire.message("pusher:unsubscribe", data={"channel": "c7"}))
            await greedy.join("c3001")
            await greedy.expect_alive()
        await gone(inside)
        assert list(next(iter(inside.node.hub.app_states.values())).channels) == ["bystander"]
        await witness.is_served()
        witness.wire.cut()


async def _subscriber(address: Address) -> wire.Wire:
    reader, writer = await asyncio.open_connection(address.host, address.port)
    client = wire.Wire(reader, writer)
    await client.handshake(f"/app/{KEY}{QUERY}")
    await client.established()
    await client.join("bystander")
    return client


async def test_a_storm_of_connections(address: Address, bystander: Bystander) -> None:
    """Five hundred come, say something half and go without a word."""
    for _ in range(10):
        clients = [wire.opened(address) for _ in range(50)]
        for number, connection in enumerate(clients):
            client = await connection.__aenter__()
            await client.send((wire.upgrade(f"/app/{KEY}") + wire.subscribe("c"))[: number * 7])
        for connection in clients:
            await connection.__aexit__(None, None, None)
    await bystander.is_served()


async def test_empty_fragments_cost_nothing(tmp_path: Path) -> None:
    """They never reach the limit on bytes, so they must not be kept either."""
    async with serving(tmp_path) as inside, wire.connected(inside.address, KEY) as client:
        await client.send(frame(TEXT, b'{"event":', final=False))
        (connection,) = inside.clients.connections
        for _ in range(20):
            await client.send(frame(CONTINUATION, b"", final=False) * 1_000, frame(PING, b"."))
            assert await client.frame() == (PONG, b".")
        assert isinstance(connection._reader, FrameReader)
        assert connection._reader._fragments is not None
        assert len(connection._reader._fragments) < 10
        await client.send(frame(CONTINUATION, b'"pusher:ping"}'))
        await client.expect("pusher:pong")
