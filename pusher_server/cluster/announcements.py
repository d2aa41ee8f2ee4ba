"""What a store has still to hand out for announcing: leaves that may yet be undone, joins that may be no news.

Signals, and with them webhooks, follow from it; what clients see does not wait for it.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable
from itertools import islice

from pusher_server.cluster.store import Due

#: Address and key.
Place = tuple[str, str]
#: What is handed out at once; the next renewal, which confirms it, brings the next.
AT_ONCE = 500
#: Leases for which the announcement of a leave is remembered.
REMEMBERED = 10


class Announcements:
    """Times are seconds of the store's clock; nodes are named as in holders, without the last part."""

    def __init__(self, *, lease: float, undo_window: float) -> None:
        self._lease = lease
        self._undo_window = undo_window
        #: When the leave is due, the earliest first, and which node has caused it.
        self._leaving: OrderedDict[Place, tuple[float, str]] = OrderedDict()
        #: Leaves that were announced lately, and until when that is remembered.
        self._announced: OrderedDict[Place, float] = OrderedDict()
        #: Leaves in a node's hands: not confirmed yet.
        self._given: set[Place] = set()
        #: Held, and perhaps news, with the node that caused it; and until when all this is unsure.
        self._unsure: dict[Place, str] = {}
        self._unsure_until = float("-inf")

    def doubt(self, now: float) -> None:
        """Memory was lost: for one lease, what is news is unsure."""
        self._unsure_until = now + self._lease

    def is_unsure(self, place: Place) -> bool:
        """Whether it is still open that the key's join is news."""
        return place in self._unsure

    def joined(self, place: Place, node: str, now: float, *, again: bool) -> tuple[bool, bool]:
        """A key became held. Whether that undoes a leave or is none of our news, and whether this is unsure."""
        announced_gone = self._announced.pop(place, None) is not None
        undone = self._leaving.pop(place, None) is not None
        if undone or (again and not announced_gone):
            return True, False
        unsure = place in self._given or (not announced_gone and now < self._unsure_until)
        if unsure:
            self._unsure[place] = node
        return unsure, unsure

    def known(self, place: Place) -> None:
        """Somebody has announced the join of this key before."""
        self._unsure.pop(place, None)

    def left(self, place: Place, node: str, now: float) -> None:
        """A key was released; what nobody was told of needs no farewell."""
        if self._unsure.pop(place, None) is None:
            self._leaving[place] = (now + self._undo_window, node)

    def mourn(self, place: Place, now: float) -> None:
        """A leave that this memory has not seen, unless it is known."""
        if place not in self._leaving and place not in self._announced:
            self._put_first(place, now, "")

    def take(self, now: float, node: str, alive: Collection[str]) -> list[Due]:
        """What `node` is to announce now: its own, and what was caused by nobody alive."""
        found: list[Due] = []
        if self._unsure and now >= self._unsure_until:
            for place, cause in list(self._unsure.items()):
                is_ours = cause == node or cause not in alive
                if len(found) < AT_ONCE and is_ours and place not in self._given:
                    del self._unsure[place]
                    found.append(Due(*place, held=True))
        # Those of others stand between ours, until they take them: not all are looked at.
        for place, (until, cause) in list(islice(self._leaving.items(), 2 * AT_ONCE)):
            if until > now or len(found) == AT_ONCE:
                break
            if cause == node or cause not in alive:
                del self._leaving[place]
                self._announced[place] = now + REMEMBERED * self._lease
                self._announced.move_to_end(place)
                self._given.add(place)
                found.append(Due(*place))
        while self._announced and next(iter(self._announced.values())) <= now:
            self._announced.popitem(last=False)
        return found

    def confirm(self, due: Iterable[Due]) -> None:
        """It was announced."""
        self._given.difference_update((each.address, each.key) for each in due)

    def take_back(self, due: Iterable[Due], held: Collection[Place], node: str, now: float) -> None:
        """It was handed out and not announced. `held` are the places that are held again."""
        for each in due:
            place = (each.address, each.key)
            self._given.discard(place)
            if each.held:
                self._unsure[place] = node
            elif place in held:
                self._unsure.pop(place, None)  # undone, and nobody was told
            elif place not in self._leaving:
                self._put_first(place, now, node)

    def _put_first(self, place: Place, now: float, node: str) -> None:
        self._leaving[place] = (now, node)
        self._leaving.move_to_end(place, last=False)
