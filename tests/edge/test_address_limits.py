"""Limits by address on the wire: 4100 and 429, who counts, and a crowd that comes back."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support import signed, wire
from tests.support.inprocess import KEY, app, serving
from tests.support.processes import (
    TlsServer,
    UnixServer,
    by_tls,
    tls_settings,
    write_certificate,
)
from tests.support.serving import RunningServer
from tests.support.waiting import PATIENCE, eventually
from tests.support.wire import QUERY, Address, Wire

TARGET = f"/app/{KEY}{QUERY}"


def limited(**settings: Any) -> dict[str, Any]:
    """The main app with these in `[server]`."""
    return {"apps": [app()], "server": settings}


async def test_too_many_connections_of_an_address(tmp_path: Path) -> None:
    """WebSockets get 4100, API requests 429; one more is served as soon as one has gone."""
    settings = limited(connections_per_address=3)
    async with serving(tmp_path, settings) as inside, AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(wire.connected(inside.address, KEY)) for _ in range(3)
        ]
        for _ in range(5):
            async with wire.opened(inside.address) as late:
                await late.handshake(TARGET)
                await late.expect_refusal(4100)
        async with wire.opened(inside.address) as backend:
            await backend.send(signed.event("c"))
            refused = await backend.answer()
            assert refused.status == 429
            assert int(refused.headers["retry-after"]) >= 1
            assert refused.headers["connection"] == "close"
            await backend.expect_end()
        clients[0].cut()
        await eventually(lambda: len(inside.clients.connections) == 2)
        async with wire.connected(inside.address, KEY) as again:
            await again.expect_alive()
        await eventually(lambda: len(inside.clients.connections) == 2)
        async with wire.opened(inside.address) as backend:
            await backend.send(signed.event("c"))
            assert (await backend.answer()).status == 200


async def test_too_many_attempts_of_an_address(tmp_path: Path) -> None:
    """Ten seconds' worth comes at once; then both kinds are refused until it may come again."""
    async with serving(tmp_path, limited(connection_attempts_per_address=0.5)) as inside:
        for _ in range(5):
            async with wire.connected(inside.address, KEY):
                pass
        async with wire.opened(inside.address) as late:
            await late.handshake(TARGET)
            await late.expect_refusal(4100)
        async with wire.opened(inside.address) as backend:
            await backend.send(wire.request("/live"))
            refused = await backend.answer()
        assert refused.status == 429
        assert refused.headers["retry-after"] == "2"
        numbers = inside.server.collector.counting.samples()
        refusals = {labels: value for _, labels, value in numbers if "address_attempts" in labels}
        assert refusals == {("", "address_attempts"): 1}


async def test_a_kept_connection_is_one_attempt(tmp_path: Path) -> None:
    """However many requests come on it."""
    async with (
        serving(tmp_path, limited(connection_attempts_per_address=0.1)) as inside,
        wire.opened(inside.address) as backend,
    ):
        for _ in range(20):
            await backend.send(signed.event("c"), wire.request("/live"))
            assert (await backend.answer()).status == 200
            assert (await backend.answer()).status == 200


async def test_behind_a_proxy_the_client_counts(tmp_path: Path) -> None:
    """Each client by itself; without its address nobody, and the log says so once."""
    settings = limited(connections_per_address=1, trusted_proxies=["127.0.0.0/8"])
    async with serving(tmp_path, settings) as inside, AsyncExitStack() as stack:
        for address in ("203.0.113.1", "203.0.113.2", "2001:db8::1", "203.0.113.3:4711"):
            forwarded = {"X-Forwarded-For": address}
            await stack.enter_async_context(wire.connected(inside.address, KEY, **forwarded))
            async with wire.opened(inside.address) as late:
                await late.handshake(TARGET, **forwarded)
                await late.expect_refusal(4100)
        async with wire.opened(inside.address) as same:
            await same.handshake(TARGET, X_Forwarded_For="[2001:db8::2]:80")
            await same.expect_refusal(4100)
        for _ in range(3):
            await stack.enter_async_context(wire.connected(inside.address, KEY))
        async with wire.opened(inside.address) as backend:
            await backend.send(signed.event("c", X_Forwarded_For="203.0.113.1"))
            assert (await backend.answer()).status == 200


async def test_by_default_500_clients_of_one_address_come_back(tmp_path: Path) -> None:
    """After a restart, all at once, and none of them is refused."""
    with RunningServer(tmp_path, {"apps": [app()]}) as server:
        address = Address(port=server.port)

        async def all_connect(stack: AsyncExitStack) -> None:
            await asyncio.gather(
                *(stack.enter_async_context(wire.connected(address, KEY)) for _ in range(500))
            )

        async with AsyncExitStack() as stack:
            await all_connect(stack)
            await server.restart()
        async with AsyncExitStack() as stack:
            await all_connect(stack)
            async with wire.opened(address) as backend:
                await backend.send(signed.event("c"))
                assert (await backend.answer()).status == 200


async def let_in(stack: AsyncExitStack, address: Address) -> Wire:
    """A connection, as soon as those that were cut before have been forgotten."""
    async with asyncio.timeout(PATIENCE):
        while True:
            async with AsyncExitStack() as attempt:
                client = await attempt.enter_async_context(wire.opened(address))
                await client.handshake(TARGET)
                if (await client.message())["event"] != "pusher:error":
                    stack.push_async_exit(attempt.pop_all())
                    return client


@pytest.mark.parametrize("loop", ["uvloop", "asyncio"])
async def test_by_tls(tmp_path: Path, loop: str) -> None:
    """A handshake counts from its begin, and no longer when it has failed."""
    write_certificate(tmp_path)
    settings = limited(connections_per_address=2, loop=loop, tls=tls_settings(tmp_path))
    with TlsServer(tmp_path, settings) as server:
        plain = Address(port=server.port)
        secure = by_tls(plain)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(wire.opened(plain))
            await let_in(stack, secure)
            late = await stack.enter_async_context(wire.opened(secure))
            await late.handshake(TARGET)
            await late.expect_refusal(4100)
        for _ in range(5):
            async with wire.opened(plain) as broken:
                await broken.send(b"no TLS at all, and longer than a record's head")
                await broken.rest()
        async with AsyncExitStack() as stack:
            await let_in(stack, secure)
            await (await let_in(stack, secure)).expect_alive()
        said = [line for line in server.log.splitlines() if "connections_per_address" in line]
        assert len(said) == 1, server.log
        assert "127.0.0.1" in said[0]


async def test_a_unix_sockets_peer_never_counts(tmp_path: Path) -> None:
    """Backends of this machine, and a proxy that does not say whom it brings."""
    settings = limited(
        connections_per_address=1,
        connection_attempts_per_address=0.1,
        unix_socket=str(tmp_path / "s.sock"),
    )
    with UnixServer(tmp_path, settings) as server:
        address = Address(path=server.path)
        async with wire.connected(address, KEY), wire.connected(address, KEY):
            for _ in range(20):
                async with wire.opened(address) as backend:
                    await backend.send(signed.event("c"))
                    assert (await backend.answer()).status == 200
        assert server.log.count("sends no X-Forwarded-For") == 1


@pytest.mark.parametrize("said", [b"", b"GET /live HTTP/1.1\r\nHost: x\r\n"])
async def test_nobody_who_is_refused_stays(tmp_path: Path, said: bytes) -> None:
    """It has two seconds for its whole head, so that one address cannot take all files."""
    async with (
        serving(tmp_path, limited(connections_per_address=1)) as inside,
        wire.connected(inside.address, KEY),
        wire.opened(inside.address) as late,
    ):
        await late.send(said)
        answer = await late.rest(patience=4.0)
        assert answer.startswith(b"HTTP/1.1 408 ")
