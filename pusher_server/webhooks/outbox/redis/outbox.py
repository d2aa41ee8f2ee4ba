"""An outbox in Redis, for nodes that share one: a single server, a master with Sentinels, a Redis Cluster.

Each app has a stream of what waits and, in the same slot, what belongs to it (`lua/outbox.lua`); scripts do
what must be one step. `append` returns when Redis has it. Whether it survives Redis itself is Redis's business:
`appendonly yes` keeps all but the last second over a crash, and a replica that takes over may lack the last
moments.

Nothing is believed here: the roster itself is in Redis, and survives its nodes.
"""

import asyncio
import heapq
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import sha1
from itertools import count, groupby
from typing import Any

from pusher_server.config.redis import RedisSettings
from pusher_server.redis.access import url_of
from pusher_server.webhooks.outbox.encoding import (
    decode_attempt,
    decode_entry,
    encode_attempt,
    encode_entry,
)
from pusher_server.webhooks.outbox.interface import (
    Appended,
    AttemptRecord,
    Backlog,
    Dead,
    Decision,
    Entry,
    Outbox,
    Pending,
    Presence,
)
from pusher_server.webhooks.outbox.overflow import (
    LOG_BYTES,
    MOST_REMEMBERED,
    WAITING_BYTES,
    Overflow,
)
from pusher_server.webhooks.outbox.redis import scripts as redis_scripts
from pusher_server.webhooks.outbox.redis.client import RedisClient
from pusher_server.webhooks.outbox.undoing import subject_of

#: Seconds for which the id of an entry is remembered after it was delivered or given up.
REMEMBERED = 600.0
#: Seconds for which a webhook's log outlives its last attempt: the webhook may be gone.
_LOG_KEPT = 30 * 86_400
#: Apps that one script looks after, where they are all on one server.
_TOGETHER = 100
#: Seconds for which an app is looked at after its last event.
_LOOKED_AT = 600.0
#: Seconds between two times of leaving out those.
_TIDY_EVERY = 60.0
#: Entries of an app that wait before further ones are indexed, which costs as much again as keeping them; or
#: one in a hundred of those that may wait.
_FEW = 1_000


class RedisOutbox(Outbox):
    """All bounds as in `SqliteOutbox`; `peer` is what operators call this Redis.

    Connects when it is needed. Raises ConfigError when a certificate cannot be used. `clock` gives seconds that
    only rise.
    """

    def __init__(
        self,
        settings: RedisSettings,
        peer: str,
        *,
        waiting: int = 100_000,
        waiting_bytes: int = WAITING_BYTES,
        dead_letters: int = 1_000,
        log_size: int = 200,
        log_bytes: int = LOG_BYTES,
        remembered: int = MOST_REMEMBERED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._redis = RedisClient(settings, peer)
        self._scripts = redis_scripts.load()
        self._waiting = waiting
        self._waiting_bytes = waiting_bytes
        self._dead_letters = dead_letters
        self._log_size = log_size
        self._log_bytes = log_bytes
        self._remembered = remembered
        self._crowding = Overflow(waiting, waiting_bytes, clock)
        #: Appends go one after the other: there are several connections.
        self._appending = asyncio.Lock()
        #: Of apps that another worker has: the sign of life that it gave last, and since when we know it.
        self._beats: dict[str, tuple[str, float]] = {}
        self._claims = count(1)
        self._clock = clock
        self._tidied_at = clock()
        self._prefix = f"{settings.prefix}:{url_of(settings).database}:outbox"
        #: Apps that have, or lately had, something waiting; and those that have dead letters. Each set may be
        #: elsewhere than its apps, so an app is noted first: then it is never forgotten.
        self._busy = f"{{{self._prefix}}}:busy"
        self._graves = f"{{{self._prefix}}}:graves"

    async def append(self, decisions: Sequence[Decision]) -> Appended:
        """See `Outbox`."""
        by_app: dict[str, list[Entry]] = {}
        for each in decisions:
            if each.entries and not each.only_if_believed:
                by_app.setdefault(each.app_id, []).extend(each.entries)
        if not by_app:
            return Appended()
        async with self._appending:
            await self._run("note", [self._busy], *by_app)
            answers = await asyncio.gather(
                *(self._append(app_id, entries) for app_id, entries in by_app.items())
            )
        found = list(zip(by_app, answers, strict=True))
        appended = Appended(
            {app_id: crowded_out for app_id, (crowded_out, _) in found if crowded_out},
            {app_id: undone for app_id, (_, undone) in found if undone},
        )
        self._crowding.note(appended.crowded_out)
        return appended

    async def claim(self, worker: str, seconds: float) -> list[str]:
        """See `Outbox`.

        A worker is dead when no sign of life was seen for as long as its claim was for. So no claim depends on
        the time that Redis has, which may be set.
        """
        apps = await self._noted(self._busy)
        milliseconds = max(1, round(seconds * 1_000))
        silent = self._silent()
        found = await self._run_all(
            "claim",
            apps,
            worker,
            milliseconds,
            REMEMBERED,
            next(self._claims),
            each=lambda app_id: silent.get(app_id, ""),
        )
        answers = {app_id: answer for app_id, (answer, _) in found.items()}
        self._note_beats(
            {app_id: beat.decode() for app_id, (answer, beat) in found.items() if answer == 0}
        )
        await self._tidy(app_id for app_id, answer in answers.items() if answer < 0)
        return sorted(app_id for app_id, answer in answers.items() if answer > 0)

    async def release(self, worker: str) -> None:
        """See `Outbox`."""
        await self._run_all("release", await self._noted(self._busy), worker)

    async def pending(self, app_id: str, after: str, limit: int) -> list[Pending]:
        """See `Outbox`. What this release cannot read is left for those that can."""
        key = f"{self._base(app_id)}:waiting"
        found: list[Pending] = []
        while len(found) < limit:
            messages = await self._redis.ask(
                "XRANGE", key, _beyond(after), "+", "COUNT", limit - len(found)
            )
            found += _read(messages)
            if not messages:
                break
            after = _position(messages[-1][0])
        return found

    async def leave_out(self, worker: str, app_id: str, beyond: Mapping[str, str]) -> None:
        """See `Outbox`."""
        told = [part for each in beyond.items() for part in each]
        await self._run("leave_out", [self._base(app_id)], worker, *told)

    async def take(
        self, worker: str, app_id: str, webhook: str, after: str, limit: int
    ) -> list[Pending]:
        """See `Outbox`."""
        found: list[Pending] = []
        while len(found) < limit:
            most = limit - len(found)
            answer = await self._run(
                "take", [self._base(app_id)], worker, webhook, _beyond(after), most
            )
            messages = [
                (each, dict(zip(*[iter(fields)] * 2, strict=True))) for each, fields in answer
            ]
            found += _read(messages)
            if len(messages) < most:
                break
            after = _position(messages[-1][0])
        return found

    async def finish(self, app_id: str, positions: Sequence[str]) -> None:
        """See `Outbox`."""
        await self._run("finish", [self._base(app_id)], *map(_stream_id, positions))

    async def bury(self, app_id: str, positions: Sequence[str], reason: str, at: float) -> None:
        """See `Outbox`."""
        await self._run("note", [self._graves], app_id)
        bounds, ids = (self._dead_letters, self._waiting_bytes), map(_stream_id, positions)
        await self._run("bury", [self._base(app_id)], at, reason, *bounds, *ids)

    async def record(self, app_id: str, attempt: AttemptRecord) -> None:
        """See `Outbox`."""
        line, bounds = encode_attempt(attempt), (self._log_size, _LOG_KEPT, self._log_bytes)
        await self._run("record", [self._base(app_id)], attempt.webhook, line, *bounds)

    async def log(self, app_id: str, webhook: str = "", limit: int = 50) -> list[AttemptRecord]:
        """See `Outbox`."""
        lines = await self._run("log", [self._base(app_id)], webhook, limit)
        found = [each for each in map(decode_attempt, lines) if each is not None]
        # Those of a webhook are in their order, whatever clocks said.
        by_webhook = [list(each) for _, each in groupby(found, key=lambda each: each.webhook)]
        return list(heapq.merge(*by_webhook, key=lambda each: -each.at))[:limit]

    async def dead(self, app_id: str, limit: int = 50) -> list[Dead]:
        """See `Outbox`."""
        key = f"{self._base(app_id)}:dead"
        messages = await self._redis.ask("XREVRANGE", key, "+", "-", "COUNT", limit)
        found = []
        for _, fields in messages:
            entry = decode_entry(fields[b"e"])
            if entry is not None:
                at, reason = float(fields[b"at"]), fields[b"reason"].decode()
                found.append(Dead(entry=entry, at=at, reason=reason))
        return found

    async def resend(self, app_id: str, ids: Sequence[str] | None = None) -> int:
        """See `Outbox`."""
        await self._run("note", [self._busy], app_id)
        which = ("all",) if ids is None else ("some", *ids)
        return int(await self._run("resend", [self._base(app_id)], *which))

    async def backlog(self) -> dict[str, Backlog]:
        """See `Outbox`."""
        busy, graves = await asyncio.gather(self._noted(self._busy), self._noted(self._graves))
        answers = await self._run_all("backlog", list(dict.fromkeys([*busy, *graves])))
        return {
            app_id: Backlog(waiting, float(oldest) if oldest else None, dead)
            for app_id, (waiting, oldest, dead) in answers.items()
            if waiting or dead
        }

    async def believed(self) -> list[Presence]:
        """See `Outbox`."""
        return []

    async def close(self) -> None:
        """See `Outbox`."""
        await self._redis.close()

    async def _append(self, app_id: str, entries: Sequence[Entry]) -> tuple[int, int]:
        """How many were crowded out, and how many need not be sent."""
        few = min(_FEW, self._waiting // 100)
        number = (REMEMBERED, self._waiting, self._dead_letters, self._crowding.reason, few)
        size = (self._waiting_bytes, self._crowding.reason_bytes, self._remembered)
        told: list[Any] = []
        for each in entries:
            name = f"{each.id} {each.webhook}"
            told += (name, each.decided_at, encode_entry(each), _place(each))
        crowded_out, undone = await self._run("append", [self._base(app_id)], *number, *size, *told)
        if crowded_out:
            await self._run("note", [self._graves], app_id)
        return int(crowded_out), int(undone)

    def _silent(self) -> dict[str, str]:
        """By app, the sign of life of a worker that has given no other one for as long as it had the app."""
        now = self._clock()
        return {
            app_id: beat
            for app_id, (beat, since) in self._beats.items()
            if now - since >= int(beat.rpartition(" ")[2]) / 1_000
        }

    def _note_beats(self, beats: Mapping[str, str]) -> None:
        """Of the apps that others have. How long ago a beat was is counted from when we knew it."""
        now, before = self._clock(), self._beats
        self._beats = {
            app_id: before[app_id] if before.get(app_id, ("", 0.0))[0] == beat else (beat, now)
            for app_id, beat in beats.items()
            if beat
        }

    async def _tidy(self, idle: Iterable[str]) -> None:
        """Leave out apps of which nothing waits, if that was so for long."""
        if self._clock() < self._tidied_at + _TIDY_EVERY:
            return
        self._tidied_at = self._clock()
        await self._run("forget", [self._busy], _LOOKED_AT, *idle)
        graves = await self._run_all("backlog", await self._noted(self._graves))
        empty = (app_id for app_id, (_, _, dead) in graves.items() if not dead)
        await self._run("forget", [self._graves], _LOOKED_AT, *empty)

    async def _noted(self, key: str) -> list[str]:
        return [each.decode() for each in await self._redis.ask("ZRANGE", key, 0, -1)]

    def _base(self, app_id: str) -> str:
        return f"{{{self._prefix}:{app_id}}}"

    async def _run(self, name: str, keys: Sequence[str], *arguments: Any) -> Any:
        return await self._redis.run(self._scripts[name], keys, *arguments)

    async def _run_all(
        self,
        name: str,
        apps: Sequence[str],
        *arguments: Any,
        each: Callable[[str], str] | None = None,
    ) -> dict[str, Any]:
        """A script that takes several apps, with an argument for `each` if given, and answers for each."""
        size = 1 if self._redis.is_cluster else _TOGETHER
        groups = [apps[start : start + size] for start in range(0, len(apps), size)]
        answers = await asyncio.gather(
            *(
                self._run(
                    name,
                    list(map(self._base, group)),
                    *arguments,
                    *(map(each, group) if each is not None else ()),
                )
                for group in groups
            )
        )
        return {
            app_id: answer
            for group, found in zip(groups, answers, strict=True)
            for app_id, answer in zip(group, found or (), strict=False)
        }


def _place(entry: Entry) -> str:
    """Where the scripts look for what it tells of (`lua/outbox.lua`); zero bytes end its parts."""
    subject = subject_of(entry)
    whose = ""
    if subject.user_id:
        user = subject.user_id.encode("utf-8", "surrogatepass")
        whose = sha1(user, usedforsecurity=False).hexdigest()
    return f"{entry.webhook} {subject.kind}\0{entry.channel}\0{whose}\0"


def _read(messages: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> list[Pending]:
    """Those of them that this release can read."""
    found = []
    for message_id, fields in messages:
        entry = decode_entry(fields[b"e"])
        if entry is not None:
            found.append(Pending(_position(message_id), entry))
    return found


def _beyond(after: str) -> str:
    """The beginning of a range behind this position."""
    return f"({_stream_id(after)}" if after else "-"


def _position(message_id: bytes) -> str:
    """Of a stream's id, so that positions sort as text."""
    milliseconds, _, number = message_id.decode().partition("-")
    return f"{int(milliseconds):015}-{int(number):010}"


def _stream_id(position: str) -> str:
    milliseconds, _, number = position.partition("-")
    return f"{int(milliseconds)}-{int(number)}"
