"""One anonymous socket that comes and goes thousands of times: nobody else loses an event of a webhook."""

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.edge.test_operations import operations_of, scrape
from tests.edge.test_webhooks import TAKEOVER, connected, settings
from tests.support import wire
from tests.support.inprocess import APP_ID
from tests.support.redis_servers import RedisServer
from tests.support.serving import RunningServer
from tests.support.waiting import eventually
from tests.support.webhook_target import WebhookTarget, hanging, with_status
from tests.support.wire import Wire

#: Half as many events again as may wait.
PAIRS, WAITING = 9_000, 12_000


@pytest.fixture(params=["sqlite", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What `[cluster]` says besides."""
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield {}
        else:
            redis = stack.enter_context(RedisServer())
            redis.start()
            yield {"redis": {"url": f"redis://{redis.address}/0"}}


async def flood(client: Wire) -> None:
    """Subscribe and unsubscribe on ever new channels, as fast as the server takes it."""
    heard = asyncio.create_task(answered(client))
    for start in range(0, PAIRS, 50):
        names = [f"flood-{number}" for number in range(start, start + 50)]
        await client.send(*(wire.subscribe(name) for name in names))
        leaves = (wire.message("pusher:unsubscribe", data={"channel": name}) for name in names)
        await client.send(*leaves)
        await asyncio.sleep(0)
    await client.send(wire.message("pusher:ping", data={}))
    async with asyncio.timeout(30):
        await heard


async def answered(client: Wire) -> None:
    """Until the server has come to the ping at the end."""
    last = b""
    while b"pusher:pong" not in last:
        piece = await client.reader.read(65_536)
        assert piece
        last = last[-50:] + piece


async def test_a_flood_of_comings_and_goings_costs_nobody_an_event(
    tmp_path: Path, store: dict[str, Any]
) -> None:
    async with WebhookTarget(hanging) as target:
        given = settings(tmp_path, {"url": target.url, "batch": True})
        given["webhooks"]["waiting"] = WAITING
        given["cluster"] |= store
        async with RunningServer(tmp_path, given) as server, connected(server) as victim:
            await eventually(lambda: "/metrics" in server.log)
            await victim.join("early")
            await target.heard(1)
            async with connected(server) as stranger:
                await flood(stranger)
            await victim.join("late")
            operations = operations_of(server)

            async def value(name: str, **labels: str) -> float:
                found = await scrape(operations)
                key = tuple(sorted({"app": APP_ID, **labels}.items()))
                return found[f"pusher_server_webhook{name}", key]

            async def are_undone() -> bool:
                return await value("_events_undone_total") >= PAIRS

            await eventually(are_undone, TAKEOVER)
            assert await value("s_waiting") < WAITING
            target.answer = with_status(200)
            expected = {("channel_occupied", name) for name in ("early", "late")}

            def heard() -> set[tuple[str, str]]:
                return {(each["name"], each["channel"]) for each in target.events}

            await target.until(lambda: expected <= heard(), 2 * TAKEOVER)
            assert await value("_events_dropped_total", reason="crowded_out") == 0
            assert await value("_dead_letters_total") == 0
            assert "given up" not in server.log
