"""Everything together: what is opened when, what is said when it cannot be, and the end."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from pusher_server.app import App
from pusher_server.cluster.local import LocalRoster
from pusher_server.signals import CacheMissed, ChannelVacated
from pusher_server.webhooks import intake, runtime
from pusher_server.webhooks.outbox.interface import Outbox, OutboxUnavailable, Presence
from pusher_server.webhooks.runtime import DeliverySettings, Opening, Webhooks
from tests.support.node import GatedApps
from tests.support.waiting import eventually
from tests.unit.webhooks.delivery_fixture import an_app, hook
from tests.unit.webhooks.memory_outbox import MemoryOutbox

TERMS = DeliverySettings(
    timeout=1.0, batch_events=10, batch_window=0.01, lease=0.0, undo_window=0.0
)
#: Nobody listens there.
APP, PLAIN = an_app("1", hook("nowhere")), an_app("2")


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time passes for real here."""
    monkeypatch.setattr(runtime, "PAUSE", 0.01)
    monkeypatch.setattr(runtime, "FAREWELL", 0.1)
    monkeypatch.setattr(intake, "FIRST_PAUSE", 0.01)
    monkeypatch.setattr(intake, "LONGEST_PAUSE", 0.01)


class Scene(Opening):
    """An outbox that is opened when it is needed, and may be in trouble."""

    def __init__(self, *in_use: App) -> None:
        self.outbox = MemoryOutbox(asyncio.get_running_loop().time)
        self.trouble = ""
        self.opened = 0
        self.left = False
        apps = {app.id: app for app in in_use}
        self.webhooks = Webhooks(
            self,
            TERMS,
            current=apps.get,
            apps=GatedApps([APP, PLAIN]),
            roster=LocalRoster("node", lambda: 0.0, epoch=1, undo_window=0.0),
            worker="node",
        )

    @property
    def place(self) -> str:
        return "memory"

    def is_left(self) -> bool:
        return self.left

    async def open(self) -> Outbox:
        if self.trouble:
            raise OutboxUnavailable(self.trouble)
        self.opened += 1
        return self.outbox


@asynccontextmanager
async def scene(*in_use: App) -> AsyncIterator[Scene]:
    made = Scene(*in_use)
    yield made
    await made.webhooks.stop()


async def test_nothing_is_opened_without_a_reason() -> None:
    async with scene(PLAIN) as it:
        it.webhooks.start(expected=False)
        it.webhooks.observe(CacheMissed(app_id="2", channel="c"))
        await it.webhooks.kept()
        assert it.webhooks.problem is None
    assert not it.opened


@pytest.mark.parametrize("reason", ["expected", "left", "reloaded", "event", "elsewhere"])
async def test_it_is_opened_once_for_any_reason(
    reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with scene(APP) as it:
        it.left = reason == "left"
        it.webhooks.start(expected=reason == "expected")
        if reason == "reloaded":
            it.webhooks.expect()
        elif reason == "event":
            it.webhooks.observe(CacheMissed(app_id="1", channel="c"))
        elif reason == "elsewhere":
            it.webhooks.observe(ChannelVacated(app_id="1", channel="c"))
        await eventually(lambda: it.opened)
        it.webhooks.expect()
        it.webhooks.observe(CacheMissed(app_id="1", channel="c"))
        await it.webhooks.kept()
    assert it.opened == 1
    assert "webhook events are kept in memory" in caplog.text


async def test_what_cannot_be_opened_is_said_once_and_tried_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    async with scene(APP) as it:
        it.trouble = "disk full"
        it.webhooks.start(expected=True)
        it.webhooks.observe(CacheMissed(app_id="1", channel="c"))
        await eventually(lambda: it.webhooks.problem)
        assert it.webhooks.problem == "disk full"
        await asyncio.sleep(0.1)
        it.trouble = ""
        await it.webhooks.kept()
        await eventually(lambda: it.webhooks.problem is None)
        assert [each.entries[0].channel for each in it.outbox.appended[0]] == ["c"]
    assert caplog.text.count("no webhook is delivered") == 1


async def test_events_are_sent_as_soon_as_they_are_kept(caplog: pytest.LogCaptureFixture) -> None:
    async with scene(APP) as it:
        it.webhooks.start(expected=True)
        it.webhooks.observe(CacheMissed(app_id="1", channel="c"))
        await eventually(lambda: it.outbox.attempts)
        assert it.webhooks.stats.of("1").attempts == 1
        ((_, attempt),) = it.outbox.attempts
        assert (attempt.status, attempt.url) == (0, "http://nowhere.example/")


async def test_what_is_believed_and_missing_is_announced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pusher_server.webhooks.reconcile.MARGIN", 0.01)
    async with scene(APP) as it:
        it.outbox.believes[Presence("1", "c")] = None
        it.webhooks.start(expected=True)
        await eventually(lambda: not it.outbox.believes)


async def test_a_stop_while_it_cannot_be_opened_ends(caplog: pytest.LogCaptureFixture) -> None:
    async with scene(APP) as it:
        it.trouble = "disk full"
        it.webhooks.start(expected=True)
        it.webhooks.observe(CacheMissed(app_id="1", channel="c"))
        await eventually(lambda: it.webhooks.problem)
    assert "1 webhook events were not kept and are lost" in caplog.text
