"""The interfaces that the domain needs from the outside, with as few verbs as possible.

The docstrings are contracts (ordering, atomicity, failure); one suite in `tests/contract/` holds every
implementation to them. A verb that needs no answer is a plain function, one that does is a coroutine. The
first step of a coroutine may run outside any task (`clients.mailbox.advance`). Code that needs a current
task, such as `asyncio.timeout`, must come after the coroutine's first real wait.
"""

from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from enum import Enum, StrEnum
from typing import Protocol

from msgspec import Struct

from pusher_server.app import App


class TopicKind(StrEnum):
    """The subject of a topic. The values are on the wire and in Redis: they never change."""

    #: The events of one channel.
    CHANNEL = "channel"
    #: The members of one presence channel. Clients see the values of these topics.
    MEMBERS = "members"
    #: The occupied channels of an app.
    CHANNELS = "channels"
    #: The signed-in users of an app.
    USERS = "users"
    #: Messages to every node.
    CONTROL = "control"


#: Where a transition or a message belongs: (app id, kind, name). Never seen by clients.
Topic = tuple[str, TopicKind, str]

# A global name costs 10 ns and a member of an enumeration 94 (measured): every publication needs a topic.
CHANNEL, MEMBERS = TopicKind.CHANNEL, TopicKind.MEMBERS
CHANNELS, USERS = TopicKind.CHANNELS, TopicKind.USERS


def channel_topic(app_id: str, channel: str) -> Topic:
    """The bus address of a channel's events."""
    return (app_id, CHANNEL, channel)


def members_topic(app_id: str, channel: str) -> Topic:
    """The roster of a presence channel: key = user id, value = user info."""
    return (app_id, MEMBERS, channel)


def channels_topic(app_id: str) -> Topic:
    """The roster of an app's occupied channels: key = channel, value = a node's subscription count."""
    return (app_id, CHANNELS, "")


def users_topic(app_id: str) -> Topic:
    """The roster of an app's signed-in users: key = user id."""
    return (app_id, USERS, "")


#: The bus address of messages to every node.
CONTROL: Topic = ("", TopicKind.CONTROL, "")


def answers_topic(node_id: str) -> Topic:
    """The bus address of answers to a node's questions."""
    return ("", TopicKind.CONTROL, node_id)


class EventMessage(Struct, frozen=True, kw_only=True, array_like=True, tag="event"):
    """A payload for a channel's subscribers. `event_id` is unique in the cluster.

    `except_socket` names the connection that is left out, wherever it lives.
    """

    payload: bytes
    event_id: int
    except_socket: str | None = None


class TerminateMessage(Struct, frozen=True, kw_only=True, array_like=True, tag="terminate"):
    """Every node closes the connections of this user."""

    app_id: str
    user_id: str


class CountMessage(Struct, frozen=True, kw_only=True, array_like=True, tag="count"):
    """The subscription count of the channel has changed on the sender, which has declared it before."""


class AppChangedMessage(Struct, frozen=True, kw_only=True, array_like=True, tag="app"):
    """The sender has found another value of this app in the database: read it, too."""

    app_id: str


class QuestionMessage(Struct, frozen=True, kw_only=True, array_like=True, tag="question"):
    """Every node answers on the topic `answers_topic(asker)`. `number` names the question there."""

    asker: str
    number: int
    question: bytes


class AnswerMessage(Struct, frozen=True, kw_only=True, array_like=True, tag="answer"):
    """The answer of one node to a question."""

    number: int
    answer: bytes


ClusterMessage = (
    EventMessage
    | TerminateMessage
    | CountMessage
    | AppChangedMessage
    | QuestionMessage
    | AnswerMessage
)


class CachedEvent(Struct, frozen=True, kw_only=True, array_like=True):
    """The last event of a cache channel. `data` is the JSON string literal inside `payload`."""

    payload: bytes
    data: bytes
    event_id: int
    #: Seconds until it is forgotten.
    ttl: float


class Retention(Struct, frozen=True):
    """Asks a broker to remember the event's data of a publication for `ttl` seconds.

    `limit`: the bytes that the app's remembered events may take together; 0 is no limit. Where they are short,
    the oldest are forgotten. Publications of one event to several channels give the same `data` object.
    """

    data: bytes
    ttl: float
    limit: int = 0


class Broker(Protocol):
    """Messages to the other nodes: at most once, in order per sender and topic.

    The broker never brings a node its own messages.
    """

    async def subscribe(self, topic: Topic) -> None:
        """Messages of `topic` published after this returns reach the listener.

        Raises ClusterUnavailable.
        """

    def unsubscribe(self, topic: Topic) -> None:
        """Receive no more messages; takes effect about a second later, so that churn stays local."""

    def publish(
        self, topic: Topic, message: ClusterMessage, *, remember: Retention | None = None
    ) -> None:
        """Publish to the other nodes. With `remember`, storing and publishing are one step.

        Never fails and never waits: a message that cannot be sent is counted and dropped.
        """

    async def cached(self, topic: Topic) -> CachedEvent | None:
        """The event that `publish` last remembered there, unless it has expired. Raises ClusterUnavailable."""


class Version(Struct, frozen=True, order=True):
    """The state of one roster topic. Versions of different epochs do not compare.

    docs/decisions.md#versions-have-an-epoch
    """

    epoch: int
    n: int


class Transition(Struct, frozen=True, kw_only=True):
    """A key became held by its first holder, or was released by its last one, cluster-wide.

    Clients see it at once; observers get lasting changes by `on_announced`.
    """

    topic: Topic
    key: str
    value: bytes
    held: bool
    version: Version


class Snapshot(Struct, frozen=True):
    """A topic's keys with their values, in the order in which they became held."""

    version: Version
    entries: dict[str, bytes]


class RosterFull(Exception):
    """The topic holds as many keys as the caller allowed, and the key is not among them."""


class Roster(Protocol):
    """The keys of each topic and the nodes that hold them, cluster-wide.

    A topic's transitions reach the listener in version order. They reach the node that caused them, and
    every node that has called `replicate` or `follow` for the topic. A node misses transitions when it is
    cut off or the store loses its memory; a further `on_snapshot` or `on_missed` makes up for them.
    """

    #: There are no other nodes: what this one holds is all there is.
    alone: bool

    async def track(self, topic: Topic, key: str, value: bytes, *, limit: int = 0) -> None:
        """Hold `key`. Idempotent per node; a repeat updates the value and makes no transition.

        Of members, whose values clients see, another value is a version of its own (`on_updated`).

        When it returns, the listener has received the change if the topic is followed.
        Raises RosterFull (atomically decided). Waits while the store is away: the caller bounds it.
        """

    def declare(self, topic: Topic, key: str, value: bytes) -> None:
        """Hold `key` without an answer: enqueued in order, declared again after an outage."""

    def untrack(self, topic: Topic, key: str) -> None:
        """Let `key` go. The last holder's leave starts the undo window. Enqueued in order."""

    async def replicate(self, topic: Topic) -> None:
        """Give the listener the topic as it is now, by `on_snapshot`, and from then on its transitions.

        When it returns, the listener has the list. No transition is lost between the two.
        Waits while the store is away: the caller bounds it.
        """

    async def follow(self, topic: Topic) -> None:
        """As `replicate`, for listeners that look up single keys: `on_missed` replaces the list.

        Raises ClusterUnavailable.
        """

    def forget(self, topic: Topic) -> None:
        """Stop receiving the transitions that other nodes cause."""

    async def lookup(self, topic: Topic, keys: Iterable[str]) -> Mapping[str, Mapping[str, bytes]]:
        """The holders of `keys` that are held: key -> node id -> value. Raises ClusterUnavailable."""

    async def count(self, topic: Topic) -> int:
        """The number of held keys. Raises ClusterUnavailable."""

    def scan(
        self, topic: Topic, prefix: str = ""
    ) -> AsyncIterator[Mapping[str, Mapping[str, bytes]]]:
        """Every held key that starts with `prefix`, in pages of the same form as `lookup`.

        Between two pages the loop does other work. A key that changes meanwhile may be missed, but none comes
        twice.
        Raises ClusterUnavailable.
        """


class ClusterListener(Protocol):
    """Receives messages of the broker and transitions of the roster.

    Called on the loop, never re-entrantly from a publish.
    """

    def on_message(self, topic: Topic, message: ClusterMessage) -> None:
        """Another node published."""

    def on_transition(self, transition: Transition) -> None:
        """A key became held or was released."""

    def on_updated(self, topic: Topic, key: str, value: bytes, version: Version) -> None:
        """A held key of a members topic that is followed has got another value, here or elsewhere."""

    def on_snapshot(self, topic: Topic, snapshot: Snapshot, *, doubtful: bool) -> Collection[str]:
        """A followed topic as it is now. Returns the keys that the listener had and that are gone.

        `doubtful`: the store has lost its memory, and the nodes are declaring again the keys that they hold.
        A key that is not in the snapshot stays for now. Another snapshot follows.
        """

    def on_missed(self, topic: Topic, *, doubtful: bool) -> None:
        """Transitions of a topic that is followed without its list were missed: look keys up again.

        `doubtful` as in `on_snapshot`: a key that is not found may only be late.
        """

    def on_announced(self, topic: Topic, key: str, *, held: bool, announcement: str) -> None:
        """A key's join is news, or its leave was not undone in time. One node in the cluster receives this.

        A key's joins and leaves take turns. If that node ends before `kept` has returned, another node
        receives it again, with the same `announcement`, which identifies it.
        """

    async def kept(self) -> None:
        """Return when the end of this process can no longer lose an announcement of `on_announced`.

        May be cancelled and called again.
        """


class Tallies(Protocol):
    """Numbers that each node reports with each renewal of its lease."""

    def add(
        self,
        report: Callable[[], Mapping[str, int]],
        receive: Callable[[Mapping[str, int], int], None],
    ) -> None:
        """Report these from now on, under names that are used only here.

        `receive(elsewhere, nodes)` gets the sums of the other nodes' numbers, for all names reported here.
        It also gets the number of live nodes, this one included.
        """


class Census(Protocol):
    """How many connections an app has, in the cluster."""

    def elsewhere(self, app_id: str) -> int:
        """The connections on the other nodes, as last reported. Never waits."""

    async def total(self, app_id: str) -> int:
        """The connections on all nodes, read now. Raises ClusterUnavailable."""


class AppProvider(Protocol):
    """The source of apps. Answers may be cached; None means there is no such app."""

    async def by_key(self, key: str) -> App | None:
        """The app that owns this key. Raises ClusterUnavailable when the store is unreachable."""

    async def by_id(self, app_id: str) -> App | None:
        """The app of this id. Raises ClusterUnavailable when the store is unreachable."""

    def is_secret(self, text: str) -> bool:
        """Whether it is known to be an app's secret, sent where a key belongs: no log line may show it."""
        return False

    @property
    def problem(self) -> str | None:
        """Why the store is unreachable, in one line without secrets; None while all is well."""
        return None

    @property
    def ready(self) -> bool:
        """Whether known apps can be served; with a problem too, once the store has been read."""
        return True


class Action(Enum):
    """A kind of request that a rate limit counts per app."""

    PUBLISH = "publish"
    READ = "read"


class RateLimiter(Protocol):
    """Limits the rates of each app. Synchronous: nodes agree on their shares beforehand."""

    def consume(self, app: App, action: Action, cost: int) -> float:
        """Take `cost` units. 0.0 when allowed, else the seconds after which it would be (Retry-After)."""
