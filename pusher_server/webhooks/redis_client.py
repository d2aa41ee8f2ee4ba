"""A client of the redis package for the Redis that `[cluster.redis]` names: one server, Sentinel, Cluster."""

import ssl
from typing import Any

from redis.asyncio import Redis, RedisCluster, Sentinel
from redis.asyncio.cluster import ClusterNode
from redis.exceptions import RedisError

from pusher_server.config.redis import RedisSettings, parse_url

#: Either of the package's clients, whose commands are the same; its own types disagree about answers.
Client = Any

#: Seconds for one answer: whoever waits for it has a queue of its own.
PATIENCE = 2.0
NAME = "pusher-server-outbox"


class RedisClient:
    """Connects when a command is sent. `commands` has the package's verbs."""

    def __init__(self, settings: RedisSettings) -> None:
        url = parse_url(settings.url or "redis:///")
        common: dict[str, Any] = {
            "username": settings.username or url.username or None,
            "password": settings.password or url.password or None,
            "socket_timeout": PATIENCE,
            "socket_connect_timeout": min(settings.connect_timeout, PATIENCE),
            "client_name": NAME,
            **(_tls(settings) if url.tls else {}),
        }
        #: Connections to the Sentinels themselves.
        self._sentinels: list[Any] = []
        if settings.cluster:
            nodes = [ClusterNode(place.host, place.port) for place in url.places]
            self.commands: Client = RedisCluster(startup_nodes=nodes, **common)
        elif settings.sentinels:
            login = {
                "username": settings.sentinel_username or None,
                "password": settings.sentinel_password or None,
            }
            known: Any = Sentinel(  # type: ignore[no-untyped-call]  # the package's
                [(place.host, place.port) for place in settings.sentinel_places],
                sentinel_kwargs=common | login,
                **common,
            )
            self._sentinels = known.sentinels
            self.commands = known.master_for(settings.sentinel_master, db=url.database)
        else:
            place = url.places[0]
            where: dict[str, Any] = {"host": place.host, "port": place.port}
            if place.path:
                where = {"unix_socket_path": place.path}
            self.commands = Redis(db=url.database, **where, **common)

    async def close(self) -> None:
        """End all connections."""
        for each in (self.commands, *self._sentinels):
            await each.aclose()


def why(error: Exception) -> str:
    """One line, without a password."""
    if isinstance(error, TimeoutError):
        return f"no answer for {PATIENCE:g} s"
    text = str(error).partition("\n")[0]
    return text if isinstance(error, RedisError | OSError) and text else type(error).__name__


def _tls(settings: RedisSettings) -> dict[str, Any]:
    return {
        "ssl": True,
        "ssl_ca_certs": settings.ca_certificate or None,
        "ssl_certfile": settings.certificate or None,
        "ssl_keyfile": settings.key or None,
        "ssl_check_hostname": settings.verify,
        "ssl_cert_reqs": ssl.CERT_REQUIRED if settings.verify else ssl.CERT_NONE,
    }
