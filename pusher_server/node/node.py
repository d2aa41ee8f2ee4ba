"""One node: builds its parts, listens to the cluster, emits signals."""

from collections.abc import Awaitable, Callable, Collection, Iterable, Iterator

from pusher_server.app import App
from pusher_server.diagnosis.guesses import Guesses
from pusher_server.errors import ClusterUnavailable
from pusher_server.hub.channel import Channel
from pusher_server.hub.connection import Connection
from pusher_server.interfaces import (
    CHANNELS,
    MEMBERS,
    USERS,
    AnswerMessage,
    AppChangedMessage,
    AppProvider,
    ClusterListener,
    ClusterMessage,
    CountMessage,
    EventMessage,
    QuestionMessage,
    Snapshot,
    TerminateMessage,
    Topic,
    Transition,
    Version,
)
from pusher_server.node.counts import SubscriptionCounts
from pusher_server.node.diagnosing import Diagnosing
from pusher_server.node.inspection import Inspection
from pusher_server.node.inventory import Inventory
from pusher_server.node.member_infos import MemberInfos
from pusher_server.node.occupancy import Occupancy
from pusher_server.node.operator_questions import OperatorQuestions
from pusher_server.node.parts import NodeParts
from pusher_server.node.publishing import Publishing
from pusher_server.node.refusal_log import RefusalLog
from pusher_server.node.subscriptions import Subscriptions
from pusher_server.node.users import Users
from pusher_server.protocol import events
from pusher_server.protocol.errors import (
    Code,
    ConnectionRejected,
    FramingViolation,
    MessageRejected,
    SubscriptionRefused,
)
from pusher_server.signals import (
    ChannelOccupied,
    ChannelVacated,
    ConnectionClosed,
    ConnectionOpened,
    ConnectionRefused,
    MemberAdded,
    MemberRemoved,
    MessageRefused,
    SubscriptionRejected,
)
from pusher_server.unreadable import UnreadableLog


class Node(ClusterListener):
    """The entry to one node for the edges, and its listener to broker and roster.

    `on_app_changed` is called with the id of an app that another node has found changed in the database.
    `flushers` are awaited before an announcement is confirmed to the store.
    """

    def __init__(
        self,
        parts: NodeParts,
        on_app_changed: Callable[[str], None] = lambda app_id: None,
        flushers: Iterable[Callable[[], Awaitable[None]]] = (),
        others: Callable[[], int] = lambda: 0,
        apps: AppProvider | None = None,
    ) -> None:
        self.node_id = parts.node_id
        self.hub = parts.hub
        #: No connections yet: the process waits for the cluster.
        self.starting = False
        #: No new connections: the process is about to end.
        self.draining = False
        self._on_app_changed = on_app_changed
        self._flushers = tuple(flushers)
        #: See `Observers`.
        self.observe, self.emit = parts.observers.observe, parts.observers.emit
        self._census = parts.census
        #: See `diagnosis`: the evidence of this process.
        self.evidence = parts.evidence
        self.guesses = Guesses(parts.evidence)
        self._refusals = RefusalLog(parts.clock, parts.evidence)
        self._infos = MemberInfos(UnreadableLog(parts.clock))
        self._occupancy = Occupancy(parts)
        self._counts = SubscriptionCounts(parts, self._occupancy)
        self.subscriptions = Subscriptions(parts, self._occupancy, self._counts, self.guesses)
        self.publishing = Publishing(parts)
        self.users = Users(parts, self.guesses)
        self.inspection = Inspection(parts)
        self.diagnosing = Diagnosing(parts, self.guesses)
        inventory = Inventory(parts, self.diagnosing, self.publishing, self.users, apps)
        self.operator = OperatorQuestions(parts, self.diagnosing, inventory, others)

    def admit(self, app: App) -> None:
        """Check whether one more connection may come. Raises ConnectionRejected."""
        if self.draining:
            raise ConnectionRejected(
                Code.OVER_CAPACITY,
                "Server is restarting. Please reconnect shortly.",
                reason="draining",
            )
        if not app.enabled:
            raise ConnectionRejected(
                Code.APP_DISABLED,
                "Application disabled",
                cause="the app is disabled: set enabled = true, or run `pusher-server apps enable`",
            )
        if self.is_full(app):
            raise ConnectionRejected(
                app.over_quota_code,
                "Application is over connection quota",
                reason="over_quota",
                cause=f"the app has its limits.connections ({app.limits.connections}) already: raise it,"
                " or find out whether clients leave connections open",
            )

    def is_full(self, app: App) -> bool:
        """Whether the app has as many connections in the cluster as it may have."""
        limit = app.limits.connections
        if not limit:
            return False
        app_state = self.hub.app_states.get(app.id)
        here = 0 if app_state is None else len(app_state.connections)
        return here + self._census.elsewhere(app.id) >= limit

    def open(self, connection: Connection) -> None:
        """A client has received `connection_established`."""
        self.hub.open(connection)
        self.emit(
            ConnectionOpened(app_id=connection.app_state.app.id, socket_id=connection.socket_id)
        )

    def close(self, connection: Connection, code: int, *, settle: bool) -> None:
        """A client is gone, or about to be closed by us (`settle`: owed frames are written first)."""
        for ended in self.hub.close(connection, settle=settle):
            self.subscriptions.left(ended)
        self.users.signed_out(connection)
        self.emit(
            ConnectionClosed(
                app_id=connection.app_state.app.id, socket_id=connection.socket_id, code=code
            )
        )

    def sent_away(self, app_id: str, cause: ClusterUnavailable) -> None:
        """A client cannot be served for now, and was sent away to come back."""
        self._refusals.sent_away(cause)
        self.emit(ConnectionRefused(app_id=app_id, code=Code.OVER_CAPACITY, reason="unavailable"))

    def turned_away(
        self, app_id: str, address: str, error: ConnectionRejected | FramingViolation
    ) -> None:
        """A client was not let in, or was ended for a fault. `app_id` is empty when its key is no app's."""
        self._refusals.connection(app_id, address, error)
        reason = error.reason if isinstance(error, ConnectionRejected) else ""
        self.emit(ConnectionRefused(app_id=app_id, code=error.code, reason=reason))

    def message_rejected(self, connection: Connection, error: MessageRejected) -> None:
        """A message was answered with an error, and the connection stays."""
        app_id = connection.app_state.app.id
        self._refusals.message(app_id, connection.remote, error)
        self.emit(MessageRefused(app_id=app_id, code=error.code or 0))

    def rejected(self, connection: Connection, refusal: SubscriptionRefused) -> None:
        """A subscription was refused, and the client has its answer."""
        app_id = connection.app_state.app.id
        self._refusals.subscription(app_id, connection.remote, refusal)
        self.emit(
            SubscriptionRejected(
                app_id=app_id,
                channel=refusal.channel,
                socket_id=connection.socket_id,
                reason=refusal.message,
                kind=refusal.kind,
            )
        )

    def change_app(self, app_id: str, app: App | None) -> list[tuple[Connection, int, str]]:
        """An app has another value, or is gone. Returns the connections to close, with code and message.

        Limits and switches apply from the next action on. The size of a message and the time to authorize
        apply from the next connection on (docs/decisions.md#state-of-an-app).

        Connections end with a key that is gone. Those that came with the key end for good. Those with a
        channel or a sign-in that its secret signed may come back and be authorized anew.
        """
        app_state = self.hub.app_states.get(app_id)
        if app_state is None:
            return []
        connections = list(app_state.connections.values())
        if app is None:
            return [(client, Code.UNKNOWN_APP, "Application was removed") for client in connections]
        app_state.app = app
        if not app.enabled:
            return [(client, Code.APP_DISABLED, "Application disabled") for client in connections]
        return list(_unauthorized(app, connections))

    def tick(self) -> None:
        """Do the work that waits for time to pass. Called a few times a second."""
        self._occupancy.tick()
        self._counts.tick()
        self.subscriptions.tick()

    def on_message(self, topic: Topic, message: ClusterMessage) -> None:
        """Another node published."""
        app_id, _, name = topic
        app_state = self.hub.app_states.get(app_id)
        match message:
            case TerminateMessage():
                self.users.terminate_here(message.app_id, message.user_id)
            case QuestionMessage():
                self.operator.cluster.came(message)
            case AnswerMessage():
                self.operator.cluster.answered(message)
            case AppChangedMessage():
                self._on_app_changed(message.app_id)
            case EventMessage() if app_state is not None:
                self.hub.deliver(
                    app_state,
                    name,
                    message.payload,
                    skip=message.except_socket,
                    event_id=message.event_id,
                )
            case CountMessage() if app_state is not None and name in app_state.channels:
                self._counts.changed_elsewhere(app_state, app_state.channels[name])

    def on_transition(self, transition: Transition) -> None:
        """A key became held or was released: clients see it at once."""
        app_id, kind, _ = transition.topic
        app_state = self.hub.app_states.get(app_id)
        if kind is MEMBERS:
            self._member_changed(transition)
        elif kind is USERS and app_state is not None:
            self.users.changed(app_state, transition.key, online=transition.held)

    def on_updated(self, topic: Topic, key: str, value: bytes, version: Version) -> None:
        """Later joiners see a member's new info; no event is sent (docs/protocol/presence.md#later-info)."""
        app_id, _, name = topic
        channel = self._channel_with_members(app_id, name)
        if (
            channel is not None
            and channel.members is not None
            and self._infos.is_readable(topic, key, value)
        ):
            channel.members.update(key, value, version)

    def on_snapshot(self, topic: Topic, snapshot: Snapshot, *, doubtful: bool) -> Collection[str]:
        """Send clients the difference to the members that they know."""
        app_id, kind, name = topic
        channel = self._channel_with_members(app_id, name) if kind is MEMBERS else None
        if channel is None or channel.members is None:
            return ()
        members, snapshot = channel.members, self._infos.readable(topic, snapshot)
        if members.version is None:
            members.adopt(snapshot)
            return ()
        gone, come = members.difference(snapshot)
        if doubtful:
            gone = []
        for user_id in gone:
            members.remove(user_id, snapshot.version)
            self._send_to_members(app_id, channel, events.member_removed(name, user_id))
        for user_id in come:
            value = snapshot.entries[user_id]
            members.add(user_id, value, snapshot.version)
            self._send_to_members(
                app_id, channel, events.member_added(name, user_id, value or None)
            )
        members.refresh(snapshot)
        return gone

    def on_missed(self, topic: Topic, *, doubtful: bool) -> None:
        """Users came and went while this node missed it."""
        app_id, kind, _ = topic
        app_state = self.hub.app_states.get(app_id)
        if kind is USERS and app_state is not None:
            self.users.missed(app_state, doubtful=doubtful)

    def on_announced(self, topic: Topic, key: str, *, held: bool, announcement: str) -> None:
        """Emit the signal of a join or a leave that will not be undone."""
        app_id, kind, name = topic
        if kind is MEMBERS:
            member_changed = MemberAdded if held else MemberRemoved
            self.emit(member_changed(app_id=app_id, id=announcement, channel=name, user_id=key))
        elif kind is CHANNELS:
            channel_changed = ChannelOccupied if held else ChannelVacated
            self.emit(channel_changed(app_id=app_id, id=announcement, channel=key))

    async def kept(self) -> None:
        """Return once observers have stored their part of all announcements."""
        for flush in self._flushers:
            await flush()

    def _member_changed(self, transition: Transition) -> None:
        """Send a change to the channel. Idempotent: a change that a snapshot has brought is not sent again."""
        app_id, _, name = transition.topic
        channel = self._channel_with_members(app_id, name)
        if channel is None or channel.members is None or channel.members.version is None:
            return
        user_id, members = transition.key, channel.members
        if transition.held and not self._infos.is_readable(
            transition.topic, user_id, transition.value
        ):
            return
        was_member = members.value(user_id) is not None
        if transition.held:
            members.add(user_id, transition.value, transition.version)
            payload = events.member_added(name, user_id, transition.value or None)
        else:
            members.remove(user_id, transition.version)
            payload = events.member_removed(name, user_id)
        if was_member is not transition.held:
            self._send_to_members(app_id, channel, payload)

    def _channel_with_members(self, app_id: str, name: str) -> Channel | None:
        app_state = self.hub.app_states.get(app_id)
        return None if app_state is None else app_state.channels.get(name)

    def _send_to_members(self, app_id: str, channel: Channel, payload: bytes) -> None:
        # The pending ones learn of it from the list in their success frame.
        self.hub.deliver(self.hub.app_states[app_id], channel.name.text, payload, hold=False)


def _unauthorized(
    app: App, connections: Iterable[Connection]
) -> Iterator[tuple[Connection, int, str]]:
    """Yield the connections that the app's current keys no longer authorize, with code and message."""
    #: By identity: subscriptions share few keys. A key with another secret is another one.
    is_valid = {id(None): True}
    for connection in connections:
        if app.pair_of(connection.app_key) is None:
            yield connection, Code.UNKNOWN_APP, "App key is no longer valid"
            continue
        for subscription in connection.subscriptions.values():
            pair = subscription.authorized_by
            valid = is_valid.get(id(pair))
            if valid is None:
                valid = is_valid[id(pair)] = pair in app.keys
            if not valid:
                yield connection, Code.RECONNECT, "Authorization is no longer valid"
                break
