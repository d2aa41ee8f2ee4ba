"""Makes redis-py's client for `[cluster.redis]`: one server, a master with Sentinels, a Redis Cluster."""

from typing import Any

from redis.asyncio import ConnectionPool, Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import SentinelConnectionPool
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError

from pusher_server.config.redis import RedisSettings
from pusher_server.redis.access import RedisAccess
from pusher_server.redis.connection import SILENT, GreetingConnection, SentinelConnection
from pusher_server.redis.discovery import SentinelMaster
from pusher_server.redis.errors import RedisUnavailable
from pusher_server.redis.greeting import ServerKind


def make_client(
    settings: RedisSettings,
    access: RedisAccess,
    *,
    name: str,
    answer_timeout: float,
    connections: int,
) -> "Redis | RedisCluster":
    """Return a client that connects on its first use; the caller closes it with `aclose`.

    It has `connections` connections to each server at most. An answer may take `answer_timeout` seconds, and
    connecting `access.timeout`. CLIENT LIST shows `name`.
    """
    limits: dict[str, Any] = {
        "socket_timeout": answer_timeout,
        "socket_connect_timeout": access.timeout,
        "max_connections": connections,
        "retry": Retry(NoBackoff(), 1),
        **SILENT,
    }
    if access.is_cluster:
        return _cluster(access, name, limits)
    own: dict[str, Any] = {
        "access": access,
        "kind": ServerKind.MASTER,
        "name": name,
        "database": access.database,
    }
    if settings.sentinels:
        master = SentinelMaster(access, settings.sentinel_addresses, settings.sentinel_master)
        pool: ConnectionPool = SentinelConnectionPool(  # type: ignore[no-untyped-call] # redis-py's
            settings.sentinel_master,
            _Sentinels(master),
            connection_class=SentinelConnection,
            **own,
            **limits,
        )
    else:
        (server,) = access.addresses
        pool = ConnectionPool(
            GreetingConnection,
            host=server.host,
            port=server.port,
            path=server.path,
            **own,
            **limits,
        )
    return Redis.from_pool(pool)


class _Sentinels:
    """Replaces redis-py's `Sentinel` in its pool, because that one trusts the first Sentinel that answers."""

    def __init__(self, master: SentinelMaster) -> None:
        self._master = master

    async def discover_master(self, name: str) -> tuple[str, int]:
        """Return host and port of the current master. Raises redis-py's ConnectionError."""
        try:
            server = await self._master.find()
        except RedisUnavailable as error:
            raise RedisConnectionError(str(error)) from None
        return server.host, server.port


def _cluster(access: RedisAccess, name: str, limits: dict[str, Any]) -> RedisCluster:
    """Return a client of a Redis Cluster; redis-py finds the slots itself, because it follows their moves."""
    seeds = [ClusterNode(seed.host, seed.port) for seed in access.addresses]
    cluster = RedisCluster(startup_nodes=seeds, require_full_coverage=False, **limits)
    # Its constructor accepts only redis-py's own connections. Nodes found later take the class from here.
    options: dict[str, Any] = cluster.get_connection_kwargs()
    options.update(
        connection_class=GreetingConnection, access=access, kind=ServerKind.NODE, name=name
    )
    nodes = [ClusterNode(seed.host, seed.port, **options) for seed in access.addresses]
    cluster.startup_nodes = nodes
    cluster.nodes_manager.startup_nodes = {node.name: node for node in nodes}
    return cluster
