"""The deadlines of one connection, and its rates; no socket and no clock, `now` is an argument (seconds).

    state     event                               next      sent to the client
    ALIVE     bytes arrive                        ALIVE
    ALIVE     silent for activity_timeout         PINGED    ping (a WebSocket control frame)
    PINGED    bytes arrive (any, a pong)          ALIVE
    PINGED    activity_timeout since last ping    PINGED    ping
    PINGED    pong_timeout since first ping       over      4201, close
    any       not authorized in time              over      4009, close (only if the app sets it)

The two timeouts do not depend on each other: either may be the longer one.
Inbound silence alone closes no connection: on a busy channel a healthy client never sends
(docs/protocol/connection.md#liveness).
"""

from typing import NamedTuple

from pusher_server.protocol.errors import Code, ConnectionRejected
from pusher_server.token_bucket import TokenBucket

_CLOCK_STEP = 0.01


class Check(NamedTuple):
    """The result of `Liveness.check`: whether to send a ping now, and when to check again."""

    ping: bool
    again_at: float


class Liveness:
    """Deadlines and client-event rate of one established connection, of any transport.

    A transport whose client cannot answer a ping passes an infinite `pong_timeout` to `check`. Then pings are
    due as before, and silence does not end the connection.
    """

    __slots__ = (
        "_authorize_by",
        "_client_events",
        "_pinged_at",
        "_subscribed_until",
        "opened_at",
        "quiet_since",
    )

    def __init__(self, now: float, *, authorization_timeout: float = 0) -> None:
        self.opened_at = now
        #: When bytes arrived last, or the last ping went out.
        self.quiet_since = now
        #: When the first ping went out that nothing has answered; 0 when there is none.
        self._pinged_at = 0.0
        self._authorize_by = now + authorization_timeout if authorization_timeout else 0.0
        #: Made with the first client event: most connections send none.
        self._client_events: TokenBucket | None = None
        #: The time at which all subscriptions so far would be due at the allowed rate.
        self._subscribed_until = now

    def received(self, now: float) -> None:
        """Restart the silence timer: bytes arrived, of any kind."""
        self.quiet_since = now
        self._pinged_at = 0.0

    def authorized(self) -> None:
        """Cancel the authorization deadline: a sign-in, or a subscription that needs authorization.

        See docs/protocol/connection.md#authorization-timeout.
        """
        self._authorize_by = 0.0

    def check(self, now: float, *, activity_timeout: float, pong_timeout: float) -> Check:
        """Apply the table above. Raises ConnectionRejected when the connection is over."""
        if self._authorize_by and now >= self._authorize_by:
            raise ConnectionRejected(
                Code.UNAUTHORIZED,
                "Connection not authorized within timeout",
                reason="authorization_timeout",
                cause="the client neither signed in nor joined a private channel in time:"
                " see authorization_timeout",
            )
        if self._pinged_at and now >= self._pinged_at + pong_timeout:
            raise ConnectionRejected(Code.PONG_TIMEOUT, "Pong reply not received")
        ping = now >= self.quiet_since + activity_timeout
        if ping:
            self.quiet_since = now
            self._pinged_at = self._pinged_at or now
        again_at = self.quiet_since + activity_timeout
        if self._pinged_at:
            again_at = min(again_at, self._pinged_at + pong_timeout)
        if self._authorize_by:
            again_at = min(again_at, self._authorize_by)
        return Check(ping, again_at)

    def may_send_client_event(self, now: float, per_second: int) -> bool:
        """Return whether one more keeps the rate, of which one second's worth may come at once; 0 = no limit.

        See docs/protocol/client-events.md#checks.
        """
        if not per_second:
            return True
        bucket = self._client_events
        if bucket is None:
            bucket = self._client_events = TokenBucket(per_second, now)
        bucket.rate = per_second  # that of a changed app
        return not bucket.take(1, now)

    def subscribed(self, now: float, per_second: int) -> None:
        """Count one more subscription at this rate."""
        self._subscribed_until = max(self._subscribed_until, now) + 1 / per_second

    def subscription_wait(self, now: float, per_second: int, burst: int) -> float:
        """Seconds until another subscription keeps the rate, with `burst` of them free; 0.0 if it may come now.

        A wait shorter than the clock's own steps is 0.0: event loops wake up some milliseconds early.
        """
        wait = self._subscribed_until - burst / per_second - now
        return wait if wait > _CLOCK_STEP else 0.0
