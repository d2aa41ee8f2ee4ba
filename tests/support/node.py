"""One node with its real parts, fake clients, and a clock and a loop that move when told to."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from itertools import count
from typing import Any, TypeVar

from msgspec import structs

from pusher_server.app import App, AppKey, AppLimits
from pusher_server.apps.static import StaticApps
from pusher_server.cluster.local import LocalBroker, LocalCensus, LocalRoster
from pusher_server.diagnosis.evidence import Evidence
from pusher_server.errors import ClusterUnavailable
from pusher_server.hub.hub import Hub
from pusher_server.interfaces import CachedEvent, RateLimiter, Topic
from pusher_server.limits.local import LocalRateLimiter
from pusher_server.node.node import Node
from pusher_server.node.observers import Observers
from pusher_server.node.parts import NodeParts
from pusher_server.node.publishing import ApiEvent
from pusher_server.protocol.channel_name import parse_channel_name, user_channel
from pusher_server.protocol.messages import ClientEvent, SignIn, Subscribe, Unsubscribe
from pusher_server.protocol.text import string_literal
from pusher_server.signals import ConnectionClosed, ConnectionOpened, Settled, Signal
from tests.support.fakes import FakeCallSoon, FakeClock, FakeConnection
from tests.support.signing import channel_auth, user_auth

KEY, SECRET = "key", "secret"
UNDO_WINDOW = 3.0

S = TypeVar("S", bound=Signal)


class Gate:
    """A door in front of somebody else's answer: open, or closed until told otherwise."""

    def __init__(self) -> None:
        self.is_away = False
        self._open = asyncio.Event()
        self._open.set()
        self._reached = asyncio.Event()

    def close(self) -> None:
        self._open.clear()
        self._reached.clear()

    def open(self) -> None:
        self._open.set()

    async def reached(self) -> None:
        """Wait until somebody stands before it."""
        await asyncio.wait_for(self._reached.wait(), 5)

    async def passed(self) -> None:
        """Stand before it. Raises ClusterUnavailable once it is open, when the cluster is away."""
        self._reached.set()
        await self._open.wait()
        if self.is_away:
            raise ClusterUnavailable("the store is away")


class GatedBroker(LocalBroker):
    """The local broker as a networked one may behave: its answers can be waited for, or fail."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.subscribing, self.caching = Gate(), Gate()
        self.subscribed: list[Topic] = []
        self.published: list[tuple[Topic, Any]] = []

    async def subscribe(self, topic: Topic) -> None:
        await self.subscribing.passed()
        self.subscribed.append(topic)

    def unsubscribe(self, topic: Topic) -> None:
        if topic in self.subscribed:
            self.subscribed.remove(topic)

    def publish(self, topic: Topic, message: Any, *, remember: Any = None) -> None:
        self.published.append((topic, message))
        super().publish(topic, message, remember=remember)

    async def cached(self, topic: Topic) -> CachedEvent | None:
        # Answered as of now, heard later: the order that a network allows.
        answer = await super().cached(topic)
        await self.caching.passed()
        return answer


class GatedRoster(LocalRoster):
    """The local roster, whose answers can be waited for, or fail."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__("node", clock, epoch=7, undo_window=UNDO_WINDOW)
        self.asking, self.tracking = Gate(), Gate()
        self.followed: list[Topic] = []

    async def replicate(self, topic: Topic) -> None:
        self.followed.append(topic)
        await self.asking.passed()
        await super().replicate(topic)

    def forget(self, topic: Topic) -> None:
        self.followed = [each for each in self.followed if each != topic]

    async def count(self, topic: Topic) -> int:
        await self.asking.passed()
        return await super().count(topic)

    async def scan(
        self, topic: Topic, prefix: str = ""
    ) -> AsyncIterator[Mapping[str, Mapping[str, bytes]]]:
        await self.asking.passed()
        async for page in super().scan(topic, prefix):
            yield page

    async def lookup(self, topic: Topic, keys: Iterable[str]) -> Any:
        answer = await super().lookup(topic, keys)
        await self.asking.passed()
        return answer

    async def track(self, topic: Topic, key: str, value: bytes, *, limit: int = 0) -> None:
        await super().track(topic, key, value, limit=limit)
        await self.tracking.passed()


class GatedCensus(LocalCensus):
    """The local census, whose answers can be waited for, or fail."""

    def __init__(self, here: Callable[[], Mapping[str, int]]) -> None:
        super().__init__(here)
        self.asking = Gate()

    async def total(self, app_id: str) -> int:
        await self.asking.passed()
        return await super().total(app_id)


class GatedApps(StaticApps):
    """Apps of a list, as a store may give them that takes its time, or fails."""

    def __init__(self, apps: Iterable[App]) -> None:
        super().__init__(apps)
        self.gate = Gate()

    async def by_key(self, key: str) -> App | None:
        await self.gate.passed()
        return await super().by_key(key)

    async def by_id(self, app_id: str) -> App | None:
        await self.gate.passed()
        return await super().by_id(app_id)


class NodeFixture:
    """`app`, or one whose switches are `fields` and whose limits are `limits`.

    `apps` and `limiter` are what edges ask. `is_observed`: signals are remembered.
    """

    def __init__(
        self,
        app: App | None = None,
        *,
        limits: dict[str, int] | None = None,
        limiter: RateLimiter | None = None,
        is_observed: bool = True,
        **fields: Any,
    ) -> None:
        self.app = app or App(
            id="1",
            keys=(AppKey(key=KEY, secret=SECRET),),
            limits=AppLimits(**(limits or {})),
            **fields,
        )
        self.clock = FakeClock()
        self.loop = FakeCallSoon()
        self.broker = GatedBroker(self.clock)
        self.roster = GatedRoster(self.clock)
        self.apps = GatedApps([self.app])
        self.limiter = limiter or LocalRateLimiter(self.clock)
        self.signals: list[Signal] = []
        #: Apps that other nodes have found changed.
        self.changed_elsewhere: list[str] = []
        hub = Hub(self.loop)
        self.census = GatedCensus(hub.connection_counts)
        self.parts = NodeParts(
            node_id="node",
            hub=hub,
            broker=self.broker,
            roster=self.roster,
            census=self.census,
            observers=Observers(),
            evidence=Evidence(self.clock),
            clock=self.clock,
            event_ids=count(1),
        )
        self.node = Node(
            self.parts,
            on_app_changed=lambda app_id: self.changed_elsewhere.append(app_id),
            apps=self.apps,
        )
        self.roster.attach(self.node)
        if is_observed:
            self.node.observe(self.signals.append)
        self._sockets = count(1)

    def connect(self, app: App | None = None) -> FakeConnection:
        """An established client."""
        app_state = self.node.hub.app_state(app or self.app)
        connection = FakeConnection(app_state, f"1.{next(self._sockets)}", self.app.keys[0].key)
        self.node.open(connection)
        return connection

    def drop(self, connection: FakeConnection) -> None:
        """Its transport is gone."""
        self.node.close(connection, 1006, settle=False)

    def change(self, **fields: Any) -> None:
        """The app has other switches from now on."""
        self.app = structs.replace(self.app, **fields)
        self.node.change_app(self.app.id, self.app)

    def lose_cluster(self) -> None:
        """What other nodes share can no longer be asked."""
        for gate in (self.roster.asking, self.broker.caching, self.census.asking):
            gate.is_away = True

    def flush(self) -> None:
        self.loop.run()

    def wait(self, seconds: float) -> None:
        """Time passes, and what is due happens."""
        self.clock.advance(seconds)
        self.roster.sweep()
        self.node.tick()
        self.flush()

    # What clients do

    async def join(self, connection: FakeConnection, channel: str, data: str | None = None) -> None:
        """Subscribe with the proof that it needs."""
        await self.node.subscriptions.subscribe(
            connection, Subscribe(channel, sign(connection, channel, data), data)
        )
        self.flush()

    async def enter(
        self,
        connection: FakeConnection,
        user_id: Any,
        info: Any = None,
        channel: str = "presence-x",
    ) -> None:
        """Join a presence channel as somebody."""
        member = {"user_id": user_id} if info is None else {"user_id": user_id, "user_info": info}
        await self.join(connection, channel, json.dumps(member))

    async def insider(self, user_id: Any, info: Any = None) -> FakeConnection:
        """A client that has entered `presence-x`, with nothing unread."""
        connection = self.connect()
        await self.enter(connection, user_id, info)
        connection.take()
        return connection

    async def subscriber(self, channel: str) -> FakeConnection:
        """A client of this channel, with nothing unread."""
        connection = self.connect()
        await self.join(connection, channel)
        connection.take()
        return connection

    def unsubscribe(self, connection: FakeConnection, channel: str) -> None:
        self.node.subscriptions.unsubscribe(connection, Unsubscribe(channel))
        self.flush()

    async def sign_in(self, connection: FakeConnection, user_id: Any, **fields: Any) -> None:
        data = json.dumps({"id": user_id, **fields})
        await self.node.users.sign_in(connection, SignIn(sign_in_proof(connection, data), data))
        self.flush()

    async def user(self, user_id: Any, **fields: Any) -> FakeConnection:
        """A client signed in as this user, with nothing unread."""
        connection = self.connect()
        await self.sign_in(connection, user_id, **fields)
        connection.take()
        return connection

    def client_event(self, connection: FakeConnection, channel: str, data: Any = None) -> None:
        literal = string_literal(json.dumps(data).encode())
        self.node.publishing.client_event(connection, ClientEvent("client-x", channel, literal))
        self.flush()

    # What the backend does

    def publish(self, *channels: str, data: Any = "d", socket_id: str | None = None) -> None:
        self.node.publishing.publish(
            self.app,
            ApiEvent(
                name="event",
                channels=tuple(parse_channel_name(each) for each in channels),
                data=string_literal(json.dumps(data).encode()),
                socket_id=socket_id,
            ),
        )

    def publish_to_user(self, user_id: str, data: Any = "d") -> None:
        self.publish(user_channel(user_id).text, data=data)

    # What observers see

    def told(self, *kinds: type[Signal]) -> list[Signal]:
        """The signals so far, of these kinds or all but those of connections; without their ids."""
        boring = () if kinds else (ConnectionOpened, ConnectionClosed)
        return [
            structs.replace(each, id="") if isinstance(each, Settled) else each
            for each in self.signals
            if isinstance(each, kinds or Signal) and not isinstance(each, boring)
        ]


def sign(connection: FakeConnection, channel: str, data: str | None = None) -> str:
    """The `auth` that a backend would give."""
    return channel_auth(*_credentials(connection), connection.socket_id, channel, data)


def sign_in_proof(connection: FakeConnection, data: str) -> str:
    """The `auth` that a backend would give for a sign-in."""
    return user_auth(*_credentials(connection), connection.socket_id, data)


def _credentials(connection: FakeConnection) -> tuple[str, str]:
    pair = connection.app_state.app.keys[0]
    return pair.key, pair.secret


def events(messages: list[dict[str, Any]]) -> list[str]:
    """The event names of what a client took, without Pusher's prefixes."""
    return [each["event"].rpartition(":")[2] for each in messages]
