"""Shows an operator channels and connections, publishes, and closes connections; every order is a log line."""

import asyncio
import logging
import re
from collections.abc import Iterable
from fnmatch import translate

from pusher_server.app import App
from pusher_server.diagnosis.inventory import (
    ROWS,
    Answer,
    ChannelRow,
    ChannelsQuestion,
    ConnectionRow,
    ConnectionsQuestion,
    KickOrder,
    PublishOrder,
)
from pusher_server.diagnosis.printable import printable
from pusher_server.hub.connection import Connection
from pusher_server.interfaces import AppProvider, channels_topic
from pusher_server.node.diagnosing import Diagnosing
from pusher_server.node.parts import NodeParts
from pusher_server.node.publishing import ApiEvent, Publishing
from pusher_server.node.users import Users
from pusher_server.protocol.channel_name import parse_channel_name
from pusher_server.protocol.errors import Code, InvalidChannelName, MalformedText
from pusher_server.protocol.text import encode, exceeds, string_literal

logger = logging.getLogger("pusher_server.node")

#: Connections that are looked at in one turn: under 2 ms.
_SLICE = 1_000
#: Channels of a connection in a row.
_CHANNELS = 10
#: Backends may not use these names either; they would forge frames of the protocol.
_RESERVED = ("pusher:", "pusher_internal:")


class Inventory:
    """`apps` is None where no order can be carried out."""

    def __init__(
        self,
        parts: NodeParts,
        diagnosing: Diagnosing,
        publishing: Publishing,
        users: Users,
        apps: AppProvider | None,
    ) -> None:
        self._hub = parts.hub
        self._roster = parts.roster
        self._diagnosing = diagnosing
        self._publishing = publishing
        self._users = users
        self._apps = apps

    async def channels(self, question: ChannelsQuestion) -> Answer:
        """Return channels of the whole cluster by their names. Raises ClusterUnavailable."""
        glob = question.channel or "*"
        pattern, prefix = re.compile(translate(glob)), re.split(r"[*?\[]", glob, maxsplit=1)[0]
        names: list[str] = []
        async for page in self._roster.scan(channels_topic(question.app), prefix):
            names += [name for name in page if pattern.match(name)]
            if len(names) > ROWS:
                break
        shown = sorted(names)[:ROWS]
        counts = await self._diagnosing.holders(question.app, shown)
        rows = [ChannelRow(name, counts[name]) for name in shown if name in counts]
        return Answer(channels=rows, more=len(names) > ROWS)

    async def connections(self, question: ConnectionsQuestion) -> Answer:
        """Return connections of this node, in slices: between them the loop does other work."""
        app_state = self._hub.app_states.get(question.app)
        if app_state is None:
            return Answer()
        here: Iterable[Connection] = app_state.connections.values()
        if question.channel:
            channel = app_state.channels.get(question.channel)
            subscriptions = (
                () if channel is None else (*channel.subscribers, *channel.pending.values())
            )
            here = [subscription.connection for subscription in subscriptions]
        elif question.user:
            here = app_state.users.connections(question.user)
        rows: list[ConnectionRow] = []
        for number, connection in enumerate(list(here), 1):
            user = "" if connection.user is None else connection.user.id
            if question.user in ("", user):
                rows.append(_row(connection, user))
            if len(rows) > ROWS:
                break
            if number % _SLICE == 0:
                await asyncio.sleep(0)
        return Answer(connections=rows[:ROWS], more=len(rows) > ROWS)

    async def publish(self, order: PublishOrder) -> Answer:
        """Publish an event to all nodes. Raises ClusterUnavailable when the app cannot be looked up."""
        app = None if self._apps is None else await self._apps.by_id(order.app)
        if app is None:
            return Answer(problem=f"there is no app {printable(order.app)!r}")
        try:
            event = _event(app, order)
        except (InvalidChannelName, MalformedText, ValueError) as error:
            return Answer(problem=printable(str(error), 300))
        counts = await self._diagnosing.holders(app.id, [order.channel])
        self._publishing.publish(app, event)
        fields = {"app": app.id, "channel": order.channel, "event": printable(order.event)}
        logger.info("an operator has published an event", extra=fields)
        return Answer(count=counts.get(order.channel, 0))

    def kick(self, order: KickOrder) -> Answer:
        """Close the connections of this node; clients are told not to come back unchanged."""
        app_state = self._hub.app_states.get(order.app)
        if app_state is None:
            return Answer()
        if order.socket_id:
            connection = app_state.connections.get(order.socket_id)
            closing = [] if connection is None else [connection]
        else:
            closing = app_state.users.connections(order.user) if order.user else []
        for connection in closing:
            connection.close(Code.UNAUTHORIZED, "The connection was ended by the server's operator")
            fields = {"app": order.app, "socket_id": connection.socket_id}
            logger.info("an operator has ended a connection", extra=fields)
        return Answer(count=len(closing))


def _row(connection: Connection, user: str) -> ConnectionRow:
    names = [name for name, _ in zip(connection.subscriptions, range(_CHANNELS), strict=False)]
    return ConnectionRow(
        connection.socket_id, connection.remote, user, len(connection.subscriptions), tuple(names)
    )


def _event(app: App, order: PublishOrder) -> ApiEvent:
    """Return the event, as far as an operator may publish it. Raises ValueError, InvalidChannelName."""
    limits = app.limits
    channel = parse_channel_name(
        order.channel, max_length=limits.channel_name_length, lenient=app.lenient_channel_names
    )
    if channel.is_encrypted:
        raise ValueError("only a backend has the key of an encrypted channel")
    if not order.event or order.event.startswith(_RESERVED):
        raise ValueError("the event needs a name that does not begin with pusher:")
    if 0 < limits.event_name_length < len(order.event):
        raise ValueError(f"the event's name has more than {limits.event_name_length} characters")
    data = string_literal(encode(order.data))
    if exceeds(data, limits.event_data_bytes):
        raise ValueError(f"the data has more than {limits.event_data_bytes} bytes")
    return ApiEvent(name=order.event, channels=(channel,), data=data)
