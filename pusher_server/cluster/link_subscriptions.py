"""The addresses that one link has to push: subscribed at once, unsubscribed a second late.

A channel that empties and fills again (a page reload) costs the store nothing. After a lost link all needed
addresses are subscribed again.
"""

import asyncio
from collections import OrderedDict

from pusher_server.cluster.commands import Nothing, Subscribe, Unsubscribe
from pusher_server.cluster.links import StoreLink
from pusher_server.errors import ClusterUnavailable

#: Seconds for which an address stays subscribed after its last use.
LINGER = 1.0


class LinkSubscriptions:
    """The wanted addresses, and the requests on the current connection."""

    def __init__(self, link: StoreLink) -> None:
        self._link = link
        self._wanted: dict[str, None] = {}
        #: Subscribed on this connection -> the answer while it is not there yet.
        self._requested: dict[str, asyncio.Future[Nothing] | None] = {}
        #: Unwanted addresses and since when, oldest first; unsubscribed after `LINGER`.
        self._idle: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        return len(self._wanted)

    def add(self, address: str) -> "asyncio.Future[Nothing] | None":
        """Subscribe. Returns the answer to wait for; None when it is subscribed already.

        Raises ClusterUnavailable when the link is away; it is subscribed when that is back.
        """
        self._wanted[address] = None
        self._idle.pop(address, None)
        if not self._link.is_open:
            raise ClusterUnavailable(f"{self._link.peer} is away")
        return self._requested[address] if address in self._requested else self._request(address)

    def discard(self, address: str, now: float) -> None:
        """No longer wanted."""
        if address in self._wanted:
            del self._wanted[address]
            if address in self._requested:
                self._idle[address] = now

    def tick(self, now: float) -> None:
        """Unsubscribe addresses that have not been wanted for a while."""
        while self._idle:
            address, since = next(iter(self._idle.items()))
            if since > now - LINGER:
                break
            del self._idle[address]
            if address in self._requested:  # else it was refused
                del self._requested[address]
                self._link.call(Unsubscribe(address))

    def lost(self) -> None:
        """The connection is gone, and its subscriptions with it."""
        self._requested.clear()
        self._idle.clear()

    def missing(self) -> list[str]:
        """The wanted addresses that this connection has no request for."""
        return [address for address in self._wanted if address not in self._requested]

    def restore(self, address: str) -> "asyncio.Future[Nothing] | None":
        """Subscribe again, unless that has happened meanwhile or the address is no longer wanted."""
        if address in self._wanted and address not in self._requested and self._link.is_open:
            return self._request(address)
        return None

    def _request(self, address: str) -> "asyncio.Future[Nothing]":
        answer = self._link.call(Subscribe(address))
        self._requested[address] = answer
        answer.add_done_callback(lambda done: self._answered(address, done))
        return answer

    def _answered(self, address: str, answer: "asyncio.Future[Nothing]") -> None:
        if self._requested.get(address) is answer:
            if answer.cancelled() or answer.exception() is not None:
                del self._requested[address]
            else:
                self._requested[address] = None
