"""Accepts clients at a rate that the process can bear, on uvloop and asyncio alike.

asyncio accepts a whole backlog in one turn. Without a free file asyncio logs each attempt, and uvloop drops
waiting clients silently. So sockets are accepted here, a few in each turn, and not at all while no file is free
for them (`file_reserve`). The one exception is uvloop without TLS and with room. Its own accepting takes one
client in each turn and costs 77 µs with the client's first answer, where ours costs 121. TLS handshakes are
always ours, to know how many are under way.
"""

import asyncio
import errno
import logging
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import Any

from pusher_server.log_rate_limit import LogRateLimit
from pusher_server.server.file_reserve import FileReserve
from pusher_server.server.misdirected import MisdirectedLog, failed_handshake
from pusher_server.server.tls_opening import is_tls, port_of

logger = logging.getLogger("pusher_server.server")

#: Clients accepted in one turn of the loop, of each listener.
_PER_TURN = 16
#: Seconds without accepting while everything is used up, and after the system has refused a file.
_PAUSE = 0.02
_REFUSED_PAUSE = 0.5

#: Errors of `accept` when there is no file or no memory for another socket.
_NO_ROOM = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Client(asyncio.Protocol):
    """The protocol that is made for each socket. `accepted` is called before a TLS handshake only."""

    def accepted(self, peer: str | None) -> None:
        """A TLS handshake begins; `peer` is the client's address."""

    def left(self) -> None:
        """The handshake failed."""


class _Arrival:
    """A socket that was accepted, until it is a connection; `abort` ends it."""

    def __init__(self, task: "asyncio.Task[None]") -> None:
        self._task = task

    def abort(self) -> None:
        """The handshake takes too long."""
        self._task.cancel()


class Acceptor:
    """Listens on `sockets`, which are bound. Has the two methods that uvicorn calls on a server.

    `handshake_timeout`: seconds in which a TLS handshake has to be complete, at any pace of the client.
    """

    def __init__(
        self,
        sockets: Sequence[socket.socket],
        make: Callable[[], Client],
        reserve: FileReserve,
        misdirected: MisdirectedLog,
        *,
        backlog: int,
        tls: ssl.SSLContext | None,
        handshake_timeout: float,
    ) -> None:
        self._sockets = [*sockets]
        self._make = make
        self._reserve = reserve
        self._misdirected = misdirected
        self._backlog = backlog
        self._tls = tls
        self._handshake_timeout = handshake_timeout
        self._loop = asyncio.get_running_loop()
        self._log_limit = LogRateLimit()
        #: The loop's own servers by their sockets, while it accepts itself.
        self._servers: dict[socket.socket, asyncio.Server] = {}
        self._watching = False
        self._closed = False
        self._pausing: asyncio.TimerHandle | None = None
        self._changing: asyncio.Task[None] | None = None
        reserve.on_pressure = self._take_care

    async def open(self) -> None:
        """Accept from now on."""
        for listener in self._sockets:
            listener.listen(self._backlog)
        if self._loop_may_accept:
            await self._let_loop_accept(self._sockets)
        else:
            self._watch()

    async def follow(self, listener: socket.socket) -> None:
        """Accept from this Unix socket too, whose file has taken the place of an earlier one's.

        The last one before it stays: some clients may stand in its queue. Those before that are closed.
        """
        earlier = [old for old in self._sockets if old.family == listener.family]
        for old in earlier[:-1]:
            self._sockets.remove(old)
            if self._watching:
                self._loop.remove_reader(old.fileno())
            if old in self._servers:
                self._servers.pop(old).close()
            old.close()
        self._sockets.append(listener)
        if self._watching:
            self._watch()
        elif self._servers:
            await self._let_loop_accept([listener])

    def close(self) -> None:
        """Accept no more clients; handshakes under way end."""
        self._closed = True
        self._unwatch()
        for server in self._servers.values():
            server.close()
        if self._pausing is not None:
            self._pausing.cancel()
        if self._changing is not None:
            self._changing.cancel()
        for arrival in [*self._reserve.arriving]:
            arrival.abort()
        for listener in self._sockets:
            listener.close()

    async def wait_closed(self) -> None:
        """Does nothing: uvicorn calls it after `close`, which needs no time."""

    def tick(self) -> None:
        """Let the loop accept again when there is room. Called a few times a second."""
        if self._watching and self._loop_may_accept and self._reserve.is_calm:
            self._unwatch()
            self._changing = self._loop.create_task(self._try_to_let_loop_accept())

    @property
    def _loop_may_accept(self) -> bool:
        """True for uvloop, and for the loop of Windows, which has no file descriptors to watch."""
        return not self._tls and not isinstance(self._loop, asyncio.SelectorEventLoop)

    async def _try_to_let_loop_accept(self) -> None:
        try:
            await self._let_loop_accept([*self._sockets])
        except OSError as error:  # the system may be out of files though we have room
            self._change()
            self._refused(error)

    async def _let_loop_accept(self, listeners: Sequence[socket.socket]) -> None:
        for listener in listeners:
            # It closes what it is given, and ours has to stay for the next change.
            self._servers[listener] = await self._loop.create_server(
                self._make, sock=listener.dup(), backlog=self._backlog
            )
        if self._closed:
            self.close()

    def _take_care(self) -> None:
        """Accept here from now on: files are running short."""
        if self._servers and not self._closed:
            # Not inside the loop's own accepting.
            self._loop.call_soon(self._change)

    def _change(self) -> None:
        servers, self._servers = self._servers, {}
        for server in servers.values():
            server.close()
        if servers and not self._closed:
            self._watch()

    def _watch(self) -> None:
        self._watching = True
        for listener in self._sockets:
            self._loop.add_reader(listener.fileno(), self._accept, listener)

    def _unwatch(self) -> None:
        if self._watching:
            self._watching = False
            for listener in self._sockets:
                if listener.fileno() >= 0:
                    self._loop.remove_reader(listener.fileno())

    def _pause(self, seconds: float) -> None:
        self._unwatch()
        if self._pausing is not None:
            self._pausing.cancel()
        self._pausing = self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        self._pausing = None
        self._reserve.make_room()
        if self._reserve.is_used_up:
            self._pause(_PAUSE)
        elif not self._closed:
            self._watch()

    def _accept(self, listener: socket.socket) -> None:
        for _ in range(_PER_TURN):
            if self._reserve.is_used_up:
                self._pause(_PAUSE)
                return
            try:
                accepted, address = listener.accept()
            except (BlockingIOError, InterruptedError):
                return
            except OSError as error:
                if error.errno in _NO_ROOM:
                    self._refused(error)
                    return
                continue  # of the client that was next, which has gone (accept(2), "Error handling")
            accepted.setblocking(False)
            # A Unix socket's peer has no address.
            self._take(accepted, address[0] if isinstance(address, tuple) else None)

    def _refused(self, error: OSError) -> None:
        if self._log_limit.due(error.errno, self._loop.time()):
            logger.error("no client can be accepted: %s", error.strerror)
        self._pause(_REFUSED_PAUSE)

    def _take(self, accepted: socket.socket, peer: str | None) -> None:
        task = self._loop.create_task(self._connect(accepted, peer))
        arrival = _Arrival(task)
        self._reserve.arriving[arrival] = None

        def arrived(_: object) -> None:
            del self._reserve.arriving[arrival]

        task.add_done_callback(arrived)
        self._reserve.make_room()

    async def _connect(self, accepted: socket.socket, peer: str | None) -> None:
        protocol = self._make()
        options: dict[str, Any] = {}
        port = None
        try:
            if self._tls is not None:
                protocol.accepted(peer)
                port = port_of(accepted)
                end = self._loop.time() + self._handshake_timeout
                if not await is_tls(accepted, peer, self._misdirected, end):
                    protocol.left()
                    return
                remaining = max(0.001, end - self._loop.time())  # asyncio takes no 0
                options = {"ssl": self._tls, "ssl_handshake_timeout": remaining}
            await self._loop.connect_accepted_socket(lambda: protocol, accepted, **options)
        # A broken handshake is the client's fault, and loops raise various errors for it.
        except Exception as error:
            logger.debug("a client did not arrive: %s", error)
            accepted.close()
            protocol.left()
            mistake = failed_handshake(error)
            if mistake is not None:
                self._misdirected.note(mistake, peer, port)
        except asyncio.CancelledError:
            protocol.left()
            raise
