"""The broker over shared stores: the verbs of `interfaces.Broker`, as commands."""

import asyncio
from collections.abc import Callable

from pusher_server.cluster.commands import Publish, Recall, Remember
from pusher_server.cluster.last_events import LastEvent, LastEvents, keep_last
from pusher_server.cluster.sharding import Shards
from pusher_server.cluster.wire import decode_cached, encode_cached, encode_message
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import (
    Broker,
    CachedEvent,
    ClusterMessage,
    EventMessage,
    Retention,
    Topic,
)

#: Bytes of an app's last events that this node keeps by itself, for when the store is away.
OWN_BYTES = 8 * 2**20


class SharedBroker(Broker):
    """While a store is away, publications are dropped and counted (`LinkStats.dropped`)."""

    def __init__(self, stores: Shards, clock: Callable[[], float]) -> None:
        self._stores = stores
        self._clock = clock
        #: The last events that this node published to cache channels.
        self._own: LastEvents[LastEvent] = LastEvents()

    async def subscribe(self, topic: Topic) -> None:
        """Raises ClusterUnavailable; the topic is subscribed then as soon as the store is back."""
        at, address = self._stores.at(topic)
        answer = at.subscriptions.add(address)
        if answer is not None:
            await asyncio.shield(answer)

    def unsubscribe(self, topic: Topic) -> None:
        """No longer interested."""
        at, address = self._stores.at(topic)
        at.subscriptions.discard(address, asyncio.get_running_loop().time())

    def publish(
        self, topic: Topic, message: ClusterMessage, *, remember: Retention | None = None
    ) -> None:
        """Publish to the other nodes; a message that cannot be sent is dropped and counted."""
        at, address = self._stores.at(topic)
        body = encode_message(self._stores.node, message)
        if remember is None or not isinstance(message, EventMessage):
            at.link.publish(Publish(address, body))
            return
        limit = remember.limit
        own = min(limit, OWN_BYTES) if limit else OWN_BYTES
        event = keep_last(self._own, topic, message, remember, self._clock(), own)
        # An app's channels are spread evenly over the stores.
        share = max(1, limit // len(self._stores.memberships)) if limit else 0
        at.link.publish(Remember(address, body, encode_cached(event), remember.ttl, share))

    async def cached(self, topic: Topic) -> CachedEvent | None:
        """The last remembered event; while the store is away, this node's own last one if it has any."""
        at, address = self._stores.at(topic)
        try:
            remembered = await at.link.call(Recall(address))
        except ClusterUnavailable:
            own = self._own.get(topic[0], topic[2], self._clock())
            if own is None:
                raise
            return own[0].event(own[1])
        event = decode_cached(remembered.cached) if remembered.cached else None
        return None if event is None else event.event(remembered.ttl)

    def sweep(self) -> None:
        """Forget events that have expired. Called a few times a second."""
        self._own.sweep(self._clock())
        self._own.take_evicted()  # copies: evictions are counted at the store
