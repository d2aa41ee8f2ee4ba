"""The file of an outbox: whose it is, and what happens when it cannot be used."""

import asyncio
import logging
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from pusher_server.config import WebhookSettings
from pusher_server.webhooks.outbox.interface import (
    Appended,
    Decision,
    Entry,
    Outbox,
    OutboxUnavailable,
)
from pusher_server.webhooks.outbox.opening import FileOpening
from pusher_server.webhooks.outbox.sqlite import file as sqlite_file
from pusher_server.webhooks.outbox.sqlite import schema
from pusher_server.webhooks.outbox.sqlite.outbox import SqliteOutbox

DECIDED = [Decision("1", (Entry("id", "w", "c", "{}", 1.0),))]


@asynccontextmanager
async def opened(path: Path, steady: Callable[[], float] = time.monotonic) -> AsyncIterator[Outbox]:
    outbox = SqliteOutbox(path, clock=lambda: 5.0, steady=steady)
    yield outbox
    await outbox.close()


async def waiting(outbox: Outbox) -> list[str]:
    return [each.entry.id for each in await outbox.pending("1", "", 10)]


async def test_only_this_user_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "made" / "outbox"
    async with opened(path) as outbox:
        await outbox.append(DECIDED)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize(
    "break_it",
    [
        lambda path: path.write_bytes(b"this is no database" * 100),
        lambda path: path.write_bytes(path.read_bytes()[:5_000] + b"\xff" * 8_000),
    ],
    ids=["no database", "damaged"],
)
async def test_a_broken_file_is_kept_aside_and_a_new_one_begun(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, break_it: Callable[[Path], object]
) -> None:
    path = tmp_path / "outbox"
    async with opened(path) as outbox:
        await outbox.append(DECIDED)
    break_it(path)
    with caplog.at_level(logging.ERROR):
        async with opened(path) as outbox, opened(path) as other:
            await outbox.append(DECIDED)
            assert await waiting(outbox) == await waiting(other) == ["id"]
    assert (tmp_path / "outbox.broken-5").exists()
    assert [each.getMessage().partition(" is broken")[0] for each in caplog.records] == [
        f"webhooks.outbox: {path}"
    ]


COLUMNS = "app, id, webhook, channel, event, decided_at"
INSERT = f"INSERT INTO entries ({COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"


def make_earlier(path: Path, additions: int) -> None:
    """A file as an early release has made it, with so many of what was added later."""
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(schema._TABLES)
        for _, statements in schema._ADDED[:additions]:
            db.executescript(";".join(statements))
        db.execute(f"PRAGMA application_id = {sqlite_file._APPLICATION}")
        db.execute(f"PRAGMA user_version = {sqlite_file.VERSION}")
        db.commit()


def sums(db: sqlite3.Connection) -> tuple[int, int]:
    """The bytes that wait and are dead, as they are kept."""
    found = db.execute("SELECT entries_bytes, dead_bytes FROM totals WHERE app = '1'").fetchone()
    return found[0], found[1]


@pytest.mark.parametrize("additions", range(len(schema._ADDED)))
async def test_a_file_of_an_earlier_release_is_brought_up_and_can_be_used_by_both(
    tmp_path: Path, additions: int
) -> None:
    path = tmp_path / "outbox"
    make_earlier(path, additions)
    with closing(sqlite3.connect(path)) as db:
        occupied = '{"name":"channel_occupied","channel":"c"}'
        db.execute(INSERT, ("1", "early", "w", "c", occupied, 1.0))
        letter = ("1", "tot é", "w", "c", "{}", 1.0, 2.0, "no")
        db.execute(
            f"INSERT INTO dead ({COLUMNS}, at, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?)", letter
        )
        db.execute("INSERT INTO claims VALUES ('1', 'killed', ?)", (time.time() + 10,))
        db.execute("INSERT INTO known VALUES ('1', 'x', 'w', ?)", (time.time(),))
        db.commit()
        vacated = Entry("late", "w", "c", '{"name":"channel_vacated","channel":"c"}', 2.0)
        now = 500.0
        async with opened(path, steady=lambda: now) as outbox:
            assert await waiting(outbox) == ["early"]
            early = len("early") + 2 + len(occupied)
            assert sums(db) == (early, len("tot é".encode()) + 4)
            await outbox.append([Decision("1", (vacated,))])
            db.execute(INSERT, ("1", "of both", "w", "c", "{}", 1.0))
            db.commit()
            both = early + len("late") + 2 + len(vacated.event) + len("of both") + 4
            assert sums(db)[0] == both, "an earlier release counts, too"
            assert await waiting(outbox) == ["early", "late", "of both"]
            assert await outbox.claim("w", 10) == []
            now += 10
            assert await outbox.claim("w", 10) == ["1"]
            db.execute("DELETE FROM entries WHERE id = 'early'")
            db.commit()
            assert sums(db)[0] == both - early


async def test_whose_turn_it_is_to_go_is_found_without_reading_events(tmp_path: Path) -> None:
    """They are the most of the file."""
    path = tmp_path / "outbox"
    async with opened(path) as outbox:
        await outbox.append(DECIDED)
    with closing(sqlite3.connect(path)) as db:
        steps = db.execute(
            "EXPLAIN SELECT webhook, kind, channel, position, sum(size) FROM entries"
            " WHERE app = '1' AND webhook = 'w' AND kind = 'k'"
        ).fetchall()
    assert "Function" not in {step[1] for step in steps}, "nothing computes a length"


async def test_a_file_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    async with opened(path) as outbox:
        with pytest.raises(OutboxUnavailable, match="a newer release has made it"):
            await outbox.append(DECIDED)


async def allow_pages(outbox: SqliteOutbox, count: int) -> None:
    """In the outbox's own thread, where its connection lives."""
    await outbox._thread.read(lambda db: db.execute(f"PRAGMA max_page_count = {count}").fetchone())


async def test_a_full_disk_is_said_and_passes(tmp_path: Path) -> None:
    """The file may not grow for a while, as on a full disk."""
    path = tmp_path / "outbox"
    async with opened(path) as outbox:
        await outbox.append(DECIDED)
        assert isinstance(outbox, SqliteOutbox)
        await allow_pages(outbox, 1)
        large = Decision("1", (Entry("large", "w", "c", "x" * 1_000_000, 1.0),))
        with pytest.raises(OutboxUnavailable, match=r"webhooks\.outbox: .*full; make room"):
            await outbox.append([large])
        assert await waiting(outbox) == ["id"]
        await allow_pages(outbox, 1_000_000)
        await outbox.append([large])
        assert await waiting(outbox) == ["id", "large"]


async def test_a_file_that_is_removed_while_it_is_open_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    async with opened(path) as outbox:
        await outbox.append(DECIDED)
        path.unlink()
        await outbox.append(DECIDED)
        assert path.exists()
        assert await waiting(outbox) == ["id"]


async def test_what_waits_in_a_file_that_was_made_anew_is_behind_all_that_was_read(
    tmp_path: Path,
) -> None:
    """Who delivers goes on reading where it was, and finishes what it has read."""
    now = 1_764_000_000.0
    outbox = SqliteOutbox(tmp_path / "outbox", clock=lambda: now)
    await outbox.append([*DECIDED, Decision("1", (Entry("id2", "w", "c", "{}", 1.0),))])
    read = [each.position for each in await outbox.pending("1", "", 10)]
    (tmp_path / "outbox").unlink()
    now += 1
    await outbox.append([Decision("1", (Entry("id3", "w", "c", "{}", 1.0),))])
    await outbox.finish("1", read)
    assert [each.entry.id for each in await outbox.pending("1", read[-1], 10)] == ["id3"]
    await outbox.close()


async def test_a_place_that_is_no_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxUnavailable, match=r"webhooks\.outbox: .*; name a file"):
        await FileOpening(tmp_path / "file" / "outbox", "me", WebhookSettings()).open()


async def test_a_name_that_no_file_can_have_is_named(tmp_path: Path) -> None:
    opening = FileOpening(tmp_path / ("x" * 300), "me", WebhookSettings())
    assert not opening.is_left()
    with pytest.raises(OutboxUnavailable, match=r"webhooks\.outbox: .*too long"):
        await opening.open()


async def test_a_file_belongs_to_one_server_and_all_its_workers(tmp_path: Path) -> None:
    path, settings = tmp_path / "outbox", WebhookSettings()
    first, worker = (FileOpening(path, "server", settings) for _ in range(2))
    outboxes = [await first.open(), await worker.open()]
    stranger = FileOpening(path, "another server", settings)
    with pytest.raises(OutboxUnavailable, match="another running server's"):
        await stranger.open()
    for outbox in outboxes:
        await outbox.close()


async def test_the_file_of_a_server_that_has_ended_is_free(tmp_path: Path) -> None:
    """The name of its last owner stands beside it, without a lock."""
    path = tmp_path / "outbox"
    (tmp_path / "outbox.owner").write_text("a server of yesterday with a longer name")
    outbox = await FileOpening(path, "server", WebhookSettings()).open()
    assert (tmp_path / "outbox.owner").read_text() == "server"
    with pytest.raises(OutboxUnavailable, match="another running server's"):
        await FileOpening(path, "another server", WebhookSettings()).open()
    await outbox.close()


async def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "database.sqlite"
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE users (name)")
    before = path.read_bytes()
    async with opened(path) as outbox:
        with pytest.raises(OutboxUnavailable, match="another program's database; name a file"):
            await outbox.append(DECIDED)
    assert path.read_bytes() == before


async def test_a_file_that_breaks_while_it_is_open_is_kept_aside(tmp_path: Path) -> None:
    """Whoever notices is told; the next call finds a new file."""
    path = tmp_path / "outbox"
    async with opened(path) as outbox:
        many = tuple(Entry(f"id-{n}", "w", "c", "x" * 1_000, 1.0) for n in range(100))
        await outbox.append([Decision("1", many)])
        assert isinstance(outbox, SqliteOutbox)
        await outbox._thread.read(
            lambda db: db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        )
        with path.open("r+b") as file:
            file.seek(4_096)
            file.write(b"\xff" * (path.stat().st_size - 4_096))
        await outbox._thread.read(lambda db: db.execute("PRAGMA cache_size = 0").fetchone())
        with pytest.raises(OutboxUnavailable, match=r"webhooks\.outbox: .*cannot be used"):
            await outbox.pending("1", "", 1_000)
        await outbox.append(DECIDED)
        assert await waiting(outbox) == ["id"]
    assert (tmp_path / "outbox.broken-5").exists()


async def test_what_comes_together_is_one_transaction(tmp_path: Path) -> None:
    """However many calls: the disk is asked once, and a call that fails fails alone."""
    async with opened(tmp_path / "outbox") as outbox:
        await outbox.append(DECIDED)
        assert isinstance(outbox, SqliteOutbox)
        commits: list[str] = []
        await outbox._thread.read(
            lambda db: db.set_trace_callback(
                lambda statement: commits.append(statement) if statement == "COMMIT" else None
            )
        )
        unwritable = Decision("1", (Entry("id-\ud800", "w", "c", "{}", 1.0),))
        others = [Decision("1", (Entry(f"id-{n}", "w", "c", "{}", 1.0),)) for n in range(50)]
        await asyncio.gather(*(outbox.append([each]) for each in others))
        assert len(commits) <= 2
        results = await asyncio.gather(
            *(outbox.append([each]) for each in [*DECIDED, unwritable, decided_later()]),
            return_exceptions=True,
        )
    assert [type(each) for each in results] == [Appended, UnicodeEncodeError, Appended]


def decided_later() -> Decision:
    return Decision("1", (Entry("later", "w", "c", "{}", 1.0),))


async def test_a_closed_outbox_says_so(tmp_path: Path) -> None:
    async with opened(tmp_path / "outbox") as outbox:
        pass
    with pytest.raises(OutboxUnavailable, match="closed"):
        await outbox.append(DECIDED)


async def test_a_file_that_somebody_else_locks_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite_file, "_BUSY", 0.05)
    path = tmp_path / "outbox"
    async with opened(path) as outbox:
        await outbox.append(DECIDED)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OutboxUnavailable, match="locked by another program; let only"):
                await outbox.append([decided_later()])
        await outbox.append([decided_later()])
        assert await waiting(outbox) == ["id", "later"]


async def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    async with opened(tmp_path / "outbox") as outbox:
        await outbox.append(DECIDED)
        assert isinstance(outbox, SqliteOutbox)
        await outbox._thread.read(lambda db: db.execute("PRAGMA query_only = 1"))
        with pytest.raises(OutboxUnavailable, match="cannot be opened and written; name a file"):
            await outbox.append([decided_later()])
        assert await waiting(outbox) == ["id"]
