"""Follows what happens, for operators that look: feeds with a filter, a bound and a lease each.

Nothing is kept while nobody looks. A feed keeps rows until its reader fetches them; rows that do not fit are
counted and dropped. Payloads are in no row.
"""

import re
from collections import deque
from collections.abc import Callable
from fnmatch import translate

from msgspec import Struct

from pusher_server.signals import (
    ClientEventSent,
    ConnectionClosed,
    ConnectionOpened,
    ConnectionRefused,
    EventPublished,
    MemberAdded,
    MemberRemoved,
    MessageRefused,
    RequestRefused,
    Signal,
    SubscriptionRejected,
)

#: The signals to observe while somebody looks.
OBSERVED: tuple[type[Signal], ...] = (
    EventPublished,
    ClientEventSent,
    ConnectionOpened,
    ConnectionClosed,
    ConnectionRefused,
    SubscriptionRejected,
    MessageRefused,
    RequestRefused,
    MemberAdded,
    MemberRemoved,
)
#: Feeds of one node, rows of one feed between two fetches, and characters of a text in a row.
FEEDS = 8
ROWS = 500
_SHOWN = 200
#: Seconds without a fetch after which a feed ends.
LEASE = 10.0


class TailQuestion(Struct, frozen=True, kw_only=True, tag="tail"):
    """Asks for what has happened since the last question of this feed. The filters are globs; "" is all."""

    feed: str
    app: str = ""
    channel: str = ""
    event: str = ""


class LiveRow(Struct, frozen=True, kw_only=True):
    """One thing that happened, `ago` seconds before its node answered."""

    ago: float
    kind: str
    app: str
    channel: str = ""
    event: str = ""
    #: A socket or user, a close code, a reason, a number of recipients: in words.
    text: str = ""


class TailReport(Struct, kw_only=True):
    """Rows in their order. `dropped`: how many there were beyond `ROWS`. `refused`: no feed is left."""

    rows: list[LiveRow]
    dropped: int = 0
    refused: bool = False
    nodes: int = 1
    answered: int = 1


class _Feed:
    """One reader's rows, with the time of each."""

    def __init__(self, question: TailQuestion, now: float) -> None:
        self.app = question.app
        self._channel = re.compile(translate(question.channel or "*"))
        self._event = re.compile(translate(question.event or "*"))
        self._has_event = bool(question.event)
        self._has_channel = bool(question.channel)
        self.until = now + LEASE
        self.rows: deque[tuple[float, LiveRow]] = deque()
        self.dropped = 0

    def wants(self, row: LiveRow) -> bool:
        """Whether the filters let the row pass. A row without a channel passes no filter for channels."""
        if self.app and row.app != self.app:
            return False
        if self._has_channel and not (row.channel and self._channel.match(row.channel)):
            return False
        return not self._has_event or bool(row.event and self._event.match(row.event))


class Feeds:
    """The feeds of one node. `watch` is called with True at the first feed, with False after the last one."""

    def __init__(self, clock: Callable[[], float], watch: Callable[[bool], None]) -> None:
        self._clock = clock
        self._watch = watch
        self._feeds: dict[str, _Feed] = {}

    def __len__(self) -> int:
        return len(self._feeds)

    def fetch(self, question: TailQuestion) -> TailReport:
        """Return the feed's rows since the last fetch, and renew its lease. The first fetch begins it."""
        now = self._clock()
        self.expire()
        feed = self._feeds.get(question.feed)
        if feed is None:
            if len(self._feeds) >= FEEDS:
                return TailReport(rows=[], refused=True)
            feed = self._feeds[question.feed] = _Feed(question, now)
            if len(self._feeds) == 1:
                self._watch(True)
        feed.until = now + LEASE
        rows = [_aged(row, now - at) for at, row in feed.rows]
        dropped, feed.dropped = feed.dropped, 0
        feed.rows.clear()
        return TailReport(rows=rows, dropped=dropped)

    def expire(self) -> None:
        """End the feeds that nobody fetches any more. Called once a second."""
        now = self._clock()
        over = [name for name, feed in self._feeds.items() if feed.until <= now]
        for name in over:
            del self._feeds[name]
        if over and not self._feeds:
            self._watch(False)

    def observe(self, signal: Signal) -> None:
        """Keep a signal for the feeds that want it."""
        row = row_of(signal)
        if row is None:
            return
        now = self._clock()
        for feed in self._feeds.values():
            if feed.wants(row):
                if len(feed.rows) >= ROWS:
                    feed.dropped += 1
                else:
                    feed.rows.append((now, row))


def _aged(row: LiveRow, ago: float) -> LiveRow:
    return LiveRow(
        ago=max(0.0, ago),
        kind=row.kind,
        app=row.app,
        channel=row.channel,
        event=row.event,
        text=row.text,
    )


def row_of(signal: Signal) -> LiveRow | None:
    """Return a signal as a row, without any payload; None for one that no feed shows."""
    app = signal.app_id
    match signal:
        case EventPublished(channel=channel, event=event, recipients=count):
            text = f"{count} here" if count else "nobody here"
            return _row("published", app, channel, event, text)
        case ClientEventSent(channel=channel, event=event, socket_id=socket):
            return _row("client event", app, channel, event, f"by {socket}")
        case ConnectionOpened(socket_id=socket):
            return _row("connected", app, text=socket)
        case ConnectionClosed(socket_id=socket, code=code):
            return _row("disconnected", app, text=f"{socket}, {code}")
        case ConnectionRefused(code=code, reason=reason):
            return _row("connection refused", app, text=f"{code} {reason}".rstrip())
        case SubscriptionRejected(channel=channel, socket_id=socket, kind=kind):
            return _row("subscription refused", app, channel, text=f"{kind}, {socket}")
        case MessageRefused(code=code):
            return _row("message refused", app, text=str(code))
        case RequestRefused(reason=reason):
            return _row("request refused", app, text=reason)
        case MemberAdded(channel=channel, user_id=user):
            return _row("member added", app, channel, text=user)
        case MemberRemoved(channel=channel, user_id=user):
            return _row("member removed", app, channel, text=user)
    return None


def _row(kind: str, app: str, channel: str = "", event: str = "", text: str = "") -> LiveRow:
    return LiveRow(
        ago=0.0,
        kind=kind,
        app=app,
        channel=channel[:_SHOWN],
        event=event[:_SHOWN],
        text=text[:_SHOWN],
    )
