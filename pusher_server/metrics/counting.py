"""An observer of signals that counts them, by app and reason."""

from collections import Counter
from collections.abc import Iterator

from pusher_server.metrics import catalogue
from pusher_server.metrics.catalogue import Metric
from pusher_server.metrics.reading import Labels
from pusher_server.protocol.errors import Code
from pusher_server.signals import (
    ConnectionClosed,
    ConnectionOpened,
    ConnectionRefused,
    MessageRefused,
    RequestRefused,
    Signal,
    SubscriptionRejected,
)

_SUBSCRIPTION_REASONS = {
    "AuthError": "auth",
    "LimitReached": "limit",
    "InvalidChannel": "channel",
    "InvalidData": "data",
}
_RATES = {"rate_publish": "publish", "rate_read": "read"}


#: The signals to observe: none that comes with every event, because the hub counts those itself.
COUNTED: tuple[type[Signal], ...] = (
    ConnectionOpened,
    ConnectionClosed,
    SubscriptionRejected,
    ConnectionRefused,
    MessageRefused,
    RequestRefused,
)


class Counting:
    """Totals of signals since the start."""

    def __init__(self) -> None:
        self._totals: dict[Metric, Counter[Labels]] = {}

    def samples(self) -> Iterator[tuple[Metric, Labels, int]]:
        """Everything so far."""
        for metric, totals in self._totals.items():
            for labels, total in totals.items():
                yield metric, labels, total

    def observe(self, signal: Signal) -> None:
        """Count it."""
        app = signal.app_id
        match signal:
            case ConnectionOpened():
                self._counter(catalogue.CONNECTIONS_OPENED)[(app,)] += 1
            case ConnectionClosed():
                self._counter(catalogue.CONNECTIONS_CLOSED)[(app,)] += 1
            case SubscriptionRejected():
                reason = _SUBSCRIPTION_REASONS[signal.kind]
                self._counter(catalogue.SUBSCRIPTIONS_REFUSED)[app, reason] += 1
            case ConnectionRefused():
                reason = signal.reason or reason_of(signal.code)
                self._counter(catalogue.CONNECTIONS_REFUSED)[app, reason] += 1
            case MessageRefused(code=Code.CLIENT_EVENT_RATE):
                self._counter(catalogue.RATE_LIMITED)[app, "client_event"] += 1
            case MessageRefused():
                self._counter(catalogue.MESSAGES_REFUSED)[app, reason_of(signal.code)] += 1
            case RequestRefused() if signal.reason in _RATES:
                self._counter(catalogue.RATE_LIMITED)[app, _RATES[signal.reason]] += 1
            case RequestRefused():
                self._counter(catalogue.REQUESTS_REFUSED)[app, signal.reason] += 1

    def _counter(self, metric: Metric) -> Counter[Labels]:
        totals = self._totals.get(metric)
        if totals is None:
            totals = self._totals[metric] = Counter()
        return totals


def reason_of(code: int) -> str:
    """A code of ours as one word: `over_quota`; `websocket_1009` for RFC 6455's; `other` for none."""
    try:
        return Code(code).name.lower()
    except ValueError:
        return f"websocket_{code}" if code else "other"
