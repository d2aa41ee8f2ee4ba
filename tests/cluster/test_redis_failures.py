"""What docs/clustering.md promises when Redis fails, or the way to it: real processes, a real Redis.

As in `test_failures`.
"""

import asyncio
import re
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.cluster.servers import (
    LEASE,
    LEASE_AND_MORE,
    SMALL,
    WATCHLIST,
    Node,
    all_name,
    at_rest,
    clients_of,
    heard,
    nodes_at,
    reaches,
)
from tests.conformance.client import Client, connected, opened, unique
from tests.support.link_proxy import LinkProxy
from tests.support.redis_servers import RedisServer
from tests.support.redis_topologies import ClusterRedis, SentinelRedis
from tests.support.waiting import eventually


async def expect_degraded_service(node: Node, http: httpx.AsyncClient, local: Client) -> None:
    """What a node does while its store is away; `local` has subscribed to `public` before."""
    api = node.api(http)
    await api.publish("public", "while-away")
    await local.expect("while-away", "public")
    answer = await api.publish("public", "with-info", info="subscription_count")
    assert "channels" not in answer
    await local.expect("with-info", "public")
    for path in ("/channels", "/channels/public", "/channels/presence-x/users", "/connections"):
        response = await api.get(path)
        assert response.status_code == 503, path
        assert int(response.headers["retry-after"]) >= 1
    ready = await http.get(f"{node.url}/ready")
    assert ready.status_code == 200
    assert ready.text == "degraded\n"
    async with connected(node.target) as client:
        private = unique("private-")
        await client.subscribe(private)
        await reaches(api, private, client)
        await client.send("client-x", channel=private, data={})
        await client.expect_nothing()
        cache, other = unique("cache-"), unique("cache-")
        await api.publish(cache, "kept", "1")
        await client.subscribe(cache)
        await client.expect("kept", cache)
        await client.subscribe(other)
        await client.expect_nothing()
        await client.request_subscription(unique("presence-"), '{"user_id":"u"}')
        await client.expect_error(4100)
        assert (await client.expect_close())[0] == 4100


async def is_away(node: Node) -> None:
    """Wait until it has noticed."""
    await eventually(lambda: re.search(r"is away: ", node.log) is not None)


async def test_while_redis_is_away_each_node_serves_its_own_and_afterwards_all_is_right(
    pair: list[Node], redis: RedisServer, http: httpx.AsyncClient
) -> None:
    """Away for longer than the lease, and back without a memory: nobody is taken for dead."""
    channel, late = unique("presence-"), unique("private-")
    apis = [each.api(http) for each in pair]
    async with clients_of(*pair, *pair) as clients:
        a, b, c, _ = clients
        for client in clients:
            await client.subscribe("public")
        await a.join(channel, "a")
        await b.join(channel, "b")
        await c.join(channel, "c")
        await heard(a, channel, "+b", "+c")
        await heard(b, channel, "+c")
        await asyncio.to_thread(redis.kill)
        for node in pair:
            await is_away(node)
        await c.unsubscribe(channel)
        await asyncio.gather(*map(expect_degraded_service, pair, [http] * 2, (a, b)))
        for expected in (c, clients[3]):
            await expected.expect("while-away", "public")
            await expected.expect("with-info", "public")
        await clients[3].subscribe(late)
        await asyncio.sleep(LEASE)
        await asyncio.to_thread(redis.start)
        for node in pair:
            await node.attached(2)
            assert (await http.get(f"{node.url}/ready")).text == "OK"
        await heard(a, channel, "-c")
        await heard(b, channel, "-c")
        await at_rest(channel, ["a", "b"], apis, a, b)
        await reaches(apis[0], late, clients[3])
        await clients[3].join(channel, "new")
        await heard(a, channel, "+new")
        await heard(b, channel, "+new")
        await asyncio.sleep(LEASE_AND_MORE)  # when doubts end, nobody is taken for gone
        await at_rest(channel, ["a", "b", "new"], apis, a, b, clients[3])
        assert "is gone: " not in pair[0].log + pair[1].log


async def test_quotas_count_with_the_last_known_numbers_while_redis_is_away(
    pair: list[Node], redis: RedisServer
) -> None:
    one, other = pair
    async with clients_of(one, one, app=SMALL):

        async def second_is_refused() -> bool:
            async with connected(other.target, SMALL), opened(other.target, SMALL) as more:
                return (await more.receive()).event == "pusher:error"

        await eventually(second_is_refused)
        await asyncio.to_thread(redis.kill)
        await is_away(other)
        assert await second_is_refused()


async def test_who_does_not_come_back_after_a_loss_of_memory_has_left(
    pair: list[Node], redis: RedisServer, http: httpx.AsyncClient
) -> None:
    """A node dies together with Redis: its members stay for a lease, then leave once."""
    one, other = pair
    channel = unique("presence-")
    async with clients_of(other) as (watcher,):
        async with clients_of(one) as (client,):
            await watcher.join(channel, "w")
            await client.join(channel, "u")
            await heard(watcher, channel, "+u")
            await asyncio.to_thread(redis.kill)
            one.kill()
        await asyncio.to_thread(redis.start)
        await other.attached(2)
        await heard(watcher, channel, "-u")
        await at_rest(channel, ["w"], [other.api(http)], watcher)


async def test_a_flushed_redis_is_filled_again(
    pair: list[Node], redis: RedisServer, http: httpx.AsyncClient
) -> None:
    channel = unique("presence-")
    apis = [each.api(http) for each in pair]
    async with clients_of(*pair) as (a, b):
        await a.join(channel, "a")
        await b.join(channel, "b")
        await heard(a, channel, "+b")
        redis.ask("FLUSHALL")
        for node in pair:
            await node.attached(2)
        await at_rest(channel, ["a", "b"], apis, a, b)
        await asyncio.sleep(LEASE_AND_MORE)  # when doubts end, nobody is taken for gone
        await at_rest(channel, ["a", "b"], apis, a, b)


async def test_a_node_whose_link_is_cut_is_gone_for_the_others_and_comes_back(
    redis: RedisServer, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    """Its own clients see nobody leave meanwhile, and then what they missed."""
    channel, friend = unique("presence-"), unique("friend")
    async with AsyncExitStack() as stack:
        link = await stack.enter_async_context(LinkProxy(("127.0.0.1", redis.port)))
        urls = (f"redis://127.0.0.1:{link.port}/0", f"redis://{redis.address}/0")
        one, other = pair = await stack.enter_async_context(nodes_at(tmp_path, *urls))
        apis = [each.api(http) for each in pair]
        a, b, watcher, old, new = await stack.enter_async_context(
            clients_of(one, one, other, other, other)
        )
        for client in (a, watcher):
            await client.subscribe("public")
        await watcher.join(channel, "w")
        await old.join(channel, "old")
        await a.join(channel, "a")
        await heard(watcher, channel, "+old", "+a")
        await heard(old, channel, "+a")
        await old.sign_in(friend)
        await b.sign_in(unique("me"), watchlist=[friend])
        await b.expect(WATCHLIST)
        link.set("cut")
        await is_away(one)
        await heard(watcher, channel, "-a")
        await old.socket.close()
        await heard(watcher, channel, "-old")
        await new.join(channel, "new")
        await heard(watcher, channel, "+new")
        await apis[0].publish("public", "here-only")
        await a.expect("here-only", "public")
        await a.expect_nothing()
        await watcher.expect_nothing()
        link.set("pass")
        await heard(watcher, channel, "+a")
        await heard(new, channel, "+a")
        await heard(a, channel, "-old", "+new")
        offline = (await b.expect(WATCHLIST)).content["events"]
        assert offline == [{"name": "offline", "user_ids": [friend]}]
        await at_rest(channel, ["a", "new", "w"], apis, a, watcher, new)
        await reaches(apis[1], "public", a, watcher)
        assert re.search(r"attached to .* 1 publications dropped so far", one.log), one.log


async def test_when_a_replica_takes_over_nobody_is_shown_as_gone(
    tmp_path: Path, http: httpx.AsyncClient
) -> None:
    sentinel = await asyncio.to_thread(SentinelRedis)
    try:
        redis: dict[str, Any] = {
            "sentinels": list(sentinel.settings.sentinels),
            "sentinel_master": "the-master",
        }
        channel = unique("presence-")
        async with nodes_at(tmp_path, "", "", **redis) as pair, clients_of(*pair) as (a, b):
            apis = [each.api(http) for each in pair]
            await a.join(channel, "a")
            await b.join(channel, "b")
            await heard(a, channel, "+b")
            await asyncio.to_thread(sentinel.failover)
            for node in pair:
                await node.attached(2)
            await at_rest(channel, ["a", "b"], apis, a, b)
            await asyncio.sleep(LEASE_AND_MORE)  # when doubts end, nobody is taken for gone
            await at_rest(channel, ["a", "b"], apis, a, b)
    finally:
        await asyncio.to_thread(sentinel.close)


async def test_when_slots_of_a_redis_cluster_move_nobody_is_shown_as_gone(
    tmp_path: Path, http: httpx.AsyncClient
) -> None:
    cluster = await asyncio.to_thread(ClusterRedis)
    try:
        channels = [unique("presence-") for _ in range(8)]
        url = cluster.settings.url
        async with (
            nodes_at(tmp_path, url, url, cluster=True) as pair,
            clients_of(*pair) as (a, b),
        ):
            apis = [each.api(http) for each in pair]
            for channel in channels:
                await a.join(channel, "a")
                await b.join(channel, "b")
                await heard(a, channel, "+b")
            for bucket in range(0, 32, 4):
                await asyncio.to_thread(cluster.reshard, cluster.slot(bucket))
            for channel in channels:
                await all_name(channel, ["a", "b"], *apis)

                async def both_hear(channel: str = channel) -> bool:
                    await apis[0].publish(channel, "a-mark")  # may be lost while a slot moves
                    frames = [await each.pending() for each in (a, b)]
                    assert {frame.event for found in frames for frame in found} <= {"a-mark"}
                    return all(frames)

                await eventually(both_hear)
    finally:
        await asyncio.to_thread(cluster.close)
