"""An outbox in Redis, for nodes that share one: a single server, a master with Sentinels, a Redis Cluster.

Each app has a stream of waiting entries and, in the same slot, further keys (`lua/outbox.lua` lists them).
Scripts do the steps that must be atomic. `append` returns when Redis has the entries. Redis's settings decide
whether they survive a crash of Redis: with `appendonly yes` all but those of the last second do. A replica that
takes over may lack the last moments.

`believed` is empty here: the roster itself is in Redis, and survives its nodes.
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

#: Seconds for which the id of an entry is remembered after its delivery, or after it was given up.
REMEMBERED = 600.0
#: Seconds for which a webhook's log is kept after its last attempt, because the webhook may be gone.
_LOG_KEPT = 30 * 86_400
#: Apps that one call of a script covers, if all are on one server.
_TOGETHER = 100
#: Seconds for which an app stays noted in Redis after its last event.
_LOOKED_AT = 600.0
#: Seconds between two removals of such apps.
_TIDY_EVERY = 60.0
#: Waiting entries of an app above which further ones are indexed; a hundredth of the bound, if that is less. To
#: index an entry costs as much again as to keep it.
_FEW = 1_000


class RedisOutbox(Outbox):
    """An outbox in Redis, with the bounds of `SqliteOutbox`; `peer` names this Redis in errors.

    It connects when it is needed. Raises ConfigError when a certificate cannot be used. `clock` returns seconds
    that only rise.
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
        self._overflow = Overflow(waiting, waiting_bytes, clock)
        #: Held by an append, so that appends keep their order although there are several connections.
        self._appending = asyncio.Lock()
        #: Of apps that another worker has claimed: its last sign of life (beat), and when we saw it first.
        self._beats: dict[str, tuple[str, float]] = {}
        self._claims = count(1)
        self._clock = clock
        self._tidied_at = clock()
        self._prefix = f"{settings.prefix}:{url_of(settings).database}:outbox"
        #: Keys of two sets: apps that have, or lately had, waiting entries, and apps that have dead letters.
        #: A set may be on another server than its apps. So an app is noted before its entries are written:
        #: then no app is missed.
        self._busy = f"{{{self._prefix}}}:busy"
        self._graves = f"{{{self._prefix}}}:graves"

    async def append(self, decisions: Sequence[Decision]) -> Appended:
        """See `Outbox`."""
        by_app: dict[str, list[Entry]] = {}
        for decision in decisions:
            if decision.entries and not decision.only_if_believed:
                by_app.setdefault(decision.app_id, []).extend(decision.entries)
        if not by_app:
            return Appended()
        async with self._appending:
            await self._run("note", [self._busy], *by_app)
            answers = await asyncio.gather(
                *(self._append(app_id, entries) for app_id, entries in by_app.items())
            )
        counts = list(zip(by_app, answers, strict=True))
        appended = Appended(
            {app_id: crowded_out for app_id, (crowded_out, _) in counts if crowded_out},
            {app_id: undone for app_id, (_, undone) in counts if undone},
        )
        self._overflow.note(appended.crowded_out)
        return appended

    async def claim(self, worker: str, seconds: float) -> list[str]:
        """See `Outbox`.

        A worker counts as dead when it gave no sign of life for the duration of its claim. So no claim depends
        on the clock of Redis, which may be set.
        """
        apps = await self._noted(self._busy)
        milliseconds = max(1, round(seconds * 1_000))
        silent = self._silent()
        claims = await self._run_all(
            "claim",
            apps,
            worker,
            milliseconds,
            REMEMBERED,
            next(self._claims),
            argument_of=lambda app_id: silent.get(app_id, ""),
        )
        answers = {app_id: answer for app_id, (answer, _) in claims.items()}
        self._note_beats(
            {app_id: beat.decode() for app_id, (answer, beat) in claims.items() if answer == 0}
        )
        await self._tidy(app_id for app_id, answer in answers.items() if answer < 0)
        return sorted(app_id for app_id, answer in answers.items() if answer > 0)

    async def release(self, worker: str) -> None:
        """See `Outbox`."""
        await self._run_all("release", await self._noted(self._busy), worker)

    async def pending(self, app_id: str, after: str, limit: int) -> list[Pending]:
        """See `Outbox`. Entries that this release cannot read stay, for a release that can."""
        key = f"{self._base(app_id)}:waiting"
        entries: list[Pending] = []
        while len(entries) < limit:
            messages = await self._redis.execute(
                "XRANGE", key, _beyond(after), "+", "COUNT", limit - len(entries)
            )
            entries += _read(messages)
            if not messages:
                break
            after = _position(messages[-1][0])
        return entries

    async def leave_out(self, worker: str, app_id: str, beyond: Mapping[str, str]) -> None:
        """See `Outbox`."""
        pairs = [part for pair in beyond.items() for part in pair]
        await self._run("leave_out", [self._base(app_id)], worker, *pairs)

    async def take(
        self, worker: str, app_id: str, webhook: str, after: str, limit: int
    ) -> list[Pending]:
        """See `Outbox`."""
        entries: list[Pending] = []
        while len(entries) < limit:
            most = limit - len(entries)
            answer = await self._run(
                "take", [self._base(app_id)], worker, webhook, _beyond(after), most
            )
            messages = [
                (message_id, dict(zip(*[iter(fields)] * 2, strict=True)))
                for message_id, fields in answer
            ]
            entries += _read(messages)
            if len(messages) < most:
                break
            after = _position(messages[-1][0])
        return entries

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
        attempts = [attempt for attempt in map(decode_attempt, lines) if attempt is not None]
        # The attempts of a webhook keep their order, even if a clock was set.
        by_webhook = [
            list(group) for _, group in groupby(attempts, key=lambda attempt: attempt.webhook)
        ]
        return list(heapq.merge(*by_webhook, key=lambda attempt: -attempt.at))[:limit]

    async def dead(self, app_id: str, limit: int = 50) -> list[Dead]:
        """See `Outbox`."""
        key = f"{self._base(app_id)}:dead"
        messages = await self._redis.execute("XREVRANGE", key, "+", "-", "COUNT", limit)
        letters = []
        for _, fields in messages:
            entry = decode_entry(fields[b"e"])
            if entry is not None:
                at, reason = float(fields[b"at"]), fields[b"reason"].decode()
                letters.append(Dead(entry=entry, at=at, reason=reason))
        return letters

    async def resend(self, app_id: str, ids: Sequence[str] | None = None) -> int:
        """See `Outbox`."""
        await self._run("note", [self._busy], app_id)
        selection = ("all",) if ids is None else ("some", *ids)
        return int(await self._run("resend", [self._base(app_id)], *selection))

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
        """Append entries of one app; return how many were crowded out, and how many need not be sent."""
        few = min(_FEW, self._waiting // 100)
        number = (REMEMBERED, self._waiting, self._dead_letters, self._overflow.reason, few)
        size = (self._waiting_bytes, self._overflow.reason_bytes, self._remembered)
        rows: list[Any] = []
        for entry in entries:
            name = f"{entry.id} {entry.webhook}"
            rows += (name, entry.decided_at, encode_entry(entry), _place(entry))
        crowded_out, undone = await self._run("append", [self._base(app_id)], *number, *size, *rows)
        if crowded_out:
            await self._run("note", [self._graves], app_id)
        return int(crowded_out), int(undone)

    def _silent(self) -> dict[str, str]:
        """Return, by app, the last beat of a worker that gave no new one for the duration of its claim."""
        now = self._clock()
        return {
            app_id: beat
            for app_id, (beat, since) in self._beats.items()
            if now - since >= int(beat.rpartition(" ")[2]) / 1_000
        }

    def _note_beats(self, beats: Mapping[str, str]) -> None:
        """Keep the beats of the apps that other workers have, each with the time at which we saw it first."""
        now, before = self._clock(), self._beats
        self._beats = {
            app_id: before[app_id] if before.get(app_id, ("", 0.0))[0] == beat else (beat, now)
            for app_id, beat in beats.items()
            if beat
        }

    async def _tidy(self, idle: Iterable[str]) -> None:
        """Remove apps from the two sets that have had no waiting entry, or dead letter, for long."""
        if self._clock() < self._tidied_at + _TIDY_EVERY:
            return
        self._tidied_at = self._clock()
        await self._run("forget", [self._busy], _LOOKED_AT, *idle)
        graves = await self._run_all("backlog", await self._noted(self._graves))
        empty = (app_id for app_id, (_, _, dead) in graves.items() if not dead)
        await self._run("forget", [self._graves], _LOOKED_AT, *empty)

    async def _noted(self, key: str) -> list[str]:
        return [app_id.decode() for app_id in await self._redis.execute("ZRANGE", key, 0, -1)]

    def _base(self, app_id: str) -> str:
        return f"{{{self._prefix}:{app_id}}}"

    async def _run(self, name: str, keys: Sequence[str], *arguments: Any) -> Any:
        return await self._redis.run(self._scripts[name], keys, *arguments)

    async def _run_all(
        self,
        name: str,
        apps: Sequence[str],
        *arguments: Any,
        argument_of: Callable[[str], str] | None = None,
    ) -> dict[str, Any]:
        """Run a script for several apps; return its answers by app. `argument_of` gives an argument per app."""
        size = 1 if self._redis.is_cluster else _TOGETHER
        groups = [apps[start : start + size] for start in range(0, len(apps), size)]
        answers = await asyncio.gather(
            *(
                self._run(
                    name,
                    list(map(self._base, group)),
                    *arguments,
                    *(map(argument_of, group) if argument_of is not None else ()),
                )
                for group in groups
            )
        )
        return {
            app_id: answer
            for group, of_group in zip(groups, answers, strict=True)
            for app_id, answer in zip(group, of_group or (), strict=False)
        }


def _place(entry: Entry) -> str:
    """Return the key of the entry's subject in the index (`lua/outbox.lua`); a zero byte ends each part."""
    subject = subject_of(entry)
    user_hash = ""
    if subject.user_id:
        user = subject.user_id.encode("utf-8", "surrogatepass")
        user_hash = sha1(user, usedforsecurity=False).hexdigest()
    return f"{entry.webhook} {subject.kind}\0{entry.channel}\0{user_hash}\0"


def _read(messages: Iterable[tuple[bytes, Mapping[bytes, bytes]]]) -> list[Pending]:
    """Return the entries that this release can read."""
    entries = []
    for message_id, fields in messages:
        entry = decode_entry(fields[b"e"])
        if entry is not None:
            entries.append(Pending(_position(message_id), entry))
    return entries


def _beyond(after: str) -> str:
    """Return the start of a range behind this position."""
    return f"({_stream_id(after)}" if after else "-"


def _position(message_id: bytes) -> str:
    """Return the position for a stream's id; positions sort as text."""
    milliseconds, _, number = message_id.decode().partition("-")
    return f"{int(milliseconds):015}-{int(number):010}"


def _stream_id(position: str) -> str:
    milliseconds, _, number = position.partition("-")
    return f"{int(milliseconds)}-{int(number)}"
