"""How far this node knows one roster topic, and what a transition means for it.

No list is kept here: that is the listener's. This decides whether a transition is the next one, an old one,
or proof that something was missed (docs/decisions.md#versions-have-an-epoch).
"""

import asyncio
from enum import Enum

from pusher_server.cluster.commands import TopicState
from pusher_server.cluster.wire import Transitioned


class Verdict(Enum):
    """What to do with a transition."""

    #: It is the next one.
    TELL = "tell"
    #: It is contained in what is known.
    OLD = "old"
    #: Something before it was missed, or the store has another memory: take a snapshot.
    MISSED = "missed"
    #: A snapshot is on its way; it decides.
    LATER = "later"


class Replica:
    """One followed topic. `with_entries`: the listener keeps its list; else it asks for single keys."""

    __slots__ = (
        "address",
        "arrived",
        "asked",
        "doubtful",
        "epoch",
        "missed",
        "n",
        "reports_gone",
        "size",
        "waiting",
        "with_entries",
    )

    def __init__(self, address: str, *, with_entries: bool) -> None:
        self.address = address
        self.with_entries = with_entries
        #: The store's memory that is known; "" before the first snapshot.
        self.epoch = ""
        #: The version that is known; None while a snapshot is awaited.
        self.n: int | None = None
        self.size = 0
        #: The snapshot that is awaited: an older one's answer counts no more.
        self.asked: asyncio.Future[TopicState] | None = None
        #: Transitions that came while it was awaited.
        self.arrived: list[Transitioned] = []
        #: The store lost its memory: who is not in the snapshot may only be late.
        self.doubtful = False
        #: Without a list: the listener has yet to be told that it missed something.
        self.missed = False
        #: Doubts have just ended: who is not in the next snapshot has left.
        self.reports_gone = False
        #: Who waits until a version is known.
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []

    def unknown(self) -> None:
        """From here on only a snapshot helps."""
        self.n = None
        self.asked = None
        self.arrived.clear()

    def adopt(self, state: TopicState) -> None:
        """The store's word."""
        self.epoch, self.n, self.size = state.epoch, state.n, len(state.entries)
        self.asked = None

    def judge(self, transition: Transitioned) -> Verdict:
        """Take note of a transition."""
        if self.n is None:
            self.arrived.append(transition)
            return Verdict.LATER
        if transition.epoch != self.epoch:
            return Verdict.MISSED
        if transition.n <= self.n:
            return Verdict.OLD
        # A topic that was empty may have forgotten its version: then the next one starts higher (`store`).
        starts = transition.first and self.with_entries and self.size == 0
        if transition.n != self.n + 1 and not starts:
            return Verdict.MISSED
        self.n = transition.n
        if self.with_entries and not transition.updated:
            self.size += 1 if transition.held else -1
        return Verdict.TELL

    def reached(self) -> None:
        """Wake those whose version is known now."""
        if self.waiting and self.n is not None:
            known = self.n
            due = [future for n, future in self.waiting if n <= known]
            self.waiting = [each for each in self.waiting if each[0] > known]
            for future in due:
                if not future.done():
                    future.set_result(None)

    def release(self) -> None:
        """Nobody waits any longer: the topic is known anew, or no longer needed."""
        waiting, self.waiting = self.waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_result(None)
