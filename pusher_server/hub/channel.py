"""One channel on this node: its subscribers, and the frames that they are still owed.

How frames get out (docs/decisions.md#fan-out):

1. `queue` appends a frame to those that are owed. Nothing is written yet.
2. The fan-out calls `serve` in the same loop turn. All that has gathered becomes one immutable `FanoutJob` and
   is written joined, once per subscriber. A channel larger than one chunk is served over several turns
   from a snapshot. The snapshot is kept for the next job while no subscriber joins or leaves. Frames queued
   meanwhile join the job while it is small. Subscribers that had no turn yet get all of it in one write.
   The others get the rest in a second round. Else the frames form the next job, which starts after it.
3. A small map, subscription -> `Exclusions`, has the subscribers that must not get all of it. Such are an
   excluded sender, and one that joined after the first frame. Only these get a join of their own, so an
   exclusion never splits a batch.
4. `settle` writes at once the frames that one subscriber is still owed. This happens before it leaves, and
   before a direct write to it that belongs to this channel.

A subscription is pending until its success frame is written; frames for it are held back in it.
"""

from collections.abc import Sequence
from typing import NamedTuple

from pusher_server.app import AppKey, Member
from pusher_server.hub.batch import (
    ExclusionMap,
    Exclusions,
    FanoutJob,
    SubscriberList,
    Subscribers,
    join,
    write_each,
    write_to_all,
)
from pusher_server.hub.connection import Connection
from pusher_server.hub.members import MemberList
from pusher_server.protocol.channel_name import ChannelName
from pusher_server.protocol.errors import Code

#: Bytes held for a subscription that waits for other nodes, unless one frame is larger. As many are kept for
#: a slow reader by default. A busy channel brings more in the time that it may wait.
HELD_BYTES = 2_097_152


class Owed(NamedTuple):
    """How many subscriptions a frame is owed to: those that are active, and those that are pending."""

    active: int
    held: int


class Subscription:
    """One connection in one channel. A new one for every join, so its identity is the visit's."""

    __slots__ = (
        "authorized_by",
        "channel",
        "connection",
        "held",
        "held_bytes",
        "member",
        "order",
    )

    def __init__(
        self,
        channel: "Channel",
        connection: Connection,
        member: Member | None,
        authorized_by: AppKey | None = None,
    ) -> None:
        self.channel = channel
        self.connection = connection
        self.member = member
        #: The key whose secret signed the right to be here; None on channels that need none.
        self.authorized_by = authorized_by
        #: Place in the channel's join order; 0 while pending, negative once it has left.
        self.order = 0
        #: Frames for it while pending: (event id, frame).
        self.held: list[tuple[int, bytes]] = []
        self.held_bytes = 0

    def hold(self, event_id: int, frame: bytes) -> None:
        """Keep a frame until the success frame is written. With too many bytes the connection is closed."""
        self.held_bytes += len(frame)
        if self.held and self.held_bytes > HELD_BYTES:
            self.held.clear()
            self.connection.close(Code.OVER_CAPACITY, "The server could not answer in time")
        else:
            self.held.append((event_id, frame))

    @property
    def active(self) -> bool:
        """The success frame has been written, and it has not left."""
        return self.order > 0

    @property
    def gone(self) -> bool:
        """The subscription has left, or its connection has."""
        return self.connection.subscriptions.get(self.channel.name.text) is not self


#: Shared by all channels without members; never changed.
_NO_USERS: dict[str, set[Subscription]] = {}


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
        "behind",
        "left",
        "members",
        "name",
        "on_bus",
        "pending",
        "scheduled",
        "since",
        "subscribers",
        "users",
    )

    def __init__(self, name: ChannelName) -> None:
        self.name = name
        #: In join order, each with its `write`.
        self.subscribers: Subscribers = {}
        self.pending: dict[Connection, Subscription] = {}
        #: Presence only: this node's subscriptions of each user, and the cluster's list of members.
        self.users: dict[str, set[Subscription]] = {} if name.has_members else _NO_USERS
        self.members: MemberList | None = MemberList() if name.has_members else None
        #: Whether the broker brings us the messages that other nodes publish to it.
        self.on_bus = False
        #: Whether the fan-out has it in its queue.
        self.scheduled = False
        #: Latency bookkeeping of the fan-out. `since`: when the oldest frame of this pass was queued. `behind`:
        #: the same of the next pass, at the earliest. `left`: subscribers that this pass has still to serve.
        self.since = self.behind = 0.0
        self.left = 0
        self._frames: list[bytes] = []
        self._parts: ExclusionMap = {}
        self._job: FanoutJob | None = None
        #: Made for a job of several chunks; None again after a join or a leave.
        self._snapshot: SubscriberList | None = None
        self._orders = 0

    def __len__(self) -> int:
        return len(self.subscribers) + len(self.pending)

    @property
    def owes(self) -> bool:
        """Frames are queued or a job is under way."""
        return bool(self._frames) or self._job is not None

    def queue(
        self, frame: bytes, *, skip: Connection | None = None, event_id: int = 0, hold: bool = True
    ) -> Owed:
        """Owe `frame` to all subscribers except `skip`; to the pending ones only if `hold`."""
        active, held = len(self.subscribers), 0
        sender = None if skip is None else skip.subscriptions.get(self.name.text)
        if sender is not None and sender.active:
            self._part(sender, 0).skipped.append(len(self._frames))
            active -= 1
        if self.subscribers:
            self._frames.append(frame)
        if hold:
            for subscription in self.pending.values():
                if subscription.connection is not skip:
                    subscription.hold(event_id, frame)
                    held += 1
        return Owed(active, held)

    def add(self, subscription: Subscription) -> None:
        """Add a subscription, pending from here on."""
        self.pending[subscription.connection] = subscription
        if subscription.member is not None:
            self.users.setdefault(subscription.member.user_id, set()).add(subscription)

    def activate(self, subscription: Subscription, opening: Sequence[bytes]) -> None:
        """Write the opening frames and the held ones; later frames are delivered live."""
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
        """Write at once the frames that this subscriber is owed, so that a direct write may follow them."""
        _write_pieces(subscription, self._claim(subscription))

    def redirect(self, subscription: Subscription) -> None:
        """Use the connection's new `write` from now on. May be called inside a write."""
        if subscription in self.subscribers:
            write = self.subscribers[subscription] = subscription.connection.write
            if self._snapshot is not None:
                self._snapshot.redirect(subscription, write)
            if self._job is not None:
                self._job.snapshot.redirect(subscription, write)

    def remove(self, subscription: Subscription, *, settle: bool) -> bool:
        """Leave; owed frames are written first if `settle` (not when the transport is gone).

        Returns whether it was the last of its user here.
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
        """Write the next batch, to `limit` subscribers at most. Returns their number."""
        if self._job is None:
            frames, parts = self._take()
            if not frames or not self.subscribers:
                return 0
            if len(self.subscribers) <= limit:
                pieces = join(frames)
                if parts or len(pieces) > 1:
                    write_each(self.subscribers, frames, 0, pieces, parts)
                else:
                    write_to_all(self.subscribers.values(), pieces[0])
                return len(self.subscribers)
            if self._snapshot is None:
                self._snapshot = SubscriberList(self.subscribers)
            self._job = FanoutJob(frames, parts, self._snapshot)
        elif (
            self._frames and self._snapshot is self._job.snapshot and self._job.takes(self._frames)
        ):
            self._job.add(*self._take())
        served = self._job.serve(limit)
        if self._job.done:
            self._job = None
        return served

    def _take(self) -> tuple[list[bytes], ExclusionMap]:
        """Take the queued frames out of the queue."""
        frames, self._frames = self._frames, []
        parts, self._parts = self._parts, {}
        return frames, parts

    def _part(self, subscription: Subscription, start: int) -> Exclusions:
        part = self._parts.get(subscription)
        if part is None:
            part = self._parts[subscription] = Exclusions(start)
        return part

    def _claim(self, subscription: Subscription) -> list[bytes]:
        """Take the frames owed to one subscriber out of the running job and out of the queue."""
        owed: list[bytes] = []
        if self._job is not None:
            owed += self._job.claim(subscription)
        if self._frames:
            part = self._parts.get(subscription)
            owed += self._frames if part is None else part.of(self._frames)
            self._parts[subscription] = Exclusions(len(self._frames))
        return owed
