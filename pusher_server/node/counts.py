"""The `subscription_count` event: opt-in per app, told to all subscribers when it changes.

See docs/protocol/channels.md#subscription-count.

With several nodes each declares its own number, says to the others that it has changed, and everybody adds up
what the roster has. What a lost message or a dead node leaves wrong is put right by asking again every
`INTERVAL` seconds.
"""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress

from pusher_server.errors import ClusterUnavailable
from pusher_server.hub.app_state import AppState
from pusher_server.hub.channel import Channel
from pusher_server.interfaces import CountMessage, channel_topic, channels_topic
from pusher_server.node.occupancy import Occupancy, total
from pusher_server.node.parts import NodeParts
from pusher_server.protocol import events
from pusher_server.signals import SubscriptionCountChanged

#: Above this many subscribers a change is told at most every `INTERVAL` seconds, as Pusher does.
CROWD = 100
INTERVAL = 5.0


class SubscriptionCounts:
    """Tells small channels at once and crowds at intervals; `tick` tells what had to wait."""

    def __init__(self, parts: NodeParts, occupancy: Occupancy) -> None:
        self._node_id = parts.node_id
        self._hub = parts.hub
        self._broker = parts.broker
        self._roster = parts.roster
        self._occupancy = occupancy
        self._emit = parts.observers.emit
        self._clock = parts.clock
        #: Crowded channels told lately, and when they may be told again.
        self._quiet_until: dict[Channel, float] = {}
        self._waiting: dict[Channel, AppState] = {}
        #: What the subscribers here were told last.
        self._told: dict[Channel, int] = {}
        #: Whose sum is being asked for -> whether a change here is the reason.
        self._asking: dict[Channel, bool] = {}
        self._asked_again: dict[Channel, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._check_at = 0.0

    def changed(self, app_state: AppState, channel: Channel) -> None:
        """Somebody joined or left `channel` here; it may be empty now."""
        if not _is_counted(app_state, channel):
            return
        if not len(channel):
            self._quiet_until.pop(channel, None)
            self._waiting.pop(channel, None)
            self._told.pop(channel, None)
        if self._roster.alone:
            if len(channel):
                self._paced(app_state, channel, len(channel), ours=True)
            return
        if len(channel):
            self._occupancy.tell(app_state, channel)
            self._ask(app_state, channel, ours=True)
        self._broker.publish(channel_topic(app_state.app.id, channel.name.text), CountMessage())

    def changed_elsewhere(self, app_state: AppState, channel: Channel) -> None:
        """Another node says so."""
        if _is_counted(app_state, channel):
            self._ask(app_state, channel, ours=False)

    def tick(self) -> None:
        """Tell the crowds whose interval is over. Called a few times a second."""
        now = self._clock()
        for channel in [each for each, until in self._quiet_until.items() if until <= now]:
            del self._quiet_until[channel]
            app_state = self._waiting.pop(channel, None)
            if app_state is not None and self._roster.alone:
                self._paced(app_state, channel, len(channel), ours=True)
            elif app_state is not None:
                self._ask(app_state, channel, ours=True)
        if not self._roster.alone and now >= self._check_at:
            self._check_at = now + INTERVAL
            for app_state in self._hub.app_states.values():
                if app_state.app.subscription_count:
                    self._run(self._check(app_state))

    def _ask(self, app_state: AppState, channel: Channel, *, ours: bool) -> None:
        if channel in self._asking:
            self._asked_again[channel] = ours or self._asked_again.get(channel, False)
            return
        self._asking[channel] = ours
        self._run(self._sum_up(app_state, channel))

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sum_up(self, app_state: AppState, channel: Channel) -> None:
        name = channel.name.text
        try:
            found = await self._roster.lookup(channels_topic(app_state.app.id), [name])
            if len(channel):
                count = total(len(channel), found.get(name, {}), self._node_id)
                self._paced(app_state, channel, count, ours=self._asking[channel])
        except ClusterUnavailable:
            self._told.pop(channel, None)  # the next check tells, whatever the number is
        finally:
            del self._asking[channel]
            again = self._asked_again.pop(channel, None)
        if again is not None and len(channel):
            self._ask(app_state, channel, ours=again)

    async def _check(self, app_state: AppState) -> None:
        channels = [each for each in app_state.channels.values() if _is_counted(app_state, each)]
        names = [each.name.text for each in channels]
        with suppress(ClusterUnavailable):
            found = await self._roster.lookup(channels_topic(app_state.app.id), names)
            for channel in channels:
                if len(channel) and channel not in self._asking:
                    count = total(len(channel), found.get(channel.name.text, {}), self._node_id)
                    self._paced(app_state, channel, count, ours=False)

    def _paced(self, app_state: AppState, channel: Channel, count: int, *, ours: bool) -> None:
        """`ours`: somebody joined or left here, and may not have been told any number yet."""
        if not ours and self._told.get(channel) == count:
            return
        if count <= CROWD:
            self._tell(app_state, channel, count, ours=ours)
        elif self._quiet_until.get(channel, 0.0) > self._clock():
            self._waiting[channel] = app_state
        else:
            self._quiet_until[channel] = self._clock() + INTERVAL
            self._tell(app_state, channel, count, ours=ours)

    def _tell(self, app_state: AppState, channel: Channel, count: int, *, ours: bool) -> None:
        self._waiting.pop(channel, None)  # what it waited to be told
        self._told[channel] = count
        name = channel.name.text
        self._hub.deliver(app_state, name, events.subscription_count(name, count))
        if ours:
            self._emit(
                SubscriptionCountChanged(
                    app_id=app_state.app.id, channel=name, subscription_count=count
                )
            )


def _is_counted(app_state: AppState, channel: Channel) -> bool:
    name = channel.name
    return app_state.app.subscription_count and not name.has_members and name.user_id is None
