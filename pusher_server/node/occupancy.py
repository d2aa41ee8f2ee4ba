"""Declares this node's occupied channels to the cluster, with the number of their subscribers.

A channel that becomes occupied or vacant is declared at once. Its number of subscribers is declared within a
tick of a change, or at once where clients see the number (`counts`).
"""

from collections.abc import Mapping

from pusher_server.hub.app_state import AppState
from pusher_server.hub.channel import Channel
from pusher_server.interfaces import channels_topic
from pusher_server.node.parts import NodeParts

#: Digits of a number of subscribers, at most.
_DIGITS = 10


def total(here: int, holders: Mapping[str, bytes], node_id: str) -> int:
    """The subscriptions of a channel: this node's own number exactly, the others' from the roster."""
    others = (value for holder, value in holders.items() if holder != node_id)
    return here + sum(int(value) for value in others if is_number(value))


def is_number(value: bytes) -> bool:
    """Whether a node of ours would hold this for a channel: its subscribers, as a few digits."""
    return len(value) <= _DIGITS and value.isdigit()


class Occupancy:
    """Declares the occupied channels of one node; `#server-to-user-*` channels are internal."""

    def __init__(self, parts: NodeParts) -> None:
        self._roster = parts.roster
        #: Channels with another number than the declared one.
        self._changed: dict[Channel, AppState] = {}

    def opened(self, app_state: AppState, channel: Channel) -> None:
        """The channel has its first subscriber here."""
        if channel.name.user_id is None:
            self.declare(app_state, channel)

    def changed(self, app_state: AppState, channel: Channel) -> None:
        """A subscriber has joined or left, and others remain."""
        if not self._roster.alone and channel.name.user_id is None:
            self._changed[channel] = app_state

    def closed(self, app_state: AppState, channel: Channel) -> None:
        """The last one here has left."""
        self._changed.pop(channel, None)
        if channel.name.user_id is None:
            self._roster.untrack(channels_topic(app_state.app.id), channel.name.text)

    def declare(self, app_state: AppState, channel: Channel) -> None:
        """Declare the number as it is now."""
        self._changed.pop(channel, None)
        self._roster.declare(
            channels_topic(app_state.app.id), channel.name.text, b"%d" % len(channel)
        )

    def tick(self) -> None:
        """Declare the numbers that have changed. Called a few times a second."""
        for channel, app_state in list(self._changed.items()):
            self.declare(app_state, channel)
