"""Events on their way out: from the backend's API and from clients.

Publishing is synchronous and never waits. Local subscribers are served first, by the fan-out; then the event
goes to the other nodes (ARCHITECTURE.md#an-event-over-http).
"""

from msgspec import Struct

from pusher_server.app import App
from pusher_server.hub.connection import Connection
from pusher_server.interfaces import EventMessage, Retention, channel_topic
from pusher_server.node.parts import NodeParts
from pusher_server.protocol import events
from pusher_server.protocol.channel_name import ChannelName, parse_channel_name
from pusher_server.protocol.encrypted import is_sealed
from pusher_server.protocol.errors import Code, InvalidChannelName, MessageRejected
from pusher_server.protocol.messages import ClientEvent
from pusher_server.protocol.text import exceeds
from pusher_server.signals import ClientEventSent, EventPublished


class ApiEvent(Struct, frozen=True, kw_only=True):
    """One validated event of the backend. `data` is a JSON string literal, relayed as it is."""

    name: str
    channels: tuple[ChannelName, ...]
    data: bytes
    socket_id: str | None = None


class Publishing:
    """The verbs of one node's publishers. Signals are made for kinds that are observed."""

    def __init__(self, parts: NodeParts) -> None:
        self._hub = parts.hub
        self._broker = parts.broker
        self._emit = parts.observers.emit
        self._is_observed = parts.observers.is_observed
        self._event_ids = parts.event_ids
        self._evidence = parts.evidence
        self._missed = parts.evidence.missed

    def publish(self, app: App, event: ApiEvent) -> None:
        """Send to each channel, but not to the socket the event came from. Never raises."""
        self._hub.traffic.of(app.id).published += len(event.channels)
        self._evidence.latest = (app, event)
        is_observed = self._is_observed(EventPublished)
        for channel in event.channels:
            payload = events.channel_event(event.name, channel.text, event.data)
            remember = None
            if channel.remembers_last:
                remember = Retention(event.data, app.cache_ttl, app.limits.cache_bytes)
            recipients = self._send(app.id, channel, payload, event.socket_id, remember)
            if not recipients:
                self._missed((app.id, channel, event.name, event.channels))
            if is_observed:
                signal = EventPublished(
                    app_id=app.id, channel=channel.text, event=event.name, recipients=recipients
                )
                self._emit(signal)

    def client_event(self, connection: Connection, message: ClientEvent) -> None:
        """Relay to all subscribers of the channel except the sender. Raises MessageRejected.

        See docs/protocol/client-events.md#relay.

        The frame is built anew, so nothing else that the sender put in gets through.
        """
        channel = self._admit(connection, message)
        subscription = connection.subscriptions.get(message.channel)
        member = None if subscription is None else subscription.member
        user_id = None if member is None else member.user_id
        payload = events.channel_event(message.event, message.channel, message.data, user_id)
        connection.app_state.traffic.client_events += 1
        self._send(connection.app_state.app.id, channel, payload, connection.socket_id, None)
        if not self._is_observed(ClientEventSent):
            return
        self._emit(
            ClientEventSent(
                app_id=connection.app_state.app.id,
                channel=message.channel,
                event=message.event,
                data=message.data,
                socket_id=connection.socket_id,
                user_id=user_id,
            )
        )

    def _send(
        self,
        app_id: str,
        channel: ChannelName,
        payload: bytes,
        except_socket: str | None,
        remember: Retention | None,
    ) -> int:
        event_id = next(self._event_ids)
        app_state = self._hub.app_states.get(app_id)
        recipients = 0
        if app_state is not None:
            recipients = self._hub.deliver(
                app_state, channel.text, payload, skip=except_socket, event_id=event_id
            )
        message = EventMessage(payload=payload, event_id=event_id, except_socket=except_socket)
        self._broker.publish(channel_topic(app_id, channel.text), message, remember=remember)
        return recipients

    def _admit(self, connection: Connection, message: ClientEvent) -> ChannelName:
        """The checks of docs/protocol/client-events.md#checks, in their order."""
        app, text = connection.app_state.app, message.channel
        if app.client_events == "off":
            raise MessageRejected(
                None,
                "Client events are off for this app; its setting client_events turns them on",
                channel=text,
            )
        try:
            channel = parse_channel_name(
                text, max_length=app.limits.channel_name_length, lenient=app.lenient_channel_names
            )
        except InvalidChannelName as error:
            raise MessageRejected(None, error.message) from None
        on_public = app.client_events_on_public_channels and channel.user_id is None
        if not (channel.allows_client_events or on_public):
            raise MessageRejected(
                None,
                "Client event rejected - only supported on private and presence channels",
                channel=text,
            )
        if app.client_events == "members" and not _is_subscribed(connection, text):
            raise MessageRejected(Code.UNAUTHORIZED, "Connection is unauthorized", channel=text)
        if 0 < app.limits.event_name_length < len(message.event):
            raise MessageRejected(
                None,
                f"Event name is longer than {app.limits.event_name_length} characters",
                channel=text,
            )
        limit = app.limits.event_data_bytes
        if exceeds(message.data, limit):
            raise MessageRejected(
                None,
                f"The data content of this event exceeds the allowed maximum ({limit} bytes).",
                channel=text,
            )
        if not connection.may_send_client_event():
            raise MessageRejected(
                Code.CLIENT_EVENT_RATE,
                f"The rate limit of {app.limits.client_events_per_second} client events per second was "
                "exceeded; the event was dropped.",
                channel=text,
                cause="limits.client_events_per_second",
            )
        if channel.is_encrypted and not is_sealed(message.data):
            raise MessageRejected(
                None,
                "A client event on an encrypted channel needs data with nonce and ciphertext in base64",
                channel=text,
            )
        return channel


def _is_subscribed(connection: Connection, channel: str) -> bool:
    subscription = connection.subscriptions.get(channel)
    return subscription is not None and subscription.active
