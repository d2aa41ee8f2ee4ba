"""`pusher_server.apps.database.cache`: what is asked, how often, and what happens when nobody answers."""

import asyncio
import logging
from collections.abc import Collection, Coroutine
from typing import Any

import pytest
from msgspec import structs

from pusher_server.app import App, AppKey, Webhook
from pusher_server.apps.database import cache
from pusher_server.apps.database.cache import CachedApps
from pusher_server.apps.database.schemas import FoundApp
from pusher_server.clients.mailbox import advance
from pusher_server.errors import ClusterUnavailable, ConfigError
from tests.support.fakes import FakeClock

UNKNOWN_SECONDS = 2.0


def app(app_id: str, *keys: str, enabled: bool = True) -> App:
    """An app with these keys."""
    pairs = tuple(AppKey(key=key, secret="s") for key in keys)
    return App(id=app_id, keys=pairs, enabled=enabled)


class FakeSource:
    """A table, and a record of the questions; `hold` keeps answers back, `error` is raised instead."""

    def __init__(self, *apps: App) -> None:
        self.apps = {each.id: each for each in apps}
        self.refused: set[str] = set()
        self.asked: list[tuple[set[str], set[str]]] = []
        self.error: Exception | None = None
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def find(
        self, *, keys: Collection[str] = (), ids: Collection[str] = ()
    ) -> list[FoundApp]:
        """As `SqlStore.find`."""
        self.asked.append((set(keys), set(ids)))
        await self.may_answer.wait()
        await asyncio.sleep(0)
        if self.error is not None:
            raise self.error
        return [
            FoundApp(app_id, None if app_id in self.refused else each)
            for app_id, each in sorted(self.apps.items())
            if app_id in ids or any(each.secret_of(key) for key in keys)
        ]


@pytest.fixture(autouse=True)
def no_pace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests do not wait between two questions."""
    monkeypatch.setattr(cache, "PACE", 0.0)


@pytest.fixture
def clock() -> FakeClock:
    """Time that passes when told to."""
    return FakeClock()


@pytest.fixture
def source() -> FakeSource:
    """Two apps."""
    return FakeSource(app("1", "k1"), app("2", "k2", "k2-old"))


@pytest.fixture
def told() -> list[tuple[str, App | None]]:
    """What was told of changes."""
    return []


@pytest.fixture
def news() -> list[str]:
    """Those of them that other nodes may not know of."""
    return []


@pytest.fixture
def apps(
    source: FakeSource, clock: FakeClock, told: list[tuple[str, App | None]], news: list[str]
) -> CachedApps:
    """What is tested."""

    def on_change(app_id: str, changed: App | None, is_news: bool) -> None:
        told.append((app_id, changed))
        if is_news:
            news.append(app_id)

    return CachedApps(source, clock, unknown_seconds=UNKNOWN_SECONDS, on_change=on_change)


async def test_a_cold_key_costs_one_question_and_a_known_one_none(
    apps: CachedApps, source: FakeSource
) -> None:
    for _ in range(3):
        assert await apps.by_key("k1") == source.apps["1"]
    assert source.asked == [({"k1"}, set())]


async def test_a_known_app_is_answered_in_the_first_step(apps: CachedApps) -> None:
    """So a connection is established without a task (`websocket.mailbox.advance`)."""
    await apps.by_key("k1")

    async def asked() -> None:
        assert await apps.by_key("k1") is not None

    assert advance(asked()) is None


async def test_a_lookup_may_begin_outside_a_task_and_be_given_up(
    apps: CachedApps, source: FakeSource
) -> None:
    """As the API's fast path does: it starts, sees that it would wait, and asks again elsewhere."""
    begun: list[Coroutine[Any, Any, App | None]] = [apps.by_id("1")]

    def start() -> None:
        begun[0].send(None)
        begun[0].close()

    asyncio.get_running_loop().call_soon(start)
    await asyncio.sleep(0)
    assert await apps.by_id("1") == source.apps["1"]
    assert source.asked == [(set(), {"1"})]


async def test_who_asks_for_the_same_shares_the_answer(
    apps: CachedApps, source: FakeSource
) -> None:
    source.may_answer.clear()
    lookups = [asyncio.ensure_future(apps.by_key("k1")) for _ in range(50)]
    await asyncio.sleep(0)
    lookups[0].cancel()  # one who goes takes nothing from the others
    source.may_answer.set()
    answers = await asyncio.gather(*lookups, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [source.apps["1"]] * 49
    assert source.asked == [({"k1"}, set())]


async def test_what_gathers_while_a_question_is_under_way_is_asked_together(
    apps: CachedApps, source: FakeSource
) -> None:
    source.may_answer.clear()
    first = asyncio.ensure_future(apps.by_key("nobody"))
    await asyncio.sleep(0.01)
    later = [asyncio.ensure_future(apps.by_key(key)) for key in ("k1", "k2", "no")]
    later.append(asyncio.ensure_future(apps.by_id("1")))
    source.may_answer.set()
    found = await asyncio.gather(first, *later)
    assert [each and each.id for each in found] == [None, "1", "2", None, "1"]
    assert source.asked == [({"nobody"}, set()), ({"k1", "k2", "no"}, {"1"})]


async def test_a_flood_of_unknown_keys_is_few_questions(
    apps: CachedApps, source: FakeSource
) -> None:
    """As many as fit wait for bounded questions, the others are told to come back; memory is bounded."""
    count = cache.MOST_WAITING + 500
    found = await asyncio.gather(
        *[apps.by_key(f"x{number}") for number in range(count)], apps.by_key("x1"),
        return_exceptions=True,
    )  # fmt: skip
    assert found.count(None) == cache.MOST_WAITING + 1
    assert sum(isinstance(each, ClusterUnavailable) for each in found) == 500
    assert len(source.asked) == cache.MOST_WAITING / cache.BATCH
    assert max(len(keys) for keys, _ in source.asked) == cache.BATCH
    assert await apps.by_key("k1") is not None


async def test_what_is_remembered_of_strangers_is_bounded(
    apps: CachedApps, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "MOST_UNKNOWN", 10)
    for number in range(25):
        await apps.by_key(f"x{number}")
    assert len(apps._unknown) == 10


async def test_an_unknown_key_is_asked_for_again_after_a_while(
    apps: CachedApps, source: FakeSource, clock: FakeClock
) -> None:
    assert await apps.by_key("k3") is None
    source.apps["3"] = app("3", "k3")
    clock.advance(UNKNOWN_SECONDS - 0.1)
    assert await apps.by_key("k3") is None
    assert len(source.asked) == 1
    clock.advance(0.1)
    assert await apps.by_key("k3") is not None


async def test_an_addition_ends_what_was_unknown(apps: CachedApps, source: FakeSource) -> None:
    assert await apps.by_key("k3") is None
    source.apps["3"] = app("3", "k3")
    apps.forget_unknown()
    assert await apps.by_key("k3") is not None


async def test_a_secret_of_a_known_app_is_recognised_while_the_app_has_it(
    apps: CachedApps, source: FakeSource
) -> None:
    """Sent where a key belongs; no log line may show it."""
    assert not apps.is_secret("s")
    await apps.by_key("k1")
    assert apps.is_secret("s")
    assert not apps.is_secret("k1")
    source.apps["1"] = App(id="1", keys=(AppKey(key="k1", secret="new"),))
    await apps.refresh(["1"])
    assert apps.is_secret("new")
    assert not apps.is_secret("s")
    del source.apps["1"]
    await apps.refresh(["1"])
    assert not apps.is_secret("new")


async def test_what_nobody_can_have_is_not_asked_for(apps: CachedApps, source: FakeSource) -> None:
    assert await apps.by_key("x" * 300) is None
    assert await apps.by_id("\x00") is None
    assert source.asked == []


async def test_a_changed_app_is_told_once(
    apps: CachedApps, source: FakeSource, told: list[tuple[str, App | None]]
) -> None:
    await apps.by_key("k1")
    await apps.by_key("k2")
    await apps.refresh()
    assert told == []
    source.apps["1"] = app("1", "k1", enabled=False)
    await apps.refresh()
    await apps.refresh()
    assert told == [("1", app("1", "k1", enabled=False))]
    assert await apps.by_key("k1") == app("1", "k1", enabled=False)


async def test_a_change_that_another_node_has_told_is_no_news(
    apps: CachedApps, source: FakeSource, told: list[tuple[str, App | None]], news: list[str]
) -> None:
    """Whoever finds a change in the table says so; whoever was told of it does not say it again."""
    await apps.by_key("k1")
    await apps.by_key("k2")
    source.apps["1"] = app("1", "k1", enabled=False)
    await apps.refresh(["1", "2"], announced=["1"])
    assert (told, news) == ([("1", app("1", "k1", enabled=False))], [])
    source.apps["1"] = app("1", "k1")
    del source.apps["2"]
    await apps.refresh(announced=["2"])
    assert told[1:] == [("1", app("1", "k1")), ("2", None)]
    assert news == ["1"]
    source.apps["1"] = app("1", "k1", "k1-new")
    await apps.by_key("k1-new")
    assert news == ["1", "1"]


async def test_a_look_up_that_finds_a_newer_row_tells_it_too(
    apps: CachedApps, source: FakeSource, told: list[tuple[str, App | None]]
) -> None:
    """Else the next poll would find nothing new."""
    await apps.by_key("k1")
    source.apps["1"] = app("1", "k1", "k1-new")
    await apps.by_key("k1-new")
    assert told == [("1", app("1", "k1", "k1-new"))]


async def test_webhooks_that_change_are_told(
    apps: CachedApps, source: FakeSource, told: list[tuple[str, App | None]]
) -> None:
    """They are part of the app."""
    await apps.by_key("k1")
    changed = structs.replace(app("1", "k1"), webhooks=(Webhook(url="http://x"),))
    source.apps["1"] = changed
    await apps.refresh()
    await apps.refresh()
    assert told == [("1", changed)]
    assert await apps.by_id("1") == changed


async def test_a_deleted_app_is_gone_with_its_keys(
    apps: CachedApps, source: FakeSource, told: list[tuple[str, App | None]]
) -> None:
    await apps.by_key("k2")
    await apps.by_key("k2-old")
    del source.apps["2"]
    await apps.refresh(["2", "unheard-of"])
    assert told == [("2", None)]
    assert await apps.by_key("k2") is None
    assert await apps.by_key("k2-old") is None
    assert await apps.by_id("2") is None


async def test_a_removed_key_finds_nothing_and_may_move(
    apps: CachedApps, source: FakeSource
) -> None:
    await apps.by_key("k2-old")
    source.apps["2"] = app("2", "k2")
    source.apps["3"] = app("3", "k2-old")
    await apps.refresh()
    found = await apps.by_key("k2-old")
    assert found is not None
    assert found.id == "3"


async def test_a_known_app_whose_row_goes_wrong_keeps_its_settings(
    apps: CachedApps, source: FakeSource, told: list[tuple[str, App | None]]
) -> None:
    """The operator's slip closes nobody's connection; whoever is unknown stays so."""
    await apps.by_key("k1")
    source.refused = {"1", "2"}
    await apps.refresh()
    assert told == []
    assert await apps.by_key("k1") is not None
    assert await apps.by_key("k2") is None


async def test_of_two_rows_with_one_key_the_first_id_has_it(
    apps: CachedApps, source: FakeSource, caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever was asked for before; one line says so."""
    source.apps["3"] = app("3", "k1")
    assert await apps.by_id("3") == app("3", "k1")
    for _ in range(2):
        found = await apps.by_key("k1")
        assert found is not None
        assert found.id == "1"
    assert [record.getMessage() for record in caplog.records] == [
        "the key 'k1' is in the rows of the apps '1', '3': clients get the first of them"
    ]


async def test_known_apps_go_on_while_the_store_is_away(
    apps: CachedApps, source: FakeSource, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Others are told to come back, and the store is not worn out by asking again and again."""
    caplog.set_level(logging.INFO)
    await apps.by_key("k1")
    source.error = ClusterUnavailable("no database")
    clock.advance(10)
    for _ in range(5):
        with pytest.raises(ClusterUnavailable, match="no database"):
            await apps.by_key("k2")
    assert len(source.asked) == 2
    assert await apps.by_key("k1") is not None
    assert apps.problem == "no database"
    assert apps.ready
    clock.advance(cache.PAUSE)
    with pytest.raises(ClusterUnavailable):
        await apps.refresh()
    source.error = None
    await apps.refresh()
    assert apps.problem is None
    assert await apps.by_key("k2") is not None
    assert [record.getMessage() for record in caplog.records] == [
        "no database; known apps go on being served",
        "the apps can be read again",
    ]


async def test_all_who_wait_are_told_when_it_goes_away(
    apps: CachedApps, source: FakeSource
) -> None:
    source.may_answer.clear()
    source.error = ConfigError("database.table", "there is none")
    lookups = [asyncio.ensure_future(apps.by_key("k1"))]
    await asyncio.sleep(0.01)
    lookups += [asyncio.ensure_future(apps.by_key(f"x{number}")) for number in range(500)]
    await asyncio.sleep(0.01)
    source.may_answer.set()
    found = await asyncio.gather(*lookups, return_exceptions=True)
    assert all(isinstance(each, ClusterUnavailable) for each in found)
    assert len(source.asked) == 1


async def test_a_fault_of_ours_leaves_nobody_waiting(apps: CachedApps, source: FakeSource) -> None:
    source.error = RuntimeError("bug")
    with pytest.raises(ClusterUnavailable):
        await apps.by_key("k1")
    source.error = None
    assert await apps.by_key("k1") is not None


async def test_it_is_not_ready_before_the_store_has_answered(
    apps: CachedApps, source: FakeSource
) -> None:
    assert not apps.ready
    assert apps.problem == "the apps have not been read yet"
    await apps.refresh()
    assert apps.ready
    assert apps.problem is None


async def test_many_known_apps_are_read_in_pieces(
    source: FakeSource, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "REFRESH_BATCH", 2)
    source.apps = {str(n): app(str(n), f"k{n}") for n in range(5)}
    apps = CachedApps(source, clock, unknown_seconds=UNKNOWN_SECONDS)
    for number in range(5):
        await apps.by_id(str(number))
    source.asked.clear()
    await apps.refresh()
    assert [len(ids) for _, ids in source.asked] == [2, 2, 1]
