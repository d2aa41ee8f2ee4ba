"""Signed-in users: sign-in, watchlist, terminate (docs/protocol/users.md)."""

import asyncio
from collections.abc import Iterable, Mapping

from pusher_server.app import App, AppKey
from pusher_server.auth import users as user_auth
from pusher_server.diagnosis.guesses import Guesses
from pusher_server.errors import AuthenticationError, ClusterUnavailable
from pusher_server.hub.app_state import AppState
from pusher_server.hub.connection import Connection
from pusher_server.interfaces import (
    CONTROL,
    TerminateMessage,
    users_topic,
)
from pusher_server.node.bus import subscribe_channel
from pusher_server.node.parts import NodeParts
from pusher_server.node.refusal_log import AUTH_CAUSES
from pusher_server.protocol import events
from pusher_server.protocol.channel_name import user_channel
from pusher_server.protocol.errors import Code, ConnectionRejected, MessageRejected
from pusher_server.protocol.members import InvalidIdentity, User, decode_user
from pusher_server.protocol.messages import SignIn

#: Reason of a refused sign-in -> cause and next step, for the log: the client gets one text for all.
_CAUSES = {
    **AUTH_CAUSES,
    "incomplete": "the client sent no auth: check its userAuthentication endpoint, and what that answers",
}


class Users:
    """The verbs of one node's signed-in users; `AppState.users` keeps them."""

    def __init__(self, parts: NodeParts, guesses: Guesses) -> None:
        self._hub = parts.hub
        self._guesses = guesses
        self._broker = parts.broker
        self._roster = parts.roster
        #: Connections with a look-up of their watchlist in flight -> the changes since it began.
        self._looking_up: dict[Connection, dict[str, bool]] = {}
        #: Connections that could not be sent the first state of their watchlist yet.
        self._uninformed: dict[Connection, list[str]] = {}
        #: Apps with a look-up of all watched users in flight -> users that came or went since it began.
        self._catching_up: dict[AppState, set[str]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def sign_in(self, connection: Connection, message: SignIn) -> None:
        """Sign a user in. Raises ConnectionRejected (4009): bad proof; MessageRejected: another user."""
        user, authorized_by = _verified(connection, message, self._guesses)
        before = connection.user
        if before is not None and before.id != user.id:
            raise MessageRejected(
                Code.UNAUTHORIZED, "Connection is already signed in as another user"
            )
        app_state = connection.app_state
        connection.user = user
        if before is None:
            if app_state.users.sign_in(connection, user.id):
                self._roster.declare(users_topic(app_state.app.id), user.id, b"1")
            await self._join_own_channel(connection, user, authorized_by)
            if _is_gone(connection):
                return
        else:
            app_state.users.unwatch(connection, before.watchlist)
            connection.subscriptions[user_channel(user.id).text].authorized_by = authorized_by
            connection.send(events.signin_success(user.data))
        connection.authorized()
        if app_state.app.watchlist:
            await self._watch(connection, user)

    def signed_out(self, connection: Connection) -> None:
        """The connection is gone."""
        user, app_state = connection.user, connection.app_state
        if user is None:
            return
        app_state.users.unwatch(connection, user.watchlist)
        self._uninformed.pop(connection, None)
        if app_state.users.sign_out(connection, user.id):
            self._roster.untrack(users_topic(app_state.app.id), user.id)

    def changed(self, app_state: AppState, user_id: str, *, online: bool) -> None:
        """A user's first connection in the cluster signed in, or the last one went."""
        if app_state in self._catching_up:
            self._catching_up[app_state].add(user_id)
        self._send_to_watchers(app_state, {user_id: online})

    def missed(self, app_state: AppState, *, doubtful: bool) -> None:
        """Changes may have been missed: look up all users watched here, and send what is new.

        `doubtful`: users that were online and are not found do not count as offline.
        """
        if app_state not in self._catching_up:
            self._catching_up[app_state] = set()
            task = asyncio.get_running_loop().create_task(
                self._catch_up(app_state, doubtful=doubtful)
            )
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    def terminate(self, app: App, user_id: str) -> None:
        """Close this user's connections on every node. An unknown user is no error."""
        self.terminate_here(app.id, user_id)
        self._broker.publish(CONTROL, TerminateMessage(app_id=app.id, user_id=user_id))

    def terminate_here(self, app_id: str, user_id: str) -> None:
        """Close those on this node; 4009 is meant to keep pusher-js from coming back."""
        app_state = self._hub.app_states.get(app_id)
        if app_state is None:
            return
        connections = dict.fromkeys(app_state.users.connections(user_id))
        if app_state.app.terminate_presence_members:
            for channel in app_state.channels.values():
                connections.update(
                    dict.fromkeys(s.connection for s in channel.users.get(user_id, ()))
                )
        for connection in connections:
            connection.close(Code.UNAUTHORIZED, "You got disconnected by the app.")

    def _send_to_watchers(self, app_state: AppState, states: Mapping[str, bool]) -> None:
        """Send each watcher the changes that it does not know, in one frame."""
        news: dict[Connection, list[str]] = {}
        for user_id, online in states.items():
            is_known = app_state.users.last_sent.get(user_id) is online
            for connection in app_state.users.watchers(user_id):
                app_state.users.last_sent[user_id] = online
                changes = self._looking_up.get(connection)
                if changes is not None:
                    changes[user_id] = online
                elif not is_known and connection not in self._uninformed:
                    news.setdefault(connection, []).append(user_id)
        for connection, user_ids in news.items():
            connection.send(_states_event(user_ids, states))

    async def _catch_up(self, app_state: AppState, *, doubtful: bool) -> None:
        watched = app_state.users.watched()
        try:
            holders = await self._roster.lookup(users_topic(app_state.app.id), watched)
        except ClusterUnavailable:
            return  # there will be another occasion when the store is back
        finally:
            since = self._catching_up.pop(app_state)
        last_sent = app_state.users.last_sent
        states = {
            user_id: user_id in holders or (doubtful and last_sent.get(user_id, False))
            for user_id in watched
            if user_id not in since
        }
        self._send_to_watchers(app_state, states)
        for connection, wanted in list(self._uninformed.items()):
            if connection.app_state is app_state and all(
                user_id in app_state.users.last_sent for user_id in wanted
            ):
                del self._uninformed[connection]
                connection.send(_states_event(wanted, app_state.users.last_sent))

    async def _join_own_channel(
        self, connection: Connection, user: User, authorized_by: AppKey
    ) -> None:
        """Events to a user reach every connection signed in as that user, subscribed or not.

        See docs/protocol/users.md#user-events.

        The subscription lasts as long as the sign-in, and keeps the key that signed it. Events
        follow the success of the sign-in: pusher-js drops those that come before it.
        """
        name = user_channel(user.id)
        subscription = self._hub.subscribe(
            connection, name, authorized_by=authorized_by
        ).subscription
        await subscribe_channel(self._broker, connection.app_state.app.id, subscription.channel)
        if not subscription.gone:
            self._hub.activate(subscription, [events.signin_success(user.data)])

    async def _watch(self, connection: Connection, user: User) -> None:
        """Watch the first users of the list, send their states, and an error for the rest.

        See docs/protocol/users.md#watchlist.
        """
        app_state = connection.app_state
        limit = app_state.app.limits.watchlist or len(user.watchlist)
        watched = user.watchlist[:limit]
        if len(user.watchlist) > limit:
            message = f"Watchlist limit exceeded. Only the first {limit} user IDs are accepted."
            connection.send(events.error(Code.WATCHLIST_LIMIT, message))
        if user.unwatchable:
            shown = user.unwatchable[0][:200]
            message = f"Nobody has the user ID {shown!r} of the watchlist: it has a lone surrogate."
            connection.send(events.error(None, message))
        if not watched:
            return
        self._uninformed.pop(connection, None)
        topic = users_topic(app_state.app.id)
        changes = self._looking_up[connection] = {}
        app_state.users.watch(
            connection, watched
        )  # before the answer, which may be older than a change
        try:
            await self._roster.follow(topic)
            holders = await self._roster.lookup(topic, watched)
            # A user that is not found may only be late (`on_missed`): then all watchers get the change later.
            last_sent = app_state.users.last_sent
            states = {
                user_id: changes.get(user_id, user_id in holders or last_sent.get(user_id, False))
                for user_id in watched
            }
            self._send_to_watchers(app_state, states)  # the other watchers may have missed it
        except ClusterUnavailable:
            self._uninformed[connection] = list(watched)  # until the store is back
            return
        finally:
            del self._looking_up[connection]
        if not _is_gone(connection):
            connection.send(_states_event(watched, states))


def _states_event(user_ids: Iterable[str], states: Mapping[str, bool]) -> bytes:
    online = [user_id for user_id in user_ids if states[user_id]]
    offline = [user_id for user_id in user_ids if not states[user_id]]
    return events.watchlist_events(online, offline)


def _is_gone(connection: Connection) -> bool:
    return connection.app_state.connections.get(connection.socket_id) is not connection


def _verified(connection: Connection, message: SignIn, guesses: Guesses) -> tuple[User, AppKey]:
    """The user of a sign-in, and the key that signed it. Raises ConnectionRejected."""
    try:
        authorized_by = user_auth.verify(
            connection.app_state.app, connection.socket_id, message.auth, message.user_data
        )
        return decode_user(message.user_data), authorized_by
    except AuthenticationError as error:
        cause = f"the sign-in is refused: {_CAUSES[error.reason]}"
        refusal = ConnectionRejected(
            Code.UNAUTHORIZED, "Connection not authorized.", reason="sign_in", cause=cause
        )
        if error.reason == "signature":
            refusal.guess = guesses.of_sign_in(
                connection.app_state.app,
                connection.remote,
                connection.socket_id,
                message.user_data,
                message.auth,
            )
        raise refusal from None
    except InvalidIdentity as error:
        cause = f"the sign-in is refused: {error.message}"
        raise ConnectionRejected(
            Code.UNAUTHORIZED, error.message, reason="sign_in", cause=cause
        ) from None
