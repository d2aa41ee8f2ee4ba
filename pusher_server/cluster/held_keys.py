"""The keys that this node holds at one store, and how far the store has confirmed them.

The dictionary here is the truth; keys can be declared to the store again at any time. In a memory (epoch) of
the store, a key counts as announced in two cases. This node has announced its join, or the store has answered
that it was announced. Only such a key is no news for webhooks when it is declared again, after the store has
lost its memory.
"""

from asyncio import Future, get_running_loop
from collections import OrderedDict
from collections.abc import Callable
from functools import partial

from pusher_server.cluster.commands import (
    Fenced,
    Nothing,
    Released,
    ReportGone,
    Track,
    Tracked,
    Untrack,
)
from pusher_server.cluster.links import StoreLink
from pusher_server.interfaces import RosterFull, TopicKind

#: Address and key.
TopicKey = tuple[str, str]
#: Seconds after its undo window by which a leave has been given to us to announce, or was undone.
LATE = 0.6
#: Clients see the values of these topics, so a change of one is sent to the nodes that follow them.
_VISIBLE = f"{TopicKind.MEMBERS}:"
#: Seconds after which a key is declared again that the store was unsure of.
ASK_AGAIN = 1.0


class HeldKey:
    """One key: its value, the holder under which it was declared, and the epoch of its announced join."""

    __slots__ = ("announced_in", "holder", "is_let_in", "limit", "value")

    def __init__(self) -> None:
        self.value = ""
        self.limit = 0
        self.holder = ""
        self.announced_in = ""
        #: A store has let us have it: it counts towards no limit any more.
        self.is_let_in = False


class OwnTransition:
    """A transition that this node has caused, from the answer to its command."""

    __slots__ = ("held", "n", "place", "value")

    def __init__(self, place: TopicKey, value: str, n: int, *, held: bool) -> None:
        self.place = place
        self.value = value
        self.n = n
        self.held = held


class HeldKeys:
    """`on_transition` gets transitions of answers, `fenced` is called when the lease has ended. In seconds."""

    def __init__(
        self,
        link: StoreLink,
        on_transition: Callable[[OwnTransition], None],
        fenced: Callable[[], None],
        *,
        lease: float,
        undo_window: float,
    ) -> None:
        self._link = link
        self._on_transition = on_transition
        self._fenced = fenced
        self._held: dict[TopicKey, HeldKey] = {}
        #: The same by address and key.
        self._topics: dict[str, dict[str, HeldKey]] = {}
        #: Released while the store was away -> in which epoch they were announced.
        self._unreleased: dict[TopicKey, str] = {}
        #: Keys released at the store -> (when, epoch), until their leave is announced. The oldest first.
        self._leaving: OrderedDict[TopicKey, tuple[float, str]] = OrderedDict()
        #: Keys we announced, then released, that other nodes still hold -> (when, epoch). Kept until those
        #: nodes know that the join was announced. The oldest first.
        self._passed_on: OrderedDict[TopicKey, tuple[float, str]] = OrderedDict()
        #: Keys reported gone -> (when, epoch): that memory may be lost before the leave is due. Oldest first.
        self._reported_gone: OrderedDict[TopicKey, tuple[float, str]] = OrderedDict()
        self._lease = lease
        self._undo_window = undo_window
        #: Held keys whose join is not announced yet -> when the store answered so. Declared again until it is.
        self._unsure: OrderedDict[TopicKey, float] = OrderedDict()
        #: The holder that commands name; "" while none may be sent.
        self._holder = ""
        self._epoch = ""

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, place: TopicKey) -> bool:
        return place in self._held

    def enter(self, holder: str, epoch: str) -> None:
        """Commands may be sent under this name, in this memory of the store."""
        self._holder, self._epoch = holder, epoch

    def leave(self) -> None:
        """No command may be sent."""
        self._holder = ""

    def hold(self, place: TopicKey, value: str, limit: int) -> "Future[Tracked] | None":
        """Hold it from now on. Returns the store's answer, None while the store is away."""
        held = self._held.get(place)
        if held is None:
            held = self._put(place)
            known_in = self._unreleased.pop(place, "")
            for places in (self._leaving, self._reported_gone, self._passed_on):
                _, epoch = places.pop(place, (0.0, ""))
                known_in = known_in or epoch
            held.announced_in = known_in
        held.value, held.limit = value, limit
        return self._track(place, held) if self._holder else None

    def release(self, place: TopicKey) -> None:
        """No longer hold it."""
        held = self._take(place)
        if held is None:
            return
        if not self._holder or held.holder != self._holder:
            # The store does not know the present name for it: `report_gone` or `Retire` will release it.
            self._not_released(place, held)
            return
        if held.announced_in:
            self._leaving[place] = (get_running_loop().time(), self._epoch)
        answer = self._link.call(Untrack(self._holder, *place))
        answer.add_done_callback(partial(self._released, place, held))

    def in_topic(self, address: str) -> dict[str, str]:
        """The keys of a topic that a store has let us have: key -> value. No store can overrule them."""
        topic = self._topics.get(address, {})
        return {key: held.value for key, held in topic.items() if held.is_let_in}

    def keeps(self, place: TopicKey) -> bool:
        """Whether we hold the key and a store has let us have it."""
        held = self._held.get(place)
        return held is not None and held.is_let_in

    def places(self) -> list[TopicKey]:
        """All held keys."""
        return list(self._held)

    def declare(self, place: TopicKey) -> "Future[Tracked] | None":
        """Declare the key to the store, unless it is declared under the present name or no longer held."""
        held = self._held.get(place)
        if held is None or held.holder == self._holder:
            return None
        return self._track(place, held)

    def became_held(self, place: TopicKey, *, by_us: bool) -> None:
        """The stream brought the transition, with or without an answer."""
        self._pass_on(place)  # undone, here or elsewhere
        held = self._held.get(place)
        if by_us and held is not None and held.holder == self._holder:
            held.is_let_in = True

    def updated(self, place: TopicKey, value: str) -> None:
        """The value given last counts: ours must not undo it when it is declared again."""
        held = self._held.get(place)
        if held is not None:
            held.value = value

    def settled(self, place: TopicKey, *, held: bool) -> None:
        """This node has just announced the join or the leave."""
        kept = self._held.get(place)
        if not held:
            self._leaving.pop(place, None)
            self._passed_on.pop(place, None)
            self._reported_gone.pop(place, None)
            if kept is not None:  # held again too late to undo it
                kept.announced_in = ""
            return
        if kept is None:  # released meanwhile, or another node's: the leave is still to come
            self._leaving[place] = (get_running_loop().time(), self._epoch)
            return
        kept.announced_in = self._epoch
        self._unsure.pop(place, None)

    def tick(self, now: float) -> None:
        """The store has just answered, at `now`."""
        self._forget_settled(now)
        self._declare_unsure(now)

    def _forget_settled(self, now: float) -> None:
        """Forget leaves that we were not given to announce in time: they were undone elsewhere."""
        for places, seconds in (
            (self._leaving, self._undo_window + LATE),
            (self._reported_gone, self._lease + LATE),
            (self._passed_on, 2 * ASK_AGAIN),
        ):
            while places and next(iter(places.values()))[0] <= now - seconds:
                places.popitem(last=False)

    def _declare_unsure(self, now: float) -> None:
        while self._unsure and next(iter(self._unsure.values())) <= now - ASK_AGAIN:
            place, _ = self._unsure.popitem(last=False)
            held = self._held.get(place)
            if held is not None and not held.announced_in:
                self._track(place, held)

    def report_gone(self) -> "list[Future[Nothing]]":
        """Report keys as gone that we released in a lost memory, and whose leave was not announced.

        In the memory that the store still has, its own rules announce it.
        """
        now, answers = get_running_loop().time(), []
        known = {
            place: epoch
            for places in (self._passed_on, self._reported_gone, self._leaving)
            for place, (_, epoch) in places.items()
        }
        for place, epoch in {**known, **self._unreleased}.items():
            if epoch != self._epoch:
                self._leaving.pop(place, None)
                self._passed_on.pop(place, None)
                self._reported_gone.pop(place, None)
                if place not in self._held:
                    self._reported_gone[place] = (now, self._epoch)
                    answers.append(self._link.call(ReportGone(*place)))
        self._unreleased.clear()
        return answers

    def _put(self, place: TopicKey) -> HeldKey:
        held = self._held[place] = HeldKey()
        self._topics.setdefault(place[0], {})[place[1]] = held
        return held

    def _take(self, place: TopicKey) -> HeldKey | None:
        held = self._held.pop(place, None)
        if held is not None:
            topic = self._topics[place[0]]
            del topic[place[1]]
            if not topic:
                del self._topics[place[0]]
        return held

    def _track(self, place: TopicKey, held: HeldKey) -> "Future[Tracked]":
        held.holder = self._holder
        again = held.announced_in not in ("", self._epoch)
        limit = 0 if held.is_let_in else held.limit
        tell = place[0].startswith(_VISIBLE)
        answer = self._link.call(Track(self._holder, *place, held.value, limit, again, tell))
        answer.add_done_callback(partial(self._tracked, place, held, self._epoch))
        return answer

    def _tracked(
        self, place: TopicKey, held: HeldKey, epoch: str, answer: "Future[Tracked]"
    ) -> None:
        if answer.cancelled():
            return
        match answer.exception():
            case None:
                tracked = answer.result()
                held.is_let_in = True
                if not tracked.unsure:
                    held.announced_in = epoch
                elif tracked.held_now:
                    held.announced_in = ""
                if tracked.unsure and self._held.get(place) is held:
                    self._unsure[place] = get_running_loop().time()
                if tracked.held_now:
                    self._on_transition(OwnTransition(place, held.value, tracked.n, held=True))
            case RosterFull() if self._held.get(place) is held and not held.is_let_in:
                self._take(place)
            case Fenced():
                self._fenced()

    def _released(self, place: TopicKey, held: HeldKey, answer: "Future[Released]") -> None:
        error = None if answer.cancelled() else answer.exception()
        if error is not None:
            self._not_released(place, held)
            if isinstance(error, Fenced):
                self._fenced()
        elif answer.cancelled():
            return
        elif not (released := answer.result()).n:
            self._pass_on(place)  # others hold it: this leave is none
        else:
            if place not in self._held and held.announced_in == self._epoch:
                self._leaving.setdefault(place, (get_running_loop().time(), self._epoch))
            self._on_transition(OwnTransition(place, released.value, released.n, held=False))

    def _pass_on(self, place: TopicKey) -> None:
        _, reported_in = self._reported_gone.pop(place, (0.0, ""))
        _, left_in = self._leaving.pop(place, (0.0, reported_in))
        if left_in:
            self._passed_on[place] = (get_running_loop().time(), left_in)
            self._passed_on.move_to_end(place)

    def _not_released(self, place: TopicKey, held: HeldKey) -> None:
        if not held.announced_in:
            return
        anew = self._held.get(place)
        if anew is None:
            self._unreleased[place] = held.announced_in
        elif not anew.announced_in:
            anew.announced_in = held.announced_in
