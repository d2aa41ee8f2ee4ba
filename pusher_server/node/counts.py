"""The `subscription_count` event: opt-in per app, sent to all subscribers when it changes.

See docs/protocol/channels.md#subscription-count.

With several nodes each declares its own number and announces a change of it; every node adds up the numbers of
the roster. A lost message or a dead node can leave a sum wrong. So the sum is read again every `INTERVAL`
seconds.
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

#: Above this many subscribers a change is sent at most every `INTERVAL` seconds, as Pusher does.
LARGE_CHANNEL = 100
INTERVAL = 5.0


class SubscriptionCounts:
    """Sends counts to small channels at once and to large ones at intervals; `tick` sends those that waited."""

    def __init__(self, parts: NodeParts, occupancy: Occupancy) -> None:
        self._node_id = parts.node_id
        self._hub = parts.hub
        self._broker = parts.broker
        self._roster = parts.roster
        self._occupancy = occupancy
        self._emit = parts.observers.emit
        self._clock = parts.clock
        #: Large channels that were sent a count lately, and when they may get the next.
        self._quiet_until: dict[Channel, float] = {}
        self._waiting: dict[Channel, AppState] = {}
        #: The count that was last sent to the subscribers here.
        self._last_sent: dict[Channel, int] = {}
        #: Channels with a sum in flight -> True if a change here caused it.
        self._summing: dict[Channel, bool] = {}
        self._sum_again: dict[Channel, bool] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._check_at = 0.0

    def changed(self, app_state: AppState, channel: Channel) -> None:
        """A client joined or left `channel` here; it may be empty now."""
        if not _is_counted(app_state, channel):
            return
        if not len(channel):
            self._quiet_until.pop(channel, None)
            self._waiting.pop(channel, None)
            self._last_sent.pop(channel, None)
        if self._roster.alone:
            if len(channel):
                self._paced(app_state, channel, len(channel), ours=True)
            return
        if len(channel):
            self._occupancy.declare(app_state, channel)
            self._request_sum(app_state, channel, ours=True)
        self._broker.publish(channel_topic(app_state.app.id, channel.name.text), CountMessage())

    def changed_elsewhere(self, app_state: AppState, channel: Channel) -> None:
        """Another node announced a change."""
        if _is_counted(app_state, channel):
            self._request_sum(app_state, channel, ours=False)

    def tick(self) -> None:
        """Send the counts of large channels when their interval is over. Called a few times a second."""
        now = self._clock()
        for channel in [quiet for quiet, until in self._quiet_until.items() if until <= now]:
            del self._quiet_until[channel]
            app_state = self._waiting.pop(channel, None)
            if app_state is not None and self._roster.alone:
                self._paced(app_state, channel, len(channel), ours=True)
            elif app_state is not None:
                self._request_sum(app_state, channel, ours=True)
        if not self._roster.alone and now >= self._check_at:
            self._check_at = now + INTERVAL
            for app_state in self._hub.app_states.values():
                if app_state.app.subscription_count:
                    self._run(self._check(app_state))

    def _request_sum(self, app_state: AppState, channel: Channel, *, ours: bool) -> None:
        if channel in self._summing:
            self._sum_again[channel] = ours or self._sum_again.get(channel, False)
            return
        self._summing[channel] = ours
        self._run(self._sum_up(app_state, channel))

    def _run(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _sum_up(self, app_state: AppState, channel: Channel) -> None:
        name = channel.name.text
        try:
            holders_of = await self._roster.lookup(channels_topic(app_state.app.id), [name])
            if len(channel):
                count = total(len(channel), holders_of.get(name, {}), self._node_id)
                self._paced(app_state, channel, count, ours=self._summing[channel])
        except ClusterUnavailable:
            self._last_sent.pop(channel, None)  # the next check sends any number
        finally:
            del self._summing[channel]
            again = self._sum_again.pop(channel, None)
        if again is not None and len(channel):
            self._request_sum(app_state, channel, ours=again)

    async def _check(self, app_state: AppState) -> None:
        channels = [c for c in app_state.channels.values() if _is_counted(app_state, c)]
        names = [channel.name.text for channel in channels]
        with suppress(ClusterUnavailable):
            holders_of = await self._roster.lookup(channels_topic(app_state.app.id), names)
            for channel in channels:
                if len(channel) and channel not in self._summing:
                    count = total(
                        len(channel), holders_of.get(channel.name.text, {}), self._node_id
                    )
                    self._paced(app_state, channel, count, ours=False)

    def _paced(self, app_state: AppState, channel: Channel, count: int, *, ours: bool) -> None:
        """Send the count, if need be later. `ours`: a client here joined or left, and may have no count yet."""
        if not ours and self._last_sent.get(channel) == count:
            return
        if count <= LARGE_CHANNEL:
            self._send(app_state, channel, count, ours=ours)
        elif self._quiet_until.get(channel, 0.0) > self._clock():
            self._waiting[channel] = app_state
        else:
            self._quiet_until[channel] = self._clock() + INTERVAL
            self._send(app_state, channel, count, ours=ours)

    def _send(self, app_state: AppState, channel: Channel, count: int, *, ours: bool) -> None:
        self._waiting.pop(channel, None)  # this is the count that it waited for
        self._last_sent[channel] = count
        name = channel.name.text
        if not channel.name.is_encrypted:  # docs/protocol/channels.md#subscription-count
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
