"""Who may connect, and what all connections share (docs/protocol/connection.md#refusal)."""

import fnmatch
import logging
import sys
from collections.abc import Callable
from typing import Protocol
from urllib.parse import parse_qsl, unquote, urlsplit

from pusher_server.app import App
from pusher_server.clients.heartbeat import Heartbeat
from pusher_server.config import WebsocketSettings
from pusher_server.hub.app_state import AppState
from pusher_server.log_rate_limit import LogRateLimit
from pusher_server.node.node import Node
from pusher_server.protocol.errors import Code, ConnectionRejected
from pusher_server.protocol.socket_id import make_socket_id
from pusher_server.websocket.connection import WebSocketConnection
from pusher_server.websocket.handshake import Upgrade
from pusher_server.websocket.tls_only import TlsRefusals

logger = logging.getLogger("pusher_server.websocket")

#: Of an upgrade's query, so many are read; libraries send five. A query of nothing else took 50 ms.
_PARAMETERS = 200


class Leaving(Protocol):
    """A client that can be sent away."""

    def abort(self) -> None:
        """End it at once."""


class WebSocketEdge:
    """`random_below(n)` gives 0…n-1; `clock` seconds that only rise."""

    def __init__(
        self,
        node: Node,
        settings: WebsocketSettings,
        *,
        path_prefix: str,
        clock: Callable[[], float],
        random_below: Callable[[int], int],
    ) -> None:
        self.node = node
        self.settings = settings
        self.clock = clock
        self._random_below = random_below
        self.heartbeat = Heartbeat()
        self._prefix = path_prefix.rstrip("/")
        #: Sockets between the upgrade and their end.
        self.connections: dict[WebSocketConnection, None] = {}
        #: Those of them that have been told to go, the longest first.
        self.leaving: dict[Leaving, None] = {}
        #: How many may stay, as far as open files go.
        self.open_files_allow = sys.maxsize
        self._log_limit = LogRateLimit()
        self._tls_refusals = TlsRefusals()

    def key_of(self, upgrade: Upgrade) -> str:
        """The app key in the path. Raises ConnectionRejected: unknown path, or refused already."""
        if upgrade.refusal is not None:
            raise upgrade.refusal
        try:
            path = urlsplit(upgrade.target).path
        except ValueError:  # `//[` begins like an IPv6 host
            raise ConnectionRejected(Code.PATH_NOT_FOUND, "Path not found") from None
        start, _, key = path.rstrip("/").rpartition("/")
        # With or without the prefix, which may be `/app` itself.
        if start not in ("/app", self._prefix + "/app") or not key:
            raise ConnectionRejected(Code.PATH_NOT_FOUND, "Path not found")
        return unquote(key)

    async def app_for(self, key: str) -> App:
        """Raises ConnectionRejected when there is no such app, ClusterUnavailable when nobody can tell."""
        app = await self.node.apps.by_key(key)
        if app is None:
            # The key is the client's text: as much of it as fits a close reason (RFC 6455 §5.5).
            raise ConnectionRejected(
                Code.UNKNOWN_APP,
                f"App key {key[:40]} not in this cluster. Did you forget to specify the cluster?",
            )
        return app

    def new_socket_id(self, app_state: AppState) -> str:
        """A name that no connection of the app has here; 66 random bits keep the other nodes apart."""
        socket_id = make_socket_id(self._random_below)
        while socket_id in app_state.connections:
            socket_id = make_socket_id(self._random_below)
        return socket_id

    def admit(self, app: App, upgrade: Upgrade, *, secure: bool) -> None:
        """Every rule for one more connection. Raises ConnectionRejected."""
        self._check_room()
        self.node.admit(app)
        _check_version(app, upgrade)
        if app.tls_only and not secure:
            raise self._tls_refusals.refuse(app.id, upgrade, self.clock())
        allowed = app.allowed_origins
        if allowed and not origin_allowed(allowed, upgrade.header(b"origin")):
            raise ConnectionRejected(Code.UNAUTHORIZED, "Origin not allowed")

    def _check_room(self) -> None:
        """Whoever is on the way out takes no one's place, however many there are."""
        staying = len(self.connections) - len(self.leaving)
        limit = self.settings.max_connections
        if 0 < limit < staying:
            raise ConnectionRejected(Code.OVER_CAPACITY, "Over capacity", reason="max_connections")
        if staying > self.open_files_allow:
            if self._log_limit.due("open_files", self.clock()):
                logger.warning(
                    "clients are sent away: open files are enough for %d; raise the limit"
                    " (`ulimit -n`, in systemd LimitNOFILE=)",
                    self.open_files_allow,
                )
            raise ConnectionRejected(Code.OVER_CAPACITY, "Over capacity", reason="open_files")

    def allow(self, connections: int) -> None:
        """So many may stay, as far as open files go."""
        self.open_files_allow = connections

    def leaves(self, connection: WebSocketConnection, patience: float) -> None:
        """It has been told to go, and has so many seconds to do so."""
        self.leaving[connection] = None
        self.heartbeat.watch(connection, self.clock() + patience)

    def gone(self, connection: WebSocketConnection) -> None:
        """Its transport is no more."""
        self.heartbeat.forget(connection)
        self.heartbeat.writing_resumed(connection)
        self.connections.pop(connection, None)
        self.leaving.pop(connection, None)


def origin_allowed(allowed: tuple[str, ...], origin: str | None) -> bool:
    """Compare the origin's host with hosts or globs; a list without `*` refuses a missing origin."""
    if not allowed or "*" in allowed:
        return True
    if origin is None:
        return False
    try:
        host = urlsplit(origin).hostname
    except ValueError:
        return False
    if host is None:
        return False
    return any(fnmatch.fnmatchcase(host, pattern.lower()) for pattern in allowed)


def _check_version(app: App, upgrade: Upgrade) -> None:
    """5, 6, 7 and none are spoken (docs/protocol/connection.md#version); Strict asks for one."""
    query = urlsplit(upgrade.target).query
    if query.startswith("protocol=7&"):  # as every official client of today writes it
        return
    parameters = "&".join(query.split("&", _PARAMETERS)[:_PARAMETERS])
    protocol = dict(parse_qsl(parameters, keep_blank_values=True)).get("protocol")
    if protocol is None:
        if app.strict:
            raise ConnectionRejected(Code.PROTOCOL_MISSING, "No protocol version supplied")
    elif not (protocol.isascii() and protocol.removeprefix("-").isdigit()):
        raise ConnectionRejected(Code.BAD_VERSION, "Invalid version string format")
    elif protocol not in ("5", "6", "7"):
        raise ConnectionRejected(Code.UNSUPPORTED_PROTOCOL, "Unsupported protocol version")
