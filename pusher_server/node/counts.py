"""The `subscription_count` event: opt-in per app, told to all subscribers when it changes (PROTOCOL §3.7)."""

from collections.abc import Callable

from pusher_server.hub.channel import Channel
from pusher_server.hub.hub import Hub
from pusher_server.hub.space import AppSpace
from pusher_server.protocol import events
from pusher_server.signals import Signal, SubscriptionCountChanged

#: Above this many subscribers a change is told at most every `INTERVAL` seconds, as Pusher does.
CROWD = 100
INTERVAL = 5.0


class SubscriptionCounts:
    """Tells small channels at once and crowds at intervals; `tick` tells what had to wait."""

    def __init__(
        self, hub: Hub, emit: Callable[[Signal], None], clock: Callable[[], float]
    ) -> None:
        self._hub = hub
        self._emit = emit
        self._clock = clock
        #: Crowded channels told lately, and when they may be told again.
        self._quiet_until: dict[Channel, float] = {}
        self._waiting: dict[Channel, AppSpace] = {}

    def changed(self, space: AppSpace, channel: Channel) -> None:
        """Somebody joined or left `channel`."""
        name = channel.name
        if not space.app.subscription_count or name.has_members or name.user_id is not None:
            return
        if len(channel) <= CROWD:
            self._tell(space, channel)
        elif self._quiet_until.get(channel, 0.0) > self._clock():
            self._waiting[channel] = space
        else:
            self._quiet_until[channel] = self._clock() + INTERVAL
            self._tell(space, channel)

    def tick(self) -> None:
        """Tell the crowds whose interval is over. Called a few times a second."""
        now = self._clock()
        for channel in [each for each, until in self._quiet_until.items() if until <= now]:
            del self._quiet_until[channel]
            space = self._waiting.pop(channel, None)
            if space is not None:
                self.changed(space, channel)

    def _tell(self, space: AppSpace, channel: Channel) -> None:
        self._waiting.pop(channel, None)  # what it waited to be told
        name, count = channel.name.text, len(channel)
        self._hub.deliver(space, name, events.subscription_count(name, count))
        self._emit(
            SubscriptionCountChanged(app_id=space.app.id, channel=name, subscription_count=count)
        )
