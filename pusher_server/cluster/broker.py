"""The broker over shared stores: the verbs of `interfaces.Broker`, as commands."""

import asyncio
from collections import OrderedDict
from collections.abc import Callable

from pusher_server.cluster.store import Publish, Recall, Remember
from pusher_server.cluster.stores import Stores
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

#: Cache channels whose last event this node knows by itself, for when the store is away.
REMEMBERED = 10_000


class SharedBroker(Broker):
    """While a store is away, publications are dropped and counted (`LinkStats.dropped`)."""

    def __init__(self, stores: Stores, clock: Callable[[], float]) -> None:
        self._stores = stores
        self._clock = clock
        #: What this node published last to cache channels, and until when it counts; the oldest first.
        self._own: OrderedDict[Topic, tuple[CachedEvent, float]] = OrderedDict()

    async def subscribe(self, topic: Topic) -> None:
        """Raises ClusterUnavailable; the topic is subscribed then as soon as the store is back."""
        at, address = self._stores.at(topic)
        answer = at.interest.want(address)
        if answer is not None:
            await asyncio.shield(answer)

    def unsubscribe(self, topic: Topic) -> None:
        """No longer interested."""
        at, address = self._stores.at(topic)
        at.interest.drop(address, asyncio.get_running_loop().time())

    def publish(
        self, topic: Topic, message: ClusterMessage, *, remember: Retention | None = None
    ) -> None:
        """Tell the other nodes; what cannot be sent is dropped and counted."""
        at, address = self._stores.at(topic)
        body = encode_message(self._stores.node, message)
        if remember is None or not isinstance(message, EventMessage):
            at.link.publish(Publish(address, body))
            return
        event = CachedEvent(
            payload=message.payload, data=remember.data, event_id=message.event_id, ttl=remember.ttl
        )
        self._own.pop(topic, None)
        self._own[topic] = (event, self._clock() + remember.ttl)
        if len(self._own) > REMEMBERED:
            self._own.popitem(last=False)
        at.link.publish(Remember(address, body, encode_cached(event), remember.ttl))

    async def cached(self, topic: Topic) -> CachedEvent | None:
        """The last remembered event; while the store is away, this node's own last one if it has any."""
        at, address = self._stores.at(topic)
        try:
            found = await at.link.call(Recall(address))
        except ClusterUnavailable:
            own, until = self._own.get(topic, (None, 0.0))
            if own is None or until <= self._clock():
                raise
            return _with_ttl(own, until - self._clock())
        event = decode_cached(found.cached) if found.cached else None
        return None if event is None else _with_ttl(event, found.ttl)


def _with_ttl(event: CachedEvent, ttl: float) -> CachedEvent:
    return CachedEvent(payload=event.payload, data=event.data, event_id=event.event_id, ttl=ttl)
