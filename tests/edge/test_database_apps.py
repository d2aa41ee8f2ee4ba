"""A server whose apps are in a database: as operators run it, with rows that change under it."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from tests.support import signed, wire
from tests.support.app_tables import KINDS, AppTable, made
from tests.support.databases import PASSWORD, PostgresServer
from tests.support.inprocess import APP_ID, KEY, SECRET
from tests.support.processes import reload, rewrite
from tests.support.redis_servers import RedisServer
from tests.support.serving import RunningServer
from tests.support.waiting import equals
from tests.support.wire import QUERY, Address, Wire

#: Within which a change has taken effect, and no test waits longer.
SECONDS = 5.0
ROW: dict[str, object] = {"id": APP_ID, "key": KEY, "secret": SECRET}


class AnsweringServer(RunningServer):
    """Started when it answers, ready or not."""

    def ready_status(self) -> int | None:
        """200 for any answer."""
        return None if super().ready_status() is None else 200


@asynccontextmanager
async def running(
    directory: Path,
    table: AppTable,
    *,
    workers: int = 1,
    redis: str = "",
    poll_interval: float | None = None,
) -> AsyncIterator[RunningServer]:
    """A server of the apps of a table, which ends as it should."""
    database = dict(table.tree)
    if poll_interval is not None:
        database["poll_interval"] = poll_interval
    settings = {"server": {"shutdown_grace": 0.0, "workers": workers}, "database": database}
    if redis:
        settings["cluster"] = {"redis": {"url": redis}}
    server = AnsweringServer(directory, settings)
    await asyncio.to_thread(server.start)
    try:
        yield server
    finally:
        status = await asyncio.to_thread(server.stop)
    assert status == 0, server.log
    for unwanted in ("Traceback", SECRET, PASSWORD):
        assert unwanted not in server.log


@pytest.fixture
async def table(postgres: PostgresServer, tmp_path: Path) -> AsyncIterator[AppTable]:
    """Our table in PostgreSQL with the trigger and one app."""
    async with made("postgres", "own", tmp_path, postgres) as found:
        await found.insert([ROW])
        yield found


async def ready(server: RunningServer) -> str:
    """Wait until `/ready` is 200; returns what it says."""
    address = Address(port=server.port)
    deadline = asyncio.get_running_loop().time() + 3 * SECONDS
    while True:
        answer = await ask_ready(address)
        if answer.status == 200:
            return answer.text
        assert asyncio.get_running_loop().time() < deadline, answer.text
        await asyncio.sleep(0.05)


async def ask_ready(address: Address) -> wire.Answer:
    """`GET /ready`."""
    async with wire.opened(address) as client:
        return await client.ask("/ready")


async def refusal(address: Address, key: str) -> int:
    """The code with which a new connection is refused; 0 when it is not."""
    async with wire.opened(address) as client:
        await client.handshake(f"/app/{key}{QUERY}")
        message = await client.message()
        return 0 if message["event"] != "pusher:error" else int(message["data"]["code"])


async def until_refused(address: Address, key: str, code: int) -> None:
    """Connect again and again until the answer is this one."""
    await equals(lambda: refusal(address, key), code, 3 * SECONDS)


async def published(address: Address) -> int:
    """The status of a signed publication."""
    async with wire.opened(address) as backend:
        await backend.send(signed.event("c"))
        return (await backend.answer()).status


def command(server: RunningServer, *arguments: str) -> str:
    """Run `pusher-server apps …` beside the server; returns what it prints."""
    config = str(server.write_config())
    run = subprocess.run(
        [sys.executable, "-m", "pusher_server", "apps", *arguments, "--config", config],
        capture_output=True,
        text=True,
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


async def closed_within(client: Wire, code: int, seconds: float) -> None:
    """Error and close frame come in this time."""
    async with asyncio.timeout(seconds):
        await client.expect_refusal(code)


@pytest.mark.parametrize("kind", KINDS)
async def test_an_app_that_is_disabled_in_the_database_loses_its_clients(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    """Within 5 s with 4003, with default settings; enabled again it is served again."""
    database = None if kind == "sqlite" else request.getfixturevalue(kind)
    async with made(kind, "own", tmp_path, database) as table:
        await table.insert([ROW, {"id": "9", "key": "other", "secret": "s"}])
        async with running(tmp_path, table) as server:
            await ready(server)
            address = Address(port=server.port)
            async with (
                wire.connected(address, KEY) as client,
                wire.connected(address, "other") as bystander,
            ):
                await client.join("c")
                await table.update(APP_ID, "enabled", table.switch(False))
                await closed_within(client, 4003, SECONDS)
                assert await refusal(address, KEY) == 4003
                assert await published(address) == 403
                await bystander.expect_alive()
                await table.update(APP_ID, "enabled", table.switch(True))
                await until_refused(address, KEY, 0)
                assert await published(address) == 200
                await table.delete(APP_ID)
                await until_refused(address, KEY, 4001)
                await bystander.expect_alive()


async def test_clients_of_all_workers_are_closed(table: AppTable, tmp_path: Path) -> None:
    """Each worker reads for itself."""
    async with running(tmp_path, table, workers=2) as server:
        await ready(server)
        address = Address(port=server.port)
        async with AsyncExitStack() as stack:
            clients = [
                await stack.enter_async_context(wire.connected(address, KEY)) for _ in range(8)
            ]
            command(server, "disable", APP_ID)
            await asyncio.gather(*[closed_within(each, 4003, SECONDS) for each in clients])


async def test_a_node_that_has_not_looked_yet_hears_of_a_change_from_one_that_has(
    tmp_path: Path,
) -> None:
    """One polls every tenth of a second, the other one once an hour."""
    redis = RedisServer()
    await asyncio.to_thread(redis.start)
    try:
        async with made("sqlite", "own", tmp_path, None) as table:
            await table.insert([ROW])
            url = f"redis://{redis.host}:{redis.port}"
            (tmp_path / "one").mkdir()
            (tmp_path / "two").mkdir()
            async with (
                running(tmp_path / "one", table, redis=url, poll_interval=0.1) as looks,
                running(tmp_path / "two", table, redis=url, poll_interval=3_600) as waits,
            ):
                await ready(looks)
                await ready(waits)
                async with (
                    wire.connected(Address(port=looks.port), KEY) as near,
                    wire.connected(Address(port=waits.port), KEY) as far,
                ):
                    await table.update(APP_ID, "enabled", table.switch(False))
                    await closed_within(near, 4003, SECONDS)
                    await closed_within(far, 4003, SECONDS)
    finally:
        await asyncio.to_thread(redis.close)


async def test_keys_are_rotated_by_command(table: AppTable, tmp_path: Path) -> None:
    """Both work while both are there; removing the old one closes its connections with 4001."""
    async with running(tmp_path, table) as server:
        await ready(server)
        address = Address(port=server.port)
        async with wire.connected(address, KEY) as with_old:
            shown = command(server, "rotate", APP_ID)
            new = shown.partition("key 1: ")[2].partition("\n")[0]
            assert SECRET not in shown
            await until_refused(address, new, 0)
            async with wire.connected(address, new) as with_new:
                assert await published(address) == 200  # signed with the old secret
                await with_old.expect_alive()
                command(server, "remove", APP_ID, "--key", KEY, "--yes")
                await closed_within(with_old, 4001, SECONDS)
                assert await published(address) == 401
                await with_new.expect_alive()


async def test_limits_and_defaults_change_while_it_runs(table: AppTable, tmp_path: Path) -> None:
    """A row's limit counts from the next action on; `[defaults]` of the file after SIGHUP."""
    async with running(tmp_path, table) as server:
        await ready(server)
        address = Address(port=server.port)
        async with wire.connected(address, KEY) as client:
            await client.join("c")
            command(server, "set", APP_ID, "limits.connections=1")
            await until_refused(address, KEY, 4100)
            command(server, "set", APP_ID, "limits.connections=default")
            await until_refused(address, KEY, 0)
            rewrite(server, defaults={"limits": {"connections": 1}})
            await reload(server)
            await until_refused(address, KEY, 4100)
            await client.expect_alive()


async def test_a_database_that_comes_later(tmp_path: Path) -> None:
    """The server starts without it, says so, sends everybody away for now, and serves once it is there."""
    with PostgresServer() as database:
        async with made("postgres", "own", tmp_path, database) as table:
            await table.insert([ROW])
            await table.engine.dispose()
            await asyncio.to_thread(database.stop)
            async with running(tmp_path, table) as server:
                address = Address(port=server.port)
                answer = await ask_ready(address)
                assert answer.status == 500
                assert answer.text == "not ready\n"
                assert "database" in server.log
                assert await refusal(address, KEY) == 4100
                async with wire.opened(address) as backend:
                    await backend.send(signed.event("c"))
                    refused = await backend.answer()
                assert refused.status == 503
                assert refused.headers["retry-after"] == "1"

                await asyncio.to_thread(database.start)
                await ready(server)
                async with wire.connected(address, KEY) as client:
                    await client.expect_alive()

                # Away again: whoever is known is served, whoever is not is told to come back.
                assert await published(address) == 200
                await asyncio.to_thread(database.stop)
                await until_refused(address, "nobody-has-asked-for-it", 4100)
                async with wire.connected(address, KEY) as client:
                    await client.expect_alive()
                assert await published(address) == 200
                assert await ready(server) == "degraded\n"  # the reason is for operators
                assert "the database of the apps" in server.log
                assert server.log.count("starting anyway") == 1


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("ALTER TABLE {table} DROP COLUMN secret", "has no column 'secret'"),
        ("DROP TABLE {table}", "has no table 'pusher_apps'; `pusher-server apps init` creates it"),
    ],
)
async def test_a_table_that_cannot_serve_ends_the_start(
    statement: str, said: str, tmp_path: Path
) -> None:
    """One line, exit status 2."""
    async with made("sqlite", "own", tmp_path, None) as table:
        await table.execute(statement)
        server = RunningServer(tmp_path, {"database": table.tree})
        run = await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "pusher_server", "serve", "--config", server.write_config()],
            capture_output=True,
            text=True,
            timeout=20,
        )
    assert run.returncode == 2
    assert said in run.stderr
    assert run.stderr.count("\n") == 1, run.stderr
