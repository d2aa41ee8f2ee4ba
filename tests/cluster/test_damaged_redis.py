"""Rows in Redis that no node has written: each is left out alone, with one line, and all else is right."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from tests.cluster.servers import MAIN, Node, clients_of, heard, reaches
from tests.conformance.client import unique
from tests.support.redis_servers import RedisServer
from tests.support.waiting import eventually

BASE = "{pusher-server:0}"
GARBAGE = [b"", b"\xff", b"\xc1", b"\x91", b"\x93\x01\xa1\xff\x80", b"\x91" * 500, b"text", b"\xc0"]


def pack(value: Any) -> bytes:
    """As our rows are."""
    return msgspec.msgpack.encode(value)


def put(redis: RedisServer, *command: str | bytes | int) -> None:
    """A command with bytes in it."""
    redis.ask(*command)  # type: ignore[arg-type]  # hiredis packs bytes as well


def entries(redis: RedisServer, room: str, other: str) -> None:
    """In a list of channels and in one of members: no msgpack, no UTF-8, values that are none."""
    for number, each in enumerate(GARBAGE):
        put(redis, "HSET", f"{BASE}:t:channels:{MAIN.app_id}:", f"bad-{number}", each)
        put(redis, "HSET", f"{BASE}:t:members:{MAIN.app_id}:{room}", f"bad-{number}", each)
    good = pack([1, "1", {"x.1.1": "1"}])
    put(redis, "HSET", f"{BASE}:t:channels:{MAIN.app_id}:", b"\xff\xfe", good)
    for number, value in enumerate(("6e666666666", "-1", "", "9" * 5_000, "\u0663", "NaN")):
        row = pack([1, value, {"x.1.1": value}])
        put(redis, "HSET", f"{BASE}:t:channels:{MAIN.app_id}:", f"value-{number}", row)
    for number, value in enumerate(("{", "nonsense", "[" * 5_000, '"\\ud800"')):
        row = pack([1, value, {"x.1.1": value}])
        put(redis, "HSET", f"{BASE}:t:members:{MAIN.app_id}:{room}", f"value-{number}", row)
    put(redis, "HSET", f"{BASE}:t:members:{MAIN.app_id}:{room}", "nobody", pack([1, "", {}]))


def key_that_is_held(redis: RedisServer, room: str, other: str) -> None:
    """The row of a channel that somebody is in."""
    put(redis, "HSET", f"{BASE}:t:channels:{MAIN.app_id}:", other, b"\xff")


def tallies_and_batches(redis: RedisServer, room: str, other: str) -> None:
    """What all renewals read."""
    for holder in redis.ask("ZRANGE", f"{BASE}:leases", 0, -1):
        name = holder.decode()
        put(redis, "HSET", f"{BASE}:tallies", name, b"\xff")
        put(redis, "HSET", f"{BASE}:due", name, b"\xc1")


def tallies_of_others(redis: RedisServer, room: str, other: str) -> None:
    """A holder that nobody is, with numbers that are none, and places that are none."""
    put(redis, "ZADD", f"{BASE}:leases", 2**52, "x.1.1")
    row = pack({"connections:1": "many", "n": 1e300, b"\xff": 1, "nan": float("nan")})
    put(redis, "HSET", f"{BASE}:tallies", "x.1.1", row)


def announcements(redis: RedisServer, room: str, other: str) -> None:
    """Places that are none, and causes that are none."""
    places: list[str | bytes] = ["nonsense", "9:x", "-1:x", ":", b"\xff\xff", "8:nonsense" + "k"]
    for number, place in enumerate(places):
        for kind, rows in (("joining", "joins"), ("leaving", "leaves")):
            put(redis, "ZADD", f"{BASE}:{kind}", 0, place)
            if number % 2:
                put(redis, "HSET", f"{BASE}:{rows}", place, GARBAGE[number])
            else:
                put(redis, "HSET", f"{BASE}:{rows}", place, pack(["x.1", "a.1", False]))


def dead_holder(redis: RedisServer, room: str, other: str) -> None:
    """Its lease has ended, and what it is said to hold is nonsense."""
    put(redis, "ZADD", f"{BASE}:leases", 1, "x.1.1")
    for place in ("nonsense", b"\xff", "99:short", "10:channels:1bad"):
        put(redis, "ZADD", f"{BASE}:i:x.1.1", 1, place)
    put(redis, "HSET", f"{BASE}:due", "x.1.1", pack([1, [1, 2, 3, 4, "a", "b", 1, "v", None]]))


def numbers_of_the_world(redis: RedisServer, room: str, other: str) -> None:
    """What scripts calculate with."""
    for name in ("heard", "floor", "tick", "unsure_until", "seq"):
        put(redis, "HSET", f"{BASE}:world", name, "6e666666666x")
    put(redis, "HSET", f"{BASE}:versions", f"members:{MAIN.app_id}:{room}", "many")


def publications(redis: RedisServer, room: str, other: str) -> None:
    """On every address that somebody listens to."""
    transition = ["a", 1, "k", "v", True, False, False, "x.1.1"]
    bodies = [*GARBAGE, pack([1, "x", ["event", b"\xff", 1, None]]), pack([1, *transition])]
    for channel in redis.ask("PUBSUB", "CHANNELS"):
        for each in [*bodies, pack([1, "not hex", *transition[1:]])]:
            put(redis, "PUBLISH", channel, each)


DAMAGES: list[Callable[[RedisServer, str, str], None]] = [
    entries,
    key_that_is_held,
    tallies_and_batches,
    tallies_of_others,
    announcements,
    dead_holder,
    numbers_of_the_world,
    publications,
]


@pytest.mark.parametrize("damage", DAMAGES)
async def test_what_nobody_has_written_concerns_nothing_else(
    redis: RedisServer, pair: list[Node], http: httpx.AsyncClient, damage: Any
) -> None:
    """Both nodes stay attached, answer, deliver, and see members come and go."""
    room, other = unique("presence-"), unique("public-")
    one, two = (node.api(http) for node in pair)
    async with clients_of(*pair) as (a, b):
        await a.join(room, "a")
        await a.subscribe(other)
        await asyncio.to_thread(damage, redis, room, other)
        for _ in range(3):  # renewals pass, and nobody is sent away by one
            await asyncio.sleep(0.3)
            for api in (one, two):
                found = await api.read("/channels")
                assert room in found["channels"]
                await api.read("/channels", "info=subscription_count")
                users = await api.read(f"/channels/{room}/users", "with_user_info=1")
                assert "a" in [each["id"] for each in users["users"]]
                await api.read(f"/channels/{room}", "info=subscription_count,user_count")
                await api.read("/connections")
        await b.subscribe(other)
        await reaches(one, other, a, b)
        await b.join(room, "b")
        await heard(a, room, "+b")
        await b.unsubscribe(room)
        await heard(a, room, "-b")
        await a.unsubscribe(other)
        await b.unsubscribe(other)
    for node in pair:
        assert "Traceback" not in node.log
        assert " is away" not in node.log
        assert node.log.count("attached to ") == 1
        assert node.log.count("cannot be read") <= 4


async def test_a_broken_row_is_told_with_its_place(
    redis: RedisServer, pair: list[Node], http: httpx.AsyncClient
) -> None:
    """Once, however often it is read, and with what to do about it."""
    key = f"{BASE}:t:channels:{MAIN.app_id}:"
    await asyncio.to_thread(put, redis, "HSET", key, "broken", b"\xff")
    for _ in range(10):
        assert (await pair[0].api(http).read("/channels"))["channels"] == {}
    assert pair[0].log.count("cannot be read") == 1
    assert f"HDEL {key} with the field b'broken'" in pair[0].log


async def test_an_epoch_that_is_none_is_told_and_goes_when_it_is_deleted(
    redis: RedisServer, pair: list[Node], http: httpx.AsyncClient
) -> None:
    """Nothing of that store can be trusted then: the nodes serve degraded, and say why."""
    await asyncio.to_thread(put, redis, "HSET", f"{BASE}:world", "epoch", b"\xff")
    await eventually(lambda: "cannot be read" in pair[0].log)
    await asyncio.to_thread(put, redis, "FLUSHALL")
    for node in pair:
        await node.attached(2)
        assert "Traceback" not in node.log
    async with clients_of(*pair) as (a, b):
        await a.subscribe("c")
        await b.subscribe("c")
        await reaches(pair[0].api(http), "c", a, b)
