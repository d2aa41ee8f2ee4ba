"""Which addresses one link is to push: subscribed at once, unsubscribed a second late.

A channel that empties and fills again (a page reload) costs the store nothing, and after a lost link all that
is still wanted is asked for again.
"""

import asyncio
from collections import OrderedDict

from pusher_server.cluster.commands import Nothing, Subscribe, Unsubscribe
from pusher_server.cluster.links import StoreLink
from pusher_server.errors import ClusterUnavailable

#: Seconds for which an address stays subscribed after nobody needs it any more.
LINGER = 1.0


class LinkSubscriptions:
    """The wanted addresses, and what the current connection has been asked for."""

    def __init__(self, link: StoreLink) -> None:
        self._link = link
        self._wanted: dict[str, None] = {}
        #: Asked for on this connection; the answer while it is not there yet.
        self._asked: dict[str, asyncio.Future[Nothing] | None] = {}
        #: No longer wanted since, the longest first.
        self._idle: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._wanted)

    def add(self, address: str) -> "asyncio.Future[Nothing] | None":
        """The answer to wait for; None when it is subscribed already.

        Raises ClusterUnavailable when the link is away; it is subscribed when that is back.
        """
        self._wanted[address] = None
        self._idle.pop(address, None)
        if not self._link.is_open:
            raise ClusterUnavailable(f"{self._link.peer} is away")
        return self._asked[address] if address in self._asked else self._ask(address)

    def discard(self, address: str, now: float) -> None:
        """No longer wanted."""
        if address in self._wanted:
            del self._wanted[address]
            if address in self._asked:
                self._idle[address] = now

    def tick(self, now: float) -> None:
        """Unsubscribe what has not been wanted for a while."""
        while self._idle:
            address, since = next(iter(self._idle.items()))
            if since > now - LINGER:
                break
            del self._idle[address]
            if address in self._asked:  # else it was refused
                del self._asked[address]
                self._link.call(Unsubscribe(address))

    def lost(self) -> None:
        """The connection is gone, and its subscriptions with it."""
        self._asked.clear()
        self._idle.clear()

    def missing(self) -> list[str]:
        """What is wanted and this connection has not been asked for."""
        return [address for address in self._wanted if address not in self._asked]

    def restore(self, address: str) -> "asyncio.Future[Nothing] | None":
        """Ask for it again, unless that has happened meanwhile or it is no longer wanted."""
        if address in self._wanted and address not in self._asked and self._link.is_open:
            return self._ask(address)
        return None

    def _ask(self, address: str) -> "asyncio.Future[Nothing]":
        answer = self._link.call(Subscribe(address))
        self._asked[address] = answer
        answer.add_done_callback(lambda done: self._answered(address, done))
        return answer

    def _answered(self, address: str, answer: "asyncio.Future[Nothing]") -> None:
        if self._asked.get(address) is answer:
            if answer.cancelled() or answer.exception() is not None:
                del self._asked[address]
            else:
                self._asked[address] = None
