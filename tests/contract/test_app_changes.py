"""A change in the table reaches the server within seconds, whichever database and whoever's table it is.

With PostgreSQL's trigger the poll interval is an hour here, so nothing but a notification can be what it was.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from pusher_server.app import App
from pusher_server.apps.database.runtime import DatabaseApps
from pusher_server.config import DatabaseSettings
from pusher_server.errors import ClusterUnavailable
from tests.support.app_tables import KINDS, PRESETS, AppTable, made
from tests.support.databases import PostgresServer
from tests.support.waiting import eventually

POLL = 0.05
HOUR = 3_600.0

#: Column of a limit, and what a row needs beside its names.
LIMIT = {"own": "max_connections", "soketi": "max_connections", "laravel-websockets": "capacity"}


@dataclass
class Watched:
    """A table, what the server knows of it, and what it was told."""

    table: AppTable
    live: DatabaseApps
    told: list[tuple[str, App | None]]

    async def add(self, app_id: str) -> None:
        """A new row; its key is `key-` and the id."""
        row: dict[str, object] = {"id": app_id, "key": f"key-{app_id}", "secret": "s"}
        if self.table.settings.preset == "soketi":
            row |= {"enabled": 1, "enable_client_messages": 1, "max_connections": -1}
            row |= {"max_backend_events_per_sec": -1, "max_client_events_per_sec": -1}
            row |= {"max_read_req_per_sec": -1}
        elif self.table.settings.preset == "laravel-websockets":
            row |= {"name": "", "allowed_origins": ""}
        await self.table.insert([row])

    async def knows(self, app_id: str) -> bool:
        """Whether its key is answered."""
        return await self.live.provider.by_key(f"key-{app_id}") is not None

    def last(self, app_id: str) -> App | None:
        """What was told of it last; an AssertionError when nothing was."""
        told = [app for each, app in self.told if each == app_id]
        assert told
        return told[-1]


@asynccontextmanager
async def watching(table: AppTable, *, poll_interval: float) -> AsyncIterator[Watched]:
    """What a server does: tick several times a second."""
    settings = table.settings
    told: list[tuple[str, App | None]] = []
    live = DatabaseApps(
        DatabaseSettings(
            url=settings.url,
            preset=settings.preset,
            table=settings.table,
            poll_interval=poll_interval,
        ),
        {},
        time.monotonic,
        on_change=lambda app_id, app, is_news: told.append((app_id, app)),
    )
    watched = Watched(table, live, told)

    async def tick() -> None:
        while True:
            live.tick()
            await asyncio.sleep(POLL / 5)

    ticking = asyncio.get_running_loop().create_task(tick())
    try:
        await eventually(lambda: live.provider.ready)
        yield watched
    finally:
        ticking.cancel()
        with suppress(asyncio.CancelledError):
            await ticking
        await live.close()


@pytest.fixture(params=[(kind, preset) for kind in KINDS for preset in PRESETS], ids="-".join)
async def watched(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Watched]:
    """Each table in each database."""
    kind, preset = request.param
    server = None if kind == "sqlite" else request.getfixturevalue(kind)
    async with (
        made(kind, preset, tmp_path, server) as table,
        watching(table, poll_interval=HOUR if kind == "postgres" else POLL) as found,
    ):
        yield found


@pytest.fixture
async def announced(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[Watched]:
    """Our table in PostgreSQL, with the trigger."""
    async with (
        made("postgres", "own", tmp_path, postgres) as table,
        watching(table, poll_interval=HOUR) as found,
    ):
        yield found


async def test_the_life_of_an_app(watched: Watched) -> None:
    """Added, limited, and deleted by others; an app beside it is not touched."""
    table = watched.table
    assert not await watched.knows("1")
    await watched.add("1")
    await watched.add("2")
    # An unknown key is remembered for one poll interval, or until a notification.
    await eventually(lambda: watched.knows("1"))
    await eventually(lambda: watched.knows("2"))
    assert watched.told == []

    await table.update("1", LIMIT[table.settings.preset], 5)
    await eventually(lambda: bool(watched.told))
    changed = watched.last("1")
    assert changed is not None
    assert changed.limits.connections == 5
    assert await watched.live.provider.by_key("key-1") == changed

    await table.delete("1")
    await eventually(lambda: len(watched.told) == 2)
    assert watched.last("1") is None
    assert not await watched.knows("1")
    assert await watched.knows("2")
    assert {app_id for app_id, _ in watched.told} == {"1"}


@pytest.mark.parametrize("kind", KINDS)
async def test_disabling_and_another_key(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """What ends connections."""
    server = None if kind == "sqlite" else request.getfixturevalue(kind)
    async with (
        made(kind, "own", tmp_path, server) as table,
        watching(table, poll_interval=HOUR if kind == "postgres" else POLL) as watched,
    ):
        await watched.add("1")
        assert await watched.knows("1")
        await table.update("1", "enabled", table.switch(False))
        await eventually(lambda: len(watched.told) == 1)
        disabled = watched.last("1")
        assert disabled is not None
        assert not disabled.enabled
        await table.update("1", "key", "another")
        await eventually(lambda: len(watched.told) == 2)
        assert not await watched.knows("1")
        found = await watched.live.provider.by_key("another")
        assert found is not None
        assert found.id == "1"


async def test_postgresql_without_the_trigger_is_polled(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    async with (
        made("postgres", "soketi", tmp_path, postgres, announced=False) as table,
        watching(table, poll_interval=POLL) as watched,
    ):
        await watched.add("1")
        assert await watched.knows("1")
        await table.update("1", "max_connections", 7)
        await eventually(lambda: len(watched.told) == 1)


async def test_a_truncated_table_has_no_apps(announced: Watched) -> None:
    """TRUNCATE fires no trigger for rows."""
    await announced.add("1")
    assert await announced.knows("1")
    await announced.table.execute("TRUNCATE {table}")
    await eventually(lambda: bool(announced.told))
    assert announced.last("1") is None


async def test_a_lost_listener_listens_again(announced: Watched) -> None:
    """The database ends our connection; a change in the meantime and one afterwards are both seen."""
    await announced.add("1")
    assert await announced.knows("1")
    await announced.table.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pusher-server'"
        " AND datname = current_database()"
    )
    await announced.table.update("1", "max_connections", 1)
    await eventually(lambda: len(announced.told) == 1)
    await announced.table.update("1", "max_connections", 2)
    await eventually(lambda: len(announced.told) == 2)
    last = announced.last("1")
    assert last is not None
    assert last.limits.connections == 2


async def test_changes_while_the_database_was_away_are_seen_afterwards(tmp_path: Path) -> None:
    """Known apps go on, unknown ones are told to come back, and then everything is as it should be."""
    with PostgresServer() as server:
        async with (
            made("postgres", "own", tmp_path, server) as table,
            watching(table, poll_interval=POLL) as watched,
        ):
            provider = watched.live.provider
            await watched.add("1")
            await watched.add("2")
            assert await watched.knows("1")
            await table.engine.dispose()
            await asyncio.to_thread(server.stop)
            await eventually(lambda: provider.problem is not None)
            assert await watched.knows("1")
            assert provider.ready
            with pytest.raises(ClusterUnavailable):
                await provider.by_key("key-2")
            assert server.url("x").partition("@")[0].rpartition(":")[2] not in str(provider.problem)

            await asyncio.to_thread(server.start)
            await table.update("1", "max_connections", 9)
            await eventually(lambda: bool(watched.told))
            last = watched.last("1")
            assert last is not None
            assert last.limits.connections == 9
            assert provider.problem is None
            assert await watched.knows("2")


async def test_many_changes_at_once_are_few_reads(
    announced: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    """1,000 notifications, one or two questions."""
    for number in range(3):
        await announced.add(str(number))
        assert await announced.knows(str(number))
    questions = 0
    find = announced.live._store.find

    async def counted(**asked: object) -> object:
        nonlocal questions
        questions += 1
        return await find(**asked)  # type: ignore[arg-type]  # as it was given

    monkeypatch.setattr(announced.live._store, "find", counted)
    await announced.table.execute(
        "INSERT INTO {table} (id, {key}, secret) SELECT 'x' || n, 'x' || n, 's' FROM generate_series(1, 1000) n"
    )
    await announced.table.execute("UPDATE {table} SET max_connections = 3")
    await eventually(lambda: len(announced.told) == 3)
    assert questions <= 5
