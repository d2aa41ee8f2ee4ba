"""What owners believe to be there and what has not come back: announced as gone after a crash.

A process that is killed takes its channels and members with it, and announces none of them. What the outbox
remembers as there is compared with the roster once everybody has had the time to come back, and once more,
for those who were between two connections just then.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TypeVar

from msgspec import structs

from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import AppProvider, Roster, Topic, channels_topic, members_topic
from pusher_server.signals import (
    ChannelOccupied,
    ChannelVacated,
    MemberAdded,
    MemberRemoved,
    Signal,
)
from pusher_server.webhooks.intake import Intake
from pusher_server.webhooks.outbox.interface import (
    PAUSE,
    Decision,
    Outbox,
    OutboxUnavailable,
    Presence,
)
from pusher_server.webhooks.selection import select_targets

logger = logging.getLogger("pusher_server.webhooks")

T = TypeVar("T")

#: Keys in one question to the roster.
AT_ONCE = 500
#: Seconds that are added to the undo window before the second look.
MARGIN = 1.0


class Reconciler:
    """`lease` and `undo_window` are the cluster's, in seconds; `wall` gives seconds of the epoch."""

    def __init__(
        self,
        outbox: Outbox,
        roster: Roster,
        apps: AppProvider,
        intake: Intake,
        *,
        lease: float,
        undo_window: float,
        wall: Callable[[], float],
    ) -> None:
        self._outbox = outbox
        self._roster = roster
        self._apps = apps
        self._intake = intake
        self._wall = wall
        self._grace = lease + undo_window
        self._second_look = undo_window + MARGIN

    async def announce(self) -> None:
        """The whole of it, once after a start."""
        believed = await _insist(self._outbox.believed)
        if not believed:
            return
        await asyncio.sleep(self._grace)
        missing = await self._not_there(believed)
        if not missing:
            return
        await asyncio.sleep(self._second_look)
        # Members before their channels, as when somebody leaves (docs/protocol/webhooks.md#events).
        missing = sorted(await self._not_there(missing), key=lambda each: not each.user_id)
        for each in missing:
            await self._tell(each, held=False)
        await self._intake.kept()
        if missing:
            logger.info(
                "%d channels and members did not come back after the start: announced as gone",
                len(missing),
            )
        # Who came back in this very moment was no news yet when it came, and is news now.
        back = set(missing).difference(await self._not_there(missing))
        for each in sorted(back, key=lambda each: bool(each.user_id)):
            await self._tell(each, held=True)

    async def _not_there(self, believed: list[Presence]) -> list[Presence]:
        topics: dict[Topic, dict[str, Presence]] = {}
        for each in believed:
            if each.user_id:
                topics.setdefault(members_topic(each.app_id, each.channel), {})[each.user_id] = each
            else:
                topics.setdefault(channels_topic(each.app_id), {})[each.channel] = each
        found: list[Presence] = []
        for topic, keys in topics.items():
            names = list(keys)
            for start in range(0, len(names), AT_ONCE):
                some = names[start : start + AT_ONCE]
                held = await _insist(partial(self._roster.lookup, topic, some))
                found += [keys[name] for name in some if name not in held]
        return found

    async def _tell(self, presence: Presence, *, held: bool) -> None:
        """What nobody wants to hear is still remembered, or forgotten."""
        app = await _insist(lambda: self._apps.by_id(presence.app_id))
        decision = None
        if app is not None:
            signal = _signal(presence, held=held)
            decision = select_targets(signal, app, self._intake.new_id(), self._wall())
        if decision is None:
            decision = Decision(app_id=presence.app_id, entries=(), presence=presence, held=held)
        self._intake.decide(structs.replace(decision, only_if_believed=not held))


def _signal(presence: Presence, *, held: bool) -> Signal:
    app_id, channel, user_id = presence
    if user_id:
        member = MemberAdded if held else MemberRemoved
        return member(app_id=app_id, channel=channel, user_id=user_id)
    return (ChannelOccupied if held else ChannelVacated)(app_id=app_id, channel=channel)


async def _insist(ask: Callable[[], Awaitable[T]]) -> T:
    """Its answer, however long it takes until there is one."""
    while True:
        try:
            return await ask()
        except (OutboxUnavailable, ClusterUnavailable) as error:
            logger.debug("looking for what is missing after the start has to wait: %s", error)
            await asyncio.sleep(PAUSE)
