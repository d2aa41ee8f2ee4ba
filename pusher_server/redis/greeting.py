"""The first command on a connection, which logs in, and the check of the server by its answer."""

from enum import Enum
from typing import Any

from pusher_server.redis.access import RedisAccess
from pusher_server.redis.errors import RedisUnavailable

#: The first major version with scripts that have a shebang, and with sharded publish/subscribe.
OLDEST = 7


class ServerKind(Enum):
    """The kind of server that a connection requires."""

    #: It takes our writes: a single server, the master of Sentinels, a master of a Redis Cluster.
    MASTER = 1
    #: Any node of a Redis Cluster, or the server itself where there is none.
    NODE = 2
    SENTINEL = 3


def hello(access: RedisAccess, kind: ServerKind, *, protocol: int, name: str) -> tuple[str, ...]:
    """Return the command, with the login for this kind of server. CLIENT LIST shows `name`."""
    login = access.sentinel_login if kind is ServerKind.SENTINEL else access.login
    return ("HELLO", str(protocol), *login.arguments, "SETNAME", name)


def check(answer: Any, kind: ServerKind, *, is_cluster: bool) -> None:
    """Raise RedisUnavailable unless the server is as the settings require. `answer` is the answer to HELLO."""
    try:
        # RESP2 has no maps.
        fields = dict(zip(*[iter(answer)] * 2, strict=True)) if type(answer) is list else answer
        version, mode = (str(fields[name], "ascii") for name in (b"version", b"mode"))
        role = str(fields.get(b"role", b""), "ascii")  # Sentinels have none
        major = int(version.partition(".")[0])
    except (LookupError, TypeError, ValueError, AttributeError):
        raise RedisUnavailable("what answers is not Redis") from None
    if major < OLDEST:
        raise RedisUnavailable(f"Redis {OLDEST} or newer is needed, this is {version}")
    is_sentinel = kind is ServerKind.SENTINEL
    if is_sentinel != (mode == "sentinel"):
        raise RedisUnavailable(f"it is {'no' if is_sentinel else 'a'} Sentinel")
    if is_sentinel:
        return
    if is_cluster and mode != "cluster":
        raise RedisUnavailable("it is no node of a Redis Cluster; see cluster in [cluster.redis]")
    if not is_cluster and mode == "cluster":
        raise RedisUnavailable("it is a Redis Cluster; write cluster = true in [cluster.redis]")
    if kind is ServerKind.MASTER and role != "master":
        raise RedisUnavailable("it is a replica")
