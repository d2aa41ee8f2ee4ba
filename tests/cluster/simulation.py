"""Several nodes of the real code on one simulated store, with clients whose view is compared with the truth.

The clients keep their member list as pusher-js does and complain of what it could not explain: a member added
twice, one removed who was not there, one that is itself.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random
from typing import Any

from pusher_server.app import App, AppKey
from pusher_server.cluster.broker import SharedBroker
from pusher_server.cluster.census import SharedCensus
from pusher_server.cluster.roster import SharedRoster
from pusher_server.cluster.sharding import Shards
from pusher_server.diagnosis.evidence import Evidence
from pusher_server.hub.hub import Hub
from pusher_server.node.node import Node
from pusher_server.node.observers import Observers
from pusher_server.node.parts import NodeParts
from pusher_server.protocol.errors import ConnectionRejected
from pusher_server.protocol.messages import SignIn, Subscribe
from pusher_server.signals import (
    ChannelOccupied,
    ChannelVacated,
    MemberAdded,
    MemberRemoved,
    Signal,
)
from tests.cluster.simulated_store import SimulatedLink, SimulatedStore
from tests.support.fakes import FakeConnection
from tests.support.node import KEY, SECRET, sign, sign_in_proof

LEASE, UNDO = 6.0, 3.0
ROOM, LOBBY = "presence-room", "lobby"
#: What a client waits for before it is told to come back later (`websocket.wait_timeout`).
PATIENCE = 4.0


class SimulatedNode:
    """One process: a node with its link."""

    def __init__(
        self, name: str, store: SimulatedStore, app: App, tell: Callable[[Signal], None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self.name = name
        self.link = SimulatedLink(store, f"store of {name}")
        self.stores = Shards(
            [self.link], name, lease=LEASE, undo_window=UNDO, random=store.random.random
        )
        hub, observers = Hub(loop.call_soon, clock=loop.time), Observers()
        observers.observe(tell)
        self.node = Node(
            NodeParts(
                node_id=name,
                hub=hub,
                broker=SharedBroker(self.stores, loop.time),
                roster=SharedRoster(self.stores),
                census=SharedCensus(self.stores, hub.connection_counts),
                observers=observers,
                evidence=Evidence(loop.time),
                clock=loop.time,
                event_ids=count(store.random.randrange(1 << 60)),
            )
        )
        self.stores.attach(self.node)
        self.stores.start()
        self.is_alive = True
        self._ticking = loop.create_task(self._tick())

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(0.25)
            self.node.tick()

    def kill(self) -> None:
        """No goodbye: its link is cut, its tasks end."""
        self.is_alive = False
        self._ticking.cancel()
        self.link.close()
        self.link.is_unreachable = True
        self.stores.abandon()

    async def stop(self) -> None:
        """As a process ends that was asked to."""
        self.is_alive = False
        self._ticking.cancel()
        await self.stores.stop()


class Client:
    """A subscriber of the room under a user id, of the lobby, signed in and watching everybody."""

    def __init__(self, simulation: "Simulation", node: SimulatedNode, user_id: str) -> None:
        self.simulation = simulation
        self.node = node
        self.user_id = user_id
        app_state = node.node.hub.app_state(simulation.app)
        self.connection = FakeConnection(app_state, f"1.{next(simulation.sockets)}", KEY)
        self.members: set[str] | None = None
        self.count: int | None = None
        self.online: dict[str, bool] = {}
        node.node.open(self.connection)

    async def arrive(self) -> bool:
        """Sign in and subscribe, as patiently as the edge; whether it is in."""
        try:
            async with asyncio.timeout(PATIENCE):
                await self._sign_in()
                for channel, data in ((LOBBY, None), (ROOM, json.dumps({"user_id": self.user_id}))):
                    if not self.is_here:
                        return False  # the edge carries nothing out for who is gone
                    message = Subscribe(channel, sign(self.connection, channel, data), data)
                    await self.node.node.subscriptions.subscribe(self.connection, message)
        except (TimeoutError, ConnectionRejected):
            self.go()
            return False
        return True

    async def _sign_in(self) -> None:
        data = json.dumps({"id": self.user_id, "watchlist": list(self.simulation.users)})
        message = SignIn(sign_in_proof(self.connection, data), data)
        await self.node.node.users.sign_in(self.connection, message)

    @property
    def is_here(self) -> bool:
        return (
            self.connection.app_state.connections.get(self.connection.socket_id) is self.connection
        )

    def go(self) -> None:
        """The transport is gone."""
        if self.is_here and self.node.is_alive:
            self.node.node.close(self.connection, 1006, settle=False)

    def read(self) -> None:
        """Everything that has come since."""
        for message in self.connection.take():
            self._read(
                message["event"].rpartition(":")[2], message.get("data"), message.get("channel")
            )

    def _read(self, event: str, data: Any, channel: str | None) -> None:
        complain = self.simulation.complain
        if event == "subscription_succeeded" and channel == ROOM:
            ids = data["presence"]["ids"]
            if len(set(ids)) != len(ids):
                complain(f"{self.user_id}: a list with somebody twice {ids}")
            if self.user_id not in ids:
                complain(f"{self.user_id}: a list without oneself")
            self.members = set(ids)
        elif event in ("member_added", "member_removed"):
            user_id = data["user_id"]
            if user_id == self.user_id:
                complain(f"{self.user_id}: {event} of oneself")
            if self.members is None:
                complain(f"{self.user_id}: {event} {user_id} before the list")
            elif event == "member_added":
                if user_id in self.members:
                    complain(f"{self.user_id}: {user_id} added twice")
                self.members.add(user_id)
            else:
                if user_id not in self.members:
                    complain(f"{self.user_id}: {user_id} removed twice")
                self.members.discard(user_id)
        elif event == "subscription_count":
            self.count = data["subscription_count"]
        elif event == "watchlist_events":
            for item in data["events"]:
                for user_id in item["user_ids"]:
                    is_online = item["name"] == "online"
                    if self.online.get(user_id) is is_online:
                        complain(f"{self.user_id}: told twice that {user_id} is {item['name']}")
                    self.online[user_id] = is_online


class Simulation:
    """One run from one seed."""

    def __init__(self, seed: int, *, nodes: int = 3, users: int = 8) -> None:
        self.random = Random(seed)
        self.app = App(
            id="1", keys=(AppKey(key=KEY, secret=SECRET),), subscription_count=True, watchlist=True
        )
        self.store = SimulatedStore(self.random, lease=LEASE, undo_window=UNDO)
        self.users = [f"u{i}" for i in range(users)]
        self.sockets = count(1)
        self.complaints: list[str] = []
        #: What observers were told wrongly: apart, because clients never see it.
        self.wrong_signals: list[str] = []
        self.signals: dict[tuple[str, str], list[str]] = {}
        self._told: set[str] = set()
        self.clients: list[Client] = []
        self._names = count()
        self._arriving: set[asyncio.Task[bool]] = set()
        self.nodes = [self.start_node() for _ in range(nodes)]

    def start_node(self) -> SimulatedNode:
        return SimulatedNode(f"n{next(self._names)}.x", self.store, self.app, self._signal)

    def lose_memory(self) -> None:
        """The store restarts empty."""
        self.store.forget()

    def complain(self, what: str) -> None:
        self.complaints.append(f"{asyncio.get_running_loop().time():.3f} {what}")

    def _signal(self, signal: Signal) -> None:
        match signal:
            case MemberAdded() | MemberRemoved():
                at = (signal.channel, signal.user_id)
            case ChannelOccupied() | ChannelVacated():
                at = (signal.channel, "")
            case _:
                return
        if signal.id in self._told:  # a node died over it, and another one told it again
            return
        self._told.add(signal.id)
        told = self.signals.setdefault(at, [])
        kind = "+" if isinstance(signal, (MemberAdded, ChannelOccupied)) else "-"
        if told and told[-1] == kind:
            self.wrong_signals.append(f"{type(signal).__name__} of {at} twice in a row")
        told.append(kind)

    def act(self) -> None:
        """Somebody comes, goes or reloads."""
        if self.clients and self.random.random() < 0.55:
            client = self.random.choice(self.clients)
            self.clients.remove(client)
            client.go()
            if self.random.random() < 0.35:  # a reload, or a phone that comes back
                self.arrive(client.user_id)
        else:
            self.arrive(self.random.choice(self.users))

    def arrive(self, user_id: str) -> None:
        """A client at any living node."""
        client = Client(self, self.random.choice(self.nodes), user_id)
        self.clients.append(client)
        task = asyncio.get_running_loop().create_task(client.arrive())
        self._arriving.add(task)
        task.add_done_callback(self._arriving.discard)

    def kill(self, node: SimulatedNode) -> None:
        """A node dies; its clients come back elsewhere, a new node takes its place."""
        self.nodes.remove(node)
        node.kill()
        lost = [each for each in self.clients if each.node is node]
        self.clients = [each for each in self.clients if each.node is not node]
        self.nodes.append(self.start_node())
        for client in lost:
            if self.random.random() < 0.5:
                self.arrive(client.user_id)

    async def stop(self, node: SimulatedNode) -> None:
        """A node leaves as it should."""
        self.nodes.remove(node)
        self.nodes.append(self.start_node())
        for client in [each for each in self.clients if each.node is node]:
            self.clients.remove(client)
            client.go()
            self.arrive(client.user_id)
        await node.stop()

    async def settle(self) -> None:
        """Let everything that is under way, and every grace, pass."""
        await asyncio.sleep(3 * LEASE + UNDO + 15)
        for task in list(self._arriving):
            await task
        self.clients = [client for client in self.clients if client.is_here]
        for node in self.nodes:
            node.link.holes = 0
        self._thin_out()
        await asyncio.sleep(2 * LEASE + UNDO + 12)

    def _thin_out(self) -> None:
        """Some users leave for good: a node that lets nothing go is found out, a push that was lost noticed."""
        present = sorted({client.user_id for client in self.clients})
        gone = set(self.random.sample(present, (len(present) + 2) // 3))
        for client in [each for each in self.clients if each.user_id in gone]:
            self.clients.remove(client)
            client.go()

    async def end(self) -> None:
        for node in self.nodes:
            await node.stop()

    def faults(self) -> Counter[str]:
        """What is wrong at rest."""
        found = Counter[str]()
        present = {client.user_id for client in self.clients}
        for client in self.clients:
            client.read()
            view = client.members or set()
            found["ghosts"] += len(view - present)
            found["missing"] += len(present - view)
            found["wrong counts"] += client.count != len(self.clients)
            online = {user_id for user_id, is_online in client.online.items() if is_online}
            found["wrong watchlists"] += online != present
        for user_id in self.users:
            told = self.signals.get((ROOM, user_id), ["-"])
            if (told[-1] == "+") is not (user_id in present):
                self.wrong_signals.append(f"{user_id} is left at {told[-1]}")
        for channel in (ROOM, LOBBY):
            told = self.signals.get((channel, ""), ["-"])
            if (told[-1] == "+") is not bool(present):
                self.wrong_signals.append(f"{channel} is left at {told[-1]}")
        found["complaints"] += len(self.complaints)
        return Counter({what: number for what, number in found.items() if number})

    async def answers(self) -> Counter[str]:
        """What the API of each node would say, compared with the truth."""
        found = Counter[str]()
        present = {client.user_id for client in self.clients}
        for each in self.nodes:
            inspection = each.node.inspection
            members = [m async for page in inspection.members(self.app, ROOM) for m, _ in page]
            found["wrong members"] += set(members) != present or len(members) != len(present)
            counts = await inspection.subscription_counts(self.app, [LOBBY, ROOM])
            found["wrong sums"] += any(n != len(self.clients) for n in counts.values())
            found["wrong totals"] += await inspection.connections(self.app) != len(self.clients)
        return Counter({what: number for what, number in found.items() if number})
