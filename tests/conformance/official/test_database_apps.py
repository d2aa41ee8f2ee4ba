"""pusher-js on one node, and its app switched off in the database from another place."""

import asyncio
import sys
from pathlib import Path

from tests.conformance.official.app_server import running_app_server
from tests.conformance.official.clients import pusher_js
from tests.conformance.target import GOLDEN, Target
from tests.support.app_tables import made
from tests.support.databases import PostgresServer
from tests.support.serving import RunningServer

#: Within which the client is gone.
SECONDS = 5.0


async def test_a_disabled_app_disconnects_pusher_js_on_every_node(
    postgres: PostgresServer, tmp_path: Path
) -> None:
    """`apps disable` beside the first node; clients of both get 4003 within 5 s and stay away."""
    async with made("postgres", "own", tmp_path, postgres) as table:
        row: dict[str, object] = {"id": GOLDEN.app_id, "key": GOLDEN.key, "secret": GOLDEN.secret}
        await table.insert([row])
        settings = {"server": {"shutdown_grace": 0.0}, "database": table.tree}
        async with (
            RunningServer(tmp_path, settings) as one,
            RunningServer(tmp_path, settings) as two,
        ):
            targets = [Target(each.host, (each.port,), GOLDEN, own=True) for each in (one, two)]
            with running_app_server(targets[0]) as app_server:
                async with (
                    pusher_js(targets[0], app_server) as first,
                    pusher_js(targets[1], app_server) as second,
                ):
                    await asyncio.gather(first.connect("alice"), second.connect("bob"))
                    disabling = await asyncio.create_subprocess_exec(
                        *(sys.executable, "-m", "pusher_server", "apps", "disable", GOLDEN.app_id),
                        *("--config", str(one.write_config())),
                    )
                    assert await disabling.wait() == 0
                    for clients, name in ((first, "alice"), (second, "bob")):
                        await clients.driver.wait_for_state(name, "disconnected", SECONDS)
                        error = await clients.wait(name, None, "error")
                        assert error["data"]["data"]["code"] == 4003
