"""redis-py's client for what `[cluster.redis]` says: one server, a master with Sentinels, a Redis Cluster.

The settings mean what they mean for the cluster's own connections, but for two things that redis-py does in its
way: the system's authorities are trusted besides `ca_certificate`, and of several Sentinels the first that
answers is believed.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.cluster import ClusterNode
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from pusher_server.config.redis import RedisSettings, parse_url
from pusher_server.webhooks.outbox.interface import OutboxUnavailable
from pusher_server.webhooks.outbox.redis.scripts import Script

#: Seconds for an answer, and for a connection unless the settings want it sooner.
_ANSWER, _CONNECT = 2.0, 1.0
#: Commands at a time, and so connections.
_TURNS = 16
_NAME = "pusher-server-outbox"


class RedisClient:
    """Makes connections when they are needed. Everything raises OutboxUnavailable, after seconds at most."""

    def __init__(self, settings: RedisSettings, peer: str) -> None:
        self.is_cluster = settings.cluster
        self._peer = peer
        self._redis, self._others = _clients(settings)
        self._turns = asyncio.Semaphore(_TURNS)
        addresses = len(settings.sentinels) or len(parse_url(settings.url).addresses)
        self._patience = _ANSWER + _CONNECT * addresses

    async def ask(self, *command: str | int) -> Any:
        """The answer to one command with one key."""
        return await self._asked(command, None)

    async def run(
        self, script: Script, keys: Sequence[str], *arguments: str | bytes | int | float
    ) -> Any:
        """The answer of a script. On a Redis Cluster all keys are in one slot."""
        rest = (len(keys), *keys, *arguments)
        return await self._asked(("EVALSHA", script.sha, *rest), ("EVAL", script.text, *rest))

    async def close(self) -> None:
        """Let go of the connections."""
        for each in (self._redis, *self._others):
            await each.aclose()

    async def _asked(self, command: Sequence[Any], otherwise: Sequence[Any] | None) -> Any:
        """`otherwise` is for a server that has lost its scripts."""
        try:
            async with asyncio.timeout(self._patience), self._turns:
                try:
                    return await self._redis.execute_command(*command)
                except NoScriptError:
                    if otherwise is None:
                        raise
                    return await self._redis.execute_command(*otherwise)
        except TimeoutError:
            raise self._unavailable(f"no answer within {self._patience:g} s") from None
        except (RedisError, RedisClusterException, OSError) as error:
            raise self._unavailable(str(error) or type(error).__name__) from None
        except (AttributeError, RuntimeError) as error:
            # redis-py 8.1 on a Redis Cluster: connections are closed under those that use them, when one of
            # them finds that a replica has taken over.
            raise self._unavailable(f"the connection was lost ({error})") from None

    def _unavailable(self, why: str) -> OutboxUnavailable:
        return OutboxUnavailable(
            f"webhook events cannot be kept in {self._peer}: {' '.join(why.split())}; see [cluster.redis]"
        )


def _clients(settings: RedisSettings) -> "tuple[Redis | RedisCluster, Sequence[Redis]]":
    """The client, and those that it asks for the way."""
    url = parse_url(settings.url or "redis:///")
    connection: dict[str, Any] = {
        "socket_timeout": _ANSWER,
        "socket_connect_timeout": min(settings.connect_timeout, _CONNECT),
        "retry": Retry(NoBackoff(), 1),
        "protocol": 2,
        **_tls(settings, is_on=url.tls),
    }
    login = _login(settings.username or url.username, settings.password or url.password)
    if settings.cluster:
        nodes = [ClusterNode(place.host, place.port) for place in url.addresses]
        cluster = RedisCluster(
            startup_nodes=nodes,
            require_full_coverage=False,
            max_connections=_TURNS,
            client_name=_NAME,
            **connection,
            **login,
        )
        return cluster, ()
    own: dict[str, Any] = {
        "db": url.database,
        "max_connections": _TURNS,
        "client_name": _NAME,
        **login,
    }
    if settings.sentinels:
        sentinel = Sentinel(  # type: ignore[no-untyped-call] # redis-py's
            [(place.host, place.port) for place in settings.sentinel_addresses],
            sentinel_kwargs={
                **connection,
                **_login(settings.sentinel_username, settings.sentinel_password),
            },
            **connection,
        )
        return sentinel.master_for(settings.sentinel_master, **own), sentinel.sentinels
    (place,) = url.addresses
    where: dict[str, Any] = (
        {"unix_socket_path": place.path} if place.path else {"host": place.host, "port": place.port}
    )
    return Redis(**where, **connection, **own), ()


def _login(username: str, password: str) -> dict[str, Any]:
    """None without a password: then a name alone means nothing."""
    return {"username": username or None, "password": password} if password else {}


def _tls(settings: RedisSettings, *, is_on: bool) -> dict[str, Any]:
    if not is_on:
        return {}
    return {
        "ssl": True,
        "ssl_ca_certs": settings.ca_certificate or None,
        "ssl_certfile": settings.certificate or None,
        "ssl_keyfile": settings.key or None,
        "ssl_cert_reqs": "required" if settings.verify else "none",
        "ssl_check_hostname": settings.verify,
    }
