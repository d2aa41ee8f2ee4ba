"""The node's connections and channels, app by app, and the verbs that change them.

Each verb does the local part and returns the change here ("first subscriber", "last of this user"). The node
passes it on to the cluster. Frames leave through the fan-out only.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from pusher_server.app import App, AppKey, Member
from pusher_server.hub.app_state import AppState
from pusher_server.hub.channel import Channel, Subscription
from pusher_server.hub.connection import Connection
from pusher_server.hub.fanout import CHUNK, Fanout
from pusher_server.hub.traffic import Traffic
from pusher_server.protocol.channel_name import ChannelName
from pusher_server.protocol.frames import text_frame


class Joined(NamedTuple):
    """A pending subscription; whether the channel is new here."""

    subscription: Subscription
    first_here: bool


class Left(NamedTuple):
    """A leave, and whether it was the last one of the channel and of the user on this node."""

    subscription: Subscription
    last_here: bool
    last_of_user_here: bool


class Hub:
    """`encode` makes frame bytes of a payload, once for all subscribers of this node.

    `clock` gives seconds that only rise, for the latency of the fan-out.
    """

    def __init__(
        self,
        call_soon: Callable[[Callable[[], None]], object],
        *,
        encode: Callable[[bytes], bytes] = text_frame,
        chunk: int = CHUNK,
        clock: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self.app_states: dict[str, AppState] = {}
        #: Counters for metrics.
        self.traffic = Traffic()
        self._encode = encode
        self._fanout = Fanout(call_soon, chunk=chunk, clock=clock, latency=self.traffic.latency)

    def app_state(self, app: App) -> AppState:
        """The app's place on this node, made on first use, and with this value from now on.

        An app that was removed may come back under its id as another one.
        """
        app_state = self.app_states.get(app.id)
        if app_state is None:
            app_state = self.app_states[app.id] = AppState(app, self.traffic.of(app.id))
        app_state.app = app
        return app_state

    def connection_counts(self) -> dict[str, int]:
        """Return the number of established connections here by app id, of the apps that have any."""
        return {
            app_id: len(app_state.connections)
            for app_id, app_state in self.app_states.items()
            if app_state.connections
        }

    def open(self, connection: Connection) -> None:
        """A client is established."""
        connection.app_state.connections[connection.socket_id] = connection

    def close(self, connection: Connection, *, settle: bool) -> list[Left]:
        """A client is gone, or about to be closed by us (`settle`). Returns its leaves."""
        connection.app_state.connections.pop(connection.socket_id, None)
        return [
            self.leave(visit, settle=settle) for visit in list(connection.subscriptions.values())
        ]

    def subscribe(
        self,
        connection: Connection,
        name: ChannelName,
        member: Member | None = None,
        authorized_by: AppKey | None = None,
    ) -> Joined:
        """Join, pending: frames are held back until `activate`. The connection is not yet in it."""
        channels = connection.app_state.channels
        channel = channels.get(name.text)
        first_here = channel is None
        if channel is None:
            channel = channels[name.text] = Channel(name)
        subscription = Subscription(channel, connection, member, authorized_by)
        channel.add(subscription)
        connection.subscriptions[name.text] = subscription
        connection.app_state.subscriptions += 1
        return Joined(subscription, first_here)

    def activate(self, subscription: Subscription, opening: Sequence[bytes]) -> None:
        """Write the opening payloads, then the held frames; later frames are delivered live."""
        traffic = subscription.connection.app_state.traffic
        frames = [traffic.replied(self._encode(payload)) for payload in opening]
        for _, held in subscription.held:
            traffic.deliveries += 1
            traffic.bytes_sent += len(held)
        subscription.channel.activate(subscription, frames)

    def settle(self, subscription: Subscription) -> None:
        """Write the owed frames now, so that a direct write does not overtake them."""
        if subscription.active:
            subscription.channel.settle(subscription)

    def leave(self, subscription: Subscription, *, settle: bool = True) -> Left:
        """Leave the channel; owed frames go out first if `settle`."""
        channel, connection = subscription.channel, subscription.connection
        last_of_user = channel.remove(subscription, settle=settle)
        del connection.subscriptions[channel.name.text]
        connection.app_state.subscriptions -= 1
        last_here = not len(channel)
        if last_here:
            del connection.app_state.channels[channel.name.text]
        return Left(subscription, last_here, last_of_user)

    def deliver(
        self,
        app_state: AppState,
        channel_name: str,
        payload: bytes,
        *,
        skip: str | None = None,
        event_id: int = 0,
        hold: bool = True,
    ) -> int:
        """Owe `payload` to a channel's subscribers here, except the socket `skip`. Returns their number.

        `hold=False` leaves out the pending ones, if their success frame will carry the news anyway.
        Frames held for them count as delivered once they are let in (`activate`).
        """
        channel = app_state.channels.get(channel_name)
        if channel is None:
            return 0
        sender = None if skip is None else app_state.connections.get(skip)
        frame = self._encode(payload)
        active, held = channel.queue(frame, skip=sender, event_id=event_id, hold=hold)
        self._fanout.schedule(channel)
        traffic = app_state.traffic
        traffic.deliveries += active
        traffic.bytes_sent += active * len(frame)
        return active + held
