"""Stores follow their master: failover by Sentinel, failover and resharding in a Redis Cluster."""

import asyncio
from collections.abc import Iterator
from functools import partial

import pytest
from msgspec.structs import replace
from redis.asyncio import Redis, RedisCluster
from redis.exceptions import ConnectionError as RedisConnectionError

from pusher_server.cluster.commands import Count, Publish, Snapshot, Subscribe, Track
from pusher_server.cluster.links import StoreLink
from pusher_server.cluster.redis.topology import STORES, redis_links
from pusher_server.config.redis import RedisSettings
from pusher_server.errors import ClusterUnavailable
from pusher_server.redis.access import RedisAccess
from pusher_server.redis.client import make_client
from tests.contract.stores import StoreClient
from tests.support.redis_servers import RedisServer
from tests.support.redis_topologies import ClusterRedis, SentinelRedis
from tests.support.serving import free_port
from tests.support.waiting import eventually

A = "members:1:presence-a"
#: Seconds for a failover, as slow as a busy machine makes it.
#: Seconds. When Sentinels split their votes they elect again after some ten seconds, perhaps twice.
PATIENCE = 60.0


@pytest.fixture(scope="module")
def sentinel() -> Iterator[SentinelRedis]:
    made = SentinelRedis()
    yield made
    made.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterRedis]:
    made = ClusterRedis(replicas=True)
    yield made
    made.close()


def stores(settings: RedisSettings) -> list[StoreLink]:
    return redis_links(settings, lease=10.0, undo_window=3.0)


async def open_again(client: StoreClient) -> None:
    """As a node does: until somebody answers."""
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await client.link.open()
            except ClusterUnavailable:
                await asyncio.sleep(0.05)


async def settled_in(settings: RedisSettings) -> StoreClient:
    """A node that holds a key in the first store and hears of it."""
    client = StoreClient(stores(settings)[0])
    await open_again(client)
    await client.enter("one.1.1")
    await client.do(Subscribe(A))
    await client.do(Track("one.1.1", A, "k", "v"))
    await client.heard(A, "+k")
    return client


async def lost_once(client: StoreClient) -> None:
    await eventually(lambda: len(client.lost) > 0, PATIENCE)
    assert len(client.lost) == 1


async def goes_on(client: StoreClient) -> None:
    """Another epoch; what was replicated is still there, and everything works."""
    before = client.entered.epoch
    await open_again(client)
    after = await client.enter("one.1.2", succeeds="one.1.1")
    assert after.epoch != before
    assert (await client.do(Snapshot(A))).epoch == after.epoch
    await client.do(Subscribe(A))
    await client.do(Track("one.1.2", A, "new", ""))
    await eventually(lambda: client.changes(A).endswith("+new"))
    assert client.link.stats.opened == 2


# Sentinel


async def test_a_store_follows_the_master_that_sentinels_elect(sentinel: SentinelRedis) -> None:
    """And so does redis-py's client, by which the outbox of webhooks is reached."""
    store = await settled_in(replace(sentinel.settings, prefix="elected"))
    client = make_client(
        sentinel.settings,
        RedisAccess(sentinel.settings),
        name="outbox",
        answer_timeout=2.0,
        connections=4,
    )
    assert await client.set("k", "before")
    before = store.link.peer
    failover = asyncio.create_task(asyncio.to_thread(sentinel.failover))
    await lost_once(store)
    await goes_on(store)
    await failover
    assert store.link.peer != before
    store.link.close()
    await eventually(lambda: _is_set(client, "k", "after"), PATIENCE)
    assert sentinel.masters()[0].ask("GET", "k") == b"after"
    await client.aclose()


async def _is_set(client: "Redis | RedisCluster", key: str, value: str) -> bool:
    try:
        return bool(await client.set(key, value))
    except RedisConnectionError:
        return False


async def test_a_store_follows_a_failover_that_an_operator_asked_for(
    sentinel: SentinelRedis,
) -> None:
    """The old master lives on as a replica: Sentinel ends our connection to it."""
    client = await settled_in(replace(sentinel.settings, prefix="asked"))
    sentinel.sentinels[0].ask("SENTINEL", "FAILOVER", "the-master")
    await lost_once(client)
    await goes_on(client)
    client.link.close()


async def test_a_sentinel_that_is_away_or_mistaken_is_outvoted(sentinel: SentinelRedis) -> None:
    wrong = RedisServer(program="redis-sentinel")
    other = RedisServer()
    try:
        other.start()
        (wrong.folder / "redis.conf").write_text(
            f"port {wrong.port}\nsentinel monitor the-master {other.host} {other.port} 1\n", "utf-8"
        )
        (wrong.folder / "redis.conf").chmod(0o666)
        wrong.start()
        addresses = (wrong.address, f"127.0.0.1:{free_port()}", *sentinel.settings.sentinels)
        client = StoreClient(stores(replace(sentinel.settings, sentinels=addresses))[0])
        await open_again(client)
        assert client.link.peer == f"Redis at {sentinel.masters()[0].address}"
        client.link.close()
    finally:
        wrong.close()
        other.close()


async def test_what_sentinels_do_not_know_is_told(sentinel: SentinelRedis) -> None:
    link = stores(replace(sentinel.settings, sentinel_master="other"))[0]
    with pytest.raises(ClusterUnavailable, match="knows no master 'other'"):
        await link.open()
    nobody = replace(sentinel.settings, sentinels=(f"127.0.0.1:{free_port()}",))
    with pytest.raises(ClusterUnavailable, match="no Sentinel can be asked: cannot connect"):
        await stores(nobody)[0].open()


# Cluster


async def test_all_stores_of_a_cluster_work_over_one_connection_per_master(
    cluster: ClusterRedis,
) -> None:
    clients = [StoreClient(each) for each in stores(replace(cluster.settings, prefix="all"))]
    assert len(clients) == STORES == 32
    before = sum(_clients(each) for each in cluster.masters())
    for client in clients:
        await client.link.open()
    await asyncio.gather(*(client.enter("one.1.1") for client in clients))
    await asyncio.gather(*(client.do(Subscribe(A)) for client in clients))
    for number, client in enumerate(clients):
        await client.do(Track("one.1.1", A, f"k{number}", ""))
        client.link.publish(Publish(A, b"%d" % number))
    for number, client in enumerate(clients):
        await eventually(partial(_has, client, (A, b"%d" % number)))
        assert client.changes(A) == f"+k{number}"
        assert await client.do(Count(A)) == 1
    assert sum(_clients(each) for each in cluster.masters()) == before + 3
    assert len({client.link.peer for client in clients}) == 3
    for client in clients:
        client.link.close()
    await eventually(lambda: sum(_clients(each) for each in cluster.masters()) == before)


def _has(client: StoreClient, push: tuple[str, bytes]) -> bool:
    return push in client.pushes


def _clients(server: RedisServer) -> int:
    listed = str(server.ask("CLIENT", "LIST", "TYPE", "NORMAL"), "utf-8")
    listed += str(server.ask("CLIENT", "LIST", "TYPE", "PUBSUB"), "utf-8")
    return listed.count("name=pusher-server")


async def test_a_store_follows_a_failover_in_the_cluster(cluster: ClusterRedis) -> None:
    settings = replace(cluster.settings, prefix="failover")
    client = await settled_in(settings)
    owner = cluster.owner_of(cluster.slot(prefix="failover"))
    await asyncio.to_thread(cluster.failover_of, owner)
    # The old master closes nothing; but it has no slots any more and says so.

    def publish_until_lost() -> bool:
        return not client.link.publish(Publish(A, b"")) and len(client.lost) > 0

    await eventually(publish_until_lost, PATIENCE)
    assert len(client.lost) == 1
    await goes_on(client)
    client.link.close()


async def test_a_slot_that_moves_takes_its_store_along(cluster: ClusterRedis) -> None:
    """The server ends the subscriptions in the slot; that alone tells the store."""
    settings = replace(cluster.settings, prefix="moving")
    client = await settled_in(settings)
    before = client.link.peer
    await asyncio.to_thread(cluster.reshard, cluster.slot(prefix="moving"))
    await lost_once(client)
    assert "moved" in client.lost[0]
    await goes_on(client)
    assert client.link.peer != before
    assert (await client.do(Snapshot(A))).entries == {"k": "v", "new": ""}
    client.link.close()


async def test_a_slot_under_way_is_refused_and_disturbs_no_other_store(
    cluster: ClusterRedis,
) -> None:
    """Its keys may be on either side, so no script may run on them."""
    clients = [StoreClient(each) for each in stores(replace(cluster.settings, prefix="underway"))]
    for client in clients:
        await open_again(client)
    moving = clients[0]
    slot = cluster.slot(prefix="underway")
    source = cluster.owner_of(slot)
    target = next(each for each in cluster.masters() if each is not source)
    neighbours = [each for each in clients[1:] if each.link.peer == moving.link.peer]
    assert neighbours
    cluster.begin_reshard(slot, source, target)
    try:
        for _ in range(3):
            with pytest.raises(ClusterUnavailable, match="being moved"):
                await moving.enter("one.1.1")
            await open_again(moving)
        assert len(moving.lost) == 3
        await asyncio.gather(*(each.enter("one.1.1") for each in neighbours))
        assert [each.lost for each in neighbours] == [[]] * len(neighbours)
    finally:
        for each in (source, target):
            each.ask("CLUSTER", "SETSLOT", slot, "STABLE")
    await moving.enter("one.1.1")
    for client in clients:
        client.link.close()


async def test_a_master_that_dies_is_replaced_and_the_others_go_on(cluster: ClusterRedis) -> None:
    clients = [StoreClient(each) for each in stores(replace(cluster.settings, prefix="dying"))]
    for client in clients:
        await open_again(client)
        await client.enter("one.1.1")
    dying = cluster.owner_of(cluster.slot(prefix="dying"))
    theirs = [each for each in clients if each.link.peer == f"Redis at {dying.address}"]
    others = [each for each in clients if each not in theirs]
    dying.kill()
    try:
        for client in theirs:
            await lost_once(client)
        for client in theirs:
            before = client.entered.epoch
            async with asyncio.timeout(PATIENCE):
                while client.entered.epoch == before:
                    await open_again(client)
                    try:
                        await client.enter("one.1.2", succeeds="one.1.1")
                    except ClusterUnavailable:  # not yet elected, or not yet known to all
                        await asyncio.sleep(0.05)
        await asyncio.to_thread(cluster.agree)  # until then a master says that the cluster is down
        await asyncio.gather(*(each.renew() for each in others))
        assert [each.lost for each in others] == [[]] * len(others)
    finally:
        dying.start()
    for client in clients:
        client.link.close()


async def test_one_living_node_of_the_cluster_is_enough_to_find_the_others(
    cluster: ClusterRedis,
) -> None:
    url = f"redis://127.0.0.1:{free_port()},{cluster.servers[-1].address}"
    client = StoreClient(stores(replace(cluster.settings, url=url, prefix="seeds"))[0])
    await client.link.open()
    assert await client.do(Count(A)) == 0
    client.link.close()
