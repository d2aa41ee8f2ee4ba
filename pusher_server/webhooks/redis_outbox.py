"""An outbox on the Redis of a cluster: what was appended outlives every node.

It is as safe as Redis itself: with `appendfsync always` nothing is lost, with the usual `everysec` a crash of
the server may cost a second, and a failover what the replica had not got (docs/webhooks.md).

Each app has its keys in a slot of its own, changed by scripts (`lua/`). An index names the apps that ever had
anything; it is written before the entries, so that none is forgotten.
"""

import asyncio
from collections.abc import Awaitable, Sequence
from importlib.resources import files
from typing import Any, TypeVar

import msgspec
from redis.exceptions import RedisError

from pusher_server.config.redis import RedisSettings, parse_url
from pusher_server.webhooks.outbox import (
    Attempt,
    Backlog,
    Dead,
    Decision,
    Entry,
    Outbox,
    OutboxUnavailable,
    Pending,
    Presence,
)
from pusher_server.webhooks.redis_client import RedisClient, why

T = TypeVar("T")

#: Milliseconds for which the id of an entry is remembered after it was appended, delivered or given up.
REMEMBERED = 600_000
#: Webhooks whose lines are kept, as a bound of what one app can make us keep.
_LOGGED = 100

_encode = msgspec.json.Encoder().encode
_entry = msgspec.json.Decoder(Entry).decode
_attempt = msgspec.json.Decoder(Attempt).decode


def _script(name: str) -> str:
    folder = files(__package__) / "lua"
    return "#!lua\n" + "".join(
        (folder / f"{each}.lua").read_text("utf-8") for each in ("outbox", name)
    )


_SCRIPTS = {
    name: _script(name) for name in ("append", "claim", "release", "finish", "bury", "resend")
}


class RedisOutbox(Outbox):
    """`waiting`, `dead_letters` and `log_size` as in `SqliteOutbox`; `peer` is what operators call this Redis.

    Connects when it is first needed.
    """

    def __init__(
        self,
        settings: RedisSettings,
        peer: str,
        *,
        waiting: int = 100_000,
        dead_letters: int = 1_000,
        log_size: int = 200,
    ) -> None:
        """Raises ConfigError when a certificate cannot be used."""
        self._client = RedisClient(settings)
        self._redis = self._client.commands
        self._peer = peer
        self._base = f"{settings.prefix}:{parse_url(settings.url or 'redis:///').database}:outbox"
        self._waiting = waiting
        self._dead_letters = dead_letters
        self._log_size = log_size
        #: Appends go one after the other: the package has several connections.
        self._appending = asyncio.Lock()
        self._claimed: set[str] = set()

    @property
    def _index(self) -> str:
        return f"{{{self._base}}}:apps"

    def _of(self, app_id: str, name: str = "") -> str:
        """A key of the app; without a name what they all begin with."""
        base = f"{{{self._base}:{app_id}}}"
        return f"{base}:{name}" if name else base

    async def append(self, decisions: Sequence[Decision]) -> None:
        """Keep what was decided. What owners believe the roster in Redis knows."""
        by_app: dict[str, list[str | int | bytes]] = {}
        for decision in decisions:
            if decision.only_if_believed:
                continue
            for entry in decision.entries:
                arguments = by_app.setdefault(
                    decision.app_id, [self._waiting, self._dead_letters, REMEMBERED]
                )
                arguments += (entry.id, entry.webhook, _encode(entry))
        async with self._appending:
            if by_app:
                await self._ask(self._redis.sadd(self._index, *by_app))
            for app_id, arguments in by_app.items():
                await self._run("append", app_id, *arguments)

    async def claim(self, worker: str, seconds: float) -> list[str]:
        """Apps that `worker` alone may deliver."""
        apps = await self._apps()
        milliseconds = round(seconds * 1_000)
        found = await asyncio.gather(
            *(self._run("claim", app_id, worker, milliseconds) for app_id in apps)
        )
        self._claimed = {app_id for app_id, ours in zip(apps, found, strict=True) if ours}
        return sorted(self._claimed)

    async def release(self, worker: str) -> None:
        """Give up all claims."""
        claimed, self._claimed = self._claimed, set()
        for app_id in claimed:
            await self._run("release", app_id, worker)

    async def pending(self, app_id: str, after: str, limit: int) -> list[Pending]:
        """What waits, in order."""
        begin = f"({int(after)}-0" if after else "-"
        rows = await self._ask(
            self._redis.xrange(self._of(app_id, "pending"), begin, "+", count=limit)
        )
        return [Pending(_position(number), _entry(fields[b"entry"])) for number, fields in rows]

    async def finish(self, app_id: str, positions: Sequence[str]) -> None:
        """They were delivered."""
        await self._run("finish", app_id, *map(_number, positions))

    async def bury(self, app_id: str, positions: Sequence[str], reason: str, at: float) -> None:
        """They were given up."""
        await self._run("bury", app_id, reason, at, self._dead_letters, *map(_number, positions))

    async def record(self, app_id: str, attempt: Attempt) -> None:
        """One more line."""
        lines = self._of(app_id, f"log:{attempt.webhook}")
        await self._ask(self._redis.sadd(self._of(app_id, "logged"), attempt.webhook))
        await self._ask(self._redis.lpush(lines, _encode(attempt)))
        await self._ask(self._redis.ltrim(lines, 0, self._log_size - 1))

    async def log(self, app_id: str, webhook: str = "", limit: int = 50) -> list[Attempt]:
        """The latest attempts."""
        names = [webhook]
        if not webhook:
            logged = await self._ask(self._redis.smembers(self._of(app_id, "logged")))
            names = sorted(each.decode() for each in logged)[:_LOGGED]
        found: list[Attempt] = []
        for name in names:
            lines = await self._ask(
                self._redis.lrange(self._of(app_id, f"log:{name}"), 0, limit - 1)
            )
            found += map(_attempt, lines)
        return sorted(found, key=lambda each: each.at, reverse=True)[:limit]

    async def dead(self, app_id: str, limit: int = 50) -> list[Dead]:
        """The latest dead letters."""
        rows = await self._ask(self._redis.xrevrange(self._of(app_id, "dead"), count=limit))
        return [
            Dead(
                entry=_entry(fields[b"entry"]),
                at=float(fields[b"at"]),
                reason=fields[b"reason"].decode(),
            )
            for _, fields in rows
        ]

    async def resend(self, app_id: str, ids: Sequence[str] | None = None) -> int:
        """Dead letters wait again."""
        return int(await self._run("resend", app_id, *(["1"] if ids is None else ["0", *ids])))

    async def backlog(self) -> dict[str, Backlog]:
        """How much waits, by app."""
        found: dict[str, Backlog] = {}
        for app_id in await self._apps():
            pending = await self._ask(self._redis.xlen(self._of(app_id, "pending")))
            dead = await self._ask(self._redis.xlen(self._of(app_id, "dead")))
            oldest = await self.pending(app_id, "", 1) if pending else []
            if pending or dead:
                decided_at = oldest[0].entry.decided_at if oldest else None
                found[app_id] = Backlog(pending, decided_at, dead)
        return found

    async def believed(self) -> list[Presence]:
        """Nothing: the roster in Redis has outlived a crash of all nodes, and settles what they held."""
        return []

    async def close(self) -> None:
        """End the connections."""
        await self._client.close()

    async def _apps(self) -> list[str]:
        found = await self._ask(self._redis.smembers(self._index))
        return sorted(each.decode() for each in found)

    async def _run(self, name: str, app_id: str, *arguments: str | int | float | bytes) -> Any:
        return await self._ask(self._redis.eval(_SCRIPTS[name], 1, self._of(app_id), *arguments))

    async def _ask(self, asked: Awaitable[T]) -> T:
        try:
            return await asked
        except (RedisError, OSError, TimeoutError) as error:
            raise OutboxUnavailable(f"the outbox in {self._peer}: {why(error)}") from error


def _position(number: bytes) -> str:
    """`7-0` -> as text sorts: 19 digits."""
    return number.partition(b"-")[0].decode().zfill(19)


def _number(position: str) -> str:
    return f"{int(position)}-0"
