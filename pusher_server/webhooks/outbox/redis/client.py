"""Runs commands and scripts of the outbox with redis-py, in bounded time and with one kind of error."""

import asyncio
from collections.abc import Sequence
from typing import Any

from redis.exceptions import NoScriptError, RedisClusterException, RedisError

from pusher_server.config.redis import RedisSettings
from pusher_server.redis.access import RedisAccess
from pusher_server.redis.client import make_client
from pusher_server.redis.connection import why_failed
from pusher_server.redis.scripts import Script
from pusher_server.webhooks.outbox.interface import OutboxUnavailable

#: Seconds for an answer, and for a connection; the settings may shorten the latter.
_ANSWER, _CONNECT = 2.0, 1.0
#: Number of commands at a time, and so of connections to a server at most.
_TURNS = 16
_NAME = "pusher-server-outbox"


class RedisClient:
    """Runs commands on connections that it makes when they are needed.

    Every call raises OutboxUnavailable if it fails, after some seconds at most. `peer` names this Redis in the
    error. The constructor raises ConfigError when a certificate cannot be used.
    """

    def __init__(self, settings: RedisSettings, peer: str) -> None:
        self.is_cluster = settings.cluster
        self._peer = peer
        access = RedisAccess(settings, timeout=min(settings.connect_timeout, _CONNECT))
        self._redis = make_client(
            settings, access, name=_NAME, answer_timeout=_ANSWER, connections=_TURNS
        )
        self._turns = asyncio.Semaphore(_TURNS)
        # Sentinels are queried all at once, the nodes of a Redis Cluster one after the other.
        steps = 2 if settings.sentinels else len(access.addresses)
        self._patience = _ANSWER + _CONNECT * steps

    async def execute(self, *command: str | int) -> Any:
        """Return the answer to one command with one key."""
        return await self._execute(command, None)

    async def run(
        self, script: Script, keys: Sequence[str], *arguments: str | bytes | int | float
    ) -> Any:
        """Return the answer of a script. On a Redis Cluster all keys must be in one slot."""
        rest = (len(keys), *keys, *arguments)
        return await self._execute(("EVALSHA", script.sha, *rest), ("EVAL", script.text, *rest))

    async def close(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _execute(self, command: Sequence[Any], otherwise: Sequence[Any] | None) -> Any:
        """Return the answer to `command`, or to `otherwise` when the server has lost its scripts.

        redis-py's own scripts (`register_script`) would load the text into all masters of a Redis Cluster
        first, and fail when one of them is down.
        """
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
        except RedisError as error:
            raise self._unavailable(why_failed(error)) from None
        except (RedisClusterException, OSError) as error:
            raise self._unavailable(str(error) or type(error).__name__) from None
        except (AttributeError, RuntimeError) as error:
            # redis-py 8.1 on a Redis Cluster: when one command learns that a replica has taken over, it closes
            # connections that other commands still use.
            raise self._unavailable(f"the connection was lost ({error})") from None

    def _unavailable(self, why: str) -> OutboxUnavailable:
        return OutboxUnavailable(
            f"webhook events cannot be kept in {self._peer}: {' '.join(why.split())}; see [cluster.redis]"
        )
