"""Webhooks of real server processes, to real targets: what arrives, whatever fails or dies."""

import asyncio
import json
import os
import signal
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import trustme

from pusher_server.webhooks.outbox.sqlite.outbox import SqliteOutbox
from tests.support import signed, wire
from tests.support.app_tables import made
from tests.support.inprocess import APP_ID, KEY, SECRET, app
from tests.support.processes import reload, rewrite
from tests.support.redis_servers import RedisServer
from tests.support.serving import RunningServer
from tests.support.signing import channel_auth
from tests.support.team import Team, is_running, processes_of
from tests.support.waiting import eventually
from tests.support.webhook_target import Request, WebhookTarget, cutting, hanging, with_status
from tests.support.wire import Address, Wire

#: Short, because leaves must be waited for.
UNDO_WINDOW, LEASE = 0.2, 1.0
#: A claim of a process that was killed runs out after 10 s.
TAKEOVER = 20.0


def settings(directory: Path, *webhooks: dict[str, Any], **tables: Any) -> dict[str, Any]:
    """One app with these webhooks."""
    return {
        "apps": [app(webhooks=list(webhooks))],
        "webhooks": {"outbox": str(directory / "outbox"), "timeout": 2.0},
        "cluster": {"undo_window": UNDO_WINDOW, "lease": LEASE},
        **tables,
    }


@asynccontextmanager
async def connected(server: RunningServer) -> AsyncIterator[Wire]:
    async with wire.connected(Address(port=server.port), KEY) as connection:
        yield connection


@asynccontextmanager
async def served(
    directory: Path, *webhooks: dict[str, Any]
) -> AsyncIterator[tuple[RunningServer, Wire]]:
    """A server, and a client of its app."""
    running = RunningServer(directory, settings(directory, *webhooks))
    async with running as server, connected(server) as client:
        yield server, client


async def join_as(connection: Wire, socket_id: str, channel: str, user_id: str) -> None:
    data = f'{{"user_id":"{user_id}"}}'
    auth = channel_auth(KEY, SECRET, socket_id, channel, data)
    await connection.join(channel, auth=auth, channel_data=data)


def told(request: Request) -> tuple[str, str]:
    """Name and channel of its only event."""
    (event,) = request.events
    return event["name"], event["channel"]


async def test_what_fails_is_sent_again_the_same_and_what_comes_after_it_waits(
    tmp_path: Path,
) -> None:
    left = [500, 500]

    async def answer(request: Request, writer: asyncio.StreamWriter) -> bool:
        return await with_status(left.pop() if left else 200)(request, writer)

    async with WebhookTarget(answer) as target:
        async with served(tmp_path, {"url": target.url}) as (_, client):
            await client.join("room")
            client.cut()
            first, second, third, last = await target.heard(4)
        assert first.body == second.body == third.body
        assert first.headers == second.headers == third.headers
        assert [told(request) for request in (first, last)] == [
            ("channel_occupied", "room"),
            ("channel_vacated", "room"),
        ]
        assert 1.0 <= second.at - first.at < 2.0
        assert 2.0 <= third.at - second.at < 3.0


async def test_a_target_that_hangs_delays_neither_another_nor_the_clients(tmp_path: Path) -> None:
    async with WebhookTarget(hanging) as dead, WebhookTarget() as healthy:
        hooks = {"url": dead.url}, {"url": healthy.url}
        async with served(tmp_path, *hooks) as (server, client):
            loop = asyncio.get_running_loop()
            for number in range(300):
                await client.join(f"room-{number}")
            await healthy.heard(300)
            began = loop.time()
            await client.join("late")
            await healthy.until(lambda: ("channel_occupied", "late") in map(told, healthy.requests))
            assert loop.time() - began < 0.5
            began = loop.time()
            async with wire.opened(Address(port=server.port)) as backend:
                await backend.send(signed.event("late"))
                await client.expect("my-event")
            assert loop.time() - began < 0.5
            assert len(dead.requests) < 20


@pytest.mark.parametrize("answer", [cutting, with_status(302, head="Location: /elsewhere\r\n")])
async def test_whatever_is_no_2xx_is_tried_again(tmp_path: Path, answer: Any) -> None:
    async with WebhookTarget(answer) as target:
        async with served(tmp_path, {"url": target.url}) as (_, client):
            await client.join("room")
            await target.heard(1)
            target.answer = with_status(200)
            first, second = (await target.heard(2))[:2]
        assert first.body == second.body
        assert second.line == first.line


async def test_a_target_that_is_not_there_yet(tmp_path: Path) -> None:
    async with WebhookTarget() as target:
        await target.close()
        async with served(tmp_path, {"url": target.url}) as (server, client):
            await client.join("room")
            await eventually(lambda: "does not take its events" in server.log)
            await target.open()
            await target.heard(1)
            await eventually(lambda: "takes its events again" in server.log)


async def test_https_is_verified_unless_the_webhook_says_otherwise(tmp_path: Path) -> None:
    certified = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("localhost").configure_cert(certified)
    async with WebhookTarget(tls=certified) as strict, WebhookTarget(tls=certified) as lax:
        hooks = (
            {"url": f"{strict.url}?token=secret-token"},
            {"url": lax.url, "verify": False},
        )
        async with served(tmp_path, *hooks) as (server, client):
            await client.join("room")
            await lax.heard(1)
            await eventually(lambda: "certificate is not trusted" in server.log)
        assert not strict.requests
        assert "secret-token" not in server.log


async def test_without_webhooks_there_is_no_outbox_and_a_reload_brings_one(tmp_path: Path) -> None:
    async with WebhookTarget() as target, served(tmp_path) as (server, client):
        await client.join("before")
        assert not (tmp_path / "outbox").exists()
        rewrite(server, apps=[app(webhooks=[{"url": target.url}])])
        await reload(server)
        await eventually((tmp_path / "outbox").exists)
        await client.join("after")
        (request,) = await target.heard(1)
        assert told(request) == ("channel_occupied", "after")


async def test_a_stop_waits_for_what_is_in_flight_and_not_for_ever(tmp_path: Path) -> None:
    async with WebhookTarget(hanging) as target:
        given = settings(tmp_path, {"url": target.url}, server={"shutdown_grace": 0.0})
        given["webhooks"]["timeout"] = 60.0
        server = RunningServer(tmp_path, given)
        await asyncio.to_thread(server.start)
        async with connected(server) as client:
            await client.join("room")
            await target.heard(1)
            began = asyncio.get_running_loop().time()
            await asyncio.to_thread(server.stop)
            assert asyncio.get_running_loop().time() - began < 10.0
        target.answer = with_status(200)
        async with server:
            again = (await target.heard(2, TAKEOVER))[1]
        assert again.ids == target.requests[0].ids


async def test_after_kill_9_everything_arrives_and_repeats_have_the_same_ids(
    tmp_path: Path,
) -> None:
    """What was decided is sent; and what was there and did not come back is said to be gone, once."""
    channels = [f"room-{number}" for number in range(20)]
    async with WebhookTarget(hanging) as target:
        given = settings(
            tmp_path, {"url": target.url, "event_types": ["channel_occupied", "channel_vacated"]}
        )
        server = RunningServer(tmp_path, given)
        await asyncio.to_thread(server.start)
        async with connected(server) as client:
            for channel in channels:
                await client.join(channel)
            await target.heard(4)
            server.kill()
        in_flight = {event_id for request in target.requests for event_id in request.ids}
        before = len(target.requests)
        target.answer = with_status(200)
        async with server:
            await target.heard(before + 2 * len(channels), TAKEOVER)
        after = target.requests[before:]
        assert Counter(map(told, after)) == Counter(
            (name, channel)
            for channel in channels
            for name in ("channel_occupied", "channel_vacated")
        )
        ids = [event_id for request in after for event_id in request.ids]
        assert len(set(ids)) == len(ids)
        assert in_flight <= set(ids), "what may have arrived comes again under the id it had"
        for channel in channels:
            names = [told(request)[0] for request in after if told(request)[1] == channel]
            assert names == ["channel_occupied", "channel_vacated"]


async def test_after_kill_9_who_comes_back_is_no_news_and_who_does_not_is_gone_once(
    tmp_path: Path,
) -> None:
    async with WebhookTarget() as target, AsyncExitStack() as stack:
        server = RunningServer(tmp_path, settings(tmp_path, {"url": target.url}))

        async def come(user: str) -> None:
            client = await stack.enter_async_context(wire.opened(Address(port=server.port)))
            await client.handshake(f"/app/{KEY}{wire.QUERY}")
            await join_as(client, await client.established(), "presence-room", user)
            await client.join(f"of-{user}")

        await asyncio.to_thread(server.start)
        await come("stays")
        await come("goes")
        await target.heard(5)
        server.kill()
        # What was not yet written off when it was killed comes once more, under the ids it had.
        known = {event_id for request in target.requests for event_id in request.ids}
        news = [
            {"name": "member_removed", "channel": "presence-room", "user_id": "goes"},
            {"name": "channel_vacated", "channel": "of-goes"},
        ]
        async with server:
            await come("stays")
            await target.until(lambda: len(fresh(target, known)) == len(news), TAKEOVER)
            async with connected(server) as client:
                await client.join("last")
                news.append({"name": "channel_occupied", "channel": "last"})
                await target.until(lambda: len(fresh(target, known)) == len(news))
                assert sorted(fresh(target, known), key=str) == sorted(news, key=str)


def fresh(target: WebhookTarget, known: set[str]) -> list[dict[str, Any]]:
    """The events that the target has got under ids that are not known, each once."""
    found = {
        event_id: event
        for request in target.requests
        for event_id, event in zip(request.ids, request.events, strict=True)
        if event_id not in known
    }
    return list(found.values())


async def test_workers_share_an_outbox_and_one_takes_over_from_another(tmp_path: Path) -> None:
    async with WebhookTarget(hanging) as target:
        team = Team(tmp_path, settings(tmp_path, {"url": target.url}))
        async with team:
            await team.complete()
            async with AsyncExitStack() as stack:
                clients = [await stack.enter_async_context(connected(team)) for _ in range(6)]
                for number, client in enumerate(clients):
                    await client.join(f"room-{number}")
                await target.heard(4)
                target.answer = with_status(200)
                # Whoever delivers: the other one must be able to.
                for name in ("worker 1", "worker 2"):
                    before = team.processes()[name]
                    os.kill(before, signal.SIGKILL)
                    await team.replaced(name, before)
                expected = {("channel_occupied", f"room-{number}") for number in range(6)}
                expected |= {("channel_vacated", f"room-{number}") for number in range(6)}
                await target.until(
                    lambda: expected <= set(map(told, target.requests)), 3 * TAKEOVER
                )
        assert set(map(told, target.requests)) == expected


async def test_after_kill_9_of_all_workers_everything_arrives(tmp_path: Path) -> None:
    channels = [f"room-{number}" for number in range(12)]
    async with WebhookTarget(hanging) as target:
        team = Team(tmp_path, settings(tmp_path, {"url": target.url}))
        await asyncio.to_thread(team.start)
        await team.complete()
        async with AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(connected(team)) for _ in range(4)]
            for number, channel in enumerate(channels):
                await clients[number % 4].join(channel)
            await target.heard(4)
            await decided(tmp_path / "outbox", len(channels))
            pids = processes_of(team.pid)
            team.kill()
            for pid in pids.values():
                await _killed(pid)
        before = len(target.requests)
        target.answer = with_status(200)
        async with team:
            await target.heard(before + 2 * len(channels), TAKEOVER)
        assert Counter(map(told, target.requests[before:])) == Counter(
            (name, channel)
            for channel in channels
            for name in ("channel_occupied", "channel_vacated")
        )


async def decided(path: Path, count: int) -> None:
    """Wait until so many events are kept: workers hear what is decided a moment after it happened."""
    outbox = SqliteOutbox(path, clock=time.time)

    async def all_of_them() -> bool:
        return (await outbox.backlog())[APP_ID].pending == count

    await eventually(all_of_them)
    await outbox.close()


async def _killed(pid: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    await eventually(lambda: not is_running(pid))


async def test_what_a_node_on_redis_has_decided_another_delivers_when_it_never_returns(
    tmp_path: Path,
) -> None:
    channels = [f"room-{number}" for number in range(12)]
    with RedisServer() as redis:
        await asyncio.to_thread(redis.start)
        async with WebhookTarget(hanging) as target:
            given = settings(tmp_path, {"url": target.url})
            given["cluster"]["redis"] = {"url": f"redis://{redis.address}/0"}
            first, second = RunningServer(tmp_path, given), RunningServer(tmp_path, given)
            await asyncio.to_thread(first.start)
            await eventually(lambda: "attached to " in first.log, patience=20)
            async with connected(first) as client:
                for channel in channels:
                    await client.join(channel)
                await target.heard(4)
                first.kill()
            in_flight = {event_id for request in target.requests for event_id in request.ids}
            before = len(target.requests)
            target.answer = with_status(200)
            async with second:
                await target.heard(before + 2 * len(channels), TAKEOVER)
            after = target.requests[before:]
            assert Counter(map(told, after)) == Counter(
                (name, channel)
                for channel in channels
                for name in ("channel_occupied", "channel_vacated")
            )
            assert in_flight <= {event_id for request in after for event_id in request.ids}


async def test_the_webhooks_of_an_app_in_a_database(tmp_path: Path) -> None:
    """The outbox is opened when such an app is used; a webhook that is added there counts from then on."""
    async with WebhookTarget() as target, made("sqlite", "own", tmp_path, None) as table:
        await table.insert([{"id": APP_ID, "key": KEY, "secret": SECRET}])
        given = settings(tmp_path, database={**table.tree, "poll_interval": 0.1})
        del given["apps"]
        async with RunningServer(tmp_path, given) as server, connected(server) as client:
            await client.join("before")
            assert not (tmp_path / "outbox").exists()
            await table.update(APP_ID, "webhooks", json.dumps([{"url": target.url}]))
            await eventually(lambda: "an app has changed in the database" in server.log)
            await client.join("after")
            (request,) = await target.heard(1)
            assert told(request) == ("channel_occupied", "after")
            await table.delete(APP_ID)
            await client.expect("pusher:error")
            await eventually(lambda: "their app does not exist any more" in server.log)
