"""The parts that all WebSocket connections share, and their paths (docs/protocol/connection.md#refusal)."""

from urllib.parse import unquote, urlsplit

from pusher_server.clients.admission import Admission
from pusher_server.clients.registry import ClientRegistry
from pusher_server.clients.request import ClientRequest
from pusher_server.config import WebsocketSettings
from pusher_server.node.node import Node
from pusher_server.protocol.client_path import has_double_slash, key_in, path_of
from pusher_server.protocol.errors import Code, ConnectionRejected


class WebSocketEdge:
    """The WebSocket transport of one process. `path_prefix` is `/name` or empty."""

    def __init__(
        self,
        node: Node,
        clients: ClientRegistry,
        admission: Admission,
        settings: WebsocketSettings,
        *,
        path_prefix: str,
    ) -> None:
        self.node = node
        self.clients = clients
        self.admission = admission
        self.settings = settings
        #: Seconds that only rise.
        self.clock = clients.clock
        self._prefix = path_prefix.rstrip("/")

    def key_of(self, upgrade: ClientRequest) -> str:
        """The app key in the path. Raises ConnectionRejected: unknown path, or refused already."""
        if upgrade.refusal is not None:
            raise upgrade.refusal
        try:
            path = urlsplit(upgrade.target).path
        except ValueError:  # `//[` begins like an IPv6 host
            path = ""
        key = key_in(path, self._prefix)
        if key is not None:
            return unquote(key)
        if has_double_slash(path_of(upgrade.target)):
            raise ConnectionRejected(
                Code.PATH_NOT_FOUND,
                "Path not found: it has a double slash; take one out of wsHost, wsPath or the proxy",
                reason="double_slash",
                cause="the path has a double slash: take one out of the client's wsHost or wsPath, or out of"
                " the proxy's address of this server",
            )
        raise ConnectionRejected(
            Code.PATH_NOT_FOUND,
            "Path not found",
            cause=f"the path is not {self._prefix}/app/KEY: check the client's wsPath, server.path_prefix,"
            " and what a proxy adds or removes",
        )
