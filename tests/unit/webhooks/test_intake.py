"""From signals to the outbox: order, what waits, what is dropped, who is told."""

import asyncio
import logging
from collections.abc import Collection, Sequence

import pytest
from msgspec import structs

from pusher_server.app import App
from pusher_server.signals import (
    CacheMissed,
    ChannelOccupied,
    ChannelVacated,
    ClientEventSent,
    SubscriptionCountChanged,
)
from pusher_server.webhooks import intake as module
from pusher_server.webhooks.delivery.stats import DeliveryStats
from pusher_server.webhooks.intake import Intake
from pusher_server.webhooks.outbox.interface import Appended, Decision, Outbox, OutboxUnavailable
from pusher_server.webhooks.outbox.undoing import subject_of
from tests.support.node import GatedApps
from tests.unit.webhooks.delivery_fixture import EPOCH, an_app, hook, simulate
from tests.unit.webhooks.memory_outbox import MemoryOutbox

APP, PLAIN = an_app("1", hook("a")), an_app("2")


class Scene:
    """An intake, its outbox, and the apps in use on this node. Within `simulate`."""

    def __init__(self, *in_use: App, known: Collection[App] = ()) -> None:
        loop = asyncio.get_running_loop()
        self.in_use = {app.id: app for app in in_use}
        self.apps = GatedApps([*in_use, *known])
        self.outbox = MemoryOutbox(loop.time)
        self.stats = DeliveryStats()
        self.woken: list[Collection[str]] = []
        self.opened = 0
        self.intake = Intake(
            self.in_use.get,
            self.apps,
            self.open,
            self.stats,
            event_prefix="node",
            wall=lambda: EPOCH + loop.time(),
            on_kept=self.woken.append,
        )

    async def open(self) -> Outbox:
        self.opened += 1
        if self.outbox.trouble:
            raise OutboxUnavailable(self.outbox.trouble)
        return self.outbox

    def miss(self, channel: str, app: App = APP) -> None:
        self.intake.observe(CacheMissed(app_id=app.id, channel=channel))

    @property
    def decisions(self) -> list[Decision]:
        return [each for batch in self.outbox.appended for each in batch]

    @property
    def channels(self) -> list[str]:
        return [entry.channel for each in self.decisions for entry in each.entries]


def test_events_are_kept_in_order_under_ids_of_their_own() -> None:
    async def play() -> None:
        scene = Scene(APP)
        scene.miss("a")
        scene.intake.observe(ChannelOccupied(app_id="1", channel="b", id="told"))
        scene.miss("c")
        await scene.intake.kept()
        assert scene.channels == ["a", "b", "c"]
        ids = [entry.id for each in scene.decisions for entry in each.entries]
        assert ids == ["node-1", "told", "node-2"]
        assert scene.woken == [{"1"}]
        assert scene.decisions[0].entries[0].decided_at == EPOCH

    simulate(play)


def test_an_app_without_webhooks_costs_nothing_and_opens_nothing() -> None:
    async def play() -> None:
        scene = Scene(PLAIN)
        before = len(asyncio.all_tasks())
        scene.miss("a", PLAIN)
        assert len(asyncio.all_tasks()) == before
        await scene.intake.kept()
        assert not scene.opened

    simulate(play)


def test_an_app_that_is_not_in_use_here_is_looked_up() -> None:
    async def play() -> None:
        scene = Scene(known=[APP, PLAIN])
        scene.intake.observe(ChannelVacated(app_id="1", channel="a"))
        scene.intake.observe(ChannelVacated(app_id="2", channel="b"))
        scene.intake.observe(ChannelVacated(app_id="nobody", channel="c"))
        await scene.intake.kept()
        assert scene.channels == ["a"]

    simulate(play)


def test_while_apps_cannot_be_looked_up_others_go_on_and_the_order_stays() -> None:
    async def play() -> None:
        unknown = an_app("3", hook("b"))
        scene = Scene(APP, known=[unknown])
        scene.apps.gate.is_away = True
        scene.intake.observe(ChannelVacated(app_id="3", channel="first"))
        scene.in_use["3"] = unknown
        scene.miss("second", unknown)
        waiting = asyncio.create_task(scene.intake.kept())
        scene.miss("a")
        await asyncio.sleep(60.0)
        assert scene.channels == ["a"]
        assert not waiting.done()
        scene.apps.gate.is_away = False
        await waiting
        assert scene.channels == ["a", "first", "second"]

    simulate(play)


def test_what_is_undone_while_an_app_is_looked_up_is_not_kept() -> None:
    """An outbox in Redis drops the leave that is left of both, so it must not get the coming alone."""

    async def play() -> None:
        other = an_app("3", hook("b"))
        scene = Scene(APP, known=[other])
        by_id, may_answer = scene.apps.by_id, asyncio.Event()

        async def slow(app_id: str) -> App | None:
            await may_answer.wait()
            return await by_id(app_id)

        scene.apps.by_id = slow  # type: ignore[method-assign]
        scene.intake.observe(ChannelVacated(app_id="3", channel="elsewhere"))
        scene.intake.observe(ChannelOccupied(app_id="1", channel="room"))
        await asyncio.sleep(1.0)
        scene.intake.observe(ChannelVacated(app_id="1", channel="room"))
        may_answer.set()
        await scene.intake.kept()
        kept = [each for each in scene.decisions if not each.only_if_believed]
        assert [entry.channel for each in kept for entry in each.entries] == ["elsewhere"]
        assert scene.stats.of("1").undone == 2

    simulate(play)


def test_a_coming_is_not_undone_across_a_leave_that_has_to_be_looked_up() -> None:
    """The last client is gone when its leave is announced, so the app is not in use on this node by then."""

    async def play() -> None:
        scene = Scene(APP)
        scene.outbox.trouble = "away"
        scene.intake.observe(ChannelOccupied(app_id="1", channel="room"))
        del scene.in_use["1"]
        scene.intake.observe(ChannelVacated(app_id="1", channel="room"))
        scene.intake.observe(ChannelOccupied(app_id="1", channel="room"))
        scene.in_use["1"] = APP
        scene.intake.observe(ChannelVacated(app_id="1", channel="room"))
        await asyncio.sleep(1.0)
        scene.outbox.trouble = ""
        await scene.intake.kept()
        kept = [each for each in scene.outbox.appended[-1] if not each.only_if_believed]
        told = [subject_of(entry).kind for each in kept for entry in each.entries]
        assert told == ["channel_occupied", "channel_vacated"] * 2

    simulate(play)


def test_while_the_outbox_is_away_events_wait_and_it_is_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def play() -> None:
        scene = Scene(APP)
        scene.outbox.trouble = "disk full"
        for name in "abc":
            scene.miss(name)
            await asyncio.sleep(20.0)
        assert scene.intake.problem == "disk full"
        waiting = asyncio.create_task(scene.intake.kept())
        await asyncio.sleep(0)
        assert not waiting.done()
        scene.outbox.trouble = ""
        await waiting
        assert scene.channels == ["a", "b", "c"]
        assert scene.intake.problem is None

    with caplog.at_level(logging.INFO):
        simulate(play)
    assert [record.message for record in caplog.records] == [
        "webhook events cannot be kept, and wait in memory: disk full",
        "webhook events are kept again",
    ]


def test_kept_waits_for_what_was_before_it_and_may_be_given_up() -> None:
    async def play() -> None:
        scene = Scene(APP)
        scene.outbox.trouble = "away"
        scene.miss("a")
        impatient = asyncio.create_task(scene.intake.kept())
        await asyncio.sleep(1.0)
        impatient.cancel()
        scene.outbox.trouble = ""
        await scene.intake.kept()
        assert scene.channels == ["a"]
        assert impatient.cancelled()

    simulate(play)


def client_event(channel: str, app: App = APP, *, data: bytes = b"x" * 10_000) -> ClientEventSent:
    return ClientEventSent(
        app_id=app.id,
        channel=channel,
        event="client-e",
        data=b'"%b"' % data,
        socket_id="1.2",
        user_id=None,
    )


def test_what_fits_into_memory_no_more_is_dropped_of_the_heaviest_and_counted(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A flood on one channel pushes out neither another channel, nor another kind of event, nor another app."""
    monkeypatch.setattr(module, "MOST_BYTES", 100_000)

    async def play() -> None:
        other = an_app("3", hook("b"))
        scene = Scene(APP, other)
        scene.outbox.trouble = "away"
        scene.intake.observe(client_event("flooded"))
        waiting = asyncio.create_task(scene.intake.kept())
        await asyncio.sleep(0)
        scene.miss("kind")
        scene.intake.observe(client_event("calm"))
        scene.intake.observe(client_event("app", other))
        for _ in range(50):
            scene.intake.observe(client_event("flooded"))
        await asyncio.sleep(0)
        assert waiting.done(), "what is lost cannot be waited for"
        scene.outbox.trouble = ""
        await scene.intake.kept()
        assert {"kind", "calm", "app"} < set(scene.channels)
        assert 3 <= scene.channels.count("flooded") <= 6
        dropped = 51 - scene.channels.count("flooded")
        assert scene.stats.of("1").dropped_in_memory == dropped
        assert scene.stats.of("3").dropped_in_memory == 0

    with caplog.at_level(logging.ERROR):
        simulate(play)
    (line,) = (record.message for record in caplog.records if "were dropped" in record.message)
    assert line.endswith("no more fit into memory, and the outbox does not take them (away)")


def test_what_the_outbox_is_about_to_keep_is_not_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be counted as lost, and arrive."""
    monkeypatch.setattr(module, "MOST_BYTES", 100_000)

    async def play() -> None:
        scene = Scene(APP)
        append, may_go_on = scene.outbox.append, asyncio.Event()

        async def slow(decisions: Sequence[Decision]) -> Appended:
            await may_go_on.wait()
            return await append(decisions)

        scene.outbox.append = slow  # type: ignore[method-assign]
        for _ in range(3):
            scene.intake.observe(client_event("flooded"))
        await asyncio.sleep(1.0)
        for _ in range(50):
            scene.intake.observe(client_event("flooded"))
        may_go_on.set()
        await scene.intake.kept()
        assert scene.channels.count("flooded") + scene.stats.of("1").dropped_in_memory == 53

    simulate(play)


def test_memory_is_counted_in_bytes_whatever_they_are_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """Text beyond Latin-1 takes two or four bytes a character; what was not decided yet weighs as much."""
    monkeypatch.setattr(module, "MOST_BYTES", 100_000)

    async def play() -> None:
        scene = Scene(APP, known=[an_app("3", hook("b"))])
        scene.outbox.trouble = "away"
        for _ in range(10):
            scene.intake.observe(client_event("c", data="🦉".encode() * 5_000))
        assert scene.stats.of("1").dropped_in_memory == 6
        scene.apps.gate.is_away = True
        for _ in range(10):
            scene.intake.observe(client_event("c", an_app("3"), data=b"x" * 20_000))
        assert scene.stats.of("3").dropped_in_memory >= 5

    simulate(play)


def occupied(channel: str, app: App = APP) -> ChannelOccupied:
    return ChannelOccupied(app_id=app.id, channel=channel)


def vacated(channel: str, app: App = APP) -> ChannelVacated:
    return ChannelVacated(app_id=app.id, channel=channel)


def test_while_the_outbox_is_away_what_comes_and_goes_takes_no_room() -> None:
    async def play() -> None:
        scene = Scene(APP)
        scene.outbox.trouble = "away"
        scene.miss("before")
        await asyncio.sleep(1.0)
        for number in range(5_000):
            scene.intake.observe(occupied(f"c{number}"))
            scene.intake.observe(vacated(f"c{number}"))
        assert len(scene.intake._waiting) == 5_001
        scene.intake.observe(occupied("stays"))
        scene.outbox.trouble = ""
        await scene.intake.kept()
        entries = [each for waiting in scene.outbox.waiting.values() for each in waiting.values()]
        assert [each.channel for each in entries] == ["before", "stays"]
        assert scene.stats.of("1").undone == 10_000

    simulate(play)


def test_a_leave_counts_if_its_coming_was_told_before_or_may_have_been() -> None:
    async def play() -> None:
        scene = Scene(APP)
        scene.intake.observe(occupied("told"))
        await scene.intake.kept()
        scene.outbox.trouble = "away"
        scene.intake.observe(occupied("tried"))
        await asyncio.sleep(1.0)
        for signal in (vacated("told"), vacated("tried"), occupied("told"), vacated("told")):
            scene.intake.observe(signal)
        scene.outbox.trouble = ""
        await scene.intake.kept()
        entries = list(scene.outbox.waiting["1"].values())
        assert [(each.channel, subject_of(each).kind) for each in entries] == [
            ("told", "channel_occupied"),
            ("tried", "channel_occupied"),
            ("told", "channel_vacated"),
            ("tried", "channel_vacated"),
        ]
        assert not scene.outbox.believes

    simulate(play)


def test_a_webhook_that_wants_leaves_alone_gets_each_of_them() -> None:
    async def play() -> None:
        leaves = structs.replace(hook("leaves"), event_types=("channel_vacated",))
        both = hook("both")
        app = an_app("1", both, leaves)
        scene = Scene(app)
        scene.outbox.trouble = "away"
        scene.miss("before", app)
        await asyncio.sleep(1.0)
        scene.intake.observe(occupied("c", app))
        scene.intake.observe(vacated("c", app))
        scene.outbox.trouble = ""
        await scene.intake.kept()
        entries = list(scene.outbox.waiting["1"].values())
        told = [(each.webhook, subject_of(each).kind) for each in entries if each.channel == "c"]
        assert (leaves.id, "channel_vacated") in told
        assert told.count((both.id, "channel_occupied")) == told.count((both.id, "channel_vacated"))

    simulate(play)


def test_of_counts_that_wait_the_latest_is_told() -> None:
    async def play() -> None:
        scene = Scene(APP)
        scene.outbox.trouble = "away"
        scene.miss("before")
        await asyncio.sleep(1.0)
        for number in range(100):
            for channel in "ab":
                scene.intake.observe(
                    SubscriptionCountChanged(app_id="1", channel=channel, subscription_count=number)
                )
        scene.outbox.trouble = ""
        await scene.intake.kept()
        assert scene.channels == ["before", "a", "b"]
        assert '"subscription_count":99' in scene.decisions[1].entries[0].event

    simulate(play)


def test_many_are_appended_together() -> None:
    async def play() -> None:
        scene = Scene(APP)
        for number in range(module.AT_ONCE + 1):
            scene.miss(f"c{number}")
        await scene.intake.kept()
        assert [len(batch) for batch in scene.outbox.appended] == [module.AT_ONCE, 1]

    simulate(play)


def test_what_was_decided_elsewhere_comes_after_what_was_observed() -> None:
    async def play() -> None:
        scene = Scene(APP)
        scene.miss("a")
        decision = Decision(app_id="1", entries=(), only_if_believed=True)
        scene.intake.decide(decision)
        await scene.intake.kept()
        assert scene.decisions[1] == structs.replace(decision)
        assert scene.intake.new_id() != scene.intake.new_id()

    simulate(play)


def test_at_the_end_what_waits_is_kept_for_a_bounded_time(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def play() -> None:
        scene = Scene(APP)
        scene.miss("a")
        await scene.intake.close(3.0)
        assert scene.channels == ["a"]
        scene.outbox.trouble = "away"
        scene.miss("b")
        began = asyncio.get_running_loop().time()
        await scene.intake.close(3.0)
        assert asyncio.get_running_loop().time() - began == pytest.approx(3.0)

    with caplog.at_level(logging.ERROR):
        simulate(play)
    assert caplog.records[-1].message == "1 webhook events were not kept and are lost"
