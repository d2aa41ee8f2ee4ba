"""`pusher_server.apps.database.changes.ChangeWatcher`: when it looks, and how much of the time it takes."""

import asyncio
from collections.abc import Collection

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
        apps = [App(id=each, keys=(AppKey(key=f"k{each}", secret="s"),)) for each in ("1", "2")]
        return [FoundApp(each.id, each) for each in apps if each.id in ids]


class FakeAnnouncer:
    """Listens or not."""

    def __init__(self) -> None:
        self.listening = True
        self.closed = False

    async def listen(self) -> bool:
        """As it was set."""
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
async def watcher(source: FakeSource, clock: FakeClock) -> ChangeWatcher:
    """With both apps known."""
    apps = CachedApps(source, clock, unknown_seconds=POLL)
    await asyncio.gather(apps.by_id("1"), apps.by_id("2"))
    source.asked.clear()
    return ChangeWatcher(apps, clock, poll_interval=POLL)


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
    watcher: ChangeWatcher, source: FakeSource, clock: FakeClock
) -> None:
    """All of them only as a precaution, or when it could be any."""
    watcher.announcer = FakeAnnouncer()
    await tick(watcher)
    clock.advance(PRECAUTION - 1)
    await tick(watcher)
    assert source.asked == [["1", "2"]]
    watcher.note("2")
    watcher.note("2")
    watcher.note("unheard-of")
    await tick(watcher)
    assert source.asked[1:] == [["2"]]
    watcher.note("")
    await tick(watcher)
    assert source.asked[2:] == [["1", "2"]]
    clock.advance(PRECAUTION)
    await tick(watcher)
    assert source.asked[3:] == [["1", "2"]]


async def test_without_the_trigger_it_polls(
    watcher: ChangeWatcher, source: FakeSource, clock: FakeClock
) -> None:
    announcer = watcher.announcer = FakeAnnouncer()
    announcer.listening = False
    await tick(watcher)
    clock.advance(POLL)
    await tick(watcher)
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


async def test_closing_ends_what_is_under_way(watcher: ChangeWatcher) -> None:
    announcer = watcher.announcer = FakeAnnouncer()
    watcher.tick()
    await watcher.close()
    assert announcer.closed
    assert watcher._task is None or watcher._task.done()
