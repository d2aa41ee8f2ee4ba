"""A store in the memory of one process: the rules of `commands`, without a socket and without a clock.

The bus process of a machine's workers serves it, tests take it as the model that Redis is compared with.
Time comes in as seconds of any steady clock.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from itertools import islice

from pusher_server.cluster.commands import (
    SWEEP,
    Announcement,
    AnyCommand,
    Count,
    Enter,
    Entered,
    Fenced,
    Holders,
    Lookup,
    Nothing,
    Page,
    Publish,
    Recall,
    Released,
    Remember,
    Remembered,
    Renew,
    Renewed,
    ReportGone,
    Retire,
    Retired,
    Scan,
    Snapshot,
    Tally,
    TopicState,
    Track,
    Tracked,
    Untrack,
    id_of,
    node_of,
    remembered_bytes,
)
from pusher_server.cluster.last_events import LastEvents
from pusher_server.cluster.memory.announcements import Announcements, TopicKey
from pusher_server.cluster.memory.scans import Scans
from pusher_server.cluster.wire import WIRE, Transitioned, app_of, encode_transition
from pusher_server.interfaces import RosterFull

#: Callback (address, body) that pushes to every subscriber.
Push = Callable[[str, bytes], None]


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
        self.held: OrderedDict[TopicKey, None] = OrderedDict()
        self.tallies: dict[str, int] = {}
        #: The announcements that it was given and has not confirmed, and that batch's number.
        self.due: list[Announcement] = []
        self.batch = 0


class MemoryStore:
    """`push` is called inside the command that causes it, before the answer.

    `is_first`: no node can have known another memory before, so nothing is unsure at the beginning.
    """

    def __init__(
        self,
        push: Push,
        *,
        epoch: str,
        lease: float,
        undo_window: float,
        is_first: bool = False,
    ) -> None:
        self._push = push
        self._epoch = epoch
        self._lease = lease
        self._undo_window = undo_window
        self._last_seen = float("-inf")
        self._begins_unsure = not is_first
        self._leases: dict[str, _Lease] = {}
        self._topics: dict[str, _Topic] = {}
        #: Where a topic starts counting: past every topic that has ended, so that no version comes twice.
        self._floor = 0
        self._announcements = Announcements(lease=lease, undo_window=undo_window)
        #: The remembered events, by app and address.
        self._remembered: LastEvents[bytes] = LastEvents()
        self._scans = Scans()

    def execute(self, command: AnyCommand, now: float) -> object:
        """Return the answer. Raises Fenced, RosterFull. The caller serves subscriptions: it knows the peer."""
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
            case Retire(holder, confirmed):
                return self._retire(holder, confirmed, now)
            case ReportGone(address, key):
                return self._report_gone(address, key, now)
            case Snapshot(address, entries):
                return self._snapshot(address, entries=entries)
            case Lookup(address, keys):
                return Holders(self._holders(address, keys))
            case Count(address):
                return len(self._entries(address))
            case Scan():
                return self._scan(command)
            case Tally(name, besides):
                return sum(
                    lease.tallies.get(name, 0)
                    for holder, lease in self._leases.items()
                    if node_of(holder) != node_of(besides) and lease.until > now
                )
            case _:
                raise TypeError(f"not a command of the store: {command!r}")

    # Leases

    def _live(self, holder: str, now: float) -> _Lease:
        lease = self._leases.get(holder)
        if lease is None or lease.until <= now:
            raise Fenced
        return lease

    def _note_life(self, now: float) -> None:
        """Note that a holder is alive. If all were silent, the store was away: no lease ends for that."""
        if now - self._last_seen > self._lease / 2:
            for lease in self._leases.values():
                lease.until = now + self._lease
        self._last_seen = now

    def _enter(self, command: Enter, now: float) -> Entered:
        self._note_life(now)
        node = node_of(command.holder)
        before = self._leases.get(command.succeeds)
        if before is not None:
            self._take_back(before, command.confirmed, now, node)
        if self._begins_unsure or command.epoch not in ("", self._epoch):
            self._begins_unsure = False
            self._announcements.doubt(now)
        self._leases[command.holder] = _Lease(now + self._lease)
        rivals = [
            other
            for other, lease in self._leases.items()
            if id_of(other) == id_of(node) and node_of(other) != node and lease.until > now
        ]
        return Entered(self._epoch, rivals)

    def _take_back(self, lease: _Lease, confirmed: int, now: float, node: str) -> None:
        """Announcements that were handed out and not confirmed are due again."""
        if lease.batch > confirmed:
            places = [(due.address, due.key) for due in lease.due]
            held = {place for place in places if place[1] in self._entries(place[0])}
            self._announcements.take_back(lease.due, held, node, now)
        self._announcements.confirm(lease.due)
        lease.due = []

    def _renew(self, command: Renew, now: float) -> Renewed:
        self._note_life(now)
        lease = self._live(command.holder, now)
        lease.until = now + self._lease
        lease.tallies = command.tallies
        if command.confirmed >= lease.batch:
            self._announcements.confirm(lease.due)
            lease.due = []
        swept, more = self._sweep(now)
        self._remembered.sweep(now)
        if not lease.due:
            alive = {node_of(other) for other, lease in self._leases.items() if lease.until > now}
            lease.due = self._announcements.take(now, node_of(command.holder), alive)
            lease.batch += bool(lease.due)
        node = node_of(command.holder)
        others = [
            other
            for holder, other in self._leases.items()
            if node_of(holder) != node and other.until > now
        ]
        elsewhere: dict[str, int] = {}
        for other in others:
            for name, count in other.tallies.items():
                elsewhere[name] = elsewhere.get(name, 0) + count
        return Renewed(
            epoch=self._epoch,
            batch=lease.batch if lease.due else 0,
            due=lease.due,
            holders=len(others) + 1,
            elsewhere=elsewhere,
            swept=swept,
            more=more,
            evicted=self._remembered.take_evicted(),
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

    def _retire(self, holder: str, confirmed: int, now: float) -> Retired:
        lease = self._leases.get(holder)
        if lease is None:
            return Retired(more=False)
        lease.until = now  # fenced from here on
        self._take_back(lease, confirmed, now, node_of(holder))
        return Retired(more=self._release_some(holder, lease, now))

    def _release_some(self, holder: str, lease: _Lease, now: float) -> bool:
        """Return whether there are more; when not, the holder is forgotten."""
        for address, key in list(islice(lease.held, SWEEP)):
            self._let_go(lease, holder, address, key, now)
        if lease.held:
            return True
        self._take_back(lease, 0, now, node_of(holder))
        del self._leases[holder]
        return False

    # Holding keys

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
            return self._begin(command, lease, now)
        is_news = command.tell and entry.value != command.value
        entry.value = entry.holders[holder] = command.value
        lease.held[address, key] = None
        if is_news:
            topic = self._topics[address]
            topic.n += 1
            self._push_transition(address, key, entry.value, topic.n, holder, updated=True)
        if command.again:
            self._announcements.known((address, key))
        unsure = self._announcements.is_unsure((address, key))
        return Tracked(self._topics[address].n, held_now=False, returned=False, unsure=unsure)

    def _begin(self, command: Track, lease: _Lease, now: float) -> Tracked:
        address, key = place = command.address, command.key
        topic = self._topics.get(address)
        if topic is None:
            topic = self._topics[address] = _Topic(self._floor)
        first = not topic.entries
        entry = topic.entries[key] = _Entry()
        entry.value = entry.holders[command.holder] = command.value
        lease.held[place] = None
        topic.n += 1
        returned = self._announcements.joined(
            place, node_of(command.holder), self._version(topic), now, again=command.again
        )
        self._push_transition(
            address, key, entry.value, topic.n, command.holder, first=first, returned=returned
        )
        unsure = self._announcements.is_unsure(place)
        return Tracked(topic.n, held_now=True, returned=returned, unsure=unsure)

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
        self._announcements.left((address, key), node_of(holder), self._version(topic), now)
        self._push_transition(address, key, entry.value, topic.n, holder, held=False)
        return Released(topic.n, entry.value)

    def _version(self, topic: _Topic) -> str:
        return f"{self._epoch}.{topic.n}"

    def _push_transition(
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
        updated: bool = False,
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
            updated=updated,
        )
        self._push(address, encode_transition(transition))

    def _report_gone(self, address: str, key: str, now: float) -> Nothing:
        if key in self._entries(address):
            self._announcements.known((address, key))
        else:
            self._announcements.report_gone((address, key), now)
        return Nothing()

    # Queries

    def _snapshot(self, address: str, *, entries: bool) -> TopicState:
        topic = self._topics.get(address)
        if topic is None:
            return TopicState(self._epoch, self._floor, {})
        values = {key: entry.value for key, entry in topic.entries.items()} if entries else {}
        return TopicState(self._epoch, topic.n, values)

    def _holders(self, address: str, keys: Iterable[str]) -> dict[str, dict[str, str]]:
        entries = self._entries(address)
        return {key: entries[key].holders for key in keys if key in entries}

    def _scan(self, command: Scan) -> Page:
        entries = self._entries(command.address)
        cursor, keys = self._scans.page(command.cursor, entries, command.prefix)
        return Page(cursor, self._holders(command.address, keys))

    # The cache channels

    def _remember(self, command: Remember, now: float) -> Nothing:
        self._push(command.address, command.body)
        at, cached, until = command.address, command.cached, now + command.ttl
        size = remembered_bytes(at, cached)
        self._remembered.keep(
            app_of(at), at, cached, size=size, until=until, limit=command.limit, now=now
        )
        return Nothing()

    def _recall(self, address: str, now: float) -> Remembered:
        kept = self._remembered.get(app_of(address), address, now)
        return Remembered(b"", 0.0) if kept is None else Remembered(*kept)
