"""The announcements that a store has still to hand out: joins, and leaves that may yet be undone.

Signals, and with them webhooks, follow from these. Events to clients do not wait for them. A key's join and its
leave take turns: the next is handed out only when the one before is confirmed.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from itertools import islice

from msgspec import Struct

from pusher_server.cluster.commands import Announcement

#: Address and key.
TopicKey = tuple[str, str]
#: Announcements that are handed out at once; the next renewal, which confirms them, brings the next.
AT_ONCE = 500
#: Leases for which the announcement of a leave is remembered.
REMEMBERED = 10


class _Join(Struct):
    """The node that caused it, the topic's version then, and whether it may be no news."""

    node: str
    version: str
    unsure: bool


class _Leave(Struct):
    """When it is due, the node that caused it, the topic's version then."""

    due: float
    node: str
    version: str


class Announcements:
    """Times are seconds of the store's clock; nodes are named as in holders, without the last part."""

    def __init__(self, *, lease: float, undo_window: float) -> None:
        self._lease = lease
        self._undo_window = undo_window
        #: Not handed out yet, the earliest first.
        self._joining: OrderedDict[TopicKey, _Join] = OrderedDict()
        self._leaving: OrderedDict[TopicKey, _Leave] = OrderedDict()
        #: Leaves that were announced lately, and until when that is remembered.
        self._announced: OrderedDict[TopicKey, float] = OrderedDict()
        #: In a node's hands, not confirmed yet; whether it is a join.
        self._given: dict[TopicKey, bool] = {}
        #: Until then it is unsure which joins are news.
        self._unsure_until = float("-inf")

    def doubt(self, now: float) -> None:
        """Memory was lost: for one lease, it is unsure which joins are news."""
        self._unsure_until = now + self._lease

    def is_unsure(self, place: TopicKey) -> bool:
        """Whether the join of a held key is not known to be announced."""
        return place in self._joining or self._given.get(place, False)

    def joined(self, place: TopicKey, node: str, version: str, now: float, *, again: bool) -> bool:
        """A key became held. Returns whether that undoes a leave or is known; else its join is due."""
        announced_gone = self._announced.pop(place, None) is not None
        undone = self._leaving.pop(place, None) is not None
        if undone or (again and not announced_gone):
            return True
        # A leave in a node's hands: only when that is confirmed, its join is news.
        unsure = place in self._given or (not announced_gone and now < self._unsure_until)
        self._joining[place] = _Join(node, version, unsure)
        return False

    def known(self, place: TopicKey) -> None:
        """A node has announced the join of this key before."""
        self._drop_unsure(place)

    def left(self, place: TopicKey, node: str, version: str, now: float) -> None:
        """A key was released. The leave is due later, unless its join is unsure and not handed out."""
        if not self._drop_unsure(place):
            self._leaving[place] = _Leave(now + self._undo_window, node, version)

    def report_gone(self, place: TopicKey, now: float) -> None:
        """A leave that this memory has not seen, unless it is known.

        While the store is unsure, other nodes may come back with the key and undo the leave.
        """
        if place in self._leaving or place in self._announced:
            return
        if now < self._unsure_until:
            self._leaving[place] = _Leave(self._unsure_until, "", "")
        else:
            self._leave_first(place, _Leave(now, "", ""))

    def take(self, now: float, node: str, alive: Collection[str]) -> list[Announcement]:
        """Hand out announcements to `node`: its own, and those of nodes that are not alive."""
        batch: list[Announcement] = []
        # Those of others stand between ours, until they take them: not all are looked at.
        for place, join in list(islice(self._joining.items(), 2 * AT_ONCE)):
            if len(batch) == AT_ONCE:
                break
            if (
                (join.node == node or join.node not in alive)
                and place not in self._given
                and not (join.unsure and now < self._unsure_until)
            ):
                del self._joining[place]
                self._given[place] = True
                batch.append(Announcement(*place, held=True, version=join.version))
        # A key that was reported gone may be due before those in front of it.
        waiting = list(islice(self._leaving.items(), 2 * AT_ONCE))
        waiting.sort(key=lambda item: item[1].due)
        for place, leave in waiting:
            if leave.due > now or len(batch) == AT_ONCE:
                break
            is_ours = leave.node == node or leave.node not in alive
            if is_ours and place not in self._given and place not in self._joining:
                del self._leaving[place]
                self._announced[place] = now + REMEMBERED * self._lease
                self._announced.move_to_end(place)
                self._given[place] = False
                batch.append(Announcement(*place, version=leave.version))
        while self._announced and next(iter(self._announced.values())) <= now:
            self._announced.popitem(last=False)
        return batch

    def confirm(self, due: Iterable[Announcement]) -> None:
        """Note that a batch was announced."""
        for announcement in due:
            self._given.pop((announcement.address, announcement.key), None)

    def take_back(
        self, due: Iterable[Announcement], held: Collection[TopicKey], node: str, now: float
    ) -> None:
        """Take back a batch that was handed out and not announced. `held`: places that are held again."""
        for announcement in reversed(list(due)):
            place = (announcement.address, announcement.key)
            self._given.pop(place, None)
            if announcement.held:
                self._joining[place] = _Join(node, announcement.version, unsure=False)
                self._joining.move_to_end(place, last=False)
            elif place in held:
                self._drop_unsure(place)  # undone, and not announced
            elif place not in self._leaving:
                self._leave_first(place, _Leave(now, node, announcement.version))

    def _drop_unsure(self, place: TopicKey) -> bool:
        join = self._joining.get(place)
        if join is None or not join.unsure:
            return False
        del self._joining[place]
        return True

    def _leave_first(self, place: TopicKey, leave: _Leave) -> None:
        self._leaving[place] = leave
        self._leaving.move_to_end(place, last=False)
