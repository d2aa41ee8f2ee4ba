"""Decides which refusals are looked into: a guess costs 16 signatures, and strangers cause refusals.

One a second is, and one of each address in ten seconds; ten times as many while somebody looks at the findings.
"""

from pusher_server.app import App
from pusher_server.auth.query import Query
from pusher_server.diagnosis import signed_request, signed_text
from pusher_server.diagnosis.evidence import Evidence, Guess
from pusher_server.log_rate_limit import LogRateLimit
from pusher_server.token_bucket import TokenBucket

#: Refusals a second, and while somebody looks.
PER_SECOND = 1
_WATCHED = 10
#: Seconds between two guesses for one address.
_INTERVAL = 10.0
_ADDRESSES = 1_000
#: Seconds for which one look counts.
_LOOK = 30.0


class Guesses:
    """Guesses with a budget. None is the answer when it is spent."""

    def __init__(self, evidence: Evidence) -> None:
        self._evidence = evidence
        self._bucket = TokenBucket(PER_SECOND, evidence.clock())
        self._addresses = LogRateLimit(_INTERVAL, _ADDRESSES)
        self._looked = float("-inf")

    def look(self) -> None:
        """Somebody looks at the findings."""
        self._looked = self._evidence.clock()

    def of_subscription(
        self,
        app: App,
        address: str,
        socket_id: str,
        channel: str,
        channel_data: str | None,
        auth: str,
    ) -> Guess | None:
        """Return the part of a subscription's text that differs; None when its key is none of the app's."""
        key, _, signature = auth.partition(":")
        pair = app.pair_of(key)
        if pair is None or not self._may(address):
            return None
        sockets = self._evidence.sockets_of(app.id, address, signed_text.SOCKETS)
        return signed_text.of_subscription(
            app, pair, socket_id, channel, channel_data, signature, sockets
        )

    def of_sign_in(
        self, app: App, address: str, socket_id: str, user_data: str, auth: str
    ) -> Guess | None:
        """Return the part of a sign-in's text that differs, as `of_subscription`."""
        key, _, signature = auth.partition(":")
        pair = app.pair_of(key)
        if pair is None or not self._may(address):
            return None
        sockets = self._evidence.sockets_of(app.id, address, signed_text.SOCKETS)
        return signed_text.of_sign_in(app, pair, socket_id, user_data, signature, sockets)

    def of_request(
        self, app: App, method: str, path: bytes, query: Query, prefix: str
    ) -> Guess | None:
        """Return the part of a request's text that differs. The app stands for the backend's address."""
        if not self._may(f"app {app.id}"):
            return None
        return signed_request.of_request(app, method, path, query, prefix)

    def _may(self, source: str) -> bool:
        now = self._evidence.clock()
        is_watched = now - self._looked < _LOOK
        self._bucket.rate = _WATCHED if is_watched else PER_SECOND
        if not is_watched and not self._addresses.due(source, now):
            return False
        return not self._bucket.take(1, now)
