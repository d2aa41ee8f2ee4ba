"""This node's standing at one store: the lease, and the way back from whatever goes wrong.

The node's own memory is the truth about what it holds; the store is an index that can be filled again. So
there is one way back from everything, be it a lost link, a lease that ended while this process slept, a
store that restarted empty or a replica that took over: enter under a new name, subscribe again, hold again
all that is held, retire the old name, and take a snapshot of every topic that is followed. The listener tells
clients the difference. Others see nothing of it, because the new name holds before the old one lets go.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from pusher_server.cluster.backoff import Backoff
from pusher_server.cluster.followings import Followings
from pusher_server.cluster.holdings import Holdings, News
from pusher_server.cluster.interest import Interest
from pusher_server.cluster.links import StoreLink, StoreListener
from pusher_server.cluster.store import Enter, Fenced, Renew, Renewed, Retire
from pusher_server.cluster.wire import decode_message, decode_transition, opening_of, topic_of
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import ClusterListener, Tallies, Transition, Version

logger = logging.getLogger("pusher_server.cluster")

T = TypeVar("T")
Report = Callable[[], Mapping[str, int]]
Heard = Callable[[Mapping[str, int], int], None]

#: What belongs to rosters, by the kind of its topic; everything else is messages.
ROSTER_KINDS = frozenset(("members", "channels", "users"))
#: Seconds between two renewals at the most; also how late a leave may be settled.
BEAT = 0.5
#: Seconds before a failed command is tried again.
PAUSE = 0.05
#: Commands sent in one turn of the loop while everything is declared again.
SLICE = 200


class Attachment(StoreListener, Tallies):
    """One store. `node` names this process, `lease` is in seconds, `random` gives numbers in 0..1."""

    def __init__(
        self,
        link: StoreLink,
        node: str,
        *,
        lease: float,
        undo_window: float,
        random: Callable[[], float],
    ) -> None:
        self.link = link
        self.node = node
        self.interest = Interest(link)
        self.holdings = Holdings(link, self._on_news, self._fenced, undo_window=undo_window)
        self.followings = Followings(link, self.interest, self.holdings, node, lease=lease)
        #: Why the store cannot be asked; None while all is well.
        self.problem: str | None = "not connected yet"
        self._own = opening_of(node)
        self._listener: ClusterListener | None = None
        self._reports: list[Report] = []
        self._heard: list[Heard] = []
        self._lease = lease
        self._backoff = Backoff(random)
        self._number = 0
        #: The name under which this node holds keys, and the store's memory; "" before the first lease.
        self.holder = ""
        self.epoch = ""
        self._confirmed = 0
        self._ready = asyncio.Event()
        #: Set when what goes on must end, with the reason.
        self._ended = asyncio.Event()
        self._trouble = ClusterUnavailable("")
        link.attach(self)

    def attach(self, listener: ClusterListener) -> None:
        """Who is told; once, before `run`."""
        self._listener = self.followings.listener = listener

    def add(self, report: Report, heard: Heard) -> None:
        """See `Tallies`."""
        self._reports.append(report)
        self._heard.append(heard)

    async def ready(self) -> None:
        """Wait until everything is declared and known. The caller bounds the wait."""
        await self._ready.wait()

    async def ready_again(self) -> None:
        """After a failed command: as `ready`, but not at once, so that a store that refuses is not pestered."""
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
        self.followings.stop()
        self.holdings.leave()
        if self.link.is_open and self.holder:
            while (await self.link.call(Retire(self.holder, self._confirmed))).more:
                pass

    def on_push(self, address: str, body: bytes) -> None:
        """A message of another node, or a transition."""
        topic = topic_of(address)
        if topic[1] in ROSTER_KINDS:
            transition = decode_transition(body)
            if transition is not None:
                self.followings.on_transition(address, transition)
            return
        if body.startswith(self._own):  # Redis tells the publisher too: 0.1 µs instead of 0.7
            return
        envelope = decode_message(body)
        if envelope is not None and self._listener is not None:
            self._listener.on_message(topic, envelope.message)

    def on_lost(self, reason: str) -> None:
        """The link ended."""
        self.interest.lost()
        self.followings.lost()
        self._end(ClusterUnavailable(reason))

    def _fenced(self) -> None:
        self._end(Fenced())

    def _end(self, trouble: ClusterUnavailable) -> None:
        self.holdings.leave()
        self._ready.clear()
        self._trouble = trouble
        self._ended.set()

    def _detach(self, trouble: ClusterUnavailable) -> None:
        self.holdings.leave()
        self._ready.clear()
        if self.problem is None:
            logger.warning("%s is away: %s", self.link.peer, trouble, extra={"node": self.node})
        elif self.problem != str(trouble):
            logger.info("%s still is away: %s", self.link.peer, trouble, extra={"node": self.node})
        self.problem = str(trouble)

    async def _attach(self) -> None:
        """Open, enter, declare everything, know everything."""
        self._ended.clear()
        await self.link.open()
        before, self._number = self.holder, self._number + 1
        holder = f"{self.node}.{self._number}"
        known = self.epoch
        entered = await self.link.call(Enter(holder, before, self._confirmed, known))
        self.holder, self.epoch, self._confirmed = holder, entered.epoch, 0
        self._warn_of(entered.rivals)
        self.holdings.enter(holder, entered.epoch)
        for addresses in _slices(self.interest.missing()):
            for address in addresses:
                self.interest.restore(address)
            await self._turn()
        for places in _slices(self.holdings.places()):
            for place in places:
                self.holdings.declare(place)
            await self._turn()
        while before and (await self.link.call(Retire(before))).more:
            pass
        self.holdings.mourn(lost_memory=known not in ("", entered.epoch))
        asked = self.followings.again(entered.epoch)
        while answers := list(islice(asked, SLICE)):
            for answer in answers:
                await answer
        self._attached()

    def _attached(self) -> None:
        if self.problem is not None:
            logger.info(
                "attached to %s: %d keys held, %d topics followed, %d publications dropped so far",
                self.link.peer,
                len(self.holdings),
                len(self.followings),
                self.link.stats.dropped,
                extra={"node": self.node},
            )
        self.problem = None
        self._backoff.reset()
        self._ready.set()

    async def _turn(self) -> None:
        await asyncio.sleep(0)
        if self._ended.is_set():
            raise self._trouble

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
            if renewed.more or renewed.batch:
                continue  # a batch is confirmed at once
            now = asyncio.get_running_loop().time()
            self.interest.tick(now)
            self.holdings.tick(now)
            try:
                async with asyncio.timeout(min(BEAT, self._lease / 6)):
                    await self._ended.wait()
            except TimeoutError:
                continue
            raise self._trouble

    def _renewed(self, renewed: Renewed) -> None:
        for holder, count in renewed.swept.items():
            logger.warning(
                "node %s is gone: %d of its keys released",
                holder.partition(".")[0],
                count,
                extra={"node": self.node},
            )
        if renewed.batch:
            for due in renewed.due:
                self.holdings.settled((due.address, due.key), held=due.held)
                if self._listener is not None:
                    self._listener.on_settled(topic_of(due.address), due.key, held=due.held)
            self._confirmed = renewed.batch
        for heard in self._heard:
            heard(renewed.elsewhere, renewed.holders)

    def _warn_of(self, rivals: list[str]) -> None:
        """After a crash, the node's own former lease is still there for a while."""
        if rivals:
            logger.error(
                "cluster.node_id: another node calls itself %s; give each node its own. (Only after a"
                " crash of this node is that its own shadow, for %g s.)",
                rivals[0].partition(".")[0],
                self._lease,
            )

    def _on_news(self, news: News) -> None:
        """An answer told of a transition; of a topic that is followed, the stream tells it."""
        address, key = news.place
        if self._listener is None or (self.followings.knows(address) and not news.overtaken):
            return
        self._listener.on_transition(
            Transition(
                topic=topic_of(address),
                key=key,
                value=news.value.encode(),
                held=news.held,
                version=Version(int(self.epoch, 16), news.n),
                origin=True,
                returned=news.returned,
            )
        )


def _slices(items: list[T]) -> Iterator[list[T]]:
    for start in range(0, len(items), SLICE):
        yield items[start : start + SLICE]
