"""What happens in a run, drawn from its seed before it happens.

A plan is a sequence of rounds. In each, clients and backend act; a little later one fault begins, sometimes
a second one over it; when both are over and the actions have ended, everything has to come to rest. An
action names a client and says what to do whatever state that client is in, so the plan does not depend on
the timing of the machine: the same seed gives the same rounds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from tests.chaos.world import BROAD, NARROW, Timing, may_whisper, narrow_channel, user_channel


@dataclass(frozen=True)
class Sizes:
    """How much of everything; rates are per second."""

    clients: int = 300
    users: int = 120
    publishers: int = 3
    publications: float = 25.0
    toggles: float = 16.0
    whispers: float = 10.0
    reloads: float = 5.0
    #: Cut network, page closed or opened, reader stalled, user terminated.
    others: float = 4.0


@dataclass(frozen=True)
class ClientPlan:
    """One browser tab. Several have the same user; `signs_in` ones follow `watchlist`."""

    index: int
    user: str
    first_node: int
    channels: tuple[str, ...]
    signs_in: bool
    watchlist: tuple[str, ...]
    starts_open: bool


@dataclass(frozen=True)
class Action:
    """Something that somebody does, `at` seconds after the round began."""

    at: float


@dataclass(frozen=True)
class Toggle(Action):
    """Leave the channel, or join it."""

    client: int
    channel: str


@dataclass(frozen=True)
class Whisper(Action):
    """A client event, if the client is in the channel."""

    client: int
    channel: str


@dataclass(frozen=True)
class Reload(Action):
    """The page is loaded anew: its connection ends, another begins `away` seconds later."""

    client: int
    away: float


@dataclass(frozen=True)
class Cut(Action):
    """The client's network drops the connection."""

    client: int


@dataclass(frozen=True)
class Turn(Action):
    """A closed page is opened, an open one is closed and stays so."""

    client: int


@dataclass(frozen=True)
class Stall(Action):
    """The client reads nothing for a while."""

    client: int
    seconds: float


@dataclass(frozen=True)
class Publish(Action):
    """The backend publishes `times` events, one after the other, not to `exclude`'s socket."""

    publisher: int
    node: int
    channels: tuple[str, ...]
    times: int
    exclude: int | None


@dataclass(frozen=True)
class Terminate(Action):
    """The backend ends a user's connections."""

    node: int
    user: str


@dataclass(frozen=True)
class FaultPlan:
    """A fault of `kind` on node `target`, from `at` for `seconds`."""

    at: float
    kind: str
    target: int
    seconds: float

    @property
    def ends(self) -> float:
        """When it is over, in seconds since the round began."""
        return self.at + self.seconds


@dataclass(frozen=True)
class Round:
    """Actions by time; none is later than `seconds`, and every fault is over by then."""

    index: int
    actions: tuple[Action, ...]
    faults: tuple[FaultPlan, ...]
    seconds: float


#: Before the first fault of a round: nothing may be lost here.
CALM = 2.0
#: Actions go on for as long after the last fault.
AFTER = 1.0


class Plan:
    """`kinds`: name of a fault -> the least and the most seconds that it lasts."""

    def __init__(
        self,
        seed: int,
        kinds: dict[str, tuple[float, float]],
        nodes: int,
        timing: Timing,
        sizes: Sizes | None = None,
    ) -> None:
        self.seed = seed
        self.sizes = sizes or Sizes()
        self._kinds = kinds
        self._nodes = nodes
        self._timing = timing
        random = Random(f"{seed}/clients")
        users = [f"u{n}" for n in range(self.sizes.users)]
        self.clients = [self._client(random, n, users) for n in range(self.sizes.clients)]

    def round(self, index: int) -> Round:
        """The round of this number; asking twice gives the same."""
        random = Random(f"{self.seed}/round/{index}")
        faults = tuple(self._faults(random, index))
        seconds = max((fault.ends for fault in faults), default=CALM) + AFTER
        actions = sorted(self._actions(random, seconds), key=lambda each: each.at)
        return Round(index, tuple(actions), faults, seconds)

    def _client(self, random: Random, index: int, users: Sequence[str]) -> ClientPlan:
        user = random.choice(users)
        others = [each for each in users if each != user]
        channels = random.sample(BROAD, random.randint(2, 5))
        if random.random() < 0.2:
            channels.append(narrow_channel(index))
        return ClientPlan(
            index=index,
            user=user,
            first_node=random.randrange(self._nodes),
            channels=tuple(channels),
            signs_in=random.random() < 0.6,
            watchlist=tuple(random.sample(others, random.randint(0, min(8, len(others))))),
            starts_open=random.random() < 0.85,
        )

    def _faults(self, random: Random, index: int) -> Iterator[FaultPlan]:
        if not self._kinds:
            return
        at = CALM + random.uniform(0.0, 1.0)
        first = self._fault(random, self._dealt(index), at)
        yield first
        if random.random() < 0.3:
            kind = random.choice(list(self._kinds))
            yield self._fault(random, kind, at + random.uniform(0.0, 1.0))

    def _fault(self, random: Random, kind: str, at: float) -> FaultPlan:
        return FaultPlan(
            at, kind, random.randrange(self._nodes), random.uniform(*self._kinds[kind])
        )

    def _dealt(self, index: int) -> str:
        """Kinds are dealt like cards, so that a run sees each of them before it sees one twice."""
        deck, position = divmod(index, len(self._kinds))
        cards = list(self._kinds)
        Random(f"{self.seed}/deck/{deck}").shuffle(cards)
        return cards[position]

    def _actions(self, random: Random, seconds: float) -> Iterator[Action]:
        sizes = self.sizes

        def times(rate: float) -> list[float]:
            return [random.uniform(0.0, seconds) for _ in range(round(rate * seconds))]

        def client() -> int:
            return random.randrange(sizes.clients)

        def channel_of(client: int) -> str:
            return narrow_channel(client) if random.random() < 0.4 else random.choice(BROAD)

        for at in times(sizes.toggles):
            who = client()
            yield Toggle(at, who, channel_of(who))
        for at in times(sizes.whispers):
            who = client()
            yield Whisper(at, who, random.choice([*filter(may_whisper, BROAD)]))
        for at in times(sizes.reloads):
            yield Reload(at, client(), random.uniform(0.05, 0.6 * self._timing.undo))
        for at in times(sizes.publications):
            yield self._publication(random, at)
        for at in times(sizes.others):
            yield self._other(random, at, client(), seconds - at)

    def _publication(self, random: Random, at: float) -> Publish:
        sizes = self.sizes
        if random.random() < 0.15:
            channels: tuple[str, ...] = (user_channel(f"u{random.randrange(sizes.users)}"),)
        else:
            channels = tuple(random.sample(BROAD, random.choice((1, 1, 1, 2, 3))))
            if random.random() < 0.3:
                channels = (*channels, random.choice(NARROW))
        return Publish(
            at,
            publisher=random.randrange(sizes.publishers),
            node=random.randrange(self._nodes),
            channels=channels,
            times=random.choice((1, 1, 2, 3)),
            exclude=random.randrange(sizes.clients) if random.random() < 0.4 else None,
        )

    def _other(self, random: Random, at: float, client: int, left: float) -> Action:
        kind = random.choice(("cut", "turn", "turn", "stall", "terminate"))
        if kind == "cut":
            return Cut(at, client)
        if kind == "turn":
            return Turn(at, client)
        if kind == "stall":
            return Stall(at, client, min(left, random.uniform(0.5, 4.0)))
        return Terminate(
            at, random.randrange(self._nodes), f"u{random.randrange(self.sizes.users)}"
        )
