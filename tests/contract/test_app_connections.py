"""A connection that the database has closed while nobody used it: a fresh one and no error, on each loop.

Real servers close it in each way there is: killed by an administrator, idle for too long, restarted.
"""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import sqlalchemy as sa
import uvloop
from sqlalchemy.ext.asyncio import AsyncConnection

from pusher_server.apps.database.table import SqlStore
from pusher_server.errors import ClusterUnavailable
from tests.support.app_tables import AppTable, made
from tests.support.databases import DatabaseServer, MariaServer, PostgresServer

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
SERVERS: dict[str, type[DatabaseServer]] = {"postgres": PostgresServer, "mariadb": MariaServer}
ROW: dict[str, object] = {"id": "1", "key": "k", "secret": "a secret of 24 letters .."}
#: Ends every connection to the database but the one that says so.
KILLED = {
    "postgres": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE datname = current_database() AND pid <> pg_backend_pid()",
    "mariadb": "SELECT CONCAT('KILL CONNECTION ', id) FROM information_schema.processlist"
    " WHERE db = DATABASE() AND id <> CONNECTION_ID()",
}
#: Lets a connection be idle for a second and no longer.
IMPATIENT = {
    "postgres": "SET idle_session_timeout = 1000",
    "mariadb": "SET SESSION wait_timeout = 1",
}

Closing = Callable[[AppTable, SqlStore, DatabaseServer], Awaitable[None]]


async def killed(table: AppTable, store: SqlStore, server: DatabaseServer) -> None:
    async with table.engine.connect() as connection:
        found = (await connection.execute(sa.text(KILLED[table.kind]))).scalars().all()
        assert found
        if table.kind == "mariadb":
            for statement in found:
                await connection.execute(sa.text(statement))


async def idle_for_too_long(table: AppTable, store: SqlStore, server: DatabaseServer) -> None:
    async def be_impatient(connection: AsyncConnection) -> None:
        await connection.execute(sa.text(IMPATIENT[table.kind]))

    await store.run(be_impatient)
    await asyncio.sleep(2.5)  # the length of the idleness is the case


async def restarted(table: AppTable, store: SqlStore, server: DatabaseServer) -> None:
    await table.engine.dispose()
    await asyncio.to_thread(server.stop)
    await asyncio.to_thread(server.start)


def run(loop: str, work: Awaitable[None]) -> None:
    """On this event loop."""

    async def working() -> None:
        assert loop in type(asyncio.get_running_loop()).__module__
        await work

    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(working())


async def keys(store: SqlStore) -> list[str]:
    """Of the one app that there is."""
    (found,) = await store.find(ids=["1"])
    assert found.app is not None
    return [pair.key for pair in found.app.keys]


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("close", [killed, idle_for_too_long])
def test_a_closed_connection_is_no_error(
    kind: str,
    loop: str,
    close: Closing,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Both for a question and for a change, each time it happens; and it is nothing to log."""
    server = request.getfixturevalue(kind)

    async def work() -> None:
        async with made(kind, "own", tmp_path, server) as table, table.store() as store:
            await table.insert([ROW])
            for turn in range(2):
                assert await keys(store) == ["k" if turn == 0 else f"k{turn - 1}"]
                await close(table, store, server)
                assert await keys(store) == ["k" if turn == 0 else f"k{turn - 1}"]
                await close(table, store, server)
                await renamed(store, f"k{turn}")
                assert await keys(store) == [f"k{turn}"]

    run(loop, work())
    assert [each for each in caplog.records if each.levelname in ("WARNING", "ERROR")] == []


async def renamed(store: SqlStore, key: str) -> None:
    """A change, as the command line makes it."""

    async def change(connection: AsyncConnection) -> None:
        table = await store.table(connection)
        await connection.execute(sa.update(table.source).values(key=key))

    await store.run(change, changes=True)


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", SERVERS)
def test_a_restarted_database_is_no_error(kind: str, loop: str, tmp_path: Path) -> None:
    """While it is away it is one; a server of its own, because the others' tests share one."""

    async def work() -> None:
        with SERVERS[kind]() as server:
            async with made(kind, "own", tmp_path, server) as table, table.store() as store:
                await table.insert([ROW])
                assert await keys(store) == ["k"]
                await restarted(table, store, server)
                assert await keys(store) == ["k"]
                await asyncio.to_thread(server.stop)
                with pytest.raises(ClusterUnavailable):
                    await keys(store)
                await asyncio.to_thread(server.start)
                assert await keys(store) == ["k"]

    run(loop, work())


@pytest.mark.parametrize("loop", LOOPS)
@pytest.mark.parametrize("kind", SERVERS)
def test_a_failed_statement_is_not_tried_twice(
    kind: str, loop: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Only a lost connection is a reason: what a database refuses it refuses once."""
    server, tried = request.getfixturevalue(kind), 0

    async def refused(connection: AsyncConnection) -> None:
        nonlocal tried
        tried += 1
        await connection.execute(sa.text("SELECT nothing FROM nowhere"))

    async def work() -> None:
        async with made(kind, "own", tmp_path, server) as table, table.store() as store:
            with pytest.raises(ClusterUnavailable):
                await store.run(refused)

    run(loop, work())
    assert tried == 1
