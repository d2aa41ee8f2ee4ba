"""One link to Redis against real servers: refusals, TLS, death, slowness."""

import asyncio
import os
import threading
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

import pytest
import trustme
import uvloop
from msgspec.structs import replace

from pusher_server.cluster.commands import (
    Count,
    Enter,
    Publish,
    Subscribe,
    Track,
    Tracked,
)
from pusher_server.cluster.links import QUEUE_BYTES, StoreLink
from pusher_server.cluster.redis.dialing import Dialler
from pusher_server.cluster.redis.scripts import SERVER_CLOCK, Scripts
from pusher_server.cluster.redis.topology import redis_links
from pusher_server.config.redis import RedisAddress, RedisSettings
from pusher_server.errors import ClusterUnavailable, ConfigError
from pusher_server.redis.access import RedisAccess
from pusher_server.resolving import Resolver
from tests.contract.stores import StoreClient
from tests.support.redis_servers import RedisServer, StartRedis
from tests.support.redis_users import documented_rights
from tests.support.serving import free_port
from tests.support.waiting import eventually, no_socket_left

SECRET = "s3cr3t-in-no-message"
A = "channel:1:a"


def link_to(settings: RedisSettings) -> StoreLink:
    return redis_links(settings, lease=10.0, undo_window=3.0)[0]


async def open_client(settings: RedisSettings) -> StoreClient:
    client = StoreClient(link_to(settings))
    await client.link.open()
    return client


async def refusal(settings: RedisSettings) -> str:
    """Why it cannot be opened; never with a password, and neither is `peer`."""
    link = link_to(settings)
    with pytest.raises(ClusterUnavailable) as raised:
        await link.open()
    for text in (str(raised.value), link.peer, repr(settings)):
        assert SECRET not in text
    assert raised.value.__cause__ is None
    return str(raised.value)


@pytest.fixture
def server(start_redis: StartRedis) -> RedisServer:
    return start_redis()


def at(server: RedisServer, **more: object) -> RedisSettings:
    return replace(RedisSettings(url=f"redis://{server.address}"), **more)


# Opening


async def test_a_wrong_port_is_named() -> None:
    port = free_port()
    told = await refusal(RedisSettings(url=f"redis://user:{SECRET}@127.0.0.1:{port}"))
    assert f"cannot connect to 127.0.0.1:{port}" in told


async def test_a_name_that_never_answers_is_asked_once_and_other_names_are_reached(
    server: RedisServer,
) -> None:
    """However often it is tried again; and the threads that everything else shares stay free."""
    asked: list[str] = []
    released = threading.Event()

    def look_up(host: str) -> list[str]:
        asked.append(host)
        if host.startswith("hang"):
            released.wait()
        return ["127.0.0.9", "127.0.0.1"]

    settings = RedisSettings(url="redis://x", connect_timeout=0.1)
    scripts = Scripts(lease=10.0, undo_window=3.0, sharded=False, clock=SERVER_CLOCK)
    access = RedisAccess(settings, resolver=Resolver(look_up, found_for=0.0))
    dialler = Dialler(access, scripts)
    for number in range(40):
        with pytest.raises(ClusterUnavailable, match="no answer from hang"):
            await dialler.dial(RedisAddress(f"hang-{number % 4}.example", server.port))
    connection = await dialler.dial(RedisAddress("redis.example", server.port))
    connection.fail("enough")
    assert await asyncio.get_running_loop().run_in_executor(None, lambda: "free") == "free"
    released.set()
    assert sorted(asked) == [*(f"hang-{number}.example" for number in range(4)), "redis.example"]


async def test_an_unknown_host_is_named() -> None:
    told = await refusal(RedisSettings(url="redis://no-such-host.invalid:6379"))
    assert "cannot connect to no-such-host.invalid:6379" in told


async def test_passwords_are_asked_for_and_checked(start_redis: StartRedis) -> None:
    server = start_redis(requirepass=SECRET)
    assert "asks for a password" in await refusal(at(server))
    assert "refused the user name or the password" in await refusal(at(server, password="wrong"))
    assert await (await open_and_close(at(server, password=SECRET))) == 1
    assert (
        await (await open_and_close(RedisSettings(url=f"redis://:{SECRET}@{server.address}/2")))
        == 1
    )


async def open_and_close(settings: RedisSettings) -> "asyncio.Future[int]":
    """How many keys a topic has after one was tracked."""
    client = await open_client(settings)
    await client.enter("one.1.1")
    await client.do(Track("one.1.1", A, "k", ""))
    count = client.link.call(Count(A))
    await asyncio.wait([count])
    client.link.close()
    return count


async def test_a_user_with_too_few_rights_is_told_what_is_missing(start_redis: StartRedis) -> None:
    server = start_redis(user=f"weak on >{SECRET} ~* &* +@all -info")
    told = await refusal(at(server, username="weak", password=SECRET))
    assert "does not permit" in told
    assert "info" in told


async def test_a_user_with_the_documented_rights_is_enough(start_redis: StartRedis) -> None:
    server = start_redis(user=f"strong on >{SECRET} {documented_rights('server')}")
    settings = at(server, username="strong", password=SECRET)
    client = await open_client(settings)
    await client.enter("one.1.1")
    await client.do(Subscribe(A))
    await client.do(Track("one.1.1", A, "k", ""))
    await client.heard(A, "+k")
    await client.renew(x=1)
    client.link.close()


async def test_a_replica_is_refused(start_redis: StartRedis) -> None:
    master = start_redis()
    replica = start_redis(replicaof=f"{master.host} {master.port}")
    assert "is a replica" in await refusal(at(replica))


async def test_a_cluster_and_a_single_server_are_told_apart(start_redis: StartRedis) -> None:
    server = start_redis(cluster_enabled="yes", cluster_port=free_port())
    assert "cluster = true" in await refusal(at(server))
    assert "no node of a Redis Cluster" in await single_as_cluster(start_redis())


async def single_as_cluster(server: RedisServer) -> str:
    return await refusal(at(server, cluster=True))


async def test_what_is_not_redis_is_told(start_redis: StartRedis) -> None:
    async def http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await writer.drain()
        writer.close()

    other = await asyncio.start_server(http, "127.0.0.1", 0)
    port = other.sockets[0].getsockname()[1]
    assert "does not speak Redis's protocol" in await refusal(
        RedisSettings(url=f"redis://127.0.0.1:{port}")
    )
    other.close()
    await other.wait_closed()


async def test_a_server_that_does_not_answer_is_given_up_in_time(server: RedisServer) -> None:
    server.pause()
    told = await refusal(at(server, connect_timeout=0.2))
    assert f"no answer from {server.address} within 0.2 s" in told
    server.resume()


async def test_a_unix_socket_will_do(start_redis: StartRedis) -> None:
    server = start_redis(unixsocket="redis.sock", unixsocketperm=777)
    settings = RedisSettings(url=f"unix://{server.folder}/redis.sock")
    assert await (await open_and_close(settings)) == 1
    os.unlink(server.folder / "redis.sock")
    assert "redis.sock" in await refusal(settings)


async def test_a_link_opens_while_an_error_is_handled(server: RedisServer) -> None:
    """As a node does that has just failed to."""
    client = StoreClient(link_to(at(server)))
    try:
        await client.do(Count(A))
    except ClusterUnavailable:
        await client.link.open()
    assert await client.do(Count(A)) == 0
    client.link.close()


# TLS


@pytest.fixture
def authority(tmp_path: Path) -> trustme.CA:
    made = trustme.CA()
    made.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    client = made.issue_cert("client")
    client.cert_chain_pems[0].write_to_path(str(tmp_path / "client.pem"))
    client.private_key_pem.write_to_path(str(tmp_path / "client.key"))
    return made


@pytest.fixture
def tls_server(authority: trustme.CA, tmp_path: Path) -> Iterator[RedisServer]:
    certificate = authority.issue_cert("127.0.0.1")
    server = RedisServer()
    (server.folder / "ca.pem").write_bytes((tmp_path / "ca.pem").read_bytes())
    certificate.cert_chain_pems[0].write_to_path(str(server.folder / "server.pem"))
    certificate.private_key_pem.write_to_path(str(server.folder / "server.key"))
    server.options |= {
        "port": 0,
        "tls_port": server.port,
        "tls_cert_file": "server.pem",
        "tls_key_file": "server.key",
        "tls_ca_cert_file": "ca.pem",
        "tls_auth_clients": "optional",
    }
    yield server.start()
    server.close()


async def test_tls_needs_a_trusted_certificate(tls_server: RedisServer, tmp_path: Path) -> None:
    settings = RedisSettings(url=f"rediss://{tls_server.address}")
    async with no_socket_left():
        assert "certificate" in await refusal(settings)
        trusting = replace(settings, ca_certificate=str(tmp_path / "ca.pem"))
        assert await (await open_and_close(trusting)) == 1
        assert await (await open_and_close(replace(settings, verify=False))) == 1


async def test_a_certificate_for_another_name_is_refused(
    tls_server: RedisServer, tmp_path: Path
) -> None:
    settings = RedisSettings(
        url=f"rediss://localhost:{tls_server.port}", ca_certificate=str(tmp_path / "ca.pem")
    )
    async with no_socket_left():
        assert "certificate" in await refusal(settings)


async def test_a_client_certificate_is_shown_where_it_is_asked_for(
    tls_server: RedisServer, tmp_path: Path
) -> None:
    tls_server.options["tls_auth_clients"] = "yes"
    tls_server.kill()
    (tls_server.folder / "redis.conf").unlink()
    tls_server.start()
    settings = RedisSettings(
        url=f"rediss://{tls_server.address}", ca_certificate=str(tmp_path / "ca.pem")
    )
    shown = replace(
        settings, certificate=str(tmp_path / "client.pem"), key=str(tmp_path / "client.key")
    )
    async with no_socket_left():
        assert await refusal(settings)
        assert await (await open_and_close(shown)) == 1


async def test_tls_on_one_side_only_is_told(server: RedisServer, tls_server: RedisServer) -> None:
    no_tls = RedisSettings(url=f"rediss://{server.address}", connect_timeout=0.5)
    async with no_socket_left():
        assert "TLS" in await refusal(no_tls)
        assert "rediss://" in await refusal(at(tls_server))


def test_files_that_cannot_be_used_are_a_wrong_setting(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.pem")
    with pytest.raises(ConfigError) as raised:
        link_to(RedisSettings(url="rediss://host", ca_certificate=missing))
    assert raised.value.setting == "cluster.redis.ca_certificate"
    with pytest.raises(ConfigError) as raised:
        link_to(RedisSettings(url="rediss://host", certificate=missing, key=missing))
    assert raised.value.setting == "cluster.redis.certificate"


# Death and slowness


async def test_a_server_that_dies_fails_what_is_open_and_tells_once(server: RedisServer) -> None:
    client = await open_client(at(server))
    await client.do(Subscribe(A))
    server.pause()
    calls = [client.link.call(Count(A)) for _ in range(100)]
    await asyncio.sleep(0)
    server.kill()
    done, _ = await asyncio.wait(calls, timeout=5)
    assert {type(each.exception()) for each in done} == {ClusterUnavailable}
    assert len(done) == 100
    assert client.lost == [str(calls[0].exception())]
    with pytest.raises(ClusterUnavailable):
        await client.link.open()
    server.start()
    await client.link.open()
    assert await client.do(Count(A)) == 0
    assert (client.link.stats.opened, len(client.lost)) == (2, 1)
    client.link.close()


async def test_a_slow_server_fills_a_bounded_queue_and_no_more(server: RedisServer) -> None:
    """Publications are dropped and counted; what was taken arrives when it wakes up."""
    client, listener = await open_client(at(server)), await open_client(at(server))
    await listener.do(Subscribe(A))
    server.pause()
    body = b"x" * 10_000
    taken = 0
    for number in range(5_000):
        taken += client.link.publish(Publish(A, body))
        if number % 50 == 0:
            await asyncio.sleep(0)
    assert client.link.stats.dropped == 5_000 - taken > 0
    assert taken * len(body) < 3 * QUEUE_BYTES  # the kernel's buffers are in it
    assert not client.link.publish(Publish(A, b"too much"))
    server.resume()
    await eventually(lambda: len(listener.pushes) == taken)
    assert client.link.publish(Publish(A, b"again"))
    await eventually(lambda: listener.pushes[-1] == (A, b"again"))
    assert client.lost == []
    for each in (client, listener):
        each.link.close()


async def test_commands_are_not_dropped_but_end_a_link_that_is_not_read(
    server: RedisServer,
) -> None:
    client = await open_client(at(server))
    server.pause()
    value = "x" * 100_000
    calls: list[asyncio.Future[Tracked]] = []
    while not client.lost and len(calls) < 2_000:
        calls.append(client.link.call(Track("one.1.1", A, "k", value)))
        if len(calls) % 10 == 0:
            await asyncio.sleep(0)
    assert "does not read" in client.lost[0]
    assert len(calls) * len(value) < 8 * QUEUE_BYTES
    server.resume()


async def test_a_server_that_hangs_is_given_up(server: RedisServer) -> None:
    client = await open_client(at(server, connect_timeout=0.2))
    server.pause()
    with pytest.raises(ClusterUnavailable, match="has not answered"):
        await client.do(Count(A))
    assert len(client.lost) == 1
    server.resume()


async def test_an_idle_link_is_left_alone(server: RedisServer) -> None:
    client = await open_client(at(server, connect_timeout=0.05))
    await asyncio.sleep(0.3)
    assert await client.do(Count(A)) == 0
    assert client.lost == []
    client.link.close()


async def test_forgotten_scripts_are_loaded_by_opening_again(server: RedisServer) -> None:
    client = await open_client(at(server))
    before = (await client.enter("one.1.1")).epoch
    server.ask("SCRIPT", "FLUSH")
    with pytest.raises(ClusterUnavailable, match="forgotten our scripts"):
        await client.renew()
    assert len(client.lost) == 1
    await client.link.open()
    assert (await client.renew()).epoch == before
    client.link.close()


async def test_a_flush_is_another_epoch(server: RedisServer) -> None:
    client = await open_client(at(server))
    before = await client.enter("one.1.1")
    await client.do(Track("one.1.1", A, "k", ""))
    server.ask("FLUSHALL")
    assert await client.do(Count(A)) == 0
    with pytest.raises(ClusterUnavailable, match="lease has ended"):
        await client.do(Track("one.1.1", A, "k", ""))
    assert (await client.enter("one.1.2", succeeds="one.1.1")).epoch != before.epoch
    assert client.lost == []
    client.link.close()


async def test_a_restart_with_its_memory_is_another_epoch_too(server: RedisServer) -> None:
    """It may have gone back: what was written after the last save is gone."""
    client = await open_client(at(server))
    before = await client.enter("one.1.1")
    await client.do(Track("one.1.1", A, "k", ""))
    await asyncio.to_thread(server.restart, empty=False)
    await eventually(lambda: len(client.lost) == 1)
    await client.link.open()
    after = await client.enter("one.1.2", succeeds="one.1.1")
    assert after.epoch != before.epoch
    assert not (await client.do(Track("one.1.2", A, "k", ""))).held_now
    client.link.close()


async def test_full_memory_refuses_whole_commands(server: RedisServer) -> None:
    client = await open_client(at(server))
    await client.enter("one.1.1")
    await client.do(Track("one.1.1", A, "k", ""))
    server.ask("CONFIG", "SET", "maxmemory", 1)
    with pytest.raises(ClusterUnavailable, match="no memory left"):
        await client.do(Track("one.1.1", A, "other", ""))
    server.ask("CONFIG", "SET", "maxmemory", 0)
    await client.link.open()
    assert await client.do(Count(A)) == 1
    client.link.close()


async def test_a_reader_that_redis_cuts_off_opens_again(server: RedisServer) -> None:
    """client-output-buffer-limit: a node that does not read is disconnected by Redis."""
    server.ask("CONFIG", "SET", "client-output-buffer-limit", "pubsub 1mb 1mb 1")
    client = await open_client(at(server))
    await client.do(Subscribe(A))
    body = "x" * 1_000_000
    for _ in range(40):  # we do not read meanwhile
        server.ask("PUBLISH", "{pusher-server:0}:" + A, body)
    await eventually(lambda: len(client.lost) == 1)
    await client.link.open()
    await client.do(Subscribe(A))
    await client.do(Publish(A, b"alive"))
    await eventually(lambda: client.pushes[-1] == (A, b"alive"))
    client.link.close()


async def test_time_is_the_servers(server: RedisServer) -> None:
    """A lease and an undo window by the real clock; the contract suite has one of its own."""
    stores = redis_links(at(server), lease=0.6, undo_window=0.1)
    client, other = (
        StoreClient(stores[0]),
        StoreClient(redis_links(at(server), lease=0.6, undo_window=0.1)[0]),
    )
    for each, holder in ((client, "one.1.1"), (other, "other.1.1")):
        await each.link.open()
        await each.enter(holder)
    begun = asyncio.get_running_loop().time()

    async def first_lease_is_over() -> bool:
        await client.renew()
        await other.renew()
        return asyncio.get_running_loop().time() - begun > 0.7

    await eventually(first_lease_is_over)
    await client.do(Track("one.1.1", A, "k", ""))
    found: list[str] = []

    async def swept_and_due() -> bool:
        other.confirmed = other.batch
        told = await other.renew()
        found.extend(f"{'+' if each.held else '-'}{each.key}" for each in told.due)
        return found == ["+k", "-k"]

    await eventually(swept_and_due)
    assert await other.do(Count(A)) == 0
    with pytest.raises(ClusterUnavailable, match="lease has ended"):
        await client.renew()
    for each in (client, other):
        each.link.close()


async def test_several_links_enter_at_once(server: RedisServer) -> None:
    """All find the same epoch, though none was there before."""
    clients = [await open_client(at(server)) for _ in range(5)]
    epochs = await asyncio.gather(
        *(client.do(Enter(f"n{number}.1.1")) for number, client in enumerate(clients))
    )
    assert len({each.epoch for each in epochs}) == 1
    for client in clients:
        client.link.close()


@pytest.mark.parametrize(
    "test",
    [
        test_a_server_that_dies_fails_what_is_open_and_tells_once,
        test_a_slow_server_fills_a_bounded_queue_and_no_more,
        test_commands_are_not_dropped_but_end_a_link_that_is_not_read,
        test_a_server_that_hangs_is_given_up,
        test_a_reader_that_redis_cuts_off_opens_again,
        test_several_links_enter_at_once,
    ],
)
def test_it_is_so_on_uvloop(
    test: Callable[[RedisServer], Coroutine[None, None, None]], server: RedisServer
) -> None:
    """Whose transports are not asyncio's."""
    uvloop.run(test(server))


def test_tls_works_on_uvloop(tls_server: RedisServer, tmp_path: Path) -> None:
    """It has a TLS of its own."""
    uvloop.run(test_tls_needs_a_trusted_certificate(tls_server, tmp_path))
