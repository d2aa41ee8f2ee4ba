"""`pusher_server.apps.database.changes.ChangeWatcher`: when it looks, and how much of the time it takes."""

import asyncio
from collections.abc import Callable, Collection

import pytest

from pusher_server.app import App, AppKey
from pusher_server.apps.database.cache import CachedApps
from pusher_server.apps.database.changes import BUSY, LONGEST_PAUSE, PRECAUTION, ChangeWatcher
from pusher_server.apps.database.schemas import FoundApp
from pusher_server.errors import ClusterUnavailable
from tests.support.fakes import FakeClock

POLL = 2.0


class FakeSource:
    """Two apps; a question may take time or fail."""

    def __init__(self, clock: FakeClock) -> None:
        self.asked: list[list[str]] = []
        self.takes = 0.0
        self.enabled = True
        self.error: Exception | None = None
        self._clock = clock

    async def find(
        self, *, keys: Collection[str] = (), ids: Collection[str] = ()
    ) -> list[FoundApp]:
        """As `SqlStore.find`."""
        self.asked.append(sorted(ids))
        self._clock.advance(self.takes)
        if self.error is not None:
            raise self.error
        apps = [
            App(id=each, keys=(AppKey(key=f"k{each}", secret="s"),), enabled=self.enabled)
            for each in ("1", "2")
        ]
        return [FoundApp(each.id, each) for each in apps if each.id in ids]


class FakeAnnouncer:
    """Listens or not."""

    def __init__(self) -> None:
        self.listening = True
        self.closed = False

    async def listen(self, on_notified: Callable[[str], None]) -> bool:
        """As it was set."""
        self.notify = on_notified
        return self.listening

    async def close(self) -> None:
        """Takes a note."""
        self.closed = True


@pytest.fixture
def clock() -> FakeClock:
    """Time that passes when told to."""
    return FakeClock()


@pytest.fixture
def source(clock: FakeClock) -> FakeSource:
    """What is read."""
    return FakeSource(clock)


@pytest.fixture
def news() -> list[tuple[str, bool]]:
    """The changes, and whether other nodes may not know of them."""
    return []


@pytest.fixture
async def apps(source: FakeSource, clock: FakeClock, news: list[tuple[str, bool]]) -> CachedApps:
    """Both apps are known."""
    apps = CachedApps(
        source,
        clock,
        unknown_seconds=POLL,
        on_change=lambda app_id, app, is_news: news.append((app_id, is_news)),
    )
    await asyncio.gather(apps.by_id("1"), apps.by_id("2"))
    source.asked.clear()
    return apps


@pytest.fixture
def watcher(apps: CachedApps, clock: FakeClock) -> ChangeWatcher:
    """What cannot be told of changes."""
    return ChangeWatcher(apps, clock, poll_interval=POLL)


@pytest.fixture
def announcer() -> FakeAnnouncer:
    """What the database says."""
    return FakeAnnouncer()


@pytest.fixture
def notified(apps: CachedApps, clock: FakeClock, announcer: FakeAnnouncer) -> ChangeWatcher:
    """What the database tells of changes."""
    return ChangeWatcher(apps, clock, poll_interval=POLL, announcer=announcer)


async def tick(watcher: ChangeWatcher) -> None:
    """One turn of the sweep, and what it has begun."""
    watcher.tick()
    if watcher._task is not None:
        await watcher._task


async def test_it_reads_at_once_and_then_every_interval(
    watcher: ChangeWatcher, source: FakeSource, clock: FakeClock
) -> None:
    await tick(watcher)
    await tick(watcher)
    clock.advance(POLL - 0.1)
    await tick(watcher)
    assert source.asked == [["1", "2"]]
    clock.advance(0.1)
    await tick(watcher)
    assert source.asked == [["1", "2"]] * 2


async def test_where_changes_are_announced_it_reads_those(
    notified: ChangeWatcher, announcer: FakeAnnouncer, source: FakeSource, clock: FakeClock
) -> None:
    """All of them only as a precaution, or when it could be any."""
    await tick(notified)
    clock.advance(PRECAUTION - 1)
    await tick(notified)
    assert source.asked == [["1", "2"]]
    announcer.notify("2")
    announcer.notify("2")
    announcer.notify("unheard-of")
    await tick(notified)
    assert source.asked[1:] == [["2"]]
    announcer.notify("")
    await tick(notified)
    assert source.asked[2:] == [["1", "2"]]
    clock.advance(PRECAUTION)
    await tick(notified)
    assert source.asked[3:] == [["1", "2"]]


async def test_without_the_trigger_it_polls(
    notified: ChangeWatcher, announcer: FakeAnnouncer, source: FakeSource, clock: FakeClock
) -> None:
    announcer.listening = False
    await tick(notified)
    clock.advance(POLL)
    await tick(notified)
    assert len(source.asked) == 2


async def test_a_store_that_is_away_is_asked_less_and_less_often(
    watcher: ChangeWatcher, source: FakeSource, clock: FakeClock
) -> None:
    source.error = ClusterUnavailable("away")
    pauses = []
    last = clock.now
    for _ in range(600):
        before = len(source.asked)
        await tick(watcher)
        if len(source.asked) > before:
            pauses.append(round(clock.now - last))
            last = clock.now
        clock.advance(0.1)
    assert pauses[:6] == [0, POLL, 2 * POLL, 4 * POLL, LONGEST_PAUSE, LONGEST_PAUSE]
    source.error = None
    clock.advance(LONGEST_PAUSE)
    await tick(watcher)
    before = len(source.asked)
    clock.advance(POLL)
    await tick(watcher)
    assert len(source.asked) == before + 1


async def test_a_large_table_does_not_keep_us_busy(
    watcher: ChangeWatcher, source: FakeSource, clock: FakeClock
) -> None:
    source.takes = 1.0
    await tick(watcher)
    clock.advance(1.0 / BUSY - 1.1)
    await tick(watcher)
    assert len(source.asked) == 1
    clock.advance(0.1)
    await tick(watcher)
    assert len(source.asked) == 2


async def test_a_fault_of_ours_does_not_end_it(
    watcher: ChangeWatcher, source: FakeSource, clock: FakeClock
) -> None:
    source.error = RuntimeError("bug")
    await tick(watcher)
    source.error = None
    clock.advance(LONGEST_PAUSE)
    await tick(watcher)
    assert len(source.asked) == 2


async def test_closing_ends_what_is_under_way(
    notified: ChangeWatcher, announcer: FakeAnnouncer
) -> None:
    notified.tick()
    await notified.close()
    assert announcer.closed
    assert notified._task is None or notified._task.done()


async def test_what_another_node_has_told_is_read_and_is_no_news(
    watcher: ChangeWatcher, source: FakeSource, news: list[tuple[str, bool]]
) -> None:
    """Also when everything is read at that moment, or the database says it as well."""
    await tick(watcher)
    source.enabled = False
    watcher.note_announced("2")
    await tick(watcher)
    assert source.asked[1:] == [["2"]]
    assert news == [("2", False)]
    watcher.note("1")
    await tick(watcher)
    assert news[1:] == [("1", True)]
    source.enabled = True
    watcher.note("")
    watcher.note("2")
    watcher.note_announced("2")
    await tick(watcher)
    assert news[2:] == [("1", True), ("2", False)]
    await tick(watcher)
    assert len(source.asked) == 4, "what was told is read once"


async def test_of_many_nodes_only_the_one_that_finds_a_change_tells_it(clock: FakeClock) -> None:
    """Each of the others reads the row once and says nothing: one message for a change, whatever the size."""
    source = FakeSource(clock)
    watchers: list[ChangeWatcher] = []
    told: list[str] = []
    changes: list[str] = []

    def on_change(app_id: str, app: App | None, is_news: bool) -> None:
        changes.append(app_id)
        if is_news:  # as `Server` does, by a message to every other node
            told.append(app_id)
            for watcher in watchers[1:]:
                watcher.note_announced(app_id)

    for _ in range(5):
        apps = CachedApps(source, clock, unknown_seconds=POLL, on_change=on_change)
        await apps.by_id("1")
        watchers.append(ChangeWatcher(apps, clock, poll_interval=POLL))
    for watcher in watchers:
        await tick(watcher)
    source.asked.clear()
    source.enabled = False
    watchers[0].note("1")
    for _ in range(3):
        for watcher in watchers:
            await tick(watcher)
    assert told == ["1"]
    assert changes == ["1"] * 5
    assert len(source.asked) == 5
