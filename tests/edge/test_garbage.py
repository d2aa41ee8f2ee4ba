"""What a connection was made of is gone when it is: nothing of it waits for a garbage collection.

A collection of what many short connections left took 20 ms, in which nobody was served (docs/decisions.md,
"Garbage collection").
"""

import gc
import gzip
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest

from pusher_server.server.bounded_protocol import BoundedProtocol
from tests.support import signed, wire
from tests.support.frames import TEXT
from tests.support.inprocess import APP_ID, KEY, serving
from tests.support.processes import tls_settings, write_certificate
from tests.support.waiting import eventually
from tests.support.wire import QUERY, Address

#: Whose objects are counted. asyncio's transports and websockets' protocols refer to themselves: a few each.
_COUNTED = ("pusher_server.", "uvicorn.", "httptools.", "starlette.")
#: Kept on purpose, a bounded number of them: what `pusher-server why` is answered from.
_EVIDENCE = "pusher_server.diagnosis."
_EVENTS = f"/apps/{APP_ID}/events"


def alive() -> Counter[str]:
    """How many objects of each counted class there are."""
    kinds = (type(each) for each in gc.get_objects())
    return Counter(
        f"{kind.__module__}.{kind.__qualname__}"
        for kind in kinds
        if kind.__module__.startswith(_COUNTED) and not kind.__module__.startswith(_EVIDENCE)
    )


@pytest.fixture
def no_collection() -> Iterator[None]:
    """Only what nothing refers to any more goes."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


async def nothing(address: Address) -> None:
    async with wire.opened(address):
        pass


def requests(*pieces: bytes, answers: int = 1) -> Callable[[Address], Awaitable[None]]:
    async def talk(address: Address) -> None:
        async with wire.opened(address) as connection:
            await connection.send(*pieces)
            for _ in range(answers):
                await connection.answer()

    return talk


async def half_a_head(address: Address) -> None:
    async with wire.opened(address) as connection:
        await connection.send(b"GET / HTTP/1.1\r\nHost:")


async def subscribed(address: Address) -> None:
    async with wire.connected(address, KEY) as connection:
        await connection.join("a-channel")


async def goodbye(address: Address) -> None:
    async with wire.connected(address, KEY) as connection:
        await connection.send(wire.closing(1000))
        await connection.frame()


async def broken(address: Address) -> None:
    async with wire.connected(address, KEY) as connection:
        await connection.send(wire.frame(TEXT, b"{}", masked=False))
        await connection.frame()


_POST_GZIP = signed.post(
    gzip.compress(b'{"name":"n","channel":"c","data":"d"}'), Content_Encoding="gzip"
)
_UNSIGNED = wire.request(_EVENTS, method="POST", body=b"{}")
SHAPES = {
    "nothing": nothing,
    "half a head": half_a_head,
    "no HTTP": requests(b"\0\0\r\n\r\n"),
    "GET /": requests(wire.request("/")),
    "kept alive": requests(wire.request("/"), wire.request("/"), answers=2),
    "closed": requests(wire.request("/", Connection="close")),
    "channels": requests(signed.get(f"/apps/{APP_ID}/channels")),
    "event": requests(signed.event("a-channel")),
    "long way": requests(_POST_GZIP),
    "unsigned": requests(_UNSIGNED),
    "long way, pipelined": requests(_POST_GZIP, _POST_GZIP, _UNSIGNED, answers=3),
    "too large": requests(
        wire.request(_EVENTS, method="POST", Content_Length="99999999") + b"{" * 1_000
    ),
    "wrong version": requests(wire.upgrade(f"/app/{KEY}{QUERY}", Sec_WebSocket_Version="8")),
    "unknown key": requests(wire.upgrade(f"/app/nobody{QUERY}")),
    "HTTP/2 offered": requests(
        wire.request("/", Connection="Upgrade, HTTP2-Settings", Upgrade="h2c", HTTP2_Settings="AA")
    ),
    "subscribed": subscribed,
    "goodbye": goodbye,
    "broken frame": broken,
}


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("shape", SHAPES)
async def test_nothing_is_left_of_a_connection(
    tmp_path: Path, no_collection: None, shape: str, tls: bool
) -> None:
    settings: dict[str, dict[str, object]] = {"server": {"connections_per_address": 1_000}}
    context = None
    if tls:
        write_certificate(tmp_path)
        settings["server"]["tls"] = tls_settings(tmp_path)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with serving(tmp_path, settings) as inside:
        address = Address(port=inside.address.port, tls=context)
        await SHAPES[shape](address)  # what is made once is there after it
        await eventually(lambda: not inside.uvicorn.server_state.connections)
        before = alive()
        for _ in range(3):
            await SHAPES[shape](address)
        await eventually(lambda: not alive() - before, show=lambda: alive() - before)


async def test_an_answer_that_comes_too_late_keeps_nothing(tmp_path: Path) -> None:
    """uvicorn notes for the last request only that the client has left: an earlier one is still answered."""
    async with serving(tmp_path) as inside:
        async with wire.opened(inside.address) as connection:
            await connection.ask("/")
            (protocol,) = inside.uvicorn.server_state.connections
        await eventually(lambda: not inside.uvicorn.server_state.connections)
        assert isinstance(protocol, BoundedProtocol)
        protocol.on_response_complete()
        assert protocol not in inside.guard.idle
