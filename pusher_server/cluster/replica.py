"""The version of one roster topic that this node knows; it judges transitions by it.

No list is kept here: that is the listener's. This decides whether a transition is the next one, an old one,
or proof that something was missed (docs/decisions.md#versions-have-an-epoch).
"""

import asyncio
from enum import Enum

from pusher_server.cluster.commands import TopicState
from pusher_server.cluster.wire import Transitioned


class Verdict(Enum):
    """The verdict on a transition."""

    #: It is the next one.
    NEXT = "next"
    #: It is contained in what is known.
    OLD = "old"
    #: Something before it was missed, or the store has another memory: take a snapshot.
    MISSED = "missed"
    #: A snapshot is on its way; it decides.
    LATER = "later"


class Replica:
    """One followed topic. `with_entries`: the listener keeps its list; else it looks up single keys."""

    __slots__ = (
        "address",
        "arrived",
        "doubtful",
        "epoch",
        "missed",
        "n",
        "pending",
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
        self.pending: asyncio.Future[TopicState] | None = None
        #: Transitions that came while it was awaited.
        self.arrived: list[Transitioned] = []
        #: The store lost its memory: a key that is not in the snapshot may only be late.
        self.doubtful = False
        #: Without a list: `on_missed` has still to be called.
        self.missed = False
        #: The rebuild lease has passed: keys missing from the next snapshot are gone for good.
        self.reports_gone = False
        #: Versions and the futures that wait until they are known.
        self.waiting: list[tuple[int, asyncio.Future[None]]] = []

    def unknown(self) -> None:
        """Forget the version: only a snapshot can bring the next one."""
        self.n = None
        self.pending = None
        self.arrived.clear()

    def adopt(self, state: TopicState) -> None:
        """Take the version of the store."""
        self.epoch, self.n, self.size = state.epoch, state.n, len(state.entries)
        self.pending = None

    def judge(self, transition: Transitioned) -> Verdict:
        """Judge a transition, and note its version."""
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
        return Verdict.NEXT

    def reached(self) -> None:
        """Wake the futures whose version is known now."""
        if self.waiting and self.n is not None:
            known = self.n
            due = [future for n, future in self.waiting if n <= known]
            self.waiting = [(n, future) for n, future in self.waiting if n > known]
            for future in due:
                if not future.done():
                    future.set_result(None)

    def release(self) -> None:
        """Wake all futures: the topic is known anew, or no longer needed."""
        waiting, self.waiting = self.waiting, []
        for _, future in waiting:
            if not future.done():
                future.set_result(None)
