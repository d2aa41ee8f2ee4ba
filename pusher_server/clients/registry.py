"""The clients of this process, over all transports: those here, those on the way out, and their limit."""

import logging
import sys
from collections.abc import Callable
from typing import Protocol

from pusher_server.clients.heartbeat import Heartbeat, Watched
from pusher_server.hub.connection import Connection
from pusher_server.log_rate_limit import LogRateLimit
from pusher_server.protocol.errors import Code, ConnectionRejected

logger = logging.getLogger("pusher_server.websocket")


class Leaving(Protocol):
    """A client that can be sent away."""

    def abort(self) -> None:
        """End it at once."""


class Client(Connection, Watched, Leaving, Protocol):
    """A connection of any transport, established or on its way in or out."""


class ClientRegistry:
    """`max_connections` is a limit for all clients, 0 is none; `clock` gives seconds that only rise."""

    def __init__(self, max_connections: int, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.heartbeat = Heartbeat()
        #: Clients between their request and their end.
        self.connections: dict[Client, None] = {}
        #: Those of them that were asked to leave, the longest first.
        self.leaving: dict[Client, None] = {}
        self._max_connections = max_connections
        self._open_files_allow = sys.maxsize
        self._log_limit = LogRateLimit()

    def check_room(self) -> None:
        """Raise ConnectionRejected when one client too many is here.

        Clients on the way out do not count, so they take no place of others.
        """
        staying = len(self.connections) - len(self.leaving)
        if 0 < self._max_connections < staying:
            raise ConnectionRejected(
                Code.OVER_CAPACITY,
                "Over capacity",
                reason="max_connections",
                cause=f"this process has its websocket.max_connections ({self._max_connections}) already:"
                " raise it, or add processes or machines",
            )
        if staying > self._open_files_allow:
            if self._log_limit.due("open_files", self.clock()):
                logger.warning(
                    "clients are sent away: open files are enough for %d; raise the limit"
                    " (`ulimit -n`, in systemd LimitNOFILE=)",
                    self._open_files_allow,
                )
            raise ConnectionRejected(Code.OVER_CAPACITY, "Over capacity", reason="open_files")

    def allow(self, connections: int) -> None:
        """Let so many stay, as far as open files go."""
        self._open_files_allow = connections

    def leaves(self, client: Client, patience: float) -> None:
        """Note that the client was asked to leave, and has so many seconds to do so."""
        self.leaving[client] = None
        self.heartbeat.watch(client, self.clock() + patience)

    def gone(self, client: Client) -> None:
        """Forget a client whose transport is no more."""
        self.heartbeat.forget(client)
        self.heartbeat.writing_resumed(client)
        self.connections.pop(client, None)
        self.leaving.pop(client, None)
