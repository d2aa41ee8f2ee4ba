"""The link of a node to a store: one ordered connection.

Answers and pushes form one stream: a push that stands after an answer happened after it.
"""

import asyncio
from typing import Any, Protocol

from msgspec import Struct

from pusher_server.cluster.commands import Command, Publish, R, Remember


class StoreListener(Protocol):
    """Receives the pushes of a link, on the loop and in the order of the store."""

    def on_push(self, address: str, body: bytes) -> None:
        """A message was published, or a transition happened (`wire` distinguishes them by the address)."""

    def on_lost(self, reason: str) -> None:
        """The link ended, and with it all subscriptions. Called once per `open`; not after `close`."""


class LinkStats(Struct):
    """Counters of one link, for metrics and logs."""

    opened: int = 0
    commands: int = 0
    pushes: int = 0
    #: Publications that were not sent, because the link was away or its queue full.
    dropped: int = 0
    #: Keys that were declared again after the store had been away.
    redeclared: int = 0


class StoreLink(Protocol):
    """An ordered connection to one store.

    Commands are sent in the order of `call`, those of one turn of the loop together, and answered in this
    order. When the link ends, every open answer fails with ClusterUnavailable.
    """

    stats: LinkStats
    #: The store that it leads to, for logs: never with a password.
    peer: str

    @property
    def is_open(self) -> bool:
        """Whether commands can be sent now."""

    def attach(self, listener: StoreListener) -> None:
        """Set the listener of pushes; once, before `open`."""

    async def open(self) -> None:
        """Connect, unless connected. Raises ClusterUnavailable with a reason that an operator understands."""

    def close(self) -> None:
        """End the connection, if there is one; open answers fail. `open` may follow."""

    def call(self, command: Command[R]) -> "asyncio.Future[R]":
        """Send it. The future may be dropped: an answer that nobody waits for is not an error.

        Fails with ClusterUnavailable when the link is not open or ends, with an error of `REFUSALS` when the
        store refuses.
        """

    def publish(self, command: Publish | Remember) -> bool:
        """Send it without an answer and with a bound. Returns False when it was dropped.

        Publications are dropped while the link is not open, and while more than `QUEUE_BYTES` wait for the
        store. A slow store must not fill a node's memory.
        """


#: Bytes that may wait in one link for a store that does not read, before publications are dropped.
QUEUE_BYTES = 8 * 2**20


def fail(answer: "asyncio.Future[Any]", error: Exception) -> None:
    """Set the error, unless the answer is over. An answer that nobody waits for is not an error."""
    if not answer.done():
        answer.set_exception(error)
        answer.exception()  # counts as seen
