"""What the cluster knows of this node's channels: that they are occupied, and by how many connections.

Whether a channel is occupied is told at once. How many subscribers it has here is told within a tick of a
change, or at once where clients see the number (`counts`).
"""

from collections.abc import Mapping

from pusher_server.hub.app_state import AppState
from pusher_server.hub.channel import Channel
from pusher_server.interfaces import channels_topic
from pusher_server.node.parts import NodeParts

#: Nobody has more subscribers than these can say.
_DIGITS = 10


def total(here: int, holders: Mapping[str, bytes], node_id: str) -> int:
    """The subscriptions of a channel: this node's own number exactly, the others' from the roster."""
    others = (value for holder, value in holders.items() if holder != node_id)
    return here + sum(int(value) for value in others if is_number(value))


def is_number(value: bytes) -> bool:
    """Whether a node of ours would hold this for a channel: its subscribers, as a few digits."""
    return len(value) <= _DIGITS and value.isdigit()


class Occupancy:
    """Declares the occupied channels of one node; user channels are nobody's business."""

    def __init__(self, parts: NodeParts) -> None:
        self._roster = parts.roster
        #: Whose number has changed since it was told.
        self._changed: dict[Channel, AppState] = {}

    def opened(self, app_state: AppState, channel: Channel) -> None:
        """It has its first subscriber here."""
        if channel.name.user_id is None:
            self.tell(app_state, channel)

    def changed(self, app_state: AppState, channel: Channel) -> None:
        """Somebody has joined or left, and others remain."""
        if not self._roster.alone and channel.name.user_id is None:
            self._changed[channel] = app_state

    def closed(self, app_state: AppState, channel: Channel) -> None:
        """The last one here has left."""
        self._changed.pop(channel, None)
        if channel.name.user_id is None:
            self._roster.untrack(channels_topic(app_state.app.id), channel.name.text)

    def tell(self, app_state: AppState, channel: Channel) -> None:
        """The number as it is now."""
        self._changed.pop(channel, None)
        self._roster.declare(
            channels_topic(app_state.app.id), channel.name.text, b"%d" % len(channel)
        )

    def tick(self) -> None:
        """Tell what has changed. Called a few times a second."""
        for channel, app_state in list(self._changed.items()):
            self.tell(app_state, channel)
