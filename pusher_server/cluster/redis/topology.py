"""Which stores there are and where they live: one server, the master that Sentinels know, a Redis Cluster."""

from pusher_server.cluster.redis.dialing import Dialler
from pusher_server.cluster.redis.link import RedisConnection
from pusher_server.cluster.redis.scripts import SERVER_CLOCK, Scripts
from pusher_server.cluster.redis.settings import Place, RedisSettings, parse_url
from pusher_server.cluster.redis.store import RedisStore
from pusher_server.cluster.store import StoreLink

#: Stores of a Redis Cluster. All nodes must agree on it; a cluster of more masters than that is not of use.
STORES = 32


class SingleServer:
    """A server that stays where it is."""

    def __init__(self, dialler: Dialler, place: Place) -> None:
        self._dialler = dialler
        self._place = place

    async def connect(self) -> RedisConnection:
        """Raises ClusterUnavailable."""
        return await self._dialler.dial(self._place)


def redis_stores(
    settings: RedisSettings, *, lease: float, undo_window: float, clock: str = SERVER_CLOCK
) -> list[StoreLink]:
    """One link for each store: 32 in a Redis Cluster, else one. Raises ConfigError.

    `lease` and `undo_window` are seconds and must be the same on all nodes. `clock` is for tests.
    """
    url = parse_url(settings.url or "redis://")
    scripts = Scripts(lease=lease, undo_window=undo_window, sharded=settings.cluster, clock=clock)
    dialler = Dialler(settings, url, scripts)
    place = url.places[0]
    server = SingleServer(dialler, place)
    base = f"{{{settings.prefix}:{url.database}}}"
    return [RedisStore(base, scripts, server.connect, peer=f"Redis at {place}")]
