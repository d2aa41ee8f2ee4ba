"""An outbox on Redis beyond the rules for all: many apps, a Redis that is full, hangs, forgets or moves."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from msgspec.structs import replace

from pusher_server.config.redis import RedisSettings
from pusher_server.webhooks.outbox.interface import (
    AttemptRecord,
    Backlog,
    Decision,
    Entry,
    OutboxUnavailable,
)
from pusher_server.webhooks.outbox.redis import outbox as redis_outbox
from pusher_server.webhooks.outbox.redis.outbox import RedisOutbox
from tests.support.redis_servers import RedisServer
from tests.support.redis_topologies import ClusterRedis
from tests.support.waiting import eventually, no_socket_left


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    with RedisServer() as made:
        await asyncio.to_thread(made.start)
        yield made


@pytest.fixture
async def outbox(server: RedisServer) -> AsyncIterator[RedisOutbox]:
    async with opened(RedisSettings(url=f"redis://{server.address}/3")) as made:
        yield made


@asynccontextmanager
async def opened(settings: RedisSettings) -> AsyncIterator[RedisOutbox]:
    async with no_socket_left():
        outbox = RedisOutbox(settings, "Redis")
        yield outbox
        await outbox.close()


def decided(number: int, app_id: str = "1", event: str = "{}") -> Decision:
    return Decision(app_id, (Entry(f"id-{number}", "w", "c", event, 1.0 + number),))


async def waiting(outbox: RedisOutbox) -> list[str]:
    return [each.entry.id for each in await outbox.pending("1", "", 1_000)]


async def test_a_bound_that_was_lowered_is_reached_in_steps(server: RedisServer) -> None:
    """One script for all of it would keep Redis from everything else for seconds."""
    settings = RedisSettings(url=f"redis://{server.address}/3")
    async with opened(settings) as outbox:
        for start in range(0, 6_000, 500):
            await outbox.append([decided(number) for number in range(start, start + 500)])
    small = RedisOutbox(settings, "Redis", waiting=100)
    gone = []
    while (await small.backlog())["1"].pending > 100:
        gone.append((await small.append([decided(6_000 + len(gone))])).crowded_out["1"])
        assert 1 < gone[-1] <= 1_100
    assert 6 <= len(gone) <= 8
    assert (await small.append([decided(9_000)])).crowded_out == {"1": 1}
    await small.close()


async def test_tls_and_a_password_mean_what_they_mean_for_the_cluster(tmp_path: Path) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    certificate = authority.issue_cert("127.0.0.1")
    with RedisServer() as server:
        authority.cert_pem.write_to_path(str(server.folder / "ca.pem"))
        certificate.cert_chain_pems[0].write_to_path(str(server.folder / "server.pem"))
        certificate.private_key_pem.write_to_path(str(server.folder / "server.key"))
        server.options |= {
            "port": 0,
            "tls_port": server.port,
            "tls_cert_file": "server.pem",
            "tls_key_file": "server.key",
            "tls_ca_cert_file": "ca.pem",
            "tls_auth_clients": "no",
            "requirepass": "hush",
        }
        await asyncio.to_thread(server.start)
        good = RedisSettings(
            url=f"rediss://:hush@{server.address}", ca_certificate=str(tmp_path / "ca.pem")
        )
        for settings in (good, replace(good, ca_certificate="", verify=False)):
            async with opened(settings) as outbox:
                await outbox.append([decided(1)])
                assert await waiting(outbox) == ["id-1"]
        for settings, problem in (
            (replace(good, ca_certificate=""), "the certificate of 127.0.0.1"),
            (replace(good, password="hash"), "refused the user name or the password"),
            (replace(good, url=f"rediss://{server.address}"), "asks for a password"),
        ):
            async with opened(settings) as outbox:
                with pytest.raises(OutboxUnavailable, match=problem) as caught:
                    await outbox.append([decided(1)])
                assert "hush" not in str(caught.value)
                assert "hash" not in str(caught.value)
        gc.collect()


async def test_a_thousand_apps_need_few_connections(
    server: RedisServer, outbox: RedisOutbox
) -> None:
    """The package's pool raises an error at 100, and would not recover."""
    apps = [f"{number:04}" for number in range(1_000)]
    await outbox.append([decided(1, app_id) for app_id in apps])
    assert await outbox.claim("one", 30) == apps
    assert await outbox.claim("one", 30) == apps
    assert await outbox.backlog() == dict.fromkeys(apps, Backlog(1, 2.0, 0))
    await outbox.release("one")
    assert await outbox.claim("two", 30) == apps
    info = (await asyncio.to_thread(server.ask, "INFO", "clients")).decode()
    assert int(info.partition("connected_clients:")[2].split()[0]) <= 20


async def test_what_was_delivered_makes_room_in_a_full_redis(
    server: RedisServer, outbox: RedisOutbox
) -> None:
    await outbox.append([decided(1), decided(2), decided(3)])
    first, second, _ = await outbox.pending("1", "", 10)
    await asyncio.to_thread(server.ask, "CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(OutboxUnavailable, match="maxmemory"):
        await outbox.append([decided(4)])
    assert await outbox.claim("one", 30) == ["1"]
    await outbox.finish("1", [first.position])
    await outbox.bury("1", [second.position], "status 500", 5.0)
    await outbox.release("one")
    assert await waiting(outbox) == ["id-3"]
    assert [each.entry.id for each in await outbox.dead("1")] == ["id-2"]


async def test_a_redis_that_hangs_is_given_up_soon_and_is_used_again(
    server: RedisServer, outbox: RedisOutbox
) -> None:
    await outbox.append([decided(1)])
    server.pause()
    began = time.monotonic()
    results = await asyncio.gather(
        *(outbox.finish("1", ["0-1"]) for _ in range(50)),
        outbox.append([decided(2)]),
        return_exceptions=True,
    )
    took = time.monotonic() - began
    server.resume()
    assert {type(each) for each in results} == {OutboxUnavailable}
    assert "see [cluster.redis]" in str(results[0])
    assert took < 60.0, "one after the other they would take over 250 s"
    await outbox.append([decided(2), decided(3)])
    assert await waiting(outbox) == ["id-1", "id-2", "id-3"]


async def test_a_redis_that_restarts_is_used_again(
    server: RedisServer, outbox: RedisOutbox
) -> None:
    await outbox.append([decided(1)])
    await asyncio.to_thread(server.ask, "SAVE")
    await asyncio.to_thread(server.kill)
    with pytest.raises(OutboxUnavailable, match="Redis"):
        await outbox.append([decided(2)])
    await asyncio.to_thread(server.start)
    await outbox.append([decided(2)])
    assert await waiting(outbox) == ["id-1", "id-2"]
    await asyncio.to_thread(server.ask, "SCRIPT", "FLUSH")
    await outbox.append([decided(3)])
    assert await waiting(outbox) == ["id-1", "id-2", "id-3"]


async def test_a_redis_that_has_lost_its_memory_begins_anew(
    server: RedisServer, outbox: RedisOutbox
) -> None:
    await outbox.append([decided(1)])
    await asyncio.to_thread(server.ask, "FLUSHALL")
    assert await outbox.claim("one", 30) == []
    await outbox.append([decided(1)])
    assert await outbox.claim("one", 30) == ["1"]


async def test_what_another_release_has_written_is_left_for_it(
    server: RedisServer, outbox: RedisOutbox
) -> None:
    """And is no obstacle, wherever a page begins."""
    stream = "{pusher-server:3:outbox:1}:waiting"
    await outbox.append([decided(1)])
    for text in ('{"v":2,"all":"different"}', "no JSON", '{"v":1,"id":"x"}'):
        command = ("XADD", stream, "*", "e", text, "d", "1", "i", "x", "m", "x w")
        await asyncio.to_thread(_ask, server, *command)
    await outbox.append([decided(2), decided(3)])
    assert await waiting(outbox) == ["id-1", "id-2", "id-3"]
    (first,) = await outbox.pending("1", "", 1)
    (second,) = await outbox.pending("1", first.position, 1)
    assert second.entry.id == "id-2"
    assert (await outbox.backlog())["1"].pending == 6


def _ask(server: RedisServer, *command: str) -> None:
    """In the database that the outbox uses."""
    script = "redis.call('SELECT', 3) return redis.call(unpack(ARGV))"
    server.ask("EVAL", script, 0, *command)


async def test_apps_that_have_long_had_nothing_are_not_looked_at(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_outbox, "_LOOKED_AT", 0.2)
    monkeypatch.setattr(redis_outbox, "_TIDY_EVERY", 0.0)
    monkeypatch.setattr(redis_outbox, "REMEMBERED", 0.2)
    async with opened(RedisSettings(url=f"redis://{server.address}/0")) as outbox:
        await outbox.append([decided(1), decided(2, "2")])
        await outbox.bury("2", [(await outbox.pending("2", "", 1))[0].position], "no", 5.0)
        await outbox.finish("1", [(await outbox.pending("1", "", 1))[0].position])
        await outbox.record("1", _attempt("{}"))

        async def is_tidy() -> bool:
            assert await outbox.claim("one", 30) == []
            keys = await asyncio.to_thread(server.ask, "KEYS", "*")
            return {key.decode().partition("outbox")[2] for key in keys} == {
                "}:graves",
                ":2}:dead",
                ":2}:sums",
                ":1}:logs",
                ":1}:log:w",
                ":1}:logs:bytes",
                ":1}:logs:lines",
            }

        await eventually(is_tidy)
        assert await outbox.resend("2") == 1
        await eventually(lambda: _claims(outbox, ["2"]))


async def _claims(outbox: RedisOutbox, apps: list[str]) -> bool:
    return await outbox.claim("one", 30) == apps


async def test_the_log_does_not_keep_large_events_whole(outbox: RedisOutbox) -> None:
    event = '{"name":"client_event","channel":"c","data":"' + "x" * 100_000 + '"}'
    await outbox.record("1", _attempt(event))
    (line,) = await outbox.log("1")
    assert line.events[0].startswith('{"name":"client_event","channel":"c","data":"xxx')
    assert len(line.events[0]) < 500


def _attempt(event: str) -> AttemptRecord:
    return AttemptRecord(
        at=1.0,
        webhook="w",
        url="https://example.com/hook",
        ids=("id-1",),
        events=(event,),
        number=1,
        status=200,
        took=0.1,
        outcome="delivered",
        answer="",
    )


# redis-py forgets connections of nodes whose role has changed; Python closes them and says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_a_replica_that_takes_over_goes_on() -> None:
    redis = await asyncio.to_thread(lambda: ClusterRedis(replicas=True))
    try:
        async with opened(replace(redis.settings, prefix="failover")) as outbox:
            await outbox.append(_everywhere(1))
            for master in redis.masters():
                await asyncio.to_thread(redis.failover_of, master)
            await eventually(lambda: _is_appended(outbox, _everywhere(2)), 30)
            for number in range(20):
                found = await outbox.pending(f"app-{number}", "", 10)
                assert [each.entry.id for each in found] == ["id-1", "id-2"]
            assert len(await outbox.claim("one", 30)) == 20
        gc.collect()
    finally:
        redis.close()


def _everywhere(number: int) -> list[Decision]:
    """For apps on all nodes."""
    return [decided(number, f"app-{each}") for each in range(20)]


async def _is_appended(outbox: RedisOutbox, decisions: list[Decision]) -> bool:
    try:
        await outbox.append(decisions)
    except OutboxUnavailable:
        return False
    return True
