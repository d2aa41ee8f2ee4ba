"""A store behind links that delay, break and freeze, all by chance from one seed.

Each link is ordered in both directions, as TCP is. What is under way when it breaks may have been carried out
or not, and its answer is lost.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from random import Random
from typing import Any

from pusher_server.cluster.commands import (
    REFUSALS,
    Command,
    Nothing,
    Publish,
    R,
    Remember,
    Subscribe,
    Unsubscribe,
)
from pusher_server.cluster.links import LinkStats, StoreLink, StoreListener
from pusher_server.cluster.memory.store import MemoryStore
from pusher_server.errors import ClusterUnavailable


class SimulatedStore:
    """`lease` and `undo_window` in seconds of the virtual loop."""

    def __init__(self, random: Random, *, lease: float, undo_window: float) -> None:
        self.random = random
        self.links: list[SimulatedLink] = []
        self.is_down = False
        self._lease = lease
        self._undo_window = undo_window
        self._epochs = 0
        #: Redis before 7.2 pushes what a script publishes to its own caller before the answer, others after it.
        self._answers_first = random.random() < 0.5
        self._caller: SimulatedLink | None = None
        self._own_pushes: list[Callable[[], None]] = []
        self.forget()

    def forget(self) -> None:
        """Restarted empty."""
        self._epochs += 1
        self.rules = MemoryStore(
            self._push,
            epoch=f"{self._epochs:x}",
            lease=self._lease,
            undo_window=self._undo_window,
            is_first=self._epochs == 1,
        )
        for link in self.links:
            link.cut("the store restarted")

    def come_back(self) -> None:
        """It is there again."""
        self.is_down = False

    def execute(
        self, link: "SimulatedLink", command: Any, answer: Callable[[object], None]
    ) -> None:
        """Carried out now. What it pushes to the caller itself comes before the answer or after it."""
        self._caller, self._own_pushes = link, []
        result = self._execute(link, command)
        self._caller = None
        arriving = [partial(answer, result)]
        for action in (
            arriving + self._own_pushes if self._answers_first else self._own_pushes + arriving
        ):
            link.arrive(action)

    def _execute(self, link: "SimulatedLink", command: Any) -> object:
        match command:
            case Subscribe(address):
                link.addresses.add(address)
                return Nothing()
            case Unsubscribe(address):
                link.addresses.discard(address)
                return Nothing()
        try:
            return self.rules.execute(command, asyncio.get_running_loop().time())
        except tuple(REFUSALS.values()) as error:
            return error

    def _push(self, address: str, body: bytes) -> None:
        for link in self.links:
            if address in link.addresses:
                push = partial(link.hear, address, body)
                if link is self._caller:
                    self._own_pushes.append(push)
                else:
                    link.arrive(push)


class _Line:
    """One direction of a link: in order, each thing a little later."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._free_at = 0.0

    def carry(self, action: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._free_at = max(self._free_at, loop.time() + self._random.random() * 0.004) + 1e-9
        loop.call_at(self._free_at, action)


class SimulatedLink(StoreLink):
    """A node's connection to the simulated store."""

    def __init__(self, store: SimulatedStore, peer: str) -> None:
        self.stats = LinkStats()
        self._is_open = False
        self.peer = peer
        self.addresses: set[str] = set()
        #: Connecting fails.
        self.is_unreachable = False
        #: So many of the next pushes get lost.
        self.holes = 0
        #: Nothing arrives, on either side, until `thaw`.
        self.is_frozen = False
        self._store = store
        self._listener: StoreListener | None = None
        self._connection = 0
        self._out, self._in = _Line(store.random), _Line(store.random)
        self._open_answers: deque[asyncio.Future[Any]] = deque()
        self._frozen: list[Callable[[], None]] = []
        store.links.append(self)

    @property
    def is_open(self) -> bool:
        return self._is_open

    def attach(self, listener: StoreListener) -> None:
        self._listener = listener

    async def open(self) -> None:
        if self.is_open:
            return
        await asyncio.sleep(self._store.random.random() * 0.01)
        if self.is_unreachable or self._store.is_down:
            raise ClusterUnavailable("unreachable")
        self._connection += 1
        self._is_open = True

    def close(self) -> None:
        if self.is_open:
            self._disconnect("closed")

    def cut(self, reason: str) -> None:
        """The connection breaks; what is under way arrives or not."""
        if self.is_open:
            self._disconnect(reason)
            if self._listener is not None:
                self._listener.on_lost(reason)

    def thaw(self) -> None:
        """What was held up arrives."""
        self.is_frozen = False
        held_up, self._frozen = self._frozen, []
        for action in held_up:
            action()

    def call(self, command: Command[R]) -> "asyncio.Future[R]":
        answer: asyncio.Future[R] = asyncio.get_running_loop().create_future()
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        if not self.is_open:
            answer.set_exception(ClusterUnavailable("not connected"))
            return answer
        self.stats.commands += 1
        self._open_answers.append(answer)
        connection = self._connection
        self._out.carry(lambda: self._reach(lambda: self._carry_out(connection, command, answer)))
        return answer

    def publish(self, command: Publish | Remember) -> bool:
        if not self.is_open:
            self.stats.dropped += 1
            return False
        self.call(command)
        return True

    def arrive(self, action: Callable[[], None]) -> None:
        """Something from the store, for this connection."""
        connection = self._connection

        def deliver() -> None:
            if connection == self._connection and self.is_open:
                action()

        self._in.carry(lambda: self._reach(deliver))

    def hear(self, address: str, body: bytes) -> None:
        if self.holes:
            self.holes -= 1
        elif self._listener is not None:
            self.stats.pushes += 1
            self._listener.on_push(address, body)

    def _reach(self, action: Callable[[], None]) -> None:
        if self.is_frozen:
            self._frozen.append(action)
        else:
            action()

    def _carry_out(self, connection: int, command: Any, answer: "asyncio.Future[Any]") -> None:
        is_current = connection == self._connection and self.is_open
        if self._store.is_down or (not is_current and self._store.random.random() < 0.5):
            return
        self._store.execute(self, command, partial(self._answer, answer))

    def _answer(self, answer: "asyncio.Future[Any]", result: object) -> None:
        if answer in self._open_answers:
            self._open_answers.remove(answer)
        if answer.done():
            return
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    def _disconnect(self, reason: str) -> None:
        self._is_open = False
        self.addresses.clear()
        answers, self._open_answers = self._open_answers, deque()
        for answer in answers:
            if not answer.done():
                answer.set_exception(ClusterUnavailable(reason))
