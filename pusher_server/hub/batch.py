"""A batch of frames on its way to a channel's subscribers."""

from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pusher_server.hub.channel import Subscription

#: Joined writes are cut at a frame boundary near this size, so that one write stays far below the
#: slow-consumer cap (docs/decisions.md#slow-readers).
JOIN_BYTES = 65_536

Write = Callable[[bytes], None]
Subscribers = dict["Subscription", Write]


class Exclusions:
    """Selects the frames of a batch for one subscriber: those from `start` on, but the `skipped` ones."""

    __slots__ = ("skipped", "start")

    def __init__(self, start: int = 0) -> None:
        self.start = start
        self.skipped: list[int] = []

    def of(self, frames: Sequence[bytes], had: int = 0) -> list[bytes]:
        """The selected frames, without the first `had`."""
        start = max(self.start, had)
        if not self.skipped:
            return list(frames[start:])
        skipped = set(self.skipped)
        return [frames[i] for i in range(start, len(frames)) if i not in skipped]


ExclusionMap = dict["Subscription", Exclusions]


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


class SubscriberList:
    """A channel's subscriptions in join order, each with its `write`."""

    __slots__ = ("targets", "writes")

    def __init__(self, subscribers: Subscribers) -> None:
        self.targets = list(subscribers)
        self.writes = list(subscribers.values())

    def index(self, subscription: "Subscription") -> int | None:
        """The place of a subscription, or None."""
        index = bisect_left(self.targets, abs(subscription.order), key=_order)
        is_here = index < len(self.targets) and self.targets[index] is subscription
        return index if is_here else None

    def redirect(self, subscription: "Subscription", write: Write) -> None:
        """Use another `write` for a subscription from now on."""
        index = self.index(subscription)
        if index is not None:
            self.writes[index] = write


def _order(target: "Subscription") -> int:
    """Orders rise along a snapshot, also when a subscriber in it has left."""
    return abs(target.order)


class FanoutJob:
    """One batch on its way to a snapshot of subscribers."""

    __slots__ = ("_joined", "_segments", "_size", "frames", "parts", "snapshot")

    def __init__(self, frames: list[bytes], parts: ExclusionMap, snapshot: SubscriberList) -> None:
        self.frames = frames
        self.parts = parts
        self.snapshot = snapshot
        self._size = sum(map(len, frames))
        #: Stretches of the snapshot (first, end, how many frames they have had), the longest waiting first.
        self._segments = deque([(0, len(snapshot.targets), 0)])
        #: The last join, and of which frames: it serves the next chunk, too.
        self._joined: tuple[int, int, Sequence[bytes]] = (0, 0, ())

    @property
    def done(self) -> bool:
        """Every subscriber has had every frame."""
        return self._segments[0][2] == len(self.frames)

    def takes(self, frames: list[bytes]) -> bool:
        """True while these frames still fit one write (`JOIN_BYTES`). The bound also makes every job end."""
        return self._size + sum(map(len, frames)) <= JOIN_BYTES

    def add(self, frames: list[bytes], parts: ExclusionMap) -> None:
        """More frames for the same subscribers."""
        offset = len(self.frames)
        for subscription, part in parts.items():
            mine = self.parts.setdefault(subscription, Exclusions())
            mine.skipped += [offset + i for i in part.skipped]
            if part.start:
                mine.start = offset + part.start
        self.frames += frames
        self._size += sum(map(len, frames))

    def claim(self, subscription: "Subscription") -> list[bytes]:
        """Take the frames that the subscription has not had yet; the job will not write them."""
        index = self.snapshot.index(subscription)
        if index is None:
            return []
        had = next(had for first, end, had in self._segments if first <= index < end)
        if had == len(self.frames):
            return []
        part = self.parts.setdefault(subscription, Exclusions())
        owed = part.of(self.frames, had)
        part.start = len(self.frames)
        return owed

    def serve(self, limit: int) -> int:
        """Write to the next subscribers, `limit` at most. Returns their number."""
        first, last, had = self._segments.popleft()
        end = min(first + limit, last)
        if end < last:
            self._segments.appendleft((end, last, had))
        self._has_all(first, end)
        pieces = self._pieces(had)
        if self.parts or len(pieces) > 1:
            write_each(self.snapshot.targets[first:end], self.frames, had, pieces, self.parts)
        else:
            write_to_all(self.snapshot.writes[first:end], pieces[0])
        return end - first

    def _has_all(self, first: int, end: int) -> None:
        before, until, had = self._segments[-1] if self._segments else (0, 0, 0)
        if until == first and had == len(self.frames):
            self._segments[-1] = (before, end, had)
        else:
            self._segments.append((first, end, len(self.frames)))

    def _pieces(self, had: int) -> Sequence[bytes]:
        if self._joined[:2] != (had, len(self.frames)):
            self._joined = (had, len(self.frames), join(self.frames[had:]))
        return self._joined[2]


def write_to_all(writes: Iterable[Write], piece: bytes) -> None:
    """The hot loop: about 0.03 µs of Python per subscriber beside the kernel's send.

    With thousands of subscribers each object is a cache miss, so the loop touches nothing but the writes.
    """
    for write in writes:
        write(piece)


def write_each(
    targets: Iterable["Subscription"],
    frames: list[bytes],
    had: int,
    pieces: Sequence[bytes],
    parts: ExclusionMap,
) -> None:
    """Write where subscribers get different frames, or several pieces: a write may redirect the next one."""
    for target in targets:
        part = parts.get(target)
        for piece in pieces if part is None else join(part.of(frames, had)):
            target.connection.write(piece)
