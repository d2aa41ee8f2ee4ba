"""Limits the log lines of an event loop that has no file left: one a minute instead of one per client."""

import asyncio
import logging
from typing import Any

from pusher_server.log_rate_limit import LogRateLimit

logger = logging.getLogger("pusher_server.server")

#: asyncio's message for it, in loops that accept with its `start_server`.
_ASYNCIO_NO_ROOM = "socket.accept() out of system resource"


def limit_accept_errors(loop: asyncio.AbstractEventLoop) -> None:
    """Keep asyncio's own accepting from logging a line for each client when no file is left for it.

    For sockets that are no clients': the operations listener, the workers' bus.
    """
    limit = LogRateLimit()

    def explain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        if context.get("message") != _ASYNCIO_NO_ROOM:
            loop.default_exception_handler(context)
        elif limit.due(_ASYNCIO_NO_ROOM, loop.time()):
            logger.error("no connection can be accepted: %s", context.get("exception"))

    loop.set_exception_handler(explain)
