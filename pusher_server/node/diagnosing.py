"""Looks up what nobody received, outside the hot path, and reports what this process and the others know.

In a step of a second at most ten channels are looked up in the cluster, each once a minute. While somebody
looks, all of them are, and names with other capitals or separators are searched in the pages of the roster.

Why it is so: docs/decisions.md#evidence-and-rules.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from itertools import chain

from pusher_server.diagnosis.channel_names import folded, variants
from pusher_server.diagnosis.evidence import Undelivered
from pusher_server.diagnosis.guesses import Guesses
from pusher_server.diagnosis.report import (
    ChannelReport,
    ProcessReport,
    Question,
    near_miss_findings,
    of_process,
)
from pusher_server.errors import ClusterUnavailable
from pusher_server.interfaces import channels_topic
from pusher_server.log_rate_limit import LogRateLimit
from pusher_server.node.occupancy import total
from pusher_server.node.parts import NodeParts
from pusher_server.signals import ChannelVacated, Signal

logger = logging.getLogger("pusher_server.node")

#: Channels that are looked up in a step, and seconds between two looks at one of them.
PER_STEP = 10
AGAIN_AFTER = 60.0
#: The same while somebody looks.
_WATCHED_AGAIN_AFTER = 2.0
#: Apps whose numbers are taken in at once: some 0.5 ms.
_APPS = 500
#: Seconds that one report may take.
_PATIENCE = 2.0
#: Near names that are kept of one channel.
_NEAR = 8
#: Seconds between two lines about the same names.
_LINE_EVERY = 3_600.0


class Diagnosing:
    """The evidence of one node and what the cluster adds to it. `step` is called once a second."""

    def __init__(self, parts: NodeParts, guesses: Guesses) -> None:
        self._node_id = parts.node_id
        self._hub = parts.hub
        self._roster = parts.roster
        self._evidence = parts.evidence
        self._clock = parts.clock
        self._guesses = guesses
        #: Apps whose numbers were not taken in yet, in this round.
        self._uncounted: list[str] = []
        self._lines = LogRateLimit(_LINE_EVERY, 1_000)
        parts.observers.observe(self._vacated, ChannelVacated)

    async def step(self) -> None:
        """Take in what has happened, look some of it up, and log what is wrong for certain."""
        self._evidence.digest()
        self._count()
        due = self._due(AGAIN_AFTER, PER_STEP)
        if due:
            with suppress(ClusterUnavailable, TimeoutError):
                async with asyncio.timeout(_PATIENCE):
                    await self._look_up(due)
            self._log(self._clock())

    async def report(self, question: Question) -> ProcessReport:
        """Return what this process knows. Somebody looks, so guesses and look-ups are no longer spared."""
        self._guesses.look()
        self._evidence.digest()
        self._uncounted = []
        for _ in range(0, len(self._hub.traffic.apps), _APPS):
            self._count()
            await asyncio.sleep(0)
        due = self._due(_WATCHED_AGAIN_AFTER, len(self._evidence.undelivered))
        with suppress(ClusterUnavailable, TimeoutError):
            async with asyncio.timeout(_PATIENCE):
                await self._look_up(due)
                await self._search()
        self._log(self._clock())
        return of_process(self._node_id, self._evidence, question, self._channel(question))

    async def holders(self, app_id: str, names: Sequence[str]) -> dict[str, int]:
        """Return the subscribers in the cluster of those names that have any. Raises ClusterUnavailable."""
        rows = await self._roster.lookup(channels_topic(app_id), names)
        counts = {name: self._subscribers(app_id, name, rows.get(name, {})) for name in names}
        return {name: count for name, count in counts.items() if count}

    def _due(self, again_after: float, limit: int) -> list[Undelivered]:
        """Return the rows of the channels whose turn it is, those first that have waited longest."""
        now = self._clock()
        rows = [
            row
            for row in self._evidence.undelivered.values()
            if now - row.judged >= again_after and row.last >= row.judged
        ]
        rows.sort(key=lambda row: row.judged)
        channels = list(dict.fromkeys((row.app, row.channel) for row in rows))[:limit]
        chosen = set(channels)
        return [row for row in rows if (row.app, row.channel) in chosen]

    async def _look_up(self, rows: Iterable[Undelivered]) -> None:
        """Look up the exact names, and those with another prefix, one query for each app."""
        by_app: dict[str, list[Undelivered]] = {}
        for row in rows:
            by_app.setdefault(row.app, []).append(row)
        for app_id, missed in by_app.items():
            names = [[row.channel, *variants(row.channel), *row.near] for row in missed]
            held = await self.holders(app_id, list(dict.fromkeys(chain.from_iterable(names))))
            for row, near in zip(missed, names, strict=True):
                row.judged = self._clock()
                row.subscribers = held.get(row.channel, 0)
                if row.subscribers:
                    self._evidence.held(app_id, row.channel)
                if row.subscribers or self._evidence.is_used(app_id, row.channel):
                    row.near = {}
                    continue
                row.near = {name: held[name] for name in near[1:] if name in held}

    async def _search(self) -> None:
        """Search names that differ in capitals or separators. Between two pages the loop does other work."""
        by_app: dict[str, dict[str, list[Undelivered]]] = {}
        now = self._clock()
        for row in self._evidence.undelivered.values():
            is_due = now - row.searched >= _WATCHED_AGAIN_AFTER and row.last >= row.searched
            if is_due and not row.subscribers and not self._evidence.is_used(row.app, row.channel):
                row.searched = now
                same = by_app.setdefault(row.app, {})
                same.setdefault(folded(row.channel), []).append(row)
        for app_id, wanted in by_app.items():
            async for page in self._roster.scan(channels_topic(app_id)):
                for name, holders in page.items():
                    for row in wanted.get(folded(name), ()):
                        count = self._subscribers(app_id, name, holders)
                        if count and (name in row.near or len(row.near) < _NEAR):
                            row.near = {**row.near, name: count}

    def _subscribers(self, app_id: str, name: str, holders: Mapping[str, bytes]) -> int:
        return total(self._here(app_id, name), holders, self._node_id)

    def _here(self, app_id: str, name: str) -> int:
        app_state = self._hub.app_states.get(app_id)
        channel = None if app_state is None else app_state.channels.get(name)
        return 0 if channel is None else len(channel)

    def _channel(self, question: Question) -> ChannelReport:
        app_state = self._hub.app_states.get(question.app)
        channel = None if app_state is None else app_state.channels.get(question.channel)
        if channel is None:
            return ChannelReport()
        delivered = self._clock() - channel.since if channel.since else None
        return ChannelReport(
            subscribers=len(channel.subscribers), pending=len(channel.pending), delivered=delivered
        )

    def _count(self) -> None:
        """Take in the numbers of the next apps."""
        if not self._uncounted:
            self._uncounted = list(self._hub.traffic.apps)
        portion, self._uncounted = self._uncounted[:_APPS], self._uncounted[_APPS:]
        for app_id in portion:
            traffic = self._hub.traffic.of(app_id)
            app_state = self._hub.app_states.get(app_id)
            self._evidence.counted(
                app_id,
                connections=0 if app_state is None else len(app_state.connections),
                subscriptions=0 if app_state is None else app_state.subscriptions,
                published=traffic.published,
                client_events=traffic.client_events,
            )

    def _vacated(self, signal: Signal) -> None:
        if isinstance(signal, ChannelVacated):
            self._evidence.use(signal.app_id, signal.channel)

    def _log(self, now: float) -> None:
        """Write a line about names that differ, one an hour for the same names."""
        for item in near_miss_findings(self._evidence, now):
            if self._lines.due((item.cause, item.app, item.subject), now):
                fields = {"app": item.app, "see": item.link}
                logger.warning(
                    "nobody received an event: %s %s", item.sentence, item.fix, extra=fields
                )
