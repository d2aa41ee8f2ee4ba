"""Logs the opening and the end of every connection, at the level debug: an observer that is there only then."""

import logging

from pusher_server.hub.hub import Hub
from pusher_server.signals import ConnectionClosed, ConnectionOpened, Signal

logger = logging.getLogger("pusher_server.websocket")

#: The signals to observe.
OBSERVED: tuple[type[Signal], ...] = (ConnectionOpened, ConnectionClosed)


class ConnectionLog:
    """`hub` is the one whose connections the signals are about. Refusals have lines elsewhere."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        #: App and socket id of each open connection -> its client's address.
        self._addresses: dict[tuple[str, str], str] = {}

    def observe(self, signal: Signal) -> None:
        """Write a line."""
        match signal:
            case ConnectionOpened(app_id=app_id, socket_id=socket_id):
                connection = self._hub.app_states[app_id].connections[socket_id]
                address = self._addresses[app_id, socket_id] = connection.remote
                fields = {"app": app_id, "key": connection.app_key, "socket_id": socket_id}
                logger.debug("connection opened", extra={**fields, "address": address})
            case ConnectionClosed(app_id=app_id, socket_id=socket_id, code=code):
                fields = {"app": app_id, "socket_id": socket_id}
                fields["address"] = self._addresses.pop((app_id, socket_id), "")
                logger.debug("connection closed", extra={**fields, "code": code})
