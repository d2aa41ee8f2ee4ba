"""The whole server in the test's own event loop, on a free port: its objects can be looked at.

It is what `Server.run` builds, without signals: pytest's process keeps its own.
"""

import asyncio
import gc
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from uvicorn import Config

from pusher_server.clients.registry import ClientRegistry
from pusher_server.config import load
from pusher_server.node.node import Node
from pusher_server.server.composition import Server
from pusher_server.server.lifecycle import DrainingServer
from pusher_server.server.listening import listen
from pusher_server.server.request_guard import RequestGuard
from pusher_server.websocket.edge import WebSocketEdge
from tests.support.serving import to_toml
from tests.support.waiting import PATIENCE
from tests.support.wire import Address

APP_ID, KEY, SECRET = "3", "278d425bdf160c739803", "7ad3773142a6692b25b8"


def app(**switches: Any) -> dict[str, Any]:
    """The `[[apps]]` table of the main app."""
    return {"id": APP_ID, "key": KEY, "secret": SECRET, **switches}


class QuietServer(DrainingServer):
    """Leaves the process's signals alone."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """None of ours."""
        yield


@dataclass(frozen=True)
class Inside:
    """A running server from within."""

    address: Address
    server: Server
    uvicorn: QuietServer
    #: Ends when the server has stopped.
    running: "asyncio.Task[None]"

    @property
    def node(self) -> Node:
        """What the edges drive."""
        return self.server.node

    @property
    def edge(self) -> WebSocketEdge:
        """The WebSocket side."""
        return self.server._edge

    @property
    def clients(self) -> ClientRegistry:
        """All clients."""
        return self.server._clients

    @property
    def guard(self) -> RequestGuard:
        """Who keeps an HTTP request or its answer waiting."""
        return self.server._guard


@asynccontextmanager
async def serving(
    directory: Path, settings: Mapping[str, Any] | None = None
) -> AsyncIterator[Inside]:
    """Serve the main app, or what `settings` (the config tree) says; port 0 unless it says else."""
    tree = {"apps": [app()], **(settings or {})}
    tree["server"] = {"port": 0, "shutdown_grace": 0.0, **tree.get("server", {})}
    path = directory / "inprocess.toml"
    path.write_text(to_toml(tree))
    config = load(path, {}, {})
    server = Server(config, config_path=path)
    sockets = listen(config.server, config.websocket.send_buffer_bytes)
    listening = asyncio.Event()
    uvicorn = QuietServer(
        _without_pytests_handlers(server._uvicorn(), access_log=config.log.access),
        node=server.node,
        clients=server._clients,
        cluster=server._cluster,
        delay=config.server.drain_delay,
        grace=config.server.shutdown_grace,
        tick=server._tick,
        reload=server.reload,
        starting=server.begin,
        started=listening.set,
        stopped=server.end,
        reserve=server._reserve,
        misdirected=server._misdirected,
        handshake_timeout=config.http.header_timeout,
        start_timeout=config.cluster.start_timeout,
    )
    server._uvicorn_server = uvicorn
    address = Address(port=sockets[0].getsockname()[1])
    running = asyncio.get_running_loop().create_task(uvicorn.serve(sockets))
    try:
        async with asyncio.timeout(PATIENCE):
            await listening.wait()
        yield Inside(address, server, uvicorn, running)
    finally:
        await _stop(uvicorn, running)


def _without_pytests_handlers(settings: Config, *, access_log: bool) -> Config:
    """uvicorn logs requests when that logger has handlers; pytest gives it some of its own.

    Left alone, no publication would go its fast path here.
    """
    make: Any = settings.http

    def made(**given: Any) -> Any:
        protocol = make(**given)
        protocol.access_log = access_log
        return protocol

    settings.http = made  # type: ignore[assignment]  # any callable will do
    return settings


async def _stop(uvicorn: QuietServer, running: "asyncio.Task[None]") -> None:
    """End it without uvicorn's waits; stopping well is tested with processes."""
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    servers = getattr(uvicorn, "servers", [])  # there are none when it has not started in time
    for server in servers:
        server.close()
    async with asyncio.timeout(PATIENCE):
        while uvicorn.server_state.connections:
            for connection in [*uvicorn.server_state.connections]:
                each: Any = connection
                (each.abort if hasattr(each, "abort") else each.transport.abort)()
            await asyncio.sleep(0)
        for server in servers:
            await server.wait_closed()
    # What is frozen stays so: collecting pytest's whole heap at each start takes longer than a test.
    gc.set_threshold(700, 10, 10)
