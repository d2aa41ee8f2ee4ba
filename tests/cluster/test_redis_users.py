"""A Redis user with the rights that docs/clustering.md names is enough: real nodes, every kind of Redis.

Redis itself says what it refused (`ACL LOG`), so a feature that survives a refusal does not hide it.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from hiredis import ReplyError
from msgspec.structs import replace

from pusher_server.config.redis import RedisSettings
from tests.cluster.servers import (
    MAIN,
    PATIENCE,
    Node,
    all_name,
    clients_of,
    heard,
    reaches,
    settings,
)
from tests.conformance.client import unique
from tests.support.redis_servers import RedisServer
from tests.support.redis_topologies import ClusterRedis, RedisTopology, SentinelRedis, SingleRedis
from tests.support.redis_users import denied, let_in
from tests.support.waiting import eventually
from tests.support.webhook_target import WebhookTarget

USER, PASSWORD = "pusher", "s3cr3t-of-the-data"
SENTINEL_USER, SENTINEL_PASSWORD = "watcher", "s3cr3t-of-the-sentinels"


class Guarded:
    """A Redis whose users have the documented rights; `settings` log in as them."""

    def __init__(self, redis: RedisTopology) -> None:
        self.redis = redis
        self.settings = replace(redis.settings, username=USER, password=PASSWORD)
        self.sentinels: list[RedisServer] = []
        if isinstance(redis, SingleRedis):
            self.servers = [redis.server]
        elif isinstance(redis, SentinelRedis):
            self.servers, self.sentinels = redis.servers, redis.sentinels
            let_in(self.sentinels, "sentinel", SENTINEL_USER, SENTINEL_PASSWORD)
            self.settings = replace(
                self.settings,
                sentinel_username=SENTINEL_USER,
                sentinel_password=SENTINEL_PASSWORD,
            )
        elif isinstance(redis, ClusterRedis):
            self.servers = redis.servers
        where = "cluster" if isinstance(redis, ClusterRedis) else "server"
        let_in(self.servers, where, USER, PASSWORD)

    @property
    def everywhere(self) -> list[RedisServer]:
        """All servers."""
        return [*self.servers, *self.sentinels]


@pytest.fixture(scope="module", params=["server", "sentinel", "cluster"])
def guarded(request: pytest.FixtureRequest) -> Iterator[Guarded]:
    """Each kind of Redis."""
    redis: RedisTopology
    if request.param == "server":
        redis = SingleRedis()
    elif request.param == "sentinel":
        redis = SentinelRedis()
    else:
        redis = ClusterRedis()
    yield Guarded(redis)
    redis.close()


def tree_of(redis: RedisSettings) -> dict[str, Any]:
    """As `[cluster.redis]` in a file."""
    return {
        "url": redis.url,
        "sentinels": list(redis.sentinels),
        "sentinel_master": redis.sentinel_master,
        "sentinel_username": redis.sentinel_username,
        "sentinel_password": redis.sentinel_password,
        "cluster": redis.cluster,
        "username": redis.username,
        "password": redis.password,
    }


@asynccontextmanager
async def two_nodes(
    folder: Path, redis: RedisSettings, target: WebhookTarget
) -> AsyncIterator[list[Node]]:
    """Attached to it, and with webhooks to `target`."""
    tree = settings(redis=tree_of(redis), shared_rates=True)
    tree["apps"][0]["webhooks"] = [{"url": target.url}]
    nodes = [Node(folder, tree), Node(folder, tree)]
    try:
        await asyncio.gather(*(asyncio.to_thread(node.start) for node in nodes))
        for node in nodes:
            await node.attached()
        yield nodes
        for node in nodes:
            assert "Traceback" not in node.log, node.log
            assert "does not permit" not in node.log, node.log
    finally:
        for node in nodes:
            node.kill()


async def test_everything_works_with_the_documented_rights(
    guarded: Guarded, tmp_path: Path, http: httpx.AsyncClient
) -> None:
    """Presence, publications, counts, caches, users, terminations and webhooks, across two nodes."""
    async with (
        WebhookTarget() as target,
        two_nodes(tmp_path, guarded.settings, target) as nodes,
        clients_of(*nodes) as (a, b),
    ):
        apis = [node.api(http) for node in nodes]
        channel = unique("presence-")
        await a.join(channel, "a")
        await b.join(channel, "b")
        await heard(a, channel, "+b")
        await all_name(channel, ["a", "b"], *apis)
        await reaches(apis[0], channel, a, b)
        # What has gone before it was announced is no event.
        await is_announced(target, "channel_occupied", "member_added")
        await b.unsubscribe(channel)
        await heard(a, channel, "-b")
        kept = unique("cache-")
        await apis[0].publish(kept, "last", "1")
        await b.subscribe(kept)
        await b.expect("last", kept)
        public = unique("public-")
        await a.subscribe(public)
        await eventually(lambda: _lists(apis[1], public))
        answer = await apis[1].publish(public, "counted", info="subscription_count")
        assert answer["channels"][public]["subscription_count"] == 1
        await a.expect("counted", public)
        await a.sign_in("u")
        await apis[1].publish("#server-to-user-u", "to-the-user")
        await a.expect("to-the-user", "#server-to-user-u")
        response = await apis[1].post("/users/u/terminate_connections", {})
        assert response.status_code == 200
        await a.expect_error(4009)
        await is_announced(target, "channel_vacated", "member_removed")
        assert "200" in await asyncio.to_thread(webhook_log, nodes[0])
    assert await asyncio.to_thread(denied, guarded.everywhere) == []


async def is_announced(target: WebhookTarget, *events: str) -> None:
    """Wait until it has received these kinds of events."""
    await target.until(lambda: set(events) <= {event["name"] for event in target.events}, PATIENCE)


async def _lists(api: Any, channel: str) -> bool:
    return channel in (await api.read("/channels"))["channels"]


def webhook_log(node: Node) -> str:
    """What the command line finds in the outbox."""
    command = [sys.executable, "-m", "pusher_server", "webhooks", "log", MAIN.app_id]
    ended = subprocess.run(
        [*command, "--config", str(node.write_config())],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_these_rights_are_no_power_over_others(guarded: Guarded) -> None:
    """Not over other keys and channels of this Redis, nor over the server or the Redis Cluster."""
    refused: list[tuple[str, ...]] = [
        ("SET", "other", "1"),
        ("FLUSHALL",),
        ("KEYS", "*"),
        ("CONFIG", "GET", "*"),
        ("PUBLISH", "other", "x"),
        ("CLIENT", "KILL", "ID", "1"),
        ("CLUSTER", "FAILOVER"),
        ("DEBUG", "SLEEP", "0"),
        ("SHUTDOWN",),
        ("ACL", "LIST"),
    ]
    for server in guarded.servers:
        for command in refused:
            answer = str(server.ask("ACL", "DRYRUN", USER, *command), "utf-8")
            assert "no permissions" in answer, f"{command}: {answer}"
    for sentinel in guarded.sentinels:
        for command in (("SENTINEL", "FAILOVER", "x"), ("SENTINEL", "REMOVE", "x")):
            answer = str(sentinel.ask("ACL", "DRYRUN", SENTINEL_USER, *command), "utf-8")
            assert "no permissions" in answer, f"{command}: {answer}"


def test_what_a_server_refused_is_seen(guarded: Guarded) -> None:
    """Else the first test could not fail."""
    server = guarded.servers[0]
    with pytest.raises(ReplyError, match="WRONGPASS"):
        server.ask("AUTH", USER, "wrong")
    assert denied([server]) == [f"auth AUTH, {USER}"]
    server.ask("ACL", "LOG", "RESET")
