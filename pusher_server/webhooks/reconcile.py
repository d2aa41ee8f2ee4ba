"""Announces channels and members as gone that did not come back after a crash.

A process that is killed announces no end of its channels and members. The outbox remembers which were
announced as present. After a start they are compared with the roster, once clients have had the time to
reconnect. A second comparison covers clients that were between two connections at the first one.
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

#: Keys in one lookup of the roster.
AT_ONCE = 500
#: Seconds that are added to the undo window before the second comparison.
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
        """Compare and announce, once after a start."""
        believed = await _retry_forever(self._outbox.believed)
        if not believed:
            return
        await asyncio.sleep(self._grace)
        missing = await self._missing(believed)
        if not missing:
            return
        await asyncio.sleep(self._second_look)
        # Members before their channels, as in an ordinary leave (docs/protocol/webhooks.md#events).
        missing = sorted(await self._missing(missing), key=lambda presence: not presence.user_id)
        for presence in missing:
            await self._decide(presence, held=False)
        await self._intake.kept()
        if missing:
            logger.info(
                "%d channels and members did not come back after the start: announced as gone",
                len(missing),
            )
        # A member that came back just now was no news then, but is news after the announced leave.
        back = set(missing).difference(await self._missing(missing))
        for presence in sorted(back, key=lambda presence: bool(presence.user_id)):
            await self._decide(presence, held=True)

    async def _missing(self, believed: list[Presence]) -> list[Presence]:
        topics: dict[Topic, dict[str, Presence]] = {}
        for presence in believed:
            app_id, channel, user_id = presence
            if user_id:
                topics.setdefault(members_topic(app_id, channel), {})[user_id] = presence
            else:
                topics.setdefault(channels_topic(app_id), {})[channel] = presence
        missing: list[Presence] = []
        for topic, keys in topics.items():
            names = list(keys)
            for start in range(0, len(names), AT_ONCE):
                some = names[start : start + AT_ONCE]
                held = await _retry_forever(partial(self._roster.lookup, topic, some))
                missing += [keys[name] for name in some if name not in held]
        return missing

    async def _decide(self, presence: Presence, *, held: bool) -> None:
        """Decide on a join or leave. The outbox remembers or forgets it even if no webhook wants it."""
        app = await _retry_forever(lambda: self._apps.by_id(presence.app_id))
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


async def _retry_forever(call: Callable[[], Awaitable[T]]) -> T:
    """The result of `call`, which is retried until outbox, roster and apps are available."""
    while True:
        try:
            return await call()
        except (OutboxUnavailable, ClusterUnavailable) as error:
            logger.debug("looking for what is missing after the start has to wait: %s", error)
            await asyncio.sleep(PAUSE)
