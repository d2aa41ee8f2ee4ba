"""Log lines for operators about this node's membership of a store."""

import logging
from collections.abc import Mapping, Sequence

from pusher_server.cluster.commands import id_of, node_of
from pusher_server.cluster.links import StoreLink
from pusher_server.log_rate_limit import LogRateLimit
from pusher_server.outage import INTERVAL, Outage
from pusher_server.unreadable import UnreadableLog

logger = logging.getLogger("pusher_server.cluster")


class MembershipLog:
    """Writes the lines of one store. `node` names this process."""

    def __init__(self, link: StoreLink, node: str) -> None:
        self.outage = Outage("not connected yet")
        self._link = link
        self._node = node
        self._fields = {"node": node}
        self._unreadable = UnreadableLog()
        #: Publications that were dropped and reported so far.
        self._dropped_reported = 0
        self._limit = LogRateLimit()
        #: Whether the outage has its first line. At the start there is one without: nothing was tried yet.
        self._is_logged = False
        #: When the last warning about the outage was written.
        self._warned_at = 0.0

    def detached(self, problem: str, now: float) -> None:
        """The store is away, or still is: a warning at the beginning and once a minute; `now` only rises."""
        is_news = self.outage.begin(problem, kind=problem)
        if not self._is_logged and is_news:
            self._is_logged, self._warned_at = True, now
            logger.warning("%s is away: %s", self._link.peer, problem, extra=self._fields)
        elif self._is_logged and now - self._warned_at >= INTERVAL:
            self._warned_at = now
            logger.warning("%s still is away: %s", self._link.peer, problem, extra=self._fields)
        elif is_news:
            logger.info("%s still is away: %s", self._link.peer, problem, extra=self._fields)

    def attached(self, keys: int, topics: int) -> None:
        """All is declared and known: so many keys are held, so many topics followed."""
        self._dropped_reported = self._link.stats.dropped
        self._is_logged = False
        if self.outage.end():
            logger.info(
                "attached to %s: %d keys held, %d topics followed, %d publications dropped so far",
                self._link.peer,
                keys,
                topics,
                self._dropped_reported,
                extra=self._fields,
            )

    def drops(self, now: float) -> None:
        """Report a store that takes publications too slowly; after an outage `attached` reports them."""
        dropped = self._link.stats.dropped - self._dropped_reported
        if dropped and self._limit.due("dropped", now):
            self._dropped_reported += dropped
            logger.warning(
                "%s is slow: %d publications dropped, which the other nodes have missed",
                self._link.peer,
                dropped,
                extra=self._fields,
            )

    def swept(self, holders: Mapping[str, int]) -> None:
        """The leases of these holders have ended, and so many of their keys were released."""
        for holder, count in holders.items():
            if node_of(holder) != self._node:
                logger.warning(
                    "node %s is gone: %d of its keys released",
                    id_of(holder),
                    count,
                    extra=self._fields,
                )

    def rivals(self, holders: Sequence[str], lease: float) -> None:
        """Other holders have this node's name. After a crash, its own former lease is there for a while."""
        if holders:
            logger.error(
                "cluster.node_id: another node calls itself %s; give each node its own. (Only after a"
                " crash of this node is that its own shadow, for %g s.)",
                id_of(holders[0]),
                lease,
            )

    def unreadable_publication(self, address: str) -> None:
        """A message that no node of this program has sent."""
        self._unreadable.report(
            "a publication of another program",
            f"{address!r} at {self._link.peer}",
            "only this server's nodes may publish there; in Redis give each program a prefix of its own",
        )

    def unreadable_announcement(self, address: str) -> None:
        """A change to announce whose topic is none of ours."""
        self._unreadable.report(
            "a change that is to be announced",
            f"{address!r} at {self._link.peer}",
            "somebody else has written it; it is dropped now",
        )
