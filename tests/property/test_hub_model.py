"""The hub against a naive model, in any order of joins, leaves, events and flushes.

Invariant: what a client has read of a channel is a prefix of what was published to it while it was
subscribed, opening frames first, each once and in order, exclusions respected; and it is all of it once
the client has left, was settled, or the loop has come to rest (docs/decisions.md#fan-out).
"""

from collections import defaultdict

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import pusher_server.hub.batch as batch_module
from pusher_server.app import App, AppKey
from pusher_server.hub.channel import Subscription
from pusher_server.hub.hub import Hub
from pusher_server.protocol.channel_name import parse_channel_name
from tests.support.fakes import FakeCallSoon, FakeConnection

APP = App(id="1", keys=(AppKey(key="key", secret="secret"),))
CHANNELS = ("cache-a", "b")
CLIENTS = 7

pick = st.integers(0, CLIENTS - 1)
names = st.sampled_from(CHANNELS)


class Visit:
    """The model of one subscription: what is held back for it, and what it read from the cache."""

    def __init__(self, began_at: int) -> None:
        self.began_at = began_at
        self.active = False
        self.held: list[tuple[int, str]] = []
        #: None: not asked yet. Else (event number, payload), or (0, "") for a miss.
        self.cached: tuple[int, str] | None = None


class Client:
    """The model of one connection. `due`: by channel, everything it is to read, in order."""

    def __init__(self, connection: FakeConnection) -> None:
        self.connection = connection
        self.visits: dict[str, Visit] = {}
        self.due: dict[str, list[str]] = defaultdict(list)

    def read(self, channel: str) -> list[str]:
        """What has arrived of this channel. A payload is 'channel|text'."""
        payloads = [payload.decode().split("|") for payload in self.connection.payloads]
        return [text for name, text in payloads if name == channel]


class HubMachine(RuleBasedStateMachine):
    """Every rule does one thing to the hub and the same, in the plainest way, to the model."""

    @initialize(chunk=st.integers(1, 3), join_bytes=st.sampled_from([1, 20, 65_536]))
    def start(self, chunk: int, join_bytes: int) -> None:
        self._join_bytes = batch_module.JOIN_BYTES
        batch_module.JOIN_BYTES = join_bytes
        self.loop = FakeCallSoon()
        self.hub = Hub(self.loop, chunk=chunk)
        self.app_state = self.hub.app_state(APP)
        self.clients: list[Client] = []
        self.gone: list[tuple[Client, dict[str, list[str]]]] = []
        self.last: dict[str, tuple[int, str]] = {}
        self.events = 0
        self.opened = 0
        # A crowd to begin with, or few examples would get as far as a job under way.
        for i in range(CLIENTS - 1):
            self.connect()
            for name in CHANNELS:
                self._join(self.clients[i], name, at_once=i < CLIENTS - 2)

    # Choosing among what there is

    def visits(self, *, active: bool, cached: bool = False) -> list[tuple[Client, str, Visit]]:
        return [
            (client, name, visit)
            for client in self.clients
            for name, visit in client.visits.items()
            if visit.active is active and (not cached or name.startswith("cache-"))
        ]

    def outsiders(self) -> list[tuple[Client, str]]:
        return [
            (client, name)
            for client in self.clients
            for name in CHANNELS
            if name not in client.visits
        ]

    def subscription(self, client: Client, name: str) -> Subscription:
        return client.connection.subscriptions[name]

    # Rules

    @precondition(lambda self: len(self.clients) < CLIENTS)
    @rule()
    def connect(self) -> None:
        self.opened += 1
        connection = FakeConnection(self.app_state, f"1.{self.opened}")
        self.hub.open(connection)
        self.clients.append(Client(connection))

    @precondition(lambda self: self.outsiders())
    @rule(which=pick, at_once=st.booleans())
    def join(self, which: int, at_once: bool) -> None:
        outsiders = self.outsiders()
        self._join(*outsiders[which % len(outsiders)], at_once=at_once)

    def _join(self, client: Client, name: str, *, at_once: bool) -> None:
        joined = self.hub.subscribe(client.connection, parse_channel_name(name))
        assert joined.first_here is not any(name in each.visits for each in self.clients)
        client.visits[name] = Visit(self.events)
        if at_once:
            self._read_cache(client, name)
            self._activate(client, name)

    @precondition(lambda self: self.visits(active=False, cached=True))
    @rule(which=pick)
    def read_cache(self, which: int) -> None:
        """The broker's answer: what was remembered at this moment."""
        waiting = self.visits(active=False, cached=True)
        client, name, _ = waiting[which % len(waiting)]
        self._read_cache(client, name)

    @precondition(lambda self: self.visits(active=False))
    @rule(which=pick)
    def activate(self, which: int) -> None:
        waiting = self.visits(active=False)
        client, name, _ = waiting[which % len(waiting)]
        self._activate(client, name)

    @precondition(lambda self: self.visits(active=True) or self.visits(active=False))
    @rule(which=pick, settle=st.booleans())
    def leave(self, which: int, settle: bool) -> None:
        """Not settling is what happens when the transport is gone; the client may come back later."""
        everybody = self.visits(active=True) + self.visits(active=False)
        client, name, visit = everybody[which % len(everybody)]
        left = self.hub.leave(self.subscription(client, name), settle=settle)
        del client.visits[name]
        assert left.last_here is not any(name in each.visits for each in self.clients)
        self._ended(client, name, visit, settle)

    @precondition(lambda self: len(self.clients) > 3)
    @rule(which=pick, settle=st.booleans())
    def close(self, which: int, settle: bool) -> None:
        client = self.clients.pop(which % len(self.clients))
        left = self.hub.close(client.connection, settle=settle)
        assert [each.subscription.channel.name.text for each in left] == list(client.visits)
        for name, visit in client.visits.items():
            self._ended(client, name, visit, settle)
        client.visits.clear()
        self.gone.append((client, {name: client.read(name) for name in CHANNELS}))

    @rule(
        name=names,
        skip=st.sampled_from(["nobody", "a subscriber", "a pending one", "anybody"]),
        which=pick,
        hold=st.booleans(),
        size=st.integers(1, 3),
        turns=st.integers(0, 2),
    )
    def deliver(self, name: str, skip: str, which: int, hold: bool, size: int, turns: int) -> None:
        """Publish some, and perhaps be in the midst of serving them afterwards."""
        candidates = {
            "nobody": [],
            "a subscriber": [each for each, n, _ in self.visits(active=True) if n == name],
            "a pending one": [each for each, n, _ in self.visits(active=False) if n == name],
            "anybody": self.clients,
        }[skip]
        sender = candidates[which % len(candidates)] if candidates else None
        for _ in range(size):
            self.events += 1
            text = str(self.events)
            count = self.hub.deliver(
                self.app_state,
                name,
                f"{name}|{text}".encode(),
                skip=None if sender is None else sender.connection.socket_id,
                event_id=self.events,
                hold=hold,
            )
            owed = [
                client
                for client in self.clients
                if name in client.visits and (hold or client.visits[name].active)
            ]
            assert count == len([client for client in owed if client is not sender])
            self.last[name] = (self.events, text)
            for client in self.clients:
                visit = client.visits.get(name)
                if visit is None or client is sender:
                    continue
                if visit.active:
                    client.due[name].append(text)
                elif hold:
                    visit.held.append((self.events, text))
        for _ in range(turns):
            self.loop.turn()

    @precondition(lambda self: self.visits(active=True))
    @rule(which=pick)
    def write_directly(self, which: int) -> None:
        """A second success, a refusal: settled first, so that it does not overtake."""
        active = self.visits(active=True)
        client, name, _ = active[which % len(active)]
        self.hub.settle(self.subscription(client, name))
        assert client.read(name) == client.due[name]
        client.connection.send(f"{name}|direct".encode())
        client.due[name].append("direct")

    @precondition(lambda self: self.loop.callbacks)
    @rule()
    def turn(self) -> None:
        self.loop.turn()

    @precondition(lambda self: self.loop.callbacks)
    @rule()
    def come_to_rest(self) -> None:
        self.loop.run()
        for client in self.clients:
            for name in CHANNELS:
                assert client.read(name) == client.due[name]

    # What holds after every step

    @invariant()
    def nobody_reads_what_is_not_due(self) -> None:
        for client in self.clients:
            for name in CHANNELS:
                read = client.read(name)
                assert read == client.due[name][: len(read)]
        for client, final in self.gone:
            assert {name: client.read(name) for name in CHANNELS} == final

    @invariant()
    def channels_are_those_with_subscribers(self) -> None:
        counts = {name: sum(name in each.visits for each in self.clients) for name in CHANNELS}
        here = {name: len(channel) for name, channel in self.app_state.channels.items()}
        assert here == {name: count for name, count in counts.items() if count}

    def teardown(self) -> None:
        if hasattr(self, "loop"):
            batch_module.JOIN_BYTES = self._join_bytes
            self.come_to_rest()
            self.nobody_reads_what_is_not_due()

    # The parts

    def _read_cache(self, client: Client, name: str) -> None:
        if name.startswith("cache-"):
            client.visits[name].cached = self.last.get(name, (0, ""))

    def _activate(self, client: Client, name: str) -> None:
        visit, subscription = client.visits[name], self.subscription(client, name)
        opening = [f"{name}|ok"]
        expected = ["ok"]
        if visit.cached is not None:
            number, text = visit.cached
            # As the node decides: by what the hub has held back ...
            if not any(event_id == number for event_id, _ in subscription.held):
                opening.append(f"{name}|last {text}")
            # ... and as it should: what came while it waited comes from there, and only from there.
            if number not in [each for each, _ in visit.held]:
                expected.append(f"last {text}")
        self.hub.activate(subscription, [payload.encode() for payload in opening])
        client.due[name] += [*expected, *(text for _, text in visit.held)]
        visit.active = True
        assert client.read(name) == client.due[name], "opening frames and what was held go at once"

    def _ended(self, client: Client, name: str, visit: Visit, settle: bool) -> None:
        """All that was due has arrived, or (the transport is gone) nothing more ever will."""
        if settle:
            assert client.read(name) == client.due[name]
        else:
            client.due[name] = client.due[name][: len(client.read(name))]


# Three times as many as elsewhere, for what can go wrong takes several rare steps in a row. 2,000 at the most:
# 6,000 do not end within ten minutes while coverage is measured.
HubMachine.TestCase.settings = settings(
    max_examples=min(3 * settings().max_examples, 1_500), stateful_step_count=60
)
TestHub = HubMachine.TestCase
