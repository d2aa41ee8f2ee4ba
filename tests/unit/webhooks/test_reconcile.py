"""After a crash: what has not come back is announced as gone, once."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence

from pusher_server.cluster.local import LocalRoster
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import Topic, channels_topic, members_topic
from pusher_server.webhooks.delivery.stats import DeliveryStats
from pusher_server.webhooks.intake import Intake
from pusher_server.webhooks.outbox.interface import Appended, Decision, Presence
from pusher_server.webhooks.reconcile import MARGIN, Reconciler
from tests.support.node import GatedApps
from tests.unit.webhooks.delivery_fixture import an_app, hook, simulate
from tests.unit.webhooks.memory_outbox import MemoryOutbox

LEASE, UNDO_WINDOW = 10.0, 3.0
APP = an_app("1", hook("a"))
ROOM, MEMBER = Presence("1", "presence-room"), Presence("1", "presence-room", "u")


class Roster(LocalRoster):
    """Can be away, and remembers when it was asked."""

    is_away = False

    async def lookup(self, topic: Topic, keys: Iterable[str]) -> Mapping[str, Mapping[str, bytes]]:
        self.asked_at = asyncio.get_running_loop().time()
        if self.is_away:
            raise ClusterUnavailable("the bus is away")
        return await super().lookup(topic, keys)


class Scene:
    """A start after a crash that left `believed` behind. Within `simulate`."""

    def __init__(self, *believed: Presence) -> None:
        loop = asyncio.get_running_loop()
        self.outbox = MemoryOutbox(loop.time)
        self.outbox.believes = dict.fromkeys(believed)
        self.roster = Roster("node", loop.time, epoch=1, undo_window=UNDO_WINDOW)
        self.apps = GatedApps([APP])
        self.intake = Intake(
            {APP.id: APP}.get, self.apps, self._open, DeliveryStats(),
            event_prefix="node", wall=loop.time, on_kept=lambda app_ids: None,
        )  # fmt: skip
        self.missing = Reconciler(
            self.outbox, self.roster, self.apps, self.intake,
            lease=LEASE, undo_window=UNDO_WINDOW, wall=loop.time,
        )  # fmt: skip

    async def _open(self) -> MemoryOutbox:
        return self.outbox

    @property
    def events(self) -> list[str]:
        return [entry.event for entry in self.outbox.waiting.get("1", {}).values()]


def test_what_does_not_come_back_is_gone_members_before_their_channel() -> None:
    async def play() -> None:
        scene = Scene(ROOM, MEMBER)
        await scene.missing.announce()
        assert asyncio.get_running_loop().time() == LEASE + UNDO_WINDOW + UNDO_WINDOW + MARGIN
        assert scene.events == [
            '{"name":"member_removed","channel":"presence-room","user_id":"u"}',
            '{"name":"channel_vacated","channel":"presence-room"}',
        ]
        assert not scene.outbox.believes

    simulate(play)


def test_what_comes_back_is_no_news() -> None:
    async def play() -> None:
        scene = Scene(ROOM, MEMBER)
        announcing = asyncio.create_task(scene.missing.announce())
        await asyncio.sleep(5.0)
        await scene.roster.track(channels_topic("1"), "presence-room", b"1")
        await scene.roster.track(members_topic("1", "presence-room"), "u", b"")
        await announcing
        assert scene.events == []
        assert scene.outbox.believes

    simulate(play)


def test_who_is_between_two_connections_at_the_first_look_is_looked_for_again() -> None:
    async def play() -> None:
        scene = Scene(ROOM)
        announcing = asyncio.create_task(scene.missing.announce())
        await asyncio.sleep(LEASE + UNDO_WINDOW + 1.0)
        await scene.roster.track(channels_topic("1"), "presence-room", b"1")
        await announcing
        assert scene.events == []

    simulate(play)


def test_without_anything_believed_nobody_is_asked() -> None:
    async def play() -> None:
        scene = Scene()
        await scene.missing.announce()
        assert asyncio.get_running_loop().time() == 0.0

    simulate(play)


def test_what_somebody_else_has_announced_meanwhile_is_not_announced_again() -> None:
    async def play() -> None:
        scene = Scene(ROOM)
        announcing = asyncio.create_task(scene.missing.announce())
        await asyncio.sleep(LEASE)
        del scene.outbox.believes[ROOM]
        await announcing
        assert scene.events == []

    simulate(play)


def test_who_comes_back_just_while_it_is_announced_is_announced_as_back() -> None:
    async def play() -> None:
        scene = Scene(ROOM)
        append = scene.outbox.append

        async def late(decisions: Sequence[Decision]) -> Appended:
            await scene.roster.track(channels_topic("1"), "presence-room", b"1")
            return await append(decisions)

        scene.outbox.append = late  # type: ignore[method-assign]
        await scene.missing.announce()
        await scene.intake.kept()
        assert [each.split('"')[3] for each in scene.events] == [
            "channel_vacated",
            "channel_occupied",
        ]

    simulate(play)


def test_it_waits_for_whatever_is_away() -> None:
    async def play() -> None:
        scene = Scene(ROOM)
        scene.outbox.trouble, scene.roster.is_away, scene.apps.gate.is_away = "away", True, True
        announcing = asyncio.create_task(scene.missing.announce())
        await asyncio.sleep(10.0)
        scene.outbox.trouble = ""
        await asyncio.sleep(60.0)
        scene.roster.is_away = False
        await asyncio.sleep(60.0)
        assert scene.events == []
        scene.apps.gate.is_away = False
        await announcing
        assert len(scene.events) == 1

    simulate(play)


def test_what_nobody_wants_to_hear_any_more_is_forgotten() -> None:
    async def play() -> None:
        scene = Scene(ROOM, Presence("gone", "c"))
        scene.apps.replace([an_app("1")])
        await scene.missing.announce()
        assert scene.events == []
        assert not scene.outbox.believes

    simulate(play)
