"""An outbox in memory: the seam's rules in as few lines as they take, and faults on demand."""

from collections.abc import Callable, Mapping, Sequence

from pusher_server.webhooks.outbox.interface import (
    Appended,
    AttemptRecord,
    Backlog,
    Dead,
    Decision,
    Entry,
    Outbox,
    OutboxUnavailable,
    Pending,
    Presence,
)
from pusher_server.webhooks.outbox.undoing import subject_of


class MemoryOutbox(Outbox):
    """`clock` is for claims. `trouble` makes every verb raise OutboxUnavailable with this text."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._last = 0
        self.trouble = ""
        self.waiting: dict[str, dict[str, Entry]] = {}
        #: (App, event, webhook) -> where it was put last; it may have left `waiting` since.
        self._positions: dict[tuple[str, str, str], str] = {}
        self.believes: dict[Presence, None] = {}
        self.finished: list[tuple[str, Entry]] = []
        self.graves: dict[str, dict[tuple[str, str], Dead]] = {}
        self.attempts: list[tuple[str, AttemptRecord]] = []
        #: App -> worker and until when.
        self.claims: dict[str, tuple[str, float]] = {}
        #: App -> worker and what it has left out, by webhook; and what was undone there.
        self.left_out: dict[str, tuple[str, dict[str, str]]] = {}
        self.undone: list[Entry] = []
        #: Calls of `append`, with what they brought.
        self.appended: list[list[Decision]] = []

    async def append(self, decisions: Sequence[Decision]) -> Appended:
        self._check()
        self.appended.append(list(decisions))
        undone: dict[str, int] = {}
        for each in decisions:
            if self._is_news(each):
                for entry in each.entries:
                    before = self._undone(each.app_id, entry)
                    if before is not None:
                        self.undone.append(self.waiting[each.app_id].pop(before))
                        undone[each.app_id] = undone.get(each.app_id, 0) + 1
                    if before is not None and subject_of(entry).is_undoing:
                        self.undone.append(entry)
                        undone[each.app_id] += 1
                    else:
                        self._put(each.app_id, entry)
        return Appended(undone=undone)

    def _undone(self, app_id: str, entry: Entry) -> str | None:
        """The position of the latest that it undoes, among those that were left out."""
        worker, left_out = self.left_out.get(app_id, ("", {}))
        beyond = left_out.get(entry.webhook)
        undone = subject_of(entry).undone
        if undone is None or beyond is None or self.claims.get(app_id, ("",))[0] != worker:
            return None
        places = [
            position
            for position, each in self.waiting.get(app_id, {}).items()
            if (each.webhook, each.channel) == (entry.webhook, entry.channel)
            and position > beyond
            and subject_of(each) == undone
        ]
        return places[-1] if places else None

    def _is_news(self, decision: Decision) -> bool:
        presence = decision.presence
        if presence is None:
            return True
        is_believed = presence in self.believes
        if decision.held:
            self.believes[presence] = None
            return not is_believed
        self.believes.pop(presence, None)
        return is_believed or not decision.only_if_believed

    def _put(self, app_id: str, entry: Entry) -> None:
        waiting = self.waiting.setdefault(app_id, {})
        key = (app_id, entry.id, entry.webhook)
        if self._positions.get(key) in waiting:
            return
        self._last += 1
        self._positions[key] = f"{self._last:012}"
        waiting[self._positions[key]] = entry

    async def claim(self, worker: str, seconds: float) -> list[str]:
        self._check()
        now = self._clock()
        found = []
        for app_id, waiting in self.waiting.items():
            owner, until = self.claims.get(app_id, (worker, 0.0))
            if waiting and (owner == worker or until <= now):
                if owner != worker:
                    self.left_out.pop(app_id, None)
                self.claims[app_id] = (worker, now + seconds)
                found.append(app_id)
        return found

    async def release(self, worker: str) -> None:
        self._check()
        self.claims = {app: claim for app, claim in self.claims.items() if claim[0] != worker}

    async def pending(self, app_id: str, after: str, limit: int) -> list[Pending]:
        self._check()
        found = [
            Pending(position, entry)
            for position, entry in self.waiting.get(app_id, {}).items()
            if position > after
        ]
        return found[:limit]

    async def leave_out(self, worker: str, app_id: str, beyond: Mapping[str, str]) -> None:
        self._check()
        if self.claims.get(app_id, ("",))[0] == worker:
            self.left_out[app_id] = (worker, dict(beyond))

    async def take(
        self, worker: str, app_id: str, webhook: str, after: str, limit: int
    ) -> list[Pending]:
        found = await self.pending(app_id, after, limit)
        owner, left_out = self.left_out.get(app_id, ("", {}))
        if worker == owner == self.claims.get(app_id, ("",))[0]:
            if len(found) < limit:
                left_out.pop(webhook, None)
            elif webhook in left_out:
                left_out[webhook] = max(left_out[webhook], found[-1].position)
        return found

    async def finish(self, app_id: str, positions: Sequence[str]) -> None:
        self._check()
        for position in positions:
            entry = self.waiting[app_id].pop(position, None)
            if entry is not None:
                self.finished.append((app_id, entry))

    async def bury(self, app_id: str, positions: Sequence[str], reason: str, at: float) -> None:
        self._check()
        for position in positions:
            entry = self.waiting[app_id].pop(position, None)
            if entry is not None:
                grave = Dead(entry=entry, at=at, reason=reason)
                self.graves.setdefault(app_id, {})[entry.id, entry.webhook] = grave

    async def record(self, app_id: str, attempt: AttemptRecord) -> None:
        self._check()
        self.attempts.append((app_id, attempt))

    async def log(self, app_id: str, webhook: str = "", limit: int = 50) -> list[AttemptRecord]:
        self._check()
        found = [
            attempt
            for app, attempt in reversed(self.attempts)
            if app == app_id and webhook in ("", attempt.webhook)
        ]
        return found[:limit]

    async def dead(self, app_id: str, limit: int = 50) -> list[Dead]:
        self._check()
        return list(self.graves.get(app_id, {}).values())[::-1][:limit]

    async def resend(self, app_id: str, ids: Sequence[str] | None = None) -> int:
        self._check()
        graves = self.graves.get(app_id, {})
        found = [graves.pop(each) for each in list(graves) if ids is None or each[0] in ids]
        for each in found:
            self._put(app_id, each.entry)
        return len(found)

    async def backlog(self) -> dict[str, Backlog]:
        self._check()
        return {
            app_id: Backlog(
                len(waiting),
                min((entry.decided_at for entry in waiting.values()), default=None),
                len(self.graves.get(app_id, {})),
            )
            for app_id, waiting in self.waiting.items()
            if waiting or self.graves.get(app_id)
        }

    async def believed(self) -> list[Presence]:
        self._check()
        return list(self.believes)

    async def close(self) -> None:
        """Nothing is held."""

    def _check(self) -> None:
        if self.trouble:
            raise OutboxUnavailable(self.trouble)
