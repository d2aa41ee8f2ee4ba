"""This node's membership of one store: its lease, and the recovery from every failure.

The node's own memory is the truth about its keys; the store is an index that can be filled again. So one
recovery serves all failures. Such are a lost link, a lease that ended while this process slept, a store that
restarted empty, and a replica that took over. It has these steps:

- enter under a new name
- subscribe again
- declare all held keys again
- retire the old name
- take a snapshot of every followed topic

The listener sends clients the difference. Other nodes see nothing of it, because the new name holds the keys
before the old one lets go.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from itertools import islice
from typing import TypeVar

from pusher_server.backoff import Backoff
from pusher_server.cluster.commands import Enter, Fenced, Renew, Renewed, Retire
from pusher_server.cluster.followed_topics import FollowedTopics
from pusher_server.cluster.held_keys import HeldKeys, OwnTransition
from pusher_server.cluster.link_subscriptions import LinkSubscriptions
from pusher_server.cluster.links import StoreLink, StoreListener
from pusher_server.cluster.membership_log import MembershipLog
from pusher_server.cluster.wire import (
    ROSTER_KINDS,
    announcement_id,
    decode_message,
    decode_transition,
    is_epoch,
    is_known_kind,
    is_of_another_release,
    opening_of,
    topic_of,
)
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import ClusterListener, RosterFull, Tallies, Transition, Version

logger = logging.getLogger("pusher_server.cluster")

T = TypeVar("T")
Report = Callable[[], Mapping[str, int]]
TallyListener = Callable[[Mapping[str, int], int], None]

#: Seconds between two renewals at the most; also how late a leave may be settled.
BEAT = 0.5
#: Seconds before a failed command is tried again.
PAUSE = 0.05
#: Seconds before the first attempt to attach again, and the most before a later one. No pause lasts longer than
#: a third of a lease. After a store has lost its memory, it waits one lease for nodes to come back.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
#: Commands under way at once while everything is declared again.
SLICE = 200


class StoreMembership(StoreListener, Tallies):
    """One store. `node` names this process, `lease` is in seconds, `random` gives numbers in 0..1."""

    def __init__(
        self,
        link: StoreLink,
        node: str,
        *,
        lease: float,
        undo_window: float,
        random: Callable[[], float],
        on_evicted: Callable[[Mapping[str, int]], None] = lambda counts: None,
    ) -> None:
        """`on_evicted`: by app, how many events of cache channels the store let go before their time."""
        self.link = link
        self.node = node
        self.subscriptions = LinkSubscriptions(link)
        self.held_keys = HeldKeys(
            link, self._on_own_transition, self._fenced, lease=lease, undo_window=undo_window
        )
        self.followed_topics = FollowedTopics(
            link, self.subscriptions, self.held_keys, node, lease=lease
        )
        self._log = MembershipLog(link, node)
        self._own = opening_of(node)
        self._listener: ClusterListener | None = None
        self._reports: list[Report] = []
        self._tally_listeners: list[TallyListener] = []
        self._lease = lease
        self._backoff = Backoff(FIRST_PAUSE, min(LONGEST_PAUSE, lease / 3), random)
        self._number = 0
        #: Holders whose lease had ended, and how many of their keys were released so far.
        self._swept: dict[str, int] = {}
        #: Names under which something may still be held.
        self._names: list[str] = []
        #: The name under which this node holds keys, and the store's memory; "" before the first lease.
        self.holder = ""
        self.epoch = ""
        #: The last batch that was announced, and the last one that can no longer be lost.
        self._settled = 0
        self._confirmed = 0
        self._on_evicted = on_evicted
        #: When the lease was last renewed, by the loop's clock; 0.0 before that.
        self.renewed_at = 0.0
        self._ready = asyncio.Event()
        #: Set when the current lease must end, with the reason.
        self._ended = asyncio.Event()
        self._trouble = ClusterUnavailable("")
        link.attach(self)

    def attach(self, listener: ClusterListener) -> None:
        """Set the listener; once, before `run`."""
        self._listener = self.followed_topics.listener = listener

    @property
    def problem(self) -> str | None:
        """Why the store is unreachable, in one line; None while all is well."""
        return self._log.outage.problem

    def add(self, report: Report, receive: TallyListener) -> None:
        """See `Tallies`."""
        self._reports.append(report)
        self._tally_listeners.append(receive)

    async def ready(self) -> None:
        """Wait until everything is declared and known. The caller bounds the wait."""
        await self._ready.wait()

    def check(self) -> None:
        """Raises ClusterUnavailable while answers would lack keys that are not declared yet."""
        if not self._ready.is_set():
            raise ClusterUnavailable(f"{self.link.peer}: {self.problem or self._trouble}")

    async def ready_again(self) -> None:
        """Wait as `ready` after a failed command, but not at once, to spare a store that refuses."""
        await asyncio.sleep(PAUSE)
        await self._ready.wait()

    async def run(self) -> None:
        """Stay attached, until cancelled."""
        while True:
            try:
                await self._attach()
                await self._stay()
            except ClusterUnavailable as error:
                self._detach(error)
            except Exception:
                logger.exception("the link to %s failed", self.link.peer)
                self.link.close()
                self.on_lost("an unexpected error")
                self._detach(self._trouble)
            await asyncio.sleep(self._backoff.next())

    async def leave(self) -> None:
        """Let everything go now rather than when the lease ends. Raises ClusterUnavailable."""
        self.followed_topics.stop()
        self.held_keys.leave()
        if self.link.is_open and self.holder:
            while (await self.link.call(Retire(self.holder, self._confirmed))).more:
                pass

    def on_push(self, address: str, body: bytes) -> None:
        """Take in a message of another node, or a transition. A failure here is not the link's fault."""
        try:
            self._take_in(address, body)
        except Exception:
            logger.exception("a push could not be taken in", extra={"address": address})

    def _take_in(self, address: str, body: bytes) -> None:
        try:
            topic = topic_of(address)
        except ValueError:  # we subscribe to none of another release
            self._unread(address, body)
            return
        if topic[1] in ROSTER_KINDS:
            transition = decode_transition(body)
            if transition is not None:
                self.followed_topics.on_transition(address, transition)
            else:
                self._unread(address, body)
            return
        if body.startswith(self._own):  # Redis pushes to the publisher too: 0.1 µs instead of 0.7
            return
        envelope = decode_message(body)
        if envelope is None:
            self._unread(address, body)
        elif self._listener is not None:
            self._listener.on_message(topic, envelope.message)

    def _unread(self, address: str, body: bytes) -> None:
        if not is_of_another_release(body):
            self._log.unreadable_publication(address)

    def on_lost(self, reason: str) -> None:
        """The link ended."""
        self.subscriptions.lost()
        self.followed_topics.lost()
        self._end(ClusterUnavailable(reason))

    def _fenced(self) -> None:
        self._end(Fenced())

    def _end(self, trouble: ClusterUnavailable) -> None:
        self._refuse()
        self._trouble = trouble
        self._ended.set()

    def _refuse(self) -> None:
        """Refuse queries and commands until all is declared again."""
        self.held_keys.leave()
        self.followed_topics.detached()
        self._ready.clear()

    def _detach(self, trouble: ClusterUnavailable) -> None:
        self._refuse()
        self._log.detached(str(trouble), asyncio.get_running_loop().time())

    async def _attach(self) -> None:
        """Connect, and take the steps of the recovery."""
        await self.link.open()
        before, self._number = self.holder, self._number + 1
        holder = f"{self.node}.{self._number}"
        former, self._names = self._names, [*self._names, holder]
        entered = await self.link.call(Enter(holder, before, self._confirmed, self.epoch))
        if not is_epoch(entered.epoch):
            raise ClusterUnavailable(
                f"its epoch {entered.epoch[:20]!r} is none of ours; delete the hash that ends in ':world'"
            )
        self._ended.clear()  # commands that were refused under an old name have been answered by now
        self.holder, self.epoch = holder, entered.epoch
        self._settled = self._confirmed = 0
        self._log.rivals(entered.rivals, self._lease)
        self.held_keys.enter(holder, entered.epoch)
        await self._in_slices(map(self.subscriptions.restore, self.subscriptions.missing()))
        places = self.held_keys.places()
        await self._in_slices(map(self.held_keys.declare, places))
        self.link.stats.redeclared += len(places)
        for name in former:
            while (await self.link.call(Retire(name))).more:
                pass
            self._names.remove(name)
        await self._in_slices(self.held_keys.report_gone())
        for state in self.followed_topics.again():  # one by one: each may be large
            await state
        self._attached()

    async def _in_slices(self, sending: Iterable["asyncio.Future[T] | None"]) -> None:
        """Send commands in slices, each after the answers to the one before: a store sets the pace."""
        commands = iter(sending)
        while answers := list(islice(commands, SLICE)):
            last = next((answer for answer in reversed(answers) if answer is not None), None)
            if last is not None:
                with suppress(RosterFull):
                    await last
            if self._ended.is_set():
                raise self._trouble

    def _attached(self) -> None:
        self._log.attached(len(self.held_keys), len(self.followed_topics))
        self.followed_topics.attached()
        self._backoff.reset()
        self._ready.set()

    async def _stay(self) -> None:
        """Renew the lease until something ends it."""
        while True:
            tallies = {name: n for report in self._reports for name, n in report().items()}
            answer = self.link.call(Renew(self.holder, self._confirmed, tallies))
            try:
                async with asyncio.timeout(self._lease / 2):
                    renewed = await answer
            except TimeoutError:
                self.link.close()
                self.on_lost(f"no answer for {self._lease / 2:g} s")
                raise self._trouble from None
            self._renewed(renewed)
            beat = min(BEAT, self._lease / 6)
            if renewed.batch and await self._kept(beat):
                self._confirmed = renewed.batch
                continue  # confirmed at once
            if renewed.more:
                continue
            now = asyncio.get_running_loop().time()
            self.subscriptions.tick(now)
            self.held_keys.tick(now)
            self._log.drops(now)
            try:
                async with asyncio.timeout(beat):
                    await self._ended.wait()
            except TimeoutError:
                continue
            raise self._trouble

    def _renewed(self, renewed: Renewed) -> None:
        self.renewed_at = asyncio.get_running_loop().time()
        for holder, count in renewed.swept.items():
            self._swept[holder] = self._swept.get(holder, 0) + count
        if not renewed.more:
            self._log.swept(self._swept)
            self._swept.clear()
        if renewed.batch > self._settled:
            self._settle(renewed)
        if renewed.evicted:
            self._on_evicted(renewed.evicted)
        for receive in self._tally_listeners:
            receive(renewed.elsewhere, renewed.holders)

    def _settle(self, renewed: Renewed) -> None:
        """Announce a batch. It comes again until it is confirmed, and is announced once."""
        self._settled = renewed.batch
        for due in renewed.due:
            if due.address.count(":") < 2:
                self._log.unreadable_announcement(due.address)
                continue
            self.held_keys.settled((due.address, due.key), held=due.held)
            # Another release's kind of topic is none of ours to announce.
            if self._listener is not None and is_known_kind(due.address):
                self._listener.on_announced(
                    topic_of(due.address),
                    due.key,
                    held=due.held,
                    announcement=announcement_id(
                        due.address, due.key, due.version or self.epoch, held=due.held
                    ),
                )

    async def _kept(self, seconds: float) -> bool:
        """Whether announcements can no longer be lost; waits so many seconds for that at the most."""
        if self._listener is None:
            return True
        try:
            async with asyncio.timeout(seconds):
                await self._listener.kept()
        except TimeoutError:
            return False
        return True

    def _on_own_transition(self, own_transition: OwnTransition) -> None:
        """Pass on the transition of an answer, unless the topic is followed: then the stream brings it."""
        address, key = own_transition.place
        if self._listener is None or self.followed_topics.knows(address):
            return
        self._listener.on_transition(
            Transition(
                topic=topic_of(address),
                key=key,
                value=own_transition.value.encode(),
                held=own_transition.held,
                version=Version(int(self.epoch, 16), own_transition.n),
            )
        )
