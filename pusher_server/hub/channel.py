"""One channel on this node: who is subscribed, and what they are still owed.

How frames get out (DESIGN §16.1):

1. `queue` appends a frame to those that are owed. Nothing is written yet.
2. The fan-out calls `serve` in the same loop turn. All that has gathered becomes one immutable `_Job` and
   is written joined, once per subscriber. A channel larger than one chunk is served over several turns
   from a snapshot, which is kept for the next job while nobody comes or goes; frames queued meanwhile
   form the next job, which starts after it.
3. Who must not get the whole of it stands in a small map, subscription -> `_Part`: an excluded sender,
   somebody who joined after the first frame. Only those get a join of their own, so an exclusion never
   splits a batch.
4. `settle` writes at once what one subscriber is still owed: before it leaves, and before anything is
   written to it directly that belongs to this channel.

A subscription is pending until its success frame is written; frames for it are held back in it.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence

from pusher_server.app import Member
from pusher_server.hub.connection import Connection
from pusher_server.hub.members import MemberList
from pusher_server.protocol.channel_name import ChannelName

#: Joined writes are cut at a frame boundary near this size, so that one write stays far below the
#: slow-consumer cap (DESIGN §16.13).
JOIN_BYTES = 65_536


Write = Callable[[bytes], None]


class Subscription:
    """One connection in one channel. A new one for every join, so its identity is the visit's."""

    __slots__ = ("channel", "connection", "held", "member", "order")

    def __init__(self, channel: "Channel", connection: Connection, member: Member | None) -> None:
        self.channel = channel
        self.connection = connection
        self.member = member
        #: Place in the channel's join order; 0 while pending, negative once it has left.
        self.order = 0
        #: Frames for it while pending: (event id, frame).
        self.held: list[tuple[int, bytes]] = []

    @property
    def active(self) -> bool:
        """The success frame has been written, and it has not left."""
        return self.order > 0

    @property
    def gone(self) -> bool:
        """It has left, or its connection has."""
        return self.connection.subscriptions.get(self.channel.name.text) is not self


class _Part:
    """Which frames of a batch somebody gets: those from `start` on, but the `skipped` ones."""

    __slots__ = ("skipped", "start")

    def __init__(self, start: int) -> None:
        self.start = start
        self.skipped: list[int] = []

    def of(self, frames: Sequence[bytes]) -> list[bytes]:
        if not self.skipped:
            return list(frames[self.start :])
        skipped = set(self.skipped)
        return [frames[i] for i in range(self.start, len(frames)) if i not in skipped]


_Parts = dict[Subscription, _Part]
#: Shared by all channels without members; nobody writes to it.
_NO_USERS: dict[str, set[Subscription]] = {}


def join(frames: Sequence[bytes]) -> Sequence[bytes]:
    """The same bytes in as few pieces as `JOIN_BYTES` allows; a frame is never cut."""
    if len(frames) < 2:
        return frames
    pieces: list[bytes] = []
    first, size = 0, 0
    for i, frame in enumerate(frames):
        if size and size + len(frame) > JOIN_BYTES:
            pieces.append(b"".join(frames[first:i]))
            first, size = i, 0
        size += len(frame)
    pieces.append(b"".join(frames[first:]))
    return pieces


class _Snapshot:
    """A channel's subscriptions in join order, and with what each is written to."""

    __slots__ = ("targets", "writes")

    def __init__(self, subscribers: dict[Subscription, Write]) -> None:
        self.targets = list(subscribers)
        self.writes = list(subscribers.values())

    def redirect(self, subscription: Subscription, write: Write) -> None:
        """This one, if it is in here, is written to otherwise from now on."""
        index = bisect_left(self.targets, subscription.order, key=_order)
        if index < len(self.targets) and self.targets[index] is subscription:
            self.writes[index] = write


def _order(target: Subscription) -> int:
    """Orders rise along a snapshot, also when somebody in it has left."""
    return abs(target.order)


class _Job:
    """One batch on its way to a snapshot of subscribers."""

    __slots__ = ("frames", "parts", "pieces", "position", "snapshot")

    def __init__(self, frames: list[bytes], parts: _Parts, snapshot: _Snapshot) -> None:
        self.frames = frames
        self.pieces = join(frames)
        self.parts = parts
        self.snapshot = snapshot
        self.position = 0

    @property
    def done(self) -> bool:
        """Everybody has been served."""
        return self.position == len(self.snapshot.targets)

    def has_yet_to_serve(self, subscription: Subscription) -> bool:
        """Whether it is in the snapshot and its turn has not come: one comparison of orders."""
        targets = self.snapshot.targets
        return _order(targets[self.position]) <= subscription.order <= _order(targets[-1])

    def serve(self, limit: int) -> int:
        """Write to the next `limit` targets; how many they were."""
        start, end = self.position, self.position + limit
        chunk = self.snapshot.writes[start:end]
        self.position += len(chunk)
        if self.parts or len(self.pieces) > 1:
            _write_each(self.snapshot.targets[start:end], self.frames, self.pieces, self.parts)
        else:
            _write_to_all(chunk, self.pieces[0])
        return len(chunk)


def _write_to_all(writes: Iterable[Write], piece: bytes) -> None:
    """The hot loop: about 0.03 µs of Python per subscriber beside the kernel's send.

    With thousands of subscribers each object that is looked at is a cache miss, so none is but the writes.
    """
    for write in writes:
        write(piece)


def _write_each(
    targets: Iterable[Subscription], frames: list[bytes], pieces: Sequence[bytes], parts: _Parts
) -> None:
    """When not all get the same, or in several pieces: a write may redirect the next one."""
    for target in targets:
        part = parts.get(target)
        for piece in pieces if part is None else join(part.of(frames)):
            target.connection.write(piece)


def _write_pieces(subscription: Subscription, frames: Sequence[bytes]) -> None:
    for piece in join(frames):
        subscription.connection.write(piece)


class Channel:
    """A name and its subscriptions on this node; exists while there is one."""

    __slots__ = (
        "_frames",
        "_job",
        "_orders",
        "_parts",
        "_snapshot",
        "members",
        "name",
        "on_bus",
        "pending",
        "scheduled",
        "subscribers",
        "users",
    )

    def __init__(self, name: ChannelName) -> None:
        self.name = name
        #: In join order, with what is written to each.
        self.subscribers: dict[Subscription, Write] = {}
        self.pending: dict[Connection, Subscription] = {}
        #: Presence only: this node's subscriptions of each user, and the cluster's list of members.
        self.users: dict[str, set[Subscription]] = {} if name.has_members else _NO_USERS
        self.members: MemberList | None = MemberList() if name.has_members else None
        #: Whether the broker brings us what other nodes publish to it.
        self.on_bus = False
        #: Whether the fan-out has it in its queue.
        self.scheduled = False
        self._frames: list[bytes] = []
        self._parts: _Parts = {}
        self._job: _Job | None = None
        #: Made for a job of several chunks; none once somebody has come or gone.
        self._snapshot: _Snapshot | None = None
        self._orders = 0

    def __len__(self) -> int:
        return len(self.subscribers) + len(self.pending)

    @property
    def owes(self) -> bool:
        """Frames are queued or a job is under way."""
        return bool(self._frames) or self._job is not None

    def queue(
        self, frame: bytes, *, skip: Connection | None = None, event_id: int = 0, hold: bool = True
    ) -> None:
        """Owe `frame` to everybody subscribed now, but to `skip`; to the pending ones only if `hold`."""
        sender = None if skip is None else skip.subscriptions.get(self.name.text)
        if sender is not None and sender.active:
            self._part(sender, 0).skipped.append(len(self._frames))
        if self.subscribers:
            self._frames.append(frame)
        if hold:
            for subscription in self.pending.values():
                if subscription.connection is not skip:
                    subscription.held.append((event_id, frame))

    def add(self, subscription: Subscription) -> None:
        """Pending from here on."""
        self.pending[subscription.connection] = subscription
        if subscription.member is not None:
            self.users.setdefault(subscription.member.user_id, set()).add(subscription)

    def activate(self, subscription: Subscription, opening: Sequence[bytes]) -> None:
        """Write the opening frames and what was held back, and receive live from now on."""
        del self.pending[subscription.connection]
        held = [frame for _, frame in subscription.held]
        subscription.held = []
        self._orders += 1
        subscription.order = self._orders
        self.subscribers[subscription] = subscription.connection.write
        self._snapshot = None
        if self._frames:
            self._part(subscription, len(self._frames))
        _write_pieces(subscription, [*opening, *held])

    def settle(self, subscription: Subscription) -> None:
        """Write at once what this subscriber is owed, so that something else may follow it."""
        _write_pieces(subscription, self._claim(subscription))

    def redirect(self, subscription: Subscription) -> None:
        """Its connection's `write` is another one from now on. May be called inside a write."""
        if subscription in self.subscribers:
            write = self.subscribers[subscription] = subscription.connection.write
            if self._snapshot is not None:
                self._snapshot.redirect(subscription, write)
            if self._job is not None:
                self._job.snapshot.redirect(subscription, write)

    def remove(self, subscription: Subscription, *, settle: bool) -> bool:
        """Leave; owed frames are written first if `settle` (not when the transport is gone).

        Whether it was the last of its user here.
        """
        if subscription.active:
            owed = self._claim(subscription)
            self._parts.pop(subscription, None)
            del self.subscribers[subscription]
            self._snapshot = None
            subscription.order = -subscription.order
            if settle:
                _write_pieces(subscription, owed)
        else:
            del self.pending[subscription.connection]
        if subscription.member is None:
            return False
        mates = self.users[subscription.member.user_id]
        mates.discard(subscription)
        if not mates:
            del self.users[subscription.member.user_id]
        return not mates

    def serve(self, limit: int) -> int:
        """Write the next batch, to `limit` subscribers at most; how many they were."""
        if self._job is None:
            frames, self._frames = self._frames, []
            parts, self._parts = self._parts, {}
            if not frames or not self.subscribers:
                return 0
            if len(self.subscribers) <= limit:
                pieces = join(frames)
                if parts or len(pieces) > 1:
                    _write_each(self.subscribers, frames, pieces, parts)
                else:
                    _write_to_all(self.subscribers.values(), pieces[0])
                return len(self.subscribers)
            if self._snapshot is None:
                self._snapshot = _Snapshot(self.subscribers)
            self._job = _Job(frames, parts, self._snapshot)
        served = self._job.serve(limit)
        if self._job.done:
            self._job = None
        return served

    def _part(self, subscription: Subscription, start: int) -> _Part:
        part = self._parts.get(subscription)
        if part is None:
            part = self._parts[subscription] = _Part(start)
        return part

    def _claim(self, subscription: Subscription) -> list[bytes]:
        """Take what is owed to one subscriber out of the running job and out of the queue."""
        owed: list[bytes] = []
        if self._job is not None and self._job.has_yet_to_serve(subscription):
            part = self._job.parts.get(subscription)
            owed += self._job.frames if part is None else part.of(self._job.frames)
            self._job.parts[subscription] = _Part(len(self._job.frames))
        if self._frames:
            part = self._parts.get(subscription)
            owed += self._frames if part is None else part.of(self._frames)
            self._parts[subscription] = _Part(len(self._frames))
        return owed
