"""Commands and scripts of the outbox over redis-py, in bounded time and with one kind of error."""

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

#: Seconds for an answer, and for a connection unless the settings want it sooner.
_ANSWER, _CONNECT = 2.0, 1.0
#: Commands at a time, and so connections.
_TURNS = 16
_NAME = "pusher-server-outbox"


class RedisClient:
    """Makes connections when they are needed. Everything raises OutboxUnavailable, after seconds at most.

    Raises ConfigError when a certificate cannot be used.
    """

    def __init__(self, settings: RedisSettings, peer: str) -> None:
        self.is_cluster = settings.cluster
        self._peer = peer
        access = RedisAccess(settings, timeout=min(settings.connect_timeout, _CONNECT))
        self._redis = make_client(
            settings, access, name=_NAME, answer_timeout=_ANSWER, connections=_TURNS
        )
        self._turns = asyncio.Semaphore(_TURNS)
        # Sentinels are asked all at once, the nodes of a Redis Cluster one after the other.
        steps = 2 if settings.sentinels else len(access.addresses)
        self._patience = _ANSWER + _CONNECT * steps

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
        await self._redis.aclose()

    async def _asked(self, command: Sequence[Any], otherwise: Sequence[Any] | None) -> Any:
        """`otherwise` is for a server that has lost its scripts.

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
            # redis-py 8.1 on a Redis Cluster: connections are closed under those that use them, when one of
            # them finds that a replica has taken over.
            raise self._unavailable(f"the connection was lost ({error})") from None

    def _unavailable(self, why: str) -> OutboxUnavailable:
        return OutboxUnavailable(
            f"webhook events cannot be kept in {self._peer}: {' '.join(why.split())}; see [cluster.redis]"
        )
