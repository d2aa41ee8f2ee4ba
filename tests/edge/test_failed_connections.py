"""What becomes of a connection that we fail (RFC 6455 §7.1.7): plain and TLS, on both event loops."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path

import pytest

from tests.support import wire
from tests.support.frames import BINARY, CLOSE, CONTINUATION, TEXT
from tests.support.inprocess import KEY, app, serving
from tests.support.processes import TlsServer, by_tls, tls_settings, write_certificate
from tests.support.serving import RunningServer
from tests.support.waiting import PATIENCE
from tests.support.wire import QUERY, Address, frame

#: Well below the 5 s that a client has for a closing handshake, well above what a loaded machine takes.
SOON = 3.0
FAILING = {
    "binary": (frame(BINARY, b"x"), 1003),
    "unmasked": (frame(TEXT, b"{}", masked=False), 1002),
    "cut in the middle": (frame(3, b"x" * 70_000)[:10], 1002),
    "no UTF-8": (frame(TEXT, b'{"event":"\xff"}'), 1007),
    "too large": (b"\x81\xff" + struct.pack("!Q", 2**40) + b"mask" + b"x" * 1_000, 1009),
}


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Address]]:
    """Two processes, on uvloop where there is one."""
    folder = tmp_path_factory.mktemp("failed")
    write_certificate(folder)
    secure = {"server": {"tls": tls_settings(folder)}, "apps": [app()]}
    with (
        RunningServer(tmp_path_factory.mktemp("plain"), {"apps": [app()]}) as plain,
        TlsServer(folder, secure) as tls,
    ):
        yield {
            "ws": Address(port=plain.port),
            "wss": by_tls(Address(port=tls.port)),
        }
        assert "Traceback" not in plain.log + tls.log


@pytest.fixture(params=["ws asyncio", "wss asyncio", "ws process", "wss process"])
async def place(
    request: pytest.FixtureRequest, tmp_path: Path, processes: dict[str, Address]
) -> AsyncIterator[Address]:
    """A server, by both schemes, in this loop (asyncio) and in a process of its own."""
    scheme, where = request.param.split()
    if where == "process":
        yield processes[scheme]
        return
    settings = {}
    if scheme == "wss":
        write_certificate(tmp_path)
        settings = {"server": {"tls": tls_settings(tmp_path)}}
    async with serving(tmp_path, settings) as inside:
        yield by_tls(inside.address) if scheme == "wss" else inside.address


@pytest.mark.parametrize(("broken", "code"), FAILING.values(), ids=FAILING.keys())
async def test_it_ends_without_another_close_frame(
    place: Address, broken: bytes, code: int
) -> None:
    """The client says nothing more, and need not."""
    async with wire.connected(place, KEY) as client:
        await client.send(broken)
        await client.expect_close(code)
        await client.expect_end(SOON)


async def test_many_at_once(place: Address) -> None:
    """Each by itself."""
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(wire.connected(place, KEY)) for _ in range(20)]
        for client in clients:
            await client.send(frame(BINARY, b"x"))
        for client in clients:
            await client.expect_close(1003)
            await client.expect_end(SOON)


async def test_who_is_still_sending_reads_why(place: Address) -> None:
    """Whoever reads only when all is sent finds the close frame, and no reset."""
    assert await asyncio.to_thread(_told_after_sending, place) == 1009


def _told_after_sending(place: Address) -> int:
    """A client that blocks until its message is out; the code of the close frame."""
    with ExitStack() as stack:
        client = stack.enter_context(socket.create_connection((place.host, place.port), PATIENCE))
        if place.tls is not None:
            client = stack.enter_context(place.tls.wrap_socket(client, server_hostname="localhost"))
        client.sendall(wire.upgrade(f"/app/{KEY}{QUERY}"))
        received = b""
        while b"pusher:connection_established" not in received:
            received += client.recv(65_536)
        client.sendall(frame(TEXT, b"x" * 6_000_000))
        rest = b""
        while piece := client.recv(65_536):
            rest += piece
        assert rest[0] == 0x80 | CLOSE, rest
        return int.from_bytes(rest[2:4])


@pytest.mark.parametrize("code", [1000, 1001, 4000, None])
async def test_a_close_between_fragments_is_a_close(place: Address, code: int | None) -> None:
    """Control frames may come there (RFC 6455 §5.4); the message is not missed."""
    async with wire.connected(place, KEY) as client:
        await client.send(
            frame(TEXT, b'{"event":', final=False),
            frame(CONTINUATION, b'"pusher:', final=False),
            wire.closing(code),
            frame(CONTINUATION, b'ping"}'),
        )
        await client.expect_close(code)
        await client.expect_end(SOON)
