"""uvicorn's server with our signals: drain before it stops, reload on SIGHUP, one sweep for waiting work."""

import asyncio
import gc
import logging
import signal
import socket
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn

from pusher_server.clients import drain, heartbeat
from pusher_server.clients.registry import ClientRegistry
from pusher_server.hub.connection import Connection
from pusher_server.node.node import Node
from pusher_server.protocol.errors import Code
from pusher_server.server.accepting import Acceptor
from pusher_server.server.cluster import Cluster
from pusher_server.server.coalesced import Coalesced
from pusher_server.server.file_reserve import FileReserve
from pusher_server.server.listening import ListeningFileWatch
from pusher_server.server.loop_errors import limit_accept_errors
from pusher_server.server.misdirected import MisdirectedLog
from pusher_server.server.operations_listener import OperationsListener
from pusher_server.server.proxy_protocol import ProxyHeaders

logger = logging.getLogger("pusher_server.server")

#: The garbage collector's thresholds. A collection stops the loop: 50,000 young objects that are all garbage
#: took 20 ms, 10,000 take 4. Connections leave none (`tests/edge/test_garbage.py`), some libraries do. The
#: older generations come as rarely as with 50,000, 20 and 20.
_GC_THRESHOLDS = 10_000, 20, 100
#: Seconds that closed clients have to close, too, before the process ends.
_FAREWELL = 2.0
#: Seconds in which a signalled worker learns from its supervisor that all workers stop; milliseconds as a rule.
_ORDER_WITHIN = 1.0


class DrainingServer(uvicorn.Server):
    """`tick(now)` is called every `heartbeat.INTERVAL` seconds; `reload` on SIGHUP.

    `starting` is called in the loop before the first client, `stopped` after the last one. For `start_timeout`
    seconds at most no client is accepted before the node is attached to the cluster. Else a client would be
    subscribed and miss publications of other nodes.

    After `delay` seconds a stop sends clients away, over `grace` seconds.
    `supervised`: one stop may send several signals, from a terminal and from the supervisor, so a repeated one
    ends nothing at once.
    """

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        node: Node,
        clients: ClientRegistry,
        cluster: Cluster,
        delay: float,
        grace: float,
        tick: Callable[[float], None],
        reload: Callable[[], None],
        starting: Callable[[], None],
        started: Callable[[], None],
        stopped: Callable[[], Awaitable[None]],
        start_timeout: float = 0.0,
        supervised: bool = False,
        operations: OperationsListener | None = None,
        unix_file: ListeningFileWatch | None = None,
        reserve: FileReserve,
        misdirected: MisdirectedLog,
        handshake_timeout: float,
        proxy_headers: ProxyHeaders | None = None,
    ) -> None:
        super().__init__(config)
        self._unix_file = unix_file
        self._looked_at = 0.0
        self._listening: asyncio.Task[None] | None = None
        self._reserve = reserve
        reserve.connections = self.server_state.connections
        self._misdirected = misdirected
        self._handshake_timeout = handshake_timeout
        self._proxy_headers = proxy_headers
        self._acceptor: Acceptor | None = None
        self._operations = operations
        self._supervised = supervised
        self._node = node
        self._clients = clients
        self._cluster = cluster
        self._delay = delay
        self._grace = grace
        self._tick = tick
        self._reloads = Coalesced(reload)
        self._starting = starting
        self._announce = started
        self._stopped = stopped
        self._start_timeout = start_timeout
        #: Set with `should_exit`, for the wait at the start.
        self._ending = asyncio.Event()
        self._draining: asyncio.Task[None] | None = None
        #: Set when established clients are to leave, whatever remains of the delay.
        self._hurry = asyncio.Event()
        #: Set when the stop was ordered by `stop` or `drain`, not by a signal to one of several workers.
        self._ordered = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def startup(self, sockets: list[Any] | None = None) -> None:
        """Accept clients, then keep what exists now out of the garbage collector's way."""
        self._node.starting = True
        self._loop = asyncio.get_running_loop()
        limit_accept_errors(self._loop)
        self._starting()
        self._cluster.start()
        self._sweep()
        if self._operations is not None:
            await self._operations.open()
        await self._attach()
        if self.should_exit:  # stopped meanwhile: uvicorn ends only servers that have started
            await self._end()
            return
        await super().startup(sockets=[])  # all but the listening, which is ours
        await self._listen(sockets or [])
        self._node.starting = False
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)
        self._announce()

    def _look_after_file(self, now: float) -> None:
        """Once a second, make a removed Unix socket again."""
        if self._unix_file is None or now < self._looked_at + 1 or not self.started:
            return
        if self._listening is not None and not self._listening.done():
            return
        self._looked_at = now
        made = None if self._draining else self._unix_file.look()
        if made is not None and self._acceptor is not None:
            self._listening = asyncio.get_running_loop().create_task(self._acceptor.follow(made))

    async def _listen(self, sockets: Sequence[socket.socket]) -> None:
        make = partial(
            cast(Any, self.config.http_protocol_class),  # as uvicorn calls it
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        self._acceptor = Acceptor(
            sockets,
            make,
            self._reserve,
            self._misdirected,
            backlog=self.config.backlog,
            tls=self.config.ssl,
            handshake_timeout=self._handshake_timeout,
            proxy_headers=self._proxy_headers,
        )
        # uvicorn closes these before it ends the connections.
        self.servers.append(cast(asyncio.Server, self._acceptor))
        await self._acceptor.open()

    async def _attach(self) -> None:
        """Wait for the cluster, for `start_timeout` at most and until stopped."""
        if not self._start_timeout:
            return
        attached = asyncio.ensure_future(self._cluster.attached())
        ending = asyncio.ensure_future(self._ending.wait())
        try:
            await asyncio.wait(
                (attached, ending),
                timeout=self._start_timeout,
                return_when=asyncio.FIRST_COMPLETED,
            )
        finally:
            ending.cancel()
            if not attached.cancel():
                attached.result()
        if not attached.done() and not self.should_exit:
            logger.warning(
                "serving without the other nodes, whose publications are missed until they can be reached:"
                " %s (waited for %g s, cluster.start_timeout)",
                self._cluster.problem,
                self._start_timeout,
            )

    async def shutdown(self, sockets: list[Any] | None = None) -> None:
        """After the last client, leave the cluster and close all other connections."""
        await super().shutdown(sockets=sockets)
        await self._end()

    async def _end(self) -> None:
        await self._cluster.stop()
        await self._stopped()
        if self._operations is not None:
            await self._operations.close()

    async def close_gently(self, closing: list[tuple[Connection, int, str]]) -> None:
        """Close connections at the pace of a drain, so that clients come back spread out."""
        position = 0
        for size in drain.batches(len(closing), self._grace):
            for connection, code, message in closing[position : position + size]:
                connection.close(code, message)
            position += size
            await asyncio.sleep(drain.STEP)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take the signals. uvicorn's method would stop at once, and then end the process by the signal."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {signal.SIGINT: self._on_stop, signal.SIGTERM: self._on_stop}
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = self._on_reload
        before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _on_stop(self, number: int, frame: FrameType | None) -> None:
        if self._loop is None:  # the loop does not run yet: nothing to drain
            self.should_exit = True
        else:
            self._loop.call_soon_threadsafe(self._begin if self._supervised else self.stop)

    def _on_reload(self, number: int, frame: FrameType | None) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._reloads.request)

    def stop(self) -> None:
        """Drain, then exit; when called again, exit at once."""
        if self._draining is None:
            self.drain()
        else:
            self.stop_now()

    def drain(self, *, at_once: bool = False) -> None:
        """Drain, then exit. `at_once` skips what remains of the delay; else further calls change nothing."""
        # Before it has served, no balancer sends clients here.
        if at_once or self._node.starting:
            self._hurry.set()
        self._ordered.set()
        self._begin()

    def _begin(self) -> None:
        if self._draining is None:
            self._draining = asyncio.get_running_loop().create_task(self._drain())

    def stop_now(self) -> None:
        """Exit, even with clients."""
        self.force_exit = True
        self._exit()

    def _exit(self) -> None:
        self.should_exit = True
        self._ending.set()

    async def _drain(self) -> None:
        self._node.draining = True
        message = "Server closed. Please reconnect shortly."
        try:
            if self._delay:
                await self._let_balancers_notice()
            logger.info("stopping: sending %d connections away", len(self._clients.connections))
            await self.close_gently(
                [(client, Code.RECONNECT, message) for client in self._clients.connections]
            )
            deadline = asyncio.get_running_loop().time() + _FAREWELL
            # A poll for two seconds at the end of a process's life: no event to keep on the hot path.
            while (  # noqa: ASYNC110 - see above
                self._clients.connections and asyncio.get_running_loop().time() < deadline
            ):
                await asyncio.sleep(drain.STEP)
            for connection in list(self._clients.connections):
                connection.abort()
        finally:
            self._exit()

    async def _let_balancers_notice(self) -> None:
        """Wait for the delay. A worker that is stopped alone does not: the server goes on with a successor."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._ordered.wait(), _ORDER_WITHIN)
        if not self._ordered.is_set() or self._hurry.is_set():
            return
        logger.info(
            "stopping: /ready fails; in %g s %d connections are sent away (server.drain_delay)",
            self._delay,
            len(self._clients.connections),
        )
        with suppress(TimeoutError):
            await asyncio.wait_for(self._hurry.wait(), self._delay)

    def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        loop.call_later(heartbeat.INTERVAL, self._sweep)
        try:
            self._tick(loop.time())
            self._look_after_file(loop.time())
            self._reserve.measure()
            if self._acceptor is not None:
                self._acceptor.tick()
        except Exception:
            logger.exception("the sweep failed; it goes on in %s s", heartbeat.INTERVAL)
