"""What docs/clustering.md promises when something fails: real processes, a real Redis, a real bus.

Leases and undo windows are short, and everything waits for conditions; only to let a lease pass is time spent.
"""

import asyncio
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.cluster.servers import (
    LEASE,
    SMALL,
    Node,
    View,
    all_name,
    clients_of,
    heard,
    nodes_at,
    reaches,
    settings,
)
from tests.cluster.severable import SeverableLink
from tests.conformance.api import Api
from tests.conformance.client import Client, connected, opened, unique
from tests.contract.conditions import eventually
from tests.edge.team import is_running, processes_of, sockets_of
from tests.redis_servers import RedisServer
from tests.redis_topologies import ClusterRedis, SentinelRedis

WATCHLIST = "pusher_internal:watchlist_events"
#: Seconds after which a lease has surely ended, and whoever had to notice has.
LEASE_AND_MORE = LEASE + 1.0


@pytest.fixture
async def redis() -> AsyncIterator[RedisServer]:
    with RedisServer() as server:
        await asyncio.to_thread(server.start)
        yield server


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=10, trust_env=False) as client:
        yield client


@pytest.fixture
async def pair(redis: RedisServer, tmp_path: Path) -> AsyncIterator[list[Node]]:
    """Two nodes on one Redis."""
    url = f"redis://{redis.address}/0"
    async with nodes_at(tmp_path, url, url) as nodes:
        yield nodes


async def at_rest(channel: str, expected: list[str], apis: list[Api], *clients: Client) -> None:
    """Both nodes name these members, and nobody has more to say about it than a mark."""
    await all_name(channel, expected, *apis)
    await reaches(apis[0], channel, *clients)


# A process


async def test_a_killed_node_s_members_leave_once_each_after_the_lease(
    pair: list[Node], http: httpx.AsyncClient
) -> None:
    """But for who is on another node, too; and a restarted process is a new node."""
    one, other = pair
    channel, apis = unique("presence-"), [other.api(http)]
    async with clients_of(other, other) as (watcher, both):
        async with clients_of(one, one, one) as (a, b, shared):
            await watcher.join(channel, "w")
            for client, user in ((a, "a"), (b, "b"), (shared, "both")):
                await client.join(channel, user)
                await heard(watcher, channel, f"+{user}")
            await both.join(channel, "both")
            one.kill()
            await heard(watcher, channel, "-a", "-b")
        await heard(both, channel, "-a", "-b")
        await at_rest(channel, ["both", "w"], apis, watcher, both)
        assert "is gone: " in other.log
        await asyncio.to_thread(one.start)
        await one.attached(2)
        async with clients_of(one) as (again,):
            assert (await again.join(channel, "a"))["count"] == 3
            await heard(watcher, channel, "+a")
            await heard(both, channel, "+a")
            await at_rest(channel, ["a", "both", "w"], [*apis, one.api(http)], watcher, both, again)


async def test_a_node_that_is_stopped_lets_go_at_once(
    redis: RedisServer, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    """The lease is a minute here: nobody waits for it."""
    url, channel = f"redis://{redis.address}/0", unique("presence-")
    async with (
        nodes_at(tmp_path, url, url, lease=60) as (one, other),
        clients_of(one, other) as (client, watcher),
    ):
        await watcher.join(channel, "w")
        await client.join(channel, "u")
        await heard(watcher, channel, "+u")
        assert await asyncio.to_thread(one.stop) == 0
        await heard(watcher, channel, "-u")
        await all_name(channel, ["w"], other.api(http))
        assert "is gone: " not in other.log


async def test_a_node_that_hangs_is_fenced_and_catches_up_when_it_goes_on(
    pair: list[Node], http: httpx.AsyncClient
) -> None:
    one, other = pair
    channel, friend = unique("presence-"), unique("friend")
    apis = [each.api(http) for each in pair]
    async with clients_of(one, one, other, other, other) as (a, b, watcher, old, new):
        await watcher.join(channel, "w")
        await old.join(channel, "old")
        await a.join(channel, "a")
        await heard(watcher, channel, "+old", "+a")
        await heard(old, channel, "+a")
        await old.sign_in(friend)
        await b.sign_in(unique("me"), watchlist=[friend])
        await b.expect(WATCHLIST)
        one.hang()
        try:
            await heard(watcher, channel, "-a")
            await old.socket.close()
            await heard(watcher, channel, "-old")
            await new.join(channel, "new")
            await heard(watcher, channel, "+new")
            await all_name(channel, ["new", "w"], apis[1])
        finally:
            one.go_on()
        await heard(watcher, channel, "+a")
        await heard(new, channel, "+a")
        view = View(a, channel, ["a", "old", "w"])
        await view.becomes("a", "new", "w")
        assert {"-old", "+new"} <= set(view.told)
        offline = (await b.expect(WATCHLIST)).content["events"]
        assert offline == [{"name": "offline", "user_ids": [friend]}]
        await at_rest(channel, ["a", "new", "w"], apis, a, watcher, new)
        await reaches(apis[1], channel, a, watcher, new)


# Redis


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
    assert ready.text.startswith("degraded: "), ready.text
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
        link = await stack.enter_async_context(SeverableLink(redis.port).listening())
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
        link.cut()
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
        link.mend()
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
        redis = {"sentinels": list(sentinel.settings.sentinels), "sentinel_master": "the-master"}
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


async def test_two_nodes_of_one_name_are_told_in_the_log(
    redis: RedisServer, tmp_path: Path
) -> None:
    """They work all the same: each process is a node of its own."""
    url, channel = f"redis://{redis.address}/0", unique("presence-")
    config = settings(node_id="web-1", redis={"url": url})
    async with Node(tmp_path, config) as one, Node(tmp_path, config) as other:
        await other.attached()
        line = "cluster.node_id: another node calls itself web-1; give each node its own"
        await eventually(lambda: line in other.log)
        assert line not in one.log
        async with clients_of(one, other) as (a, b):
            await a.join(channel, "a")
            assert (await b.join(channel, "b"))["count"] == 2
            await heard(a, channel, "+b")


async def test_a_killed_node_is_not_taken_for_a_second_one_of_its_name_for_ever(
    redis: RedisServer, tmp_path: Path
) -> None:
    """Started again within the lease it meets its own shadow, and says so; later it does not."""
    url = f"redis://{redis.address}/0"
    config = settings(node_id="web-1", redis={"url": url})
    async with Node(tmp_path, config) as node:
        await node.attached()
        node.kill()
        await asyncio.to_thread(node.start)
        await node.attached(2)
        assert "its own shadow" in node.log
        await eventually(lambda: "is gone: " in node.log)
        before = len(node.log)
        assert await asyncio.to_thread(node.stop) == 0
        await asyncio.to_thread(node.start)
        await node.attached(3)
        assert "another node calls itself" not in node.log[before:]


# The bus of a machine's workers


@pytest.fixture
async def team(tmp_path: Path) -> AsyncIterator[Node]:
    """Two workers and their bus."""
    node = Node(tmp_path, settings(bus_directory=str(tmp_path)), workers=2)
    await asyncio.to_thread(node.start)
    processes: dict[str, int] = {}
    try:
        await node.attached(2)
        processes = processes_of(node.pid)
        yield node
        processes |= processes_of(node.pid)
        assert "Traceback" not in node.log, node.log
    finally:
        node.kill()
        for pid in processes.values():
            if is_running(pid):
                os.kill(pid, signal.SIGKILL)


async def spread_clients(stack: AsyncExitStack, node: Node) -> dict[str, Client]:
    """One client on each worker, by the worker's name."""
    workers = {name: pid for name, pid in processes_of(node.pid).items() if name != "bus"}
    found: dict[str, Client] = {}
    while len(found) < len(workers):
        before = {name: sockets_of(pid) for name, pid in workers.items()}
        client = await stack.enter_async_context(connected(node.target))
        for name, pid in workers.items():
            if sockets_of(pid) > before[name]:
                found.setdefault(name, client)
    return found


async def test_a_killed_bus_starts_anew_and_nobody_is_shown_as_gone(
    team: Node, http: httpx.AsyncClient
) -> None:
    channel = unique("presence-")
    async with AsyncExitStack() as stack:
        a, b = (await spread_clients(stack, team)).values()
        await a.join(channel, "a")
        await b.join(channel, "b")
        await heard(a, channel, "+b")
        os.kill(processes_of(team.pid)["bus"], signal.SIGKILL)
        await team.attached(4)
        await at_rest(channel, ["a", "b"], [team.api(http)], a, b)
        new = await stack.enter_async_context(connected(team.target))
        await new.join(channel, "new")
        await heard(a, channel, "+new")
        await heard(b, channel, "+new")
        await asyncio.sleep(LEASE_AND_MORE)  # when doubts end, nobody is taken for gone
        await at_rest(channel, ["a", "b", "new"], [team.api(http)], a, b, new)


async def test_while_the_bus_hangs_each_worker_serves_its_own(
    team: Node, http: httpx.AsyncClient
) -> None:
    """Until the supervisor replaces it, after a lease."""
    channel = unique("presence-")
    async with AsyncExitStack() as stack:
        a, b = (await spread_clients(stack, team)).values()
        await a.join(channel, "a")
        await b.join(channel, "b")
        await heard(a, channel, "+b")
        await a.subscribe("public")
        await b.subscribe("public")
        os.kill(processes_of(team.pid)["bus"], signal.SIGSTOP)
        await team.api(http).publish("public", "local")
        reached = await asyncio.gather(*(_first(each) for each in (a, b)))
        assert "local" in reached
        await team.attached(4)
        await at_rest(channel, ["a", "b"], [team.api(http)], a, b)


async def _first(client: Client) -> str | None:
    """The event that comes at once, if any."""
    frames = await client.pending()
    return frames[0].event if frames else None


async def test_a_killed_worker_s_members_leave_after_the_lease(
    team: Node, http: httpx.AsyncClient
) -> None:
    channel = unique("presence-")
    async with AsyncExitStack() as stack:
        found = await spread_clients(stack, team)
        (victim, a), (_, b) = found.items()
        await b.join(channel, "b")
        await a.join(channel, "a")
        await heard(b, channel, "+a")
        os.kill(processes_of(team.pid)[victim], signal.SIGKILL)
        await heard(b, channel, "-a")
        await team.attached(3)
        await at_rest(channel, ["b"], [team.api(http)], b)
