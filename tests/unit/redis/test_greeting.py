"""The first command, and which servers its answer refuses."""

from typing import Any

import pytest

from pusher_server.config.redis import RedisSettings
from pusher_server.redis.access import RedisAccess
from pusher_server.redis.errors import RedisUnavailable
from pusher_server.redis.greeting import ServerKind, check, hello

MASTER, NODE, SENTINEL = ServerKind.MASTER, ServerKind.NODE, ServerKind.SENTINEL


def answer(
    mode: str = "standalone", role: str = "master", version: str = "7.0.15"
) -> dict[bytes, Any]:
    fields: dict[bytes, Any] = {b"server": b"redis", b"version": version.encode(), b"proto": 3}
    fields |= {b"mode": mode.encode(), b"role": role.encode(), b"modules": []}
    if mode == "sentinel":
        del fields[b"role"]
    return fields


def access(**settings: Any) -> RedisAccess:
    return RedisAccess(RedisSettings(**settings))


@pytest.mark.parametrize(
    ("settings", "kind", "login"),
    [
        ({"url": "redis://h"}, MASTER, ()),
        ({"url": "redis://name@h"}, MASTER, ()),
        ({"url": "redis://:pw@h"}, MASTER, ("AUTH", "default", "pw")),
        ({"url": "redis://u:pw@h"}, NODE, ("AUTH", "u", "pw")),
        ({"url": "redis://u:pw@h", "password": "other"}, NODE, ("AUTH", "u", "other")),
        ({"url": "redis://u:pw@h", "username": "me"}, MASTER, ("AUTH", "me", "pw")),
        ({"url": "redis://u:pw@h"}, SENTINEL, ()),
        ({"sentinel_password": "watch"}, SENTINEL, ("AUTH", "default", "watch")),
        (
            {"sentinel_username": "s", "sentinel_password": "watch"},
            SENTINEL,
            ("AUTH", "s", "watch"),
        ),
        ({"password": "pw"}, SENTINEL, ()),
    ],
)
def test_it_logs_in_with_what_the_settings_say_for_this_kind_of_server(
    settings: dict[str, Any], kind: ServerKind, login: tuple[str, ...]
) -> None:
    command = hello(access(**settings), kind, protocol=3, name="me")
    assert command == ("HELLO", "3", *login, "SETNAME", "me")


@pytest.mark.parametrize(
    ("kind", "is_cluster", "found"),
    [
        (MASTER, False, answer()),
        (MASTER, False, answer(version="8.2.0")),
        (MASTER, False, answer(version="10.0")),
        (MASTER, True, answer(mode="cluster")),
        (NODE, True, answer(mode="cluster")),
        (NODE, True, answer(mode="cluster", role="replica")),
        (SENTINEL, False, answer(mode="sentinel")),
    ],
)
@pytest.mark.parametrize("is_flat", [False, True])
def test_what_the_settings_say_is_accepted_in_both_protocols(
    kind: ServerKind, is_cluster: bool, found: dict[bytes, Any], is_flat: bool
) -> None:
    flat = [part for item in found.items() for part in item]
    check(flat if is_flat else found, kind, is_cluster=is_cluster)


@pytest.mark.parametrize(
    ("kind", "is_cluster", "found", "problem"),
    [
        (MASTER, False, answer(role="replica"), "it is a replica"),
        (MASTER, True, answer(mode="cluster", role="replica"), "it is a replica"),
        (MASTER, False, answer(mode="cluster"), "write cluster = true in [cluster.redis]"),
        (MASTER, True, answer(), "no node of a Redis Cluster; see cluster in [cluster.redis]"),
        (NODE, True, answer(), "no node of a Redis Cluster; see cluster in [cluster.redis]"),
        (MASTER, False, answer(mode="sentinel"), "it is a Sentinel"),
        (NODE, True, answer(mode="sentinel"), "it is a Sentinel"),
        (SENTINEL, False, answer(), "it is no Sentinel"),
        (SENTINEL, False, answer(mode="cluster"), "it is no Sentinel"),
        (MASTER, False, answer(version="6.2.14"), "Redis 7 or newer is needed, this is 6.2.14"),
        (SENTINEL, False, answer(mode="sentinel", version="6.2.14"), "this is 6.2.14"),
        (MASTER, False, answer(version="x"), "what answers is not Redis"),
        (MASTER, False, {}, "what answers is not Redis"),
        (MASTER, False, [b"version"], "what answers is not Redis"),
        (MASTER, False, [b"version", b"7.0", b"mode", 3], "what answers is not Redis"),
        (MASTER, False, [[], b"7.0"], "what answers is not Redis"),
        (MASTER, False, b"OK", "what answers is not Redis"),
        (MASTER, False, None, "what answers is not Redis"),
        (MASTER, False, 7, "what answers is not Redis"),
    ],
)
def test_anything_else_is_refused_in_words(
    kind: ServerKind, is_cluster: bool, found: object, problem: str
) -> None:
    with pytest.raises(RedisUnavailable) as raised:
        check(found, kind, is_cluster=is_cluster)
    assert problem in str(raised.value)
