"""What one connection has been told, kept as pusher-js keeps it, and what it must never be told.

Pure: fed with messages and with what the client sends. `ended` channels: there is no answer to an
unsubscribe, so the client sends a ping after it, and until the pong comes frames of that channel are its
past.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import msgspec

from tests.chaos.findings import Findings
from tests.chaos.ledger import Ledger, Stay
from tests.chaos.world import CACHES, user_channel

_INTERNAL = "pusher_internal:"


@dataclass(eq=False)
class Subscription:
    """A channel as this client sees it. `last`: stream -> the last number that came."""

    stay: Stay
    members: set[str] | None = None
    count: int | None = None
    last: dict[str, int] = field(default_factory=dict)
    #: The next event may come from the cache: whoever it excludes gets it, and it may be known.
    may_be_cached: bool = False

    @property
    def granted(self) -> bool:
        """The success has come."""
        return self.stay.granted is not None


class View:
    """One connection's. `name` is for people who read findings."""

    #: Frames kept as context of a finding.
    MEMORY = 40

    def __init__(
        self,
        name: str,
        socket_id: str,
        findings: Findings,
        ledger: Ledger,
        clock: Callable[[], float],
    ) -> None:
        self.name = name
        self.socket_id = socket_id
        self.user: str | None = None
        self.signed_in = False
        #: Watched user -> whether last told online; absent until told.
        self.online: dict[str, bool] = {}
        self.subscriptions: dict[str, Subscription] = {}
        #: The last message was this error; nothing but a close may follow.
        self.error: Any = None
        self._error_at = 0.0
        self._findings = findings
        self._ledger = ledger
        self._clock = clock
        self._memory: deque[str] = deque(maxlen=self.MEMORY)
        #: Channel -> the pong after which its past is over.
        self._past: dict[str, int] = {}
        self._pings = 0
        self._pongs = 0

    # What the client does

    def sent(self, text: str) -> None:
        """Remember what was sent, as context."""
        self._remember("->", text)

    def subscribe(self, channel: str, user: str | None) -> None:
        """`pusher:subscribe` is on its way, as `user` where that matters."""
        stay = self._ledger.asked(channel, self.socket_id, user, self._clock())
        self.subscriptions[channel] = Subscription(stay, may_be_cached=channel in CACHES)

    def unsubscribe(self, channel: str, unread_since: float | None = None) -> None:
        """`pusher:unsubscribe` is on its way, and a ping behind it.

        What has come since `unread_since` will be read when the stay is over.
        """
        stay = self.subscriptions.pop(channel).stay
        stay.ended = self._clock() if unread_since is None else unread_since
        self._pings += 1
        self._past[channel] = self._pings

    def sign_in(self, user: str) -> None:
        """`pusher:signin` is on its way."""
        self.user = user

    def end(self, at: float | None = None) -> None:
        """The connection is gone, since `at` or now."""
        now = self._clock() if at is None else at
        for subscription in self.subscriptions.values():
            subscription.stay.ended = now

    # What the server says

    def receive(self, payload: bytes) -> dict[str, Any]:
        """Take a message in; returns it decoded. Raises ValueError when it is none."""
        message: dict[str, Any] = msgspec.json.decode(payload)
        self._findings.seen["frames"] += 1
        self._remember("<-", payload.decode())
        event, channel = message["event"], message.get("channel")
        self.judge_error()
        if event == "pusher:pong":
            self._pong()
        elif event == "pusher:signin_success":
            self._signed_in()
        elif event == _INTERNAL + "watchlist_events":
            self._watch(message)
        elif event == "pusher:error":
            self.error, self._error_at = message["data"], self._clock()
        elif event == "pusher:subscription_error":
            self.report("refused", f"subscription to {channel} refused: {message['data']}")
        elif channel is not None and channel not in self._past:
            self._on_channel(event, channel, message)
        return message

    def judge_error(self, *, after: float = 0.0) -> None:
        """An error that comes with a close is judged by the close's code; any other is a refusal.

        `after` seconds: the close stands behind the error, but may not have been taken in yet.
        """
        if self.error is not None and self._clock() - self._error_at >= after:
            self.report("refused", f"an error, and no close after it: {self.error}")
            self.error = None

    def report(self, kind: str, text: str) -> None:
        """A finding, with this connection's last frames around it."""
        self._findings.report(kind, self._clock(), f"{self.name}: {text}", list(self._memory))

    def context(self) -> list[str]:
        """The last frames, for findings at rest."""
        return list(self._memory)

    def _remember(self, direction: str, text: str) -> None:
        since = self._clock() - self._findings.began
        self._memory.append(f"{since:8.3f} {direction} {text[:400]}")

    def _pong(self) -> None:
        self._pongs += 1
        self._past = {c: n for c, n in self._past.items() if n > self._pongs}

    def _signed_in(self) -> None:
        if self.signed_in or self.user is None:
            self.report("duplicates", "signin_success without a sign-in")
            return
        self.signed_in = True
        # Events to the user may come from now on, subscribed or not (docs/protocol/users.md#user-events).
        self.subscribe(user_channel(self.user), self.user)
        self.subscriptions[user_channel(self.user)].stay.granted = self._clock()

    def _watch(self, message: dict[str, Any]) -> None:
        for item in msgspec.json.decode(message["data"])["events"]:
            online = item["name"] == "online"
            for user in item["user_ids"]:
                if self.online.get(user) is online:
                    self.report("duplicates", f"watchlist says again: {user} is {item['name']}")
                self.online[user] = online

    def _on_channel(self, event: str, channel: str, message: dict[str, Any]) -> None:
        subscription = self.subscriptions.get(channel)
        if subscription is None:
            self.report("disorder", f"{event} of {channel}, which was left or never asked for")
        elif event == _INTERNAL + "subscription_succeeded":
            self._succeeded(subscription, channel, message)
        elif not subscription.granted:
            self.report("disorder", f"{event} of {channel} before its success")
        elif event == _INTERNAL + "subscription_count":
            subscription.count = msgspec.json.decode(message["data"])["subscription_count"]
        elif event in (_INTERNAL + "member_added", _INTERNAL + "member_removed"):
            self._member(subscription, channel, event, message)
        elif event == "pusher:cache_miss":
            if not subscription.may_be_cached:
                self.report("disorder", f"cache_miss of {channel} after other events")
            subscription.may_be_cached = False
        else:
            self._event(subscription, channel, event, message)

    def _succeeded(self, subscription: Subscription, channel: str, message: dict[str, Any]) -> None:
        if subscription.granted:
            if not channel.startswith("#"):
                self.report("duplicates", f"a second success for {channel}")
            return
        subscription.stay.granted = self._clock()
        self._findings.seen["joins"] += 1
        if not channel.startswith("presence-"):
            return
        presence = msgspec.json.decode(message["data"])["presence"]
        ids = presence["ids"]
        subscription.members = set(ids)
        if len(subscription.members) != len(ids) or presence["count"] != len(ids):
            self.report("duplicates", f"the list of {channel} has somebody twice: {ids}")
        if subscription.stay.user not in subscription.members:
            self.report("missing", f"the joiner is not in its own list of {channel}")

    def _member(
        self, subscription: Subscription, channel: str, event: str, message: dict[str, Any]
    ) -> None:
        members = subscription.members
        user = msgspec.json.decode(message["data"])["user_id"]
        if members is None:
            self.report("disorder", f"{event} on {channel}, which has no members")
            return
        if user == subscription.stay.user:
            self.report("oneself", f"{event} of {channel} about the client's own user {user}")
        if event.endswith("added"):
            if user in members:
                self.report("duplicates", f"{event} of {channel}: {user} is in the list already")
            members.add(user)
        else:
            if user not in members:
                self.report("duplicates", f"{event} of {channel}: {user} is not in the list")
            members.discard(user)

    def _event(
        self, subscription: Subscription, channel: str, event: str, message: dict[str, Any]
    ) -> None:
        _, stream, number = event.rsplit(":", 2)
        n, last = int(number), subscription.last.get(stream, -1)
        self._findings.seen["events received"] += 1
        data = msgspec.json.decode(message["data"])
        if (
            self.socket_id in (data.get("excluded"), data.get("sender"))
            and not subscription.may_be_cached
        ):
            self.report("excluded", f"{event} of {channel} reached the socket that it excludes")
        if "user" in data and message.get("user_id") != data["user"]:
            self.report("disorder", f"{event} of {channel} comes with the user id of another")
        had = not self._ledger.delivered(event, channel, self.socket_id)
        if n == last or (had and not subscription.may_be_cached):
            self.report("duplicates", f"{event} of {channel} came twice")
        elif n < last:
            self.report("disorder", f"{event} of {channel} after number {last} of its stream")
        subscription.last[stream] = max(n, last)
        subscription.may_be_cached = False
