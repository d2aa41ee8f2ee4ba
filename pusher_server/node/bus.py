"""Brings a channel the events that other nodes publish on it."""

from pusher_server.errors import ClusterUnavailable
from pusher_server.hub.channel import Channel
from pusher_server.interfaces import Broker, channel_topic


async def subscribe_channel(broker: Broker, app_id: str, channel: Channel) -> None:
    """Subscribe to the events that other nodes publish on the channel, once.

    While the store is away, clients go on with the events of this node. The broker subscribes as soon as the
    store is back (docs/decisions.md#the-store-is-away).
    """
    if not channel.on_bus:
        try:
            await broker.subscribe(channel_topic(app_id, channel.name.text))
        except ClusterUnavailable:
            return
        channel.on_bus = True
