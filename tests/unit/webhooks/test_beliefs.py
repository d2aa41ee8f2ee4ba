"""Over random histories: in the end every target believes what is true, whatever was undone on the way.

Outboxes that are away, processes that are killed, targets that refuse, apps that have to be looked up.
"""

import asyncio
import random
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import msgspec
import pytest
from msgspec import structs

from pusher_server.app import App
from pusher_server.signals import (
    ChannelOccupied,
    ChannelVacated,
    MemberAdded,
    MemberRemoved,
    Signal,
)
from pusher_server.webhooks import intake
from pusher_server.webhooks.delivery import app_delivery, target_queue
from pusher_server.webhooks.delivery.deliverer import Deliverer
from pusher_server.webhooks.delivery.stats import DeliveryStats
from pusher_server.webhooks.intake import Intake
from pusher_server.webhooks.outbox.interface import Appended, Decision, Outbox, OutboxUnavailable
from tests.support.node import GatedApps
from tests.unit.webhooks.delivery_fixture import (
    EPOCH,
    DeliveryFixture,
    Post,
    an_app,
    hook,
    randomly,
    simulate,
)
from tests.unit.webhooks.memory_outbox import MemoryOutbox

#: Seconds of a history.
LONG = 100.0


class _Told(NamedTuple):
    """What an event says, as far as it matters here."""

    name: str
    channel: str
    user_id: str = ""


class _Body(msgspec.Struct):
    events: list[msgspec.Raw]


def _read(event: bytes | str) -> _Told:
    found = msgspec.json.decode(event)
    return _Told(found["name"], found["channel"], found.get("user_id", ""))


def _believed(events: Iterable[bytes | str]) -> dict[tuple[str, str], bool]:
    """By channel and user, whether the last event of it was a coming."""
    told = map(_read, events)
    return {
        (each.channel, each.user_id): each.name in ("channel_occupied", "member_added")
        for each in told
    }


def _kill(deliverer: Deliverer) -> None:
    """As kill -9: nothing is released, and nothing more is written down."""
    for task in deliverer._tasks:
        task.cancel()
    for each in deliverer._deliveries.values():
        each.cancel()


@pytest.mark.parametrize("seed", range(10))
def test_targets_believe_what_is_true(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = randomly(seed)
    monkeypatch.setattr(app_delivery, "PAGE", chance.choice([3, 5, 20]))
    monkeypatch.setattr(target_queue, "ROOM", chance.choice([6_000, 15_000, 60_000]))

    def behave(post: Post) -> tuple[int, float]:
        if post.at > LONG or chance.random() < 0.6:
            return 200, chance.choice([0.0, 0.05, 1.0])
        return (0, 2.0) if chance.random() < 0.25 else (503, chance.random())

    async def play() -> None:
        app = an_app("1", hook("batches", batch=True), hook("single"))
        fixture = DeliveryFixture(app, batch_events=chance.choice([1, 3, 100]))
        fixture.targets.behaviour = behave
        channels = [f"c{number}" for number in range(chance.choice([3, 30]))]
        state = dict.fromkeys(channels, False)
        deliverer = fixture.deliverer("0")
        await fixture.append(app, "begin")
        while fixture.loop.time() < LONG:
            for name in chance.choices(channels, k=chance.choice([1, 5, 20])):
                state[name] = not state[name]
                kind = "channel_occupied" if state[name] else "channel_vacated"
                while fixture.outbox.trouble:  # noqa: ASYNC110 - virtual time costs nothing
                    await asyncio.sleep(0.5)
                await fixture.append(app, name, kind=kind)
            await asyncio.sleep(chance.choice([0.0, 0.01, 0.3, 3.0]))
            if chance.random() < 0.02:
                fixture.outbox.trouble = "away"
                fixture.loop.call_later(
                    chance.choice([0.5, 15.0]), setattr, fixture.outbox, "trouble", ""
                )
            if seed % 2 and chance.random() < 0.03:
                _kill(deliverer)
                deliverer = fixture.deliverer(str(fixture.loop.time()))
        fixture.outbox.trouble = ""
        await fixture.drained()
        assert not fixture.outbox.graves.get("1")
        for webhook in app.webhooks:
            bodies = [each.body for each in fixture.targets.accepted if each.url == webhook.url]
            events = [
                bytes(event)
                for body in bodies
                for event in msgspec.json.decode(body, type=_Body).events
            ]
            found = _believed(events)
            assert {name: found.get((name, ""), False) for name in channels} == state

    simulate(play)


class _Redis(MemoryOutbox):
    """Believes nothing, and may have kept what it did not answer."""

    def __init__(self, chance: random.Random) -> None:
        super().__init__(asyncio.get_running_loop().time)
        self._chance = chance
        self._known: set[tuple[str, str]] = set()
        #: The share of calls that fail.
        self.fails = 0.0

    async def append(self, decisions: Sequence[Decision]) -> Appended:
        await asyncio.sleep(self._chance.choice([0.0, 0.01, 0.5]))
        fails = self._chance.random() < self.fails
        if fails and self._chance.random() < 0.5:
            raise OutboxUnavailable("away")
        news = []
        for each in decisions:
            if not each.only_if_believed:
                entries = tuple(
                    entry for entry in each.entries if (entry.id, entry.webhook) not in self._known
                )
                self._known.update((entry.id, entry.webhook) for entry in entries)
                news.append(structs.replace(each, entries=entries, presence=None))
        appended = await super().append(news)
        if fails:
            raise OutboxUnavailable("no answer")
        return appended


class _Slow(GatedApps):
    """Apps in a database."""

    def __init__(self, apps: Sequence[App], chance: random.Random) -> None:
        super().__init__(apps)
        self._chance = chance

    async def by_id(self, app_id: str) -> App | None:
        await asyncio.sleep(self._chance.choice([0.0, 0.5, 2.0]))
        return await super().by_id(app_id)


def _signal(app_id: str, channel: str, user_id: str, *, comes: bool) -> Signal:
    if user_id:
        member = MemberAdded if comes else MemberRemoved
        return member(app_id=app_id, channel=channel, user_id=user_id)
    return (ChannelOccupied if comes else ChannelVacated)(app_id=app_id, channel=channel)


@pytest.mark.parametrize("seed", range(30))
def test_the_outbox_is_told_what_is_true(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    chance = randomly(seed)
    monkeypatch.setattr(intake, "AT_ONCE", chance.choice([1, 3, 500]))

    async def play() -> None:
        loop = asyncio.get_running_loop()
        all_apps = {"1": an_app("1", hook("a"), hook("b")), "2": an_app("2", hook("c"))}
        in_use = dict(all_apps)
        apps, outbox = _Slow([*all_apps.values()], chance), _Redis(chance)

        async def opened() -> Outbox:
            return outbox

        made = Intake(
            in_use.get,
            apps,
            opened,
            DeliveryStats(),
            event_prefix="node",
            wall=lambda: EPOCH + loop.time(),
            on_kept=lambda app_ids: None,
        )
        state: dict[tuple[str, str, str], bool] = defaultdict(bool)
        for _ in range(200):
            outbox.fails = chance.choice([outbox.fails] * 9 + [0.0, 0.5, 0.95])
            if chance.random() < 0.2 and in_use.pop("1", None) is None:
                in_use["1"] = all_apps["1"]
            apps.gate.is_away = apps.gate.is_away != (chance.random() < 0.1)
            place = (chance.choice("12"), f"c{chance.randrange(3)}", chance.choice(["", "", "u"]))
            state[place] = not state[place]
            made.observe(_signal(*place, comes=state[place]))
            await asyncio.sleep(chance.choice([0.0, 0.0, 0.0, 0.05, 1.0, 6.0]))
        outbox.fails, apps.gate.is_away = 0.0, False
        await made.kept()
        for app in all_apps.values():
            for webhook in app.webhooks:
                found = _believed(
                    each.event
                    for each in outbox.waiting.get(app.id, {}).values()
                    if each.webhook == webhook.id
                )
                expected = {
                    place[1:]: is_there for place, is_there in state.items() if place[0] == app.id
                }
                assert {place: found.get(place, False) for place in expected} == expected

    simulate(play)
