"""redis-py's connections by our rules, against real servers: names, TLS, Sentinels, wrong servers, time."""

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme
from msgspec.structs import replace
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisClusterException

from pusher_server.config.redis import RedisAddress, RedisSettings
from pusher_server.redis.access import RedisAccess
from pusher_server.redis.client import make_client
from pusher_server.redis.connection import GreetingConnection
from pusher_server.redis.discovery import SentinelMaster, SlotOwners, send_query
from pusher_server.redis.errors import RedisUnavailable
from pusher_server.redis.greeting import ServerKind
from pusher_server.resolving import Resolver
from tests.support.redis_servers import RedisServer, StartRedis
from tests.support.redis_topologies import MASTER, ClusterRedis, SentinelRedis
from tests.support.redis_users import documented_rights
from tests.support.serving import free_port
from tests.support.waiting import no_socket_left

SECRET = "s3cr3t-in-no-message"
NAME = "pusher-server-test"


@pytest.fixture(scope="module")
def sentinel() -> Iterator[SentinelRedis]:
    made = SentinelRedis()
    yield made
    made.close()


@pytest.fixture(scope="module")
def cluster() -> Iterator[ClusterRedis]:
    made = ClusterRedis()
    yield made
    made.close()


def named(addresses: dict[str, list[str]]) -> Resolver:
    """Looks up these names only."""
    return Resolver(lambda host: addresses[host], found_for=0.0)


@asynccontextmanager
async def client_of(
    settings: RedisSettings, resolver: Resolver | None = None, seconds: float = 5.0
) -> AsyncIterator[Any]:
    access = RedisAccess(settings, resolver=resolver, timeout=seconds)
    client = make_client(settings, access, name=NAME, answer_timeout=5.0, connections=4)
    async with no_socket_left():
        try:
            yield client
        finally:
            await client.aclose()


async def refusal(settings: RedisSettings, *, seconds: float = 5.0) -> str:
    """Why the client cannot be used; never with a password."""
    async with client_of(settings, seconds=seconds) as client:
        with pytest.raises((RedisConnectionError, RedisClusterException)) as raised:
            await client.get("k")
        assert SECRET not in repr(client)
    assert SECRET not in str(raised.value)
    return str(raised.value)


# Names


async def test_a_name_leads_to_the_first_address_that_answers(start_redis: StartRedis) -> None:
    server = start_redis()
    resolver = named({"redis.example": ["127.0.0.9", "127.0.0.1"]})
    settings = RedisSettings(url=f"redis://redis.example:{server.port}/3")
    async with client_of(settings, resolver) as client:
        await client.set("k", "v")
        assert await client.get("k") == b"v"
        (line,) = [each for each in await client.client_list() if each["name"] == NAME]
    assert (line["db"], line["resp"]) == ("3", "2")


async def test_a_name_that_hangs_keeps_no_thread_from_others(
    start_redis: StartRedis, sentinel: SentinelRedis, cluster: ClusterRedis
) -> None:
    """Servers, Sentinels and nodes of a Redis Cluster: asyncio's own threads are few."""
    server, released = start_redis(), threading.Event()

    def look_up(host: str) -> list[str]:
        if host.startswith("hang"):
            released.wait()
        return ["127.0.0.1"]

    resolver = Resolver(look_up, found_for=0.0)
    sentinels = (
        "hang-a:1",
        "hang-b:1",
        *(each.replace("127.0.0.1", "s") for each in sentinel.settings.sentinels),
    )
    nodes = cluster.settings.url.partition("//")[2]
    settings = {
        "single": RedisSettings(url="redis://hang-c"),
        "sentinels": replace(sentinel.settings, sentinels=sentinels),
        "cluster": replace(cluster.settings, url=f"redis://hang-d:1,hang-e:1,{nodes}"),
    }
    try:
        for _ in range(20):
            with pytest.raises(
                RedisConnectionError, match=r"no answer from hang-c:6379 within 0\.05 s"
            ):
                async with client_of(settings["single"], resolver, seconds=0.05) as client:
                    await client.get("k")
        for each in ("sentinels", "cluster"):
            async with client_of(settings[each], resolver, seconds=1.0) as client:
                assert await client.set(each, "v")
        reachable = RedisSettings(url=f"redis://fine:{server.port}")
        async with client_of(reachable, resolver) as client:
            assert await client.set("k", "v")
        assert await asyncio.get_running_loop().run_in_executor(None, lambda: "free") == "free"
    finally:
        released.set()


# TLS


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    return made


@pytest.fixture
def tls(authority: trustme.CA) -> Callable[..., RedisServer]:
    """Puts a server's certificate for a name into its folder, and lets it speak TLS only."""

    def tls(server: RedisServer, name: str) -> RedisServer:
        certificate = authority.issue_cert(name)
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
        }
        return server

    return tls


async def test_a_certificate_is_of_the_name_and_of_the_authority_that_was_named(
    tls: Callable[..., RedisServer], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not of the address that the name leads to, and of no other authority that the system trusts."""
    resolver = named({"redis.example": ["127.0.0.1"], "other.example": ["127.0.0.1"]})
    with tls(RedisServer(), "redis.example").start() as server:
        good = RedisSettings(
            url=f"rediss://redis.example:{server.port}", ca_certificate=str(tmp_path / "ca.pem")
        )
        async with client_of(good, resolver) as client:
            assert await client.set("k", "v")
        wrong = replace(good, url=f"rediss://other.example:{server.port}")
        async with client_of(wrong, resolver) as client:
            with pytest.raises(RedisConnectionError, match=r"the certificate of other\.example"):
                await client.get("k")
        # The system trusts the server's authority, but the settings name another one.
        monkeypatch.setenv("SSL_CERT_FILE", good.ca_certificate)
        async with client_of(replace(good, ca_certificate=""), resolver) as client:
            assert await client.set("k", "v")
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "other.pem"))
        other = replace(good, ca_certificate=str(tmp_path / "other.pem"))
        async with client_of(other, resolver) as client:
            with pytest.raises(RedisConnectionError, match="does not hold"):
                await client.get("k")


async def test_tls_on_one_side_only_is_told(
    start_redis: StartRedis, tls: Callable[..., RedisServer], tmp_path: Path
) -> None:
    no_tls = RedisSettings(url=f"rediss://{start_redis().address}")
    assert "does it speak TLS?" in await refusal(no_tls, seconds=0.3)
    with tls(RedisServer(), "127.0.0.1").start() as server:
        assert "write rediss://" in await refusal(RedisSettings(url=f"redis://{server.address}"))


# Login, and the server at the other end


async def test_a_password_is_asked_for_and_checked(start_redis: StartRedis) -> None:
    server = start_redis(requirepass=SECRET)
    settings = RedisSettings(url=f"redis://{server.address}")
    assert "asks for a password" in await refusal(settings)
    wrong = replace(settings, password=f"{SECRET}-not")
    assert "refused the user name or the password" in await refusal(wrong)
    async with client_of(replace(settings, password=SECRET)) as client:
        assert await client.set("k", "v")


async def test_a_user_with_the_documented_rights_is_enough(start_redis: StartRedis) -> None:
    """docs/clustering.md; `read` there includes ZRANGE and XRANGE."""
    server = start_redis(user=f"strong on >{SECRET} {documented_rights('server')}")
    settings = RedisSettings(url=f"redis://strong:{SECRET}@{server.address}")
    async with client_of(settings) as client:
        assert await client.eval("return redis.call('SET', KEYS[1], 1)", 1, "{pusher-server:0}:k")


async def test_a_unix_socket_will_do(start_redis: StartRedis) -> None:
    server = start_redis(unixsocket="redis.sock", unixsocketperm=777, requirepass=SECRET)
    path = f"{server.folder}/redis.sock"
    async with client_of(RedisSettings(url=f"unix://:{SECRET}@{path}")) as client:
        assert await client.set("k", "v")
    assert f"Redis at {path}: Redis asks for a password" in await refusal(
        RedisSettings(url=f"unix://{path}")
    )
    missing = RedisSettings(url=f"unix://{path}.not")
    assert f"cannot connect to {path}.not" in await refusal(missing)


async def test_a_server_of_the_wrong_kind_is_refused(
    start_redis: StartRedis, cluster: ClusterRedis
) -> None:
    master = start_redis()
    replica = start_redis(replicaof=f"{master.host} {master.port}")
    assert "it is a replica" in await refusal(RedisSettings(url=f"redis://{replica.address}"))
    node = cluster.servers[0]
    assert "cluster = true" in await refusal(RedisSettings(url=f"redis://{node.address}"))
    single = RedisSettings(url=f"redis://{master.address}", cluster=True)
    assert "it is no node of a Redis Cluster" in await refusal(single)


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "does not speak Redis's protocol"),
        (b"", "if it wants TLS, write rediss://"),
        (b"+OK\r\n", "what answers is not Redis"),
        (b"*1\r\n$1\r\nx\r\n", "what answers is not Redis"),
        (b"-ERR unknown command 'HELLO' 'AUTH' '" + SECRET.encode() + b"'\r\n", "Redis 7 or newer"),
        (b"-ERR max number of clients reached\r\n", "maxclients"),
        (b"-LOADING Redis is loading the dataset in memory\r\n", "still loading"),
    ],
)
@pytest.mark.parametrize("kind", list(ServerKind))
async def test_what_is_not_a_redis_is_told(reply: bytes, problem: str, kind: ServerKind) -> None:
    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(reply)
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(other, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    url, password = f"redis://:{SECRET}@127.0.0.1:{port}", {"sentinel_password": SECRET}
    access = RedisAccess(RedisSettings(url=url, **password))
    with pytest.raises(RedisUnavailable) as raised:
        await send_query(access, RedisAddress("127.0.0.1", port), kind, "PING")
    assert problem in str(raised.value)
    assert f"127.0.0.1:{port}" in str(raised.value)
    assert SECRET not in str(raised.value)
    told = await refusal(RedisSettings(url=url, cluster=kind is ServerKind.NODE))
    assert problem in told
    listening.close()
    await listening.wait_closed()


async def test_a_server_that_does_not_answer_is_given_up_in_time(start_redis: StartRedis) -> None:
    server = start_redis()
    server.pause()
    access = RedisAccess(RedisSettings(url=f"redis://{server.address}", connect_timeout=0.2))
    for kind in ServerKind:
        with pytest.raises(RedisUnavailable) as raised:
            await send_query(access, RedisAddress(server.host, server.port), kind, "PING")
        assert str(raised.value) == f"no answer from {server.address} within 0.2 s"
    server.resume()


# Sentinels


async def test_a_mistaken_sentinel_is_outvoted_and_one_that_is_away_costs_no_time(
    sentinel: SentinelRedis, start_redis: StartRedis
) -> None:
    """Wherever they stand in the list: redis-py would believe the first that answers."""
    other, wrong = start_redis(), RedisServer(program="redis-sentinel")
    with wrong, RedisServer(program="redis-sentinel") as hanging:
        (wrong.folder / "redis.conf").write_text(
            f"port {wrong.port}\nsentinel monitor {MASTER} {other.host} {other.port} 1\n", "utf-8"
        )
        (wrong.folder / "redis.conf").chmod(0o666)
        wrong.start()
        hanging.start().pause()
        addresses = (wrong.address, hanging.address, *sentinel.settings.sentinels)
        settings = replace(sentinel.settings, sentinels=addresses)
        began = time.monotonic()
        async with client_of(settings, seconds=30.0) as client:
            assert await client.set("k", "v")
        assert time.monotonic() - began < 30.0, "it waited for the one that hangs"
        master = sentinel.masters()[0]
        assert master.ask("GET", "k") == b"v"
        assert other.ask("GET", "k") is None
        hanging.resume()


async def test_sentinels_have_a_login_of_their_own(start_redis: StartRedis) -> None:
    master, watching = start_redis(requirepass=SECRET), RedisServer(program="redis-sentinel")
    with watching:
        (watching.folder / "redis.conf").write_text(
            f"port {watching.port}\nrequirepass {SECRET}-too\n"
            f"sentinel monitor {MASTER} {master.host} {master.port} 1\n"
            f"sentinel auth-pass {MASTER} {SECRET}\n",
            "utf-8",
        )
        (watching.folder / "redis.conf").chmod(0o666)
        watching.start()
        settings = RedisSettings(
            sentinels=(watching.address,), sentinel_master=MASTER, password=SECRET
        )
        told = await refusal(settings)
        assert "no Sentinel can be asked" in told
        assert f"Redis at {watching.address}: Redis asks for a password" in told
        good = replace(settings, sentinel_password=f"{SECRET}-too")
        async with client_of(good) as client:
            assert await client.set("k", "v")
        unknown = await refusal(replace(good, sentinel_master="other"))
        assert f"the Sentinel at {watching.address} knows no master 'other'" in unknown


async def test_connections_that_are_made_together_ask_sentinels_together(
    sentinel: SentinelRedis,
) -> None:
    access = RedisAccess(sentinel.settings)
    master = SentinelMaster(access, sentinel.settings.sentinel_addresses, MASTER)
    before = [_asked(each) for each in sentinel.sentinels]
    found = await asyncio.gather(*(master.find() for _ in range(20)))
    assert {str(each) for each in found} == {sentinel.masters()[0].address}
    # `masters` above asks the first one, too.
    spent = [_asked(each) - then for each, then in zip(sentinel.sentinels, before, strict=True)]
    assert all(each <= 2 for each in spent)


def _asked(sentinel: RedisServer) -> int:
    """How often it was asked for the master."""
    stats = str(sentinel.ask("INFO", "commandstats"), "utf-8")
    line = stats.partition("cmdstat_sentinel|get-master-addr-by-name:calls=")[2]
    return int(line.partition(",")[0] or 0)


# A Redis Cluster


async def test_all_nodes_of_a_cluster_are_reached_by_our_connections(
    cluster: ClusterRedis,
) -> None:
    """Those that are named, and those that redis-py finds: it has no setting for that."""
    first = replace(cluster.settings, url=f"redis://{cluster.servers[0].address}")
    async with client_of(first) as client:
        for number in range(50):
            assert await client.set(f"k{number}", "v")
        nodes = client.get_nodes()
        assert len(nodes) == 3
        assert {each.connection_class for each in nodes} == {GreetingConnection}
        for each in cluster.servers:
            assert f"name={NAME}" in str(each.ask("CLIENT", "LIST"), "utf-8")


async def test_the_owner_of_a_slot_is_found_by_any_node_that_answers(
    cluster: ClusterRedis,
) -> None:
    access = RedisAccess(cluster.settings)
    away = RedisAddress("127.0.0.1", free_port())
    owners = SlotOwners(access, (away, *access.addresses))
    for slot in (0, 8_000, 16_383):
        assert str(await owners.owner(slot)) == cluster.owner_of(slot).address
    with pytest.raises(RedisUnavailable, match=f"cannot connect to {away}"):
        await SlotOwners(access, (away,)).owner(0)
