"""Keeps what the rules need, in bounded memory: it forgets the oldest, and nothing here grows with clients.

A hot path leaves one tuple in a queue, and only where an event had no recipient here. `Evidence.digest` sorts
the queue outside the hot path. Digests, secrets and payloads are never kept.
"""

from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from typing import Literal, Protocol

from msgspec import Struct, field

from pusher_server.app import App
from pusher_server.diagnosis import event_names

#: Distinct (app, channel, event) without a recipient here, that are remembered.
UNDELIVERED = 256
#: Events without a recipient between two digests; of more the oldest are not counted.
_QUEUED = 4_096
#: An event of more channels than this is remembered without the other ones.
_SIBLINGS = 16
#: Refusals that differ in kind, app, reason and guess; and examples of each, one for an address.
REFUSALS = 256
EXAMPLES = 3
#: Connections that ended.
ENDED = 1_024
#: Names of channels that had subscribers, and seconds for which that counts: names are changed while one tries.
USED = 10_000
_USED_FOR = 600.0
#: Seconds for which a channel with subscribers on other nodes makes no row: it leaves room for others.
_HELD_FOR = 60.0
#: Apps of which numbers are kept.
APPS = 10_000

Kind = Literal["connection", "sign_in", "subscription", "message", "request", "protocol"]


class Name(Protocol):
    """A parsed name of a channel (`protocol.channel_name.ChannelName`)."""

    @property
    def text(self) -> str:
        """The name itself."""

    @property
    def user_id(self) -> str | None:
        """The user whose own channel it is."""


class Event(Protocol):
    """A publication of a backend (`node.publishing.ApiEvent`)."""

    @property
    def name(self) -> str:
        """The name that clients compare."""

    @property
    def channels(self) -> Sequence[Name]:
        """The channels, one at least."""


#: An event without a recipient here: app, channel, name, and all channels of the event.
Missed = tuple[str, Name, str, Sequence[Name]]


class Undelivered(Struct):
    """An event that nobody received, as far as this node knows. Times are of the evidence's clock."""

    app: str
    channel: str
    event: str
    #: The other channels of the same publication.
    siblings: tuple[str, ...]
    count: int
    first: float
    last: float
    #: When the channel was last looked up in the cluster, and how many subscribers it had then.
    judged: float = float("-inf")
    #: The same for names with other capitals or separators.
    searched: float = float("-inf")
    subscribers: int = 0
    #: The near names that had subscribers then, with their number.
    near: dict[str, int] = field(default_factory=dict)


class Example(Struct, frozen=True):
    """One refusal: `subject` is the channel, path or method that was refused."""

    subject: str
    cause: str


class Guess(Struct, frozen=True):
    """The part of a signed text that differs: a cause of `causes`, and the fields of its sentence."""

    cause: str
    key: str = ""
    other: str = ""


class Refusal(Struct):
    """Refusals of one kind, app, reason and guess. `examples` are the latest, by the client's address."""

    kind: Kind
    app: str
    reason: str
    guess: Guess | None
    examples: dict[str, Example]
    count: int
    first: float
    last: float


class Ended(Struct, frozen=True):
    """A connection that ended. `idle` is seconds since the last byte either way, None when that is unknown."""

    app: str
    address: str
    socket_id: str
    code: int
    opened: float
    ended: float
    idle: float | None


class AppNumbers(Struct):
    """Numbers of one app since the start; times are of the evidence's clock, None is never."""

    #: Since when clients have been there without a break.
    clients_since: float | None = None
    connections: int = 0
    ever_connected: bool = False
    ever_subscribed: bool = False
    published: int = 0
    #: When the last publication came, to a few seconds.
    published_at: float | None = None
    client_events: int = 0


class Evidence:
    """The evidence of one process. `clock` gives seconds that only rise."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self.clock = clock
        self.started = clock()
        self._queue: deque[Missed] = deque(maxlen=_QUEUED)
        #: Call it with an event that has no recipient here.
        self.missed = self._queue.append
        #: The latest publication and its app. Each digest looks at it, and lets go of its payload.
        self.latest: tuple[App, Event] | None = None
        #: The least recent first, in all of these.
        self.undelivered: OrderedDict[tuple[str, str, str], Undelivered] = OrderedDict()
        self.refusals: OrderedDict[tuple[Kind, str, str, Guess | None], Refusal] = OrderedDict()
        self.ended: deque[Ended] = deque(maxlen=ENDED)
        #: Event names that are wrong by themselves: (app, channel, name) -> how often, first, last.
        self.names: OrderedDict[tuple[str, str, str], tuple[int, float, float]] = OrderedDict()
        self.apps: OrderedDict[str, AppNumbers] = OrderedDict()
        self._used: OrderedDict[tuple[str, str], float] = OrderedDict()
        self._held: OrderedDict[tuple[str, str], float] = OrderedDict()

    def digest(self) -> None:
        """Sort what the hot path has left: some 0.4 µs for an event, 4,096 events at most."""
        now = self.clock()
        latest, self.latest = self.latest, None
        if latest is not None and (name := latest[1].name) and event_names.fault(name):
            self._named(latest[0].id, latest[1].channels[0].text, name)
        while self._queue:
            app, channel, event, channels = self._queue.popleft()
            if channel.user_id is not None:  # that a user is away is normal
                continue
            held_at = self._held.get((app, channel.text))
            if held_at is not None and now - held_at < _HELD_FOR:
                continue
            key = (app, channel.text, event)
            row = self.undelivered.get(key)
            if row is None:
                siblings = channels if 1 < len(channels) <= _SIBLINGS else ()
                names = tuple(name.text for name in siblings if name is not channel)
                row = Undelivered(app, channel.text, event, names, 0, now, now)
                self.undelivered[key] = row
                if len(self.undelivered) > UNDELIVERED:
                    self.undelivered.popitem(last=False)
            else:
                self.undelivered.move_to_end(key)
            row.count += 1
            row.last = now

    def _named(self, app: str, channel: str, event: str) -> None:
        """Note an event whose name is wrong by itself."""
        now = self.clock()
        count, first, _ = self.names.pop((app, channel, event), (0, now, now))
        self.names[app, channel, event] = (count + 1, first, now)
        if len(self.names) > UNDELIVERED:
            self.names.popitem(last=False)

    def refused(
        self,
        kind: Kind,
        app: str,
        reason: str,
        *,
        subject: str,
        cause: str,
        address: str,
        guess: Guess | None = None,
    ) -> None:
        """Note a refusal. The caller bounds the texts, and leaves out secrets and digests."""
        now = self.clock()
        key = (kind, app, reason, guess)
        refusal = self.refusals.pop(key, None)
        if refusal is None:
            refusal = Refusal(kind, app, reason, guess, {}, 0, now, now)
            if len(self.refusals) >= REFUSALS:
                self.refusals.popitem(last=False)
        self.refusals[key] = refusal
        refusal.count += 1
        refusal.last = now
        refusal.examples.pop(address, None)
        if len(refusal.examples) >= EXAMPLES:
            del refusal.examples[next(iter(refusal.examples))]
        refusal.examples[address] = Example(subject, cause)

    def numbers(self, app: str) -> AppNumbers:
        """Return the numbers of an app, made on first use."""
        numbers = self.apps.get(app)
        if numbers is None:
            numbers = self.apps[app] = AppNumbers()
            if len(self.apps) > APPS:
                self.apps.popitem(last=False)
        return numbers

    def counted(
        self, app: str, *, connections: int, subscriptions: int, published: int, client_events: int
    ) -> None:
        """Take in an app's numbers as they are now. Called every few seconds."""
        now, numbers = self.clock(), self.numbers(app)
        numbers.connections = connections
        if not connections:
            numbers.clients_since = None
        elif numbers.clients_since is None:
            numbers.clients_since, numbers.ever_connected = now, True
        if subscriptions:
            numbers.ever_subscribed = True
        if published != numbers.published:
            numbers.published, numbers.published_at = published, now
        numbers.client_events = client_events

    def use(self, app: str, channel: str) -> None:
        """Note that the channel has or had subscribers: an event that finds it empty is no mistake."""
        self._used[app, channel] = self.clock()
        self._used.move_to_end((app, channel))
        if len(self._used) > USED:
            self._used.popitem(last=False)

    def held(self, app: str, channel: str) -> None:
        """Note that the channel has subscribers now, on other nodes: its events did arrive."""
        self.use(app, channel)
        self._held[app, channel] = self.clock()
        self._held.move_to_end((app, channel))
        if len(self._held) > USED:
            self._held.popitem(last=False)
        rows = self.undelivered.items()
        for key in [key for key, row in rows if (row.app, row.channel) == (app, channel)]:
            del self.undelivered[key]

    def is_used(self, app: str, channel: str) -> bool:
        """Return whether the channel is known to have had subscribers lately."""
        at = self._used.get((app, channel))
        return at is not None and self.clock() - at < _USED_FOR

    def sockets_of(self, app: str, address: str, limit: int) -> list[str]:
        """Return the last connections of an address that have ended, the newest first, `limit` at most."""
        sockets: list[str] = []
        for ended in reversed(self.ended):
            if len(sockets) >= limit:
                break
            if ended.address == address and ended.app == app:
                sockets.append(ended.socket_id)
        return sockets
