"""Decides which clients may connect, over any transport (docs/protocol/connection.md#refusal)."""

import fnmatch
from collections.abc import Callable
from urllib.parse import parse_qsl, urlsplit

from pusher_server.app import App
from pusher_server.clients.full_apps import FullApps
from pusher_server.clients.registry import ClientRegistry
from pusher_server.clients.request import ClientRequest
from pusher_server.clients.tls_only import TlsRefusals
from pusher_server.hub.app_state import AppState
from pusher_server.interfaces import AppProvider
from pusher_server.node.node import Node
from pusher_server.protocol.errors import KEY_IS_SECRET, Code, ConnectionRejected
from pusher_server.protocol.socket_id import make_socket_id

#: Of a request's query, so many are read; libraries send five. A query of nothing else took 50 ms.
_PARAMETERS = 200
#: Characters of a header or parameter in a log line.
_SHOWN = 100


class Admission:
    """The steps of letting a client in. `random_below(n)` gives 0…n-1."""

    def __init__(
        self,
        node: Node,
        apps: AppProvider,
        clients: ClientRegistry,
        random_below: Callable[[int], int],
    ) -> None:
        self._node = node
        self._apps = apps
        self._clients = clients
        self._random_below = random_below
        self._tls_refusals = TlsRefusals()
        #: Makes room in full apps; `tick` it.
        self.full_apps = FullApps(node, clients)

    async def app_for(self, key: str) -> App:
        """The app of this key. Raises ConnectionRejected: there is none; ClusterUnavailable: unknown."""
        app = await self._apps.by_key(key)
        if app is None:
            is_secret = self._apps.is_secret(key)
            # The key is the client's text: as much of it as fits a close reason (RFC 6455 §5.5).
            raise ConnectionRejected(
                Code.UNKNOWN_APP,
                f"App key {key[:40]} not in this cluster. Did you forget to specify the cluster?",
                reason=KEY_IS_SECRET if is_secret else "",
                cause="the client has an app's secret as its key: give it the key, and make a new secret"
                if is_secret
                else "no app has the key of the path: the client's key is wrong, or the app is missing here",
            )
        return app

    def admit(self, app: App, request: ClientRequest, *, secure: bool) -> None:
        """Apply every rule for one more connection. Raises ConnectionRejected."""
        self._clients.check_room()
        self._node.admit(app)
        _check_version(app, request)
        if app.tls_only and not secure:
            raise self._tls_refusals.refuse(request, self._clients.clock())
        allowed = app.allowed_origins
        if allowed and not origin_allowed(allowed, origin := request.header(b"origin")):
            raise ConnectionRejected(
                Code.UNAUTHORIZED, "Origin not allowed", reason="origin", cause=_of_origin(origin)
            )

    def new_socket_id(self, app_state: AppState) -> str:
        """A name that no connection of the app has here; 66 random bits keep the other nodes apart."""
        socket_id = make_socket_id(self._random_below)
        while socket_id in app_state.connections:
            socket_id = make_socket_id(self._random_below)
        return socket_id


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


def _check_version(app: App, request: ClientRequest) -> None:
    """5, 6, 7 and none are accepted (docs/protocol/connection.md#version); Strict requires one."""
    query = urlsplit(request.target).query
    if query.startswith("protocol=7&"):  # as every official client of today writes it
        return
    parameters = "&".join(query.split("&", _PARAMETERS)[:_PARAMETERS])
    protocol = dict(parse_qsl(parameters, keep_blank_values=True)).get("protocol")
    if protocol is None:
        if app.strict:
            raise ConnectionRejected(
                Code.PROTOCOL_MISSING,
                "No protocol version supplied",
                cause="the client names no protocol version, which a strict app requires",
            )
    elif not (protocol.isascii() and protocol.removeprefix("-").isdigit()):
        cause = f"the client's protocol version is {protocol[:_SHOWN]!r}, which is no number"
        raise ConnectionRejected(Code.BAD_VERSION, "Invalid version string format", cause=cause)
    elif protocol not in ("5", "6", "7"):
        cause = f"the client's protocol version is {protocol[:_SHOWN]}; the server has 5, 6 and 7"
        raise ConnectionRejected(
            Code.UNSUPPORTED_PROTOCOL, "Unsupported protocol version", cause=cause
        )


def _of_origin(origin: str | None) -> str:
    """Return cause and next step, for an origin that is not allowed."""
    if origin is None:
        return 'the client sends no Origin, as apps do: they need "*" in the app\'s allowed_origins'
    return f"the host of its Origin {origin[:_SHOWN]!r} is not in the app's allowed_origins: add it there"
