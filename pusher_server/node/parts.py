"""The objects that all parts of a node share, as one value."""

from collections.abc import Callable, Iterator

from msgspec import Struct

from pusher_server.diagnosis.evidence import Evidence
from pusher_server.hub.hub import Hub
from pusher_server.interfaces import Broker, Census, Roster
from pusher_server.node.observers import Observers


class NodeParts(Struct, frozen=True, kw_only=True):
    """Each part of the node takes its dependencies from here.

    `node_id` names this process among all there ever were. `event_ids` yields numbers unique in the cluster,
    `clock` seconds that only rise.
    """

    node_id: str
    hub: Hub
    broker: Broker
    roster: Roster
    census: Census
    observers: Observers
    evidence: Evidence
    clock: Callable[[], float]
    event_ids: Iterator[int]
