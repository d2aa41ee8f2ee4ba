"""Calls the node's verb that serves a decoded message."""

from typing import Protocol

from pusher_server.clients.mailbox import BARRIER, Mailbox, Start
from pusher_server.hub.connection import Connection
from pusher_server.node.node import Node
from pusher_server.protocol import events
from pusher_server.protocol.frames import text_frame
from pusher_server.protocol.messages import (
    ClientEvent,
    Message,
    Ping,
    SignIn,
    Subscribe,
    Unsubscribe,
)

_PONG = text_frame(events.PONG)


class Ordered(Connection, Protocol):
    """A connection that keeps its messages in order when one of them must wait."""

    #: There while something waits.
    mailbox: Mailbox | None

    def run(self, key: str | None, work: Start) -> None:
        """Do it now, or after the work it has to wait for."""

    def count_subscription(self) -> None:
        """Let later messages wait if subscriptions come above their pace."""


def dispatch(connection: Ordered, node: Node, message: Message) -> None:
    """Serve one message, in the same step if it needs no answer from the cluster.

    Raises MessageRejected; work that runs in order deals with its own errors.
    """
    connection.app_state.traffic.messages_received += 1
    match message:
        case ClientEvent():
            if connection.mailbox is None:
                node.publishing.client_event(connection, message)
            else:
                connection.run(message.channel, lambda: _client_event(connection, node, message))
        case Subscribe():
            connection.count_subscription()
            subscribe = node.subscriptions.subscribe
            connection.run(message.channel, lambda: subscribe(connection, message))
        case Unsubscribe():
            if connection.mailbox is not None:
                connection.mailbox.drop(message.channel)
            node.subscriptions.unsubscribe(connection, message)
        case SignIn():
            connection.run(BARRIER, lambda: node.users.sign_in(connection, message))
        case Ping():
            connection.write(connection.app_state.traffic.replied(_PONG))


async def _client_event(connection: Connection, node: Node, message: ClientEvent) -> None:
    node.publishing.client_event(connection, message)
