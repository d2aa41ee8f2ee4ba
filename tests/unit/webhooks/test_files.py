"""The file of an outbox: whose it is, and what happens when it cannot be used."""

import logging
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from pusher_server.webhooks.opening import FileOpening
from pusher_server.webhooks.outbox import Decision, Entry, Outbox, OutboxUnavailable
from pusher_server.webhooks.sqlite_outbox import SqliteOutbox

DECIDED = [Decision("1", (Entry("id", "w", "c", "{}", 1.0),))]


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Outbox]:
    outbox = SqliteOutbox(path, clock=lambda: 5.0)
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


async def test_a_file_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    db = sqlite3.connect(path)
    db.execute("PRAGMA user_version = 99")
    db.close()
    async with opened(path) as outbox:
        with pytest.raises(OutboxUnavailable, match="a newer release has made it"):
            await outbox.append(DECIDED)


def _allow_pages(outbox: SqliteOutbox, count: int) -> None:
    """In the outbox's own thread, where its connection lives."""
    assert outbox._file._db is not None
    outbox._file._db.execute(f"PRAGMA max_page_count = {count}")


async def test_a_full_disk_is_said_and_passes(tmp_path: Path) -> None:
    """The file may not grow for a while, as on a full disk."""
    path = tmp_path / "outbox"
    async with opened(path) as outbox:
        await outbox.append(DECIDED)
        assert isinstance(outbox, SqliteOutbox)
        await outbox._run(lambda db: _allow_pages(outbox, 1))
        large = Decision("1", (Entry("large", "w", "c", "x" * 1_000_000, 1.0),))
        with pytest.raises(OutboxUnavailable, match=r"webhooks\.outbox: .*full"):
            await outbox.append([large])
        assert await waiting(outbox) == ["id"]
        await outbox._run(lambda db: _allow_pages(outbox, 1_000_000))
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


async def test_a_place_that_is_no_directory_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutboxUnavailable, match=r"webhooks\.outbox: .*"):
        await FileOpening(str(tmp_path / "file" / "outbox"), "me").open()


async def test_a_file_belongs_to_one_server_and_all_its_workers(tmp_path: Path) -> None:
    path = str(tmp_path / "outbox")
    first, worker = FileOpening(path, "server"), FileOpening(path, "server")
    outboxes = [await first.open(), await worker.open()]
    stranger = FileOpening(path, "another server")
    with pytest.raises(OutboxUnavailable, match="another running server's"):
        await stranger.open()
    for each in (first, worker):
        each.give_up()
    outboxes.append(await stranger.open())
    stranger.give_up()
    for outbox in outboxes:
        await outbox.close()
