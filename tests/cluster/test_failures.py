"""What docs/clustering.md promises when a process fails: real servers, a real Redis, a real bus.

Leases and undo windows are short, and everything waits for conditions; only to let a lease pass is time spent.
What the supervisor does is in `tests/edge/test_supervisor.py`, failures of Redis are in `test_redis_failures`.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from tests.cluster.servers import (
    LEASE_AND_MORE,
    WATCHLIST,
    Node,
    all_name,
    at_rest,
    clients_of,
    heard,
    nodes_at,
    reaches,
    settings,
)
from tests.conformance.client import Client, connected, unique
from tests.support.redis_servers import RedisServer
from tests.support.team import is_running, processes_of, sockets_of
from tests.support.waiting import eventually

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
        await heard(a, channel, "-old", "+new")
        offline = (await b.expect(WATCHLIST)).content["events"]
        assert offline == [{"name": "offline", "user_ids": [friend]}]
        await at_rest(channel, ["a", "new", "w"], apis, a, watcher, new)
        await reaches(apis[1], channel, a, watcher, new)


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
