"""What a node is built from, in one value that its parts share."""

from collections.abc import Callable, Iterator

from msgspec import Struct

from pusher_server.hub.hub import Hub
from pusher_server.interfaces import Broker, Census, Roster
from pusher_server.node.observers import Observers


class NodeParts(Struct, frozen=True, kw_only=True):
    """Each part of the node takes what it needs from here.

    `node_id` names this process among all there ever were. `event_ids` yields numbers unique in the cluster,
    `clock` seconds that only rise.
    """

    node_id: str
    hub: Hub
    broker: Broker
    roster: Roster
    census: Census
    observers: Observers
    clock: Callable[[], float]
    event_ids: Iterator[int]
