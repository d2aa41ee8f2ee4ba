"""Subscribe and unsubscribe, on this node and in the cluster (docs/protocol/subscriptions.md).

The order of the steps: ARCHITECTURE.md#subscribing-to-a-presence-channel.
"""

from collections import OrderedDict

from pusher_server.app import AppKey, Member
from pusher_server.auth import channels as channel_auth
from pusher_server.auth.signatures import octets
from pusher_server.diagnosis.guesses import Guesses
from pusher_server.errors import AuthenticationError, ClusterUnavailable
from pusher_server.hub.channel import Subscription
from pusher_server.hub.connection import Connection
from pusher_server.hub.hub import Left
from pusher_server.hub.members import member_value
from pusher_server.interfaces import (
    RosterFull,
    channel_topic,
    members_topic,
)
from pusher_server.node.bus import subscribe_channel
from pusher_server.node.counts import SubscriptionCounts
from pusher_server.node.occupancy import Occupancy
from pusher_server.node.parts import NodeParts
from pusher_server.protocol import events
from pusher_server.protocol.channel_name import ChannelName, parse_channel_name
from pusher_server.protocol.errors import InvalidChannelName, MessageRejected, SubscriptionRefused
from pusher_server.protocol.members import InvalidIdentity, decode_member
from pusher_server.protocol.messages import Subscribe, Unsubscribe
from pusher_server.signals import CacheMissed

#: Seconds between two reports of one empty channel to webhooks (docs/protocol/channels.md#cache).
MISS_INTERVAL = 10.0
#: Clients choose channel names, so the number of remembered names is bounded.
MISSES_KEPT = 10_000


class Subscriptions:
    """The verbs of one node's subscriptions; the hub keeps them."""

    def __init__(
        self,
        parts: NodeParts,
        occupancy: Occupancy,
        counts: SubscriptionCounts,
        guesses: Guesses,
    ) -> None:
        self._hub = parts.hub
        self._broker = parts.broker
        self._roster = parts.roster
        self._occupancy = occupancy
        self._counts = counts
        self._guesses = guesses
        self._emit = parts.observers.emit
        self._clock = parts.clock
        #: The oldest first. OrderedDict: a plain one that is emptied from the front takes quadratic time.
        self._missed: OrderedDict[tuple[str, str], float] = OrderedDict()

    async def subscribe(self, connection: Connection, message: Subscribe) -> None:
        """Let the connection into the channel and confirm it.

        Raises SubscriptionRefused, MessageRejected (Strict's double subscribe), ClusterUnavailable (a
        presence join while the roster is away). If the connection goes away meanwhile, nothing is sent.
        """
        app, limits = connection.app_state.app, connection.app_state.app.limits
        try:
            name = parse_channel_name(
                message.channel,
                max_length=limits.channel_name_length,
                lenient=app.lenient_channel_names,
            )
        except InvalidChannelName as error:
            raise SubscriptionRefused.invalid_channel(message.channel, error.message) from None
        current = connection.subscriptions.get(name.text)
        if current is not None and app.strict and name.user_id is None:
            raise MessageRejected(
                None, f"Existing subscription to channel {name.text}", channel=name.text
            )
        member, authorized_by = self._authorize(connection, name, message)
        if current is not None:
            await self._repeat(current, member, authorized_by)
            return
        if 0 < limits.subscriptions_per_connection <= len(connection.subscriptions):
            raise SubscriptionRefused.limit_reached(
                name.text,
                f"The connection has {limits.subscriptions_per_connection} subscriptions, the maximum",
                status=4100,
            )
        subscription, first_here = self._hub.subscribe(connection, name, member, authorized_by)
        if first_here:
            self._occupancy.opened(connection.app_state, subscription.channel)
        else:
            self._occupancy.changed(connection.app_state, subscription.channel)
        try:
            opening = await self._open(subscription)
        except BaseException as error:
            has_ended = subscription.gone
            self.leave(subscription)
            if has_ended and isinstance(error, Exception):
                return  # no client waits for this answer any more
            raise
        if opening is not None:
            self._hub.activate(subscription, opening)
            if name.requires_auth:
                connection.authorized()
            self._counts.changed(connection.app_state, subscription.channel)

    def unsubscribe(self, connection: Connection, message: Unsubscribe) -> None:
        """Leave; there is no answer. Raises MessageRejected under Strict when there is nothing to leave."""
        subscription = connection.subscriptions.get(message.channel)
        if subscription is None:
            if connection.app_state.app.strict:
                raise MessageRejected(
                    None,
                    f"No current subscription to channel {message.channel}, or subscription in progress",
                    channel=message.channel,
                )
        elif (
            subscription.channel.name.user_id is None
        ):  # the user's own channel goes with the sign-in
            self.leave(subscription)

    def _authorize(
        self, connection: Connection, name: ChannelName, message: Subscribe
    ) -> tuple[Member | None, AppKey | None]:
        """Check the right to join. Returns the member for presence channels, and the key that signed.

        Raises SubscriptionRefused.
        """
        if name.user_id is not None:
            if connection.user is None or connection.user.id != name.user_id:
                raise SubscriptionRefused(
                    name.text,
                    "The connection is not signed in as this user",
                    reason="not_signed_in",
                )
            return None, None
        if not name.requires_auth:
            return None, None
        app = connection.app_state.app
        try:
            authorized_by = channel_auth.verify(
                app, connection.socket_id, name.text, message.auth, message.channel_data
            )
        except AuthenticationError as error:
            refusal = SubscriptionRefused(
                name.text, error.message, reason=error.reason, key=error.key
            )
            if error.reason == "signature":
                refusal.guess = self._guesses.of_subscription(
                    app,
                    connection.remote,
                    connection.socket_id,
                    name.text,
                    message.channel_data,
                    message.auth,
                )
            raise refusal from None
        member = _member(connection, name, message.channel_data) if name.has_members else None
        return member, authorized_by

    def leave(self, subscription: Subscription) -> None:
        """End one subscription, for any reason; does nothing to one that has ended."""
        if not subscription.gone:
            self.left(self._hub.leave(subscription))

    def left(self, ended: Left) -> None:
        """Pass a leave on to the cluster and to the remaining subscribers."""
        subscription, channel = ended.subscription, ended.subscription.channel
        app_state, name = subscription.connection.app_state, channel.name
        if ended.last_of_user_here and subscription.member is not None:
            self._roster.untrack(
                members_topic(app_state.app.id, name.text), subscription.member.user_id
            )
        if ended.last_here:
            self._broker.unsubscribe(channel_topic(app_state.app.id, name.text))
            if name.has_members:
                self._roster.forget(members_topic(app_state.app.id, name.text))
            self._occupancy.closed(app_state, channel)
        else:
            self._occupancy.changed(app_state, channel)
        self._counts.changed(app_state, channel)

    def tick(self) -> None:
        """Forget cache misses that were reported a while ago."""
        horizon = self._clock() - MISS_INTERVAL
        while self._missed and next(iter(self._missed.values())) <= horizon:
            self._missed.popitem(last=False)

    async def _open(self, subscription: Subscription) -> list[bytes] | None:
        """The success payload and the cached event; None when the subscription has ended meanwhile."""
        channel = subscription.channel
        app_id, name = subscription.connection.app_state.app.id, channel.name
        if not channel.on_bus:  # a presence join waits below until the store is back
            await subscribe_channel(self._broker, app_id, channel)
        if subscription.gone:  # nothing would ever undo the requests from here on
            return None
        if subscription.member is not None:
            await self._become_member(subscription, subscription.member)
        last = await self._last_event(subscription) if name.remembers_last else []
        if subscription.gone:
            return None
        # Made in the same step as the activation: the list is current, and the transitions that follow
        # are delivered live.
        return [_success(subscription), *last]

    async def _become_member(self, subscription: Subscription, member: Member) -> None:
        channel = subscription.channel
        members, app = channel.members, subscription.connection.app_state.app
        assert members is not None  # a subscription has a member only on presence channels
        topic = members_topic(app.id, channel.name.text)
        if members.version is None:
            await self._roster.replicate(topic)  # `Node.on_snapshot` has adopted it
            if subscription.gone:
                if channel.name.text not in subscription.connection.app_state.channels:
                    self._roster.forget(topic)  # it was left while this waited
                return
        mates = channel.users.get(member.user_id, ())
        if any(mate.active for mate in mates):
            self._update(subscription, member)
            return
        try:
            await self._roster.track(
                topic, member.user_id, member_value(member), limit=app.limits.presence_members
            )
        except RosterFull:
            raise SubscriptionRefused.limit_reached(
                channel.name.text,
                f"The maximum members per presence channel limit ({app.limits.presence_members}) was reached",
                status=4100,
            ) from None

    def _update(self, subscription: Subscription, member: Member) -> None:
        """A further connection of a present user: the later info wins, without an event."""
        channel, app_id = subscription.channel, subscription.connection.app_state.app.id
        subscription.member = member
        value = member_value(member)
        if channel.members is not None and channel.members.value(member.user_id) != value:
            channel.members.update(member.user_id, value)
            self._roster.declare(members_topic(app_id, channel.name.text), member.user_id, value)

    async def _last_event(self, subscription: Subscription) -> list[bytes]:
        """The cached event or `cache_miss`; neither while the store is away.

        Why neither: docs/decisions.md#the-store-is-away.
        An event that arrived live meanwhile is among the held frames: the client gets it from there.
        """
        app_id, name = subscription.connection.app_state.app.id, subscription.channel.name.text
        try:
            cached = await self._broker.cached(channel_topic(app_id, name))
        except ClusterUnavailable:
            return []
        if cached is not None:
            live = any(event_id == cached.event_id for event_id, _ in subscription.held)
            return [] if live else [cached.payload]
        now = self._clock()
        if (app_id, name) not in self._missed:
            self._missed[app_id, name] = now
            if len(self._missed) > MISSES_KEPT:
                self._missed.popitem(last=False)
            self._emit(CacheMissed(app_id=app_id, channel=name))
        return [events.cache_miss(name)]

    async def _repeat(
        self, subscription: Subscription, member: Member | None, authorized_by: AppKey | None
    ) -> None:
        """A second subscribe is confirmed again, and changes nothing for others.

        See docs/protocol/subscriptions.md#double-subscribe.
        """
        before = subscription.member
        if member is not None and before is not None:
            if member.user_id != before.user_id:
                raise SubscriptionRefused.invalid_data(
                    subscription.channel.name.text, "Already subscribed as another user"
                )
            self._update(subscription, member)
        if authorized_by is not None:  # else it is the user's own channel, which the sign-in opened
            subscription.authorized_by = authorized_by
        last: list[bytes] = []
        if subscription.channel.name.remembers_last:
            last = await self._last_event(subscription)
        if not subscription.gone:
            self._hub.settle(subscription)
            for payload in [_success(subscription), *last]:
                subscription.connection.send(payload)


def _success(subscription: Subscription) -> bytes:
    channel = subscription.channel
    if channel.members is None:
        return events.subscription_succeeded(channel.name.text)
    return channel.members.success(channel.name.text)


def _member(connection: Connection, name: ChannelName, channel_data: str | None) -> Member:
    """The member of `channel_data`, else of the sign-in (docs/protocol/presence.md#channel-data)."""
    limits = connection.app_state.app.limits
    if channel_data:
        try:
            member = decode_member(channel_data)
        except InvalidIdentity as error:
            raise SubscriptionRefused.invalid_data(name.text, error.message) from None
        size = len(octets(channel_data))
    elif connection.user is not None:
        member = connection.user.as_member()
        size = len(connection.user.info or b"")
    else:
        raise SubscriptionRefused.invalid_data(
            name.text, "Presence channels need channel_data or a sign-in"
        )
    if 0 < limits.presence_member_bytes < size:
        raise SubscriptionRefused.limit_reached(
            name.text,
            f"The maximum size for a channel member is {limits.presence_member_bytes} bytes",
            status=4301,
        )
    if 0 < limits.user_id_length < len(member.user_id):
        raise SubscriptionRefused.limit_reached(
            name.text, f"The user_id is longer than {limits.user_id_length} characters", status=4301
        )
    return member
