"""Answers a client when something goes wrong. Errors become answers here and nowhere else."""

import asyncio
import logging

from pusher_server.errors import ClusterUnavailable
from pusher_server.hub.connection import Connection
from pusher_server.node.node import Node
from pusher_server.protocol import events
from pusher_server.protocol.errors import (
    Code,
    ConnectionRejected,
    FramingViolation,
    MessageRejected,
    SubscriptionRefused,
)
from pusher_server.signals import ConnectionRefused

logger = logging.getLogger("pusher_server.websocket")


def answer(connection: Connection, node: Node, error: Exception) -> None:
    """Send the answer that the error carries. Any other error is ours, and passing.

    See docs/protocol/subscriptions.md#passing-faults.
    """
    match error:
        case SubscriptionRefused():
            _settle(connection, node, error.channel)
            connection.send(events.refusal(error, strict=connection.app_state.app.strict))
            node.rejected(connection, error)
        case MessageRejected():
            _settle(connection, node, error.channel)
            connection.send(events.error(error.code, error.message, error.channel))
            node.message_rejected(connection, error)
        case ConnectionRejected():
            node.turned_away(_app_of(connection), connection.remote, error)
            if error.delay:
                loop = asyncio.get_running_loop()
                loop.call_later(error.delay, connection.close, error.code, error.message)
            else:
                connection.close(error.code, error.message)
        case FramingViolation():
            node.turned_away(_app_of(connection), connection.remote, error)
            connection.close(error.code, error.message)
        case ClusterUnavailable():
            node.sent_away(_app_of(connection), error)
            connection.close(Code.OVER_CAPACITY, "Temporarily unavailable")
        case _:
            logger.error("a client's message failed", exc_info=error)
            node.emit(
                ConnectionRefused(
                    app_id=_app_of(connection), code=Code.OVER_CAPACITY, reason="internal"
                )
            )
            connection.close(Code.OVER_CAPACITY, "Internal error")


def _app_of(connection: Connection) -> str:
    app_state = getattr(connection, "app_state", None)  # none yet, when its key is no app's
    return "" if app_state is None else str(app_state.app.id)


def _settle(connection: Connection, node: Node, channel: str | None) -> None:
    """An answer that belongs to a channel does not overtake its events."""
    subscription = None if channel is None else connection.subscriptions.get(channel)
    if subscription is not None:
        node.hub.settle(subscription)
