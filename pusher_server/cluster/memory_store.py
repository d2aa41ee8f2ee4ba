"""A store in the memory of one process: the rules of `store`, without a socket and without a clock.

The bus process of a machine's workers serves it, tests take it as the model that Redis is compared with.
Time comes in as seconds of any steady clock.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import islice

from pusher_server.cluster.store import (
    SWEEP,
    AnyCommand,
    Count,
    Due,
    Enter,
    Entered,
    Fenced,
    Holders,
    Lookup,
    Mourn,
    Nothing,
    Page,
    Publish,
    Recall,
    Released,
    Remember,
    Remembered,
    Renew,
    Renewed,
    Retire,
    Retired,
    Scan,
    Snapshot,
    Tally,
    TopicState,
    Track,
    Tracked,
    Untrack,
)
from pusher_server.cluster.wire import WIRE, Transitioned, encode_transition
from pusher_server.interfaces import RosterFull

#: Keys in a page of a scan.
PAGE = 1_000
#: Scans under way at once; the oldest is forgotten.
SCANS = 100

#: Who is told: address, body, and nobody is left out.
Push = Callable[[str, bytes], None]


def node_of(holder: str) -> str:
    """`a.3f.2` -> `a.3f`: the process whose incarnation it is."""
    return holder.rpartition(".")[0]


def id_of(holder: str) -> str:
    """`a.3f.2` -> `a`: the node id that an operator may have chosen."""
    return holder.split(".", 1)[0]


class _Entry:
    """A held key: the value last given, and each holder's own."""

    __slots__ = ("holders", "value")

    def __init__(self) -> None:
        self.value = ""
        self.holders: dict[str, str] = {}


class _Topic:
    """The held keys in the order of joining, and the version."""

    __slots__ = ("entries", "n")

    def __init__(self, n: int) -> None:
        self.entries: dict[str, _Entry] = {}
        self.n = n


class _Lease:
    """A live holder."""

    __slots__ = ("batch", "due", "held", "tallies", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        #: (address, key), in the order of joining; an ordered dict because it is emptied from its front.
        self.held: OrderedDict[tuple[str, str], None] = OrderedDict()
        self.tallies: dict[str, int] = {}
        #: What it was given to settle and has not confirmed, and that batch's number.
        self.due: list[Due] = []
        self.batch = 0


class MemoryStore:
    """`push` is called inside the command that causes it, before the answer."""

    def __init__(self, push: Push, *, epoch: str, lease: float, undo_window: float) -> None:
        self._push = push
        self._epoch = epoch
        self._lease = lease
        self._undo_window = undo_window
        self._heard = float("-inf")
        self._leases: dict[str, _Lease] = {}
        self._topics: dict[str, _Topic] = {}
        #: Where a topic starts counting: past every topic that has ended, so that no version comes twice.
        self._floor = 0
        #: (address, key) -> when the leave is due, the earliest first.
        self._leaving: OrderedDict[tuple[str, str], float] = OrderedDict()
        #: Leaves that were settled lately, and until when that is remembered: the guard of `Mourn`.
        self._settled: OrderedDict[tuple[str, str], float] = OrderedDict()
        #: Address -> what is remembered, and until when. Cleared of the past whenever it has doubled.
        self._cached: dict[str, tuple[bytes, float]] = {}
        self._cached_bound = PAGE
        self._scans: OrderedDict[str, list[str]] = OrderedDict()
        self._scan_count = 0

    def execute(self, command: AnyCommand, now: float) -> object:
        """The answer. Raises Fenced, RosterFull. Subscriptions are the caller's: it knows who asks."""
        match command:
            case Publish(address, body):
                self._push(address, body)
                return Nothing()
            case Track():
                return self._track(command, now)
            case Untrack(holder, address, key):
                return self._let_go(self._live(holder, now), holder, address, key, now)
            case Renew():
                return self._renew(command, now)
            case Remember():
                return self._remember(command, now)
            case Recall(address):
                return self._recall(address, now)
            case _:
                return self._rare(command, now)

    def _rare(self, command: AnyCommand, now: float) -> object:
        match command:
            case Enter():
                return self._enter(command, now)
            case Retire(holder):
                return self._retire(holder, now)
            case Mourn(address, key):
                return self._mourn(address, key, now)
            case Snapshot(address):
                return self._snapshot(address)
            case Lookup(address, keys):
                return Holders(self._holders(address, keys))
            case Count(address):
                return len(self._entries(address))
            case Scan():
                return self._scan(command)
            case Tally(name):
                live = (each for each in self._leases.values() if each.until > now)
                return sum(each.tallies.get(name, 0) for each in live)
            case _:
                raise TypeError(f"not a command of the store: {command!r}")

    # Leases

    def _live(self, holder: str, now: float) -> _Lease:
        lease = self._leases.get(holder)
        if lease is None or lease.until <= now:
            raise Fenced
        return lease

    def _hear(self, now: float) -> None:
        """A silence of all is the store's own absence: nobody pays for it with a lease."""
        if now - self._heard > self._lease / 2:
            for lease in self._leases.values():
                lease.until = now + self._lease
        self._heard = now

    def _enter(self, command: Enter, now: float) -> Entered:
        self._hear(now)
        node = node_of(command.holder)
        before = self._leases.get(command.succeeds)
        if before is not None and before.due:
            if before.batch > command.confirmed:
                self._give_back(before.due, now)
            before.due = []
        self._leases[command.holder] = _Lease(now + self._lease)
        rivals = [
            each
            for each, lease in self._leases.items()
            if id_of(each) == id_of(node) and node_of(each) != node and lease.until > now
        ]
        return Entered(self._epoch, rivals)

    def _renew(self, command: Renew, now: float) -> Renewed:
        self._hear(now)
        lease = self._live(command.holder, now)
        lease.until = now + self._lease
        lease.tallies = command.tallies
        if command.confirmed >= lease.batch:
            lease.due = []
        swept, more = self._sweep(now)
        if not lease.due:
            lease.due = self._take_due(now)
            lease.batch += bool(lease.due)
        others = [each for each in self._leases.values() if each is not lease and each.until > now]
        return Renewed(
            epoch=self._epoch,
            batch=lease.batch if lease.due else 0,
            due=lease.due,
            holders=len(others) + 1,
            elsewhere={
                name: sum(each.tallies.get(name, 0) for each in others) for name in command.tallies
            },
            swept=swept,
            more=more,
        )

    def _sweep(self, now: float) -> tuple[dict[str, int], bool]:
        past = [
            (lease.until, holder) for holder, lease in self._leases.items() if lease.until <= now
        ]
        if not past:
            return {}, False
        _, holder = min(past)
        count = min(SWEEP, len(self._leases[holder].held))
        more = self._release_some(holder, self._leases[holder], now)
        return {holder: count}, more or len(past) > 1

    def _retire(self, holder: str, now: float) -> Retired:
        lease = self._leases.get(holder)
        if lease is None:
            return Retired(more=False)
        lease.until = now  # fenced from here on
        return Retired(more=self._release_some(holder, lease, now))

    def _release_some(self, holder: str, lease: _Lease, now: float) -> bool:
        """Whether there are more; when not, the holder is forgotten."""
        for address, key in list(islice(lease.held, SWEEP)):
            self._let_go(lease, holder, address, key, now)
        if lease.held:
            return True
        self._give_back(lease.due, now)
        del self._leases[holder]
        return False

    # Who holds what

    def _entries(self, address: str) -> dict[str, _Entry]:
        topic = self._topics.get(address)
        return {} if topic is None else topic.entries

    def _track(self, command: Track, now: float) -> Tracked:
        holder, address, key = command.holder, command.address, command.key
        lease = self._live(holder, now)
        entries = self._entries(address)
        entry = entries.get(key)
        if entry is None:
            if 0 < command.limit <= len(entries):
                raise RosterFull
            return self._begin(command, lease)
        node = node_of(holder)
        ours = all(node_of(each) == node for each in entry.holders)
        entry.value = entry.holders[holder] = command.value
        lease.held[address, key] = None
        return Tracked(self._topics[address].n, held_now=False, returned=False, ours=ours)

    def _begin(self, command: Track, lease: _Lease) -> Tracked:
        address, key = command.address, command.key
        topic = self._topics.get(address)
        if topic is None:
            topic = self._topics[address] = _Topic(self._floor)
        first = not topic.entries
        entry = topic.entries[key] = _Entry()
        entry.value = entry.holders[command.holder] = command.value
        lease.held[address, key] = None
        topic.n += 1
        self._settled.pop((address, key), None)
        returned = self._leaving.pop((address, key), None) is not None or command.again
        self._tell(
            address, key, entry.value, topic.n, command.holder, first=first, returned=returned
        )
        return Tracked(topic.n, held_now=True, returned=returned, ours=False)

    def _let_go(self, lease: _Lease, holder: str, address: str, key: str, now: float) -> Released:
        lease.held.pop((address, key), None)
        topic = self._topics.get(address)
        entry = None if topic is None else topic.entries.get(key)
        if topic is None or entry is None or holder not in entry.holders:
            return Released(0, "")
        del entry.holders[holder]
        if entry.holders:
            return Released(0, "")
        del topic.entries[key]
        topic.n += 1
        if not topic.entries:
            del self._topics[address]
            self._floor = max(self._floor, topic.n)
        self._leaving[address, key] = now + self._undo_window
        self._tell(address, key, entry.value, topic.n, holder, held=False)
        return Released(topic.n, entry.value)

    def _tell(
        self,
        address: str,
        key: str,
        value: str,
        n: int,
        holder: str,
        *,
        held: bool = True,
        first: bool = False,
        returned: bool = False,
    ) -> None:
        transition = Transitioned(
            WIRE,
            self._epoch,
            n,
            key,
            value,
            held=held,
            first=first,
            returned=returned,
            holder=holder,
        )
        self._push(address, encode_transition(transition))

    def _take_due(self, now: float) -> list[Due]:
        found: list[Due] = []
        while self._leaving:
            (address, key), until = next(iter(self._leaving.items()))
            if until > now:
                break
            del self._leaving[address, key]
            self._settled[address, key] = now + 2 * self._lease
            self._settled.move_to_end((address, key))
            found.append(Due(address, key))
        while self._settled and next(iter(self._settled.values())) <= now:
            self._settled.popitem(last=False)
        return found

    def _give_back(self, due: list[Due], now: float) -> None:
        """Due at once, before what is due already, unless the key has come back and is leaving anew."""
        for each in due:
            self._due_first((each.address, each.key), now)

    def _due_first(self, at: tuple[str, str], now: float) -> None:
        if at not in self._leaving:
            self._leaving[at] = now
            self._leaving.move_to_end(at, last=False)

    def _mourn(self, address: str, key: str, now: float) -> Nothing:
        at = (address, key)
        known = at in self._leaving or at in self._settled
        if not known and key not in self._entries(address):
            self._due_first(at, now)
        return Nothing()

    # Questions

    def _snapshot(self, address: str) -> TopicState:
        topic = self._topics.get(address)
        if topic is None:
            return TopicState(self._epoch, self._floor, {})
        return TopicState(
            self._epoch, topic.n, {key: entry.value for key, entry in topic.entries.items()}
        )

    def _holders(self, address: str, keys: Iterable[str]) -> dict[str, dict[str, str]]:
        entries = self._entries(address)
        return {key: entries[key].holders for key in keys if key in entries}

    def _scan(self, command: Scan) -> Page:
        if command.cursor:
            # An answer to a scan that is forgotten is empty and the last: the oldest of a hundred.
            keys = self._scans.pop(command.cursor, [])
        else:
            entries = self._entries(command.address)
            keys = [key for key in reversed(entries) if key.startswith(command.prefix)]
        page, rest = keys[-PAGE:], keys[:-PAGE]
        cursor = ""
        if rest:
            self._scan_count += 1
            cursor = str(self._scan_count)
            self._scans[cursor] = rest
            if len(self._scans) > SCANS:
                self._scans.popitem(last=False)
        return Page(cursor, self._holders(command.address, reversed(page)))

    # The cache channels

    def _remember(self, command: Remember, now: float) -> Nothing:
        self._push(command.address, command.body)
        if len(self._cached) > self._cached_bound:
            self._cached = {at: kept for at, kept in self._cached.items() if kept[1] > now}
            self._cached_bound = max(PAGE, 2 * len(self._cached))
        self._cached[command.address] = (command.cached, now + command.ttl)
        return Nothing()

    def _recall(self, address: str, now: float) -> Remembered:
        cached, until = self._cached.get(address, (b"", now))
        return Remembered(cached, until - now) if until > now else Remembered(b"", 0.0)
