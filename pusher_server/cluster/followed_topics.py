"""The topics of one store that this node follows: snapshots, transitions in order, and the recovery from gaps.

See docs/decisions.md#versions-have-an-epoch.

This node is the authority on the keys that it holds itself. A store may report the release of such a key, or
send a snapshot without it. This only means that our lease had ended or that the store lost its memory, and the
key is being declared again. Clients here get no event that they themselves have left.

After the store has lost its memory, keys come back node by node. Until a lease has passed, a key that a
snapshot lacks is only doubtful. After that it is gone, and reported as gone, so that its leave is announced
once. A key that had been held for less than a second was perhaps not announced. Its holder knows, and reports
it as gone if it was.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from functools import partial

from pusher_server.cluster.commands import ReportGone, TopicState, node_of
from pusher_server.cluster.commands import Snapshot as TakeSnapshot
from pusher_server.cluster.held_keys import HeldKeys, TopicKey
from pusher_server.cluster.link_subscriptions import LinkSubscriptions
from pusher_server.cluster.links import StoreLink
from pusher_server.cluster.replica import Replica, Verdict
from pusher_server.cluster.wire import Transitioned, topic_of
from pusher_server.interfaces import ClusterListener, Snapshot, Transition, Version

#: Seconds in which a join has certainly been announced, if all goes well: two renewals.
FRESH = 1.0


class FollowedTopics:
    """`node` names this process: transitions of its holders are its own."""

    def __init__(
        self,
        link: StoreLink,
        subscriptions: LinkSubscriptions,
        held_keys: HeldKeys,
        node: str,
        *,
        lease: float,
    ) -> None:
        self.listener: ClusterListener | None = None
        self._link = link
        self._held_keys = held_keys
        self._subscriptions = subscriptions
        self._node = node
        self._lease = lease
        self._replicas: dict[str, Replica] = {}
        self._is_attached = False
        #: Keys that became held, when, the oldest first; and those that were fresh when the store was lost.
        self._fresh: OrderedDict[TopicKey, float] = OrderedDict()
        self._perhaps_unannounced: set[TopicKey] = set()
        #: Timer that ends all doubts, and the memory of the store that they are about.
        self._doubts: asyncio.TimerHandle | None = None
        self._doubted = ""

    def __len__(self) -> int:
        return len(self._replicas)

    def knows(self, address: str) -> bool:
        """Whether the topic is followed and up to date, so that its transitions come from the stream."""
        replica = self._replicas.get(address)
        return replica is not None and replica.n is not None

    def follow(self, address: str, *, with_entries: bool) -> "asyncio.Future[TopicState]":
        """Get the topic now, and from here on its transitions. Raises ClusterUnavailable."""
        replica = self._replicas.get(address)
        if replica is None or (with_entries and not replica.with_entries):
            replica = self._replicas[address] = Replica(address, with_entries=with_entries)
        self._subscriptions.add(address)
        if replica.pending is not None:
            return replica.pending  # many may come while it is on its way
        return self._take(replica)

    def forget(self, address: str) -> None:
        """No longer follow it."""
        replica = self._replicas.pop(address, None)
        if replica is not None:
            replica.release()
            self._subscriptions.discard(address, asyncio.get_running_loop().time())

    async def seen(self, address: str, n: int) -> None:
        """Wait until the listener has received a followed topic's version `n`."""
        replica = self._replicas.get(address)
        if replica is not None and (replica.n is None or replica.n < n):
            reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            replica.waiting.append((n, reached))
            await reached

    def detached(self) -> None:
        """Queries have no answers until `attached`."""
        if self._is_attached:
            if self._doubts is None:
                self._perhaps_unannounced.clear()
            self._forget_stale()
            self._perhaps_unannounced.update(self._fresh)
            self._fresh.clear()
        self._is_attached = False

    def lost(self) -> None:
        """The link ended: nothing is known until the next snapshot."""
        for replica in self._replicas.values():
            replica.unknown()

    def again(self) -> Iterator["asyncio.Future[TopicState]"]:
        """Request a snapshot of every topic, one by one as the caller goes on."""
        for replica in list(self._replicas.values()):
            if self._replicas.get(replica.address) is replica:
                yield self._take(replica)

    def attached(self) -> None:
        """Everything is declared: queries have answers from now on."""
        self._is_attached = True
        for replica in [late for late in self._replicas.values() if late.missed]:
            self._missed(replica)

    def on_transition(self, address: str, transition: Transitioned) -> None:
        """A key became held or was released at the store."""
        replica = self._replicas.get(address)
        if replica is not None:
            self._judge(replica, transition)

    def stop(self) -> None:
        """The process ends."""
        if self._doubts is not None:
            self._doubts.cancel()

    def _take(self, replica: Replica) -> "asyncio.Future[TopicState]":
        replica.unknown()
        answer = self._link.call(TakeSnapshot(replica.address, replica.with_entries))
        replica.pending = answer
        answer.add_done_callback(partial(self._adopt, replica))
        return answer

    def _adopt(self, replica: Replica, answer: "asyncio.Future[TopicState]") -> None:
        is_current = self._replicas.get(replica.address) is replica and replica.pending is answer
        if not is_current or answer.cancelled() or answer.exception() is not None:
            return
        state = answer.result()
        if replica.epoch not in ("", state.epoch):
            replica.release()  # versions of the lost memory do not come any more
            self._doubt(replica, state.epoch)  # some nodes have declared, others will
        arrived, replica.arrived = replica.arrived, []
        replica.adopt(state)
        topic = topic_of(replica.address)
        if self.listener is not None and replica.with_entries:
            ours = self._held_keys.in_topic(replica.address)
            known = {**state.entries, **ours, **state.entries}  # its order, and its values first
            entries = {key: value.encode() for key, value in known.items()}
            snapshot = Snapshot(_version(state.epoch, state.n), entries)
            gone = self.listener.on_snapshot(topic, snapshot, doubtful=replica.doubtful)
            if replica.reports_gone and not replica.doubtful:
                for key in gone:
                    if (replica.address, key) not in self._perhaps_unannounced:
                        self._link.call(ReportGone(replica.address, key))
                replica.reports_gone = False
        elif self._is_attached:
            self._missed(replica)
        else:
            replica.missed = True  # keys can be looked up when all is declared
        for transition in arrived:
            self._judge(replica, transition)
        replica.reached()

    def _missed(self, replica: Replica) -> None:
        replica.missed = False
        if self.listener is not None:
            self.listener.on_missed(topic_of(replica.address), doubtful=replica.doubtful)

    def _judge(self, replica: Replica, transition: Transitioned) -> None:
        verdict = replica.judge(transition)
        if verdict is Verdict.MISSED:
            self._take(replica)
        elif verdict is Verdict.NEXT and transition.updated:
            self._updated(replica, transition)
        elif verdict is Verdict.NEXT and self.listener is not None:
            place = (replica.address, transition.key)
            if transition.held:
                by_us = node_of(transition.holder) == self._node
                self._held_keys.became_held(place, by_us=by_us)
                self._forget_stale()
                self._fresh[place] = asyncio.get_running_loop().time()
                self._fresh.move_to_end(place)
            elif self._held_keys.keeps(place):
                replica.reached()
                return
            self.listener.on_transition(
                Transition(
                    topic=topic_of(replica.address),
                    key=transition.key,
                    value=transition.value.encode(),
                    held=transition.held,
                    version=_version(transition.epoch, transition.n),
                )
            )
            replica.reached()

    def _updated(self, replica: Replica, transition: Transitioned) -> None:
        version = _version(transition.epoch, transition.n)
        self._held_keys.updated((replica.address, transition.key), transition.value)
        if self.listener is not None:
            topic, value = topic_of(replica.address), transition.value.encode()
            self.listener.on_updated(topic, transition.key, value, version)
        replica.reached()

    def _forget_stale(self) -> None:
        until = asyncio.get_running_loop().time() - FRESH
        while self._fresh and next(iter(self._fresh.values())) <= until:
            self._fresh.popitem(last=False)

    def _doubt(self, replica: Replica, epoch: str) -> None:
        """The store has another memory: for a lease, a missing key may only be late."""
        replica.doubtful = True
        if self._doubts is None or self._doubted != epoch:
            self.stop()
            self._doubted = epoch
            self._doubts = asyncio.get_running_loop().call_later(self._lease, self._end_doubts)

    def _end_doubts(self) -> None:
        """Keys that have not come back within a lease are gone."""
        self._doubts = None
        for replica in list(self._replicas.values()):
            if replica.doubtful:
                replica.doubtful, replica.reports_gone = False, True
                if self._link.is_open:  # else the snapshot after the link's return decides
                    self._take(replica)


def _version(epoch: str, n: int) -> Version:
    return Version(int(epoch, 16), n)
