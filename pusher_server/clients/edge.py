"""The parts that all sessions of one transport share."""

from collections.abc import Callable
from typing import Protocol

from pusher_server.clients.admission import Admission
from pusher_server.clients.registry import ClientRegistry
from pusher_server.clients.request import ClientRequest
from pusher_server.config import WebsocketSettings
from pusher_server.node.node import Node


class Edge(Protocol):
    """A transport of one process, as its sessions use it; `settings` bound every one of them."""

    node: Node
    clients: ClientRegistry
    admission: Admission
    settings: WebsocketSettings
    #: Seconds that only rise.
    clock: Callable[[], float]

    def key_of(self, upgrade: ClientRequest, /) -> str:
        """The app key in the path. Raises ConnectionRejected: unknown path, or refused already."""
