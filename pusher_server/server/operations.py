"""The operations listener of this machine: its socket and its application.

Why it is apart from the clients' one: docs/decisions.md#operations-listener.
"""

import errno
import logging
import socket

from pusher_server.config import OperationsSettings
from pusher_server.errors import ConfigError
from pusher_server.metrics.process_group import ProcessGroup
from pusher_server.metrics.questions import Ask
from pusher_server.server.operations_listener import OperationsListener

logger = logging.getLogger("pusher_server.server")

_DEFAULT = OperationsSettings()
_BACKLOG = 64


def operations_listener(
    settings: OperationsSettings, group: ProcessGroup, ask: Ask, *, port: int
) -> OperationsListener | None:
    """Bound, and not yet served; None when there is to be none. `port` is the clients' one.

    A second server on this machine finds the default address taken: it logs that and starts all the same.
    Any other address was chosen on purpose: raises ConfigError.
    """
    if not settings.enabled:
        return None
    try:
        bound = _bound(settings)
    except ConfigError as error:
        if (settings.host, settings.port) != (_DEFAULT.host, _DEFAULT.port):
            raise
        logger.warning("no metrics and health on the operations listener: %s", error)
        return None
    # Here, because workers have no listener: they need not load Starlette.
    from pusher_server.metrics.operations import operations_app

    return OperationsListener(operations_app(settings, group, ask, port=port), bound)


def _bound(settings: OperationsSettings) -> socket.socket:
    """A socket that listens already, so that of two servers only one has it. Raises ConfigError."""
    where = f"{settings.host}:{settings.port}"
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        every = address[0] == "::" and socket.has_dualstack_ipv6()
        bound = socket.create_server(
            address[:2], family=family, backlog=_BACKLOG, dualstack_ipv6=every
        )
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem = f"{where} is in use; choose another port, or set operations.enabled = false"
            raise ConfigError("operations.port", problem) from None
        problem = f"cannot listen on {where}: {error.strerror}"
        raise ConfigError("operations.host", problem) from None
    bound.setblocking(False)
    return bound
