"""An observer of signals that counts them, by app and reason."""

from collections import Counter
from collections.abc import Iterator

from pusher_server.metrics import catalogue
from pusher_server.metrics.catalogue import Metric
from pusher_server.metrics.reading import Labels
from pusher_server.protocol.errors import Code
from pusher_server.signals import (
    ClientEventSent,
    ConnectionClosed,
    ConnectionOpened,
    ConnectionRefused,
    EventPublished,
    MessageRefused,
    RequestRefused,
    Signal,
    SubscriptionRejected,
)

_FREQUENT: dict[type[Signal], Metric] = {
    EventPublished: catalogue.PUBLISHES,
    ClientEventSent: catalogue.CLIENT_EVENTS,
    ConnectionOpened: catalogue.CONNECTIONS_OPENED,
    ConnectionClosed: catalogue.CONNECTIONS_CLOSED,
}
_SUBSCRIPTION_REASONS = {
    "AuthError": "auth",
    "LimitReached": "limit",
    "InvalidChannel": "channel",
    "InvalidData": "data",
}
_RATES = {"rate_publish": "publish", "rate_read": "read"}


class Counting:
    """Totals since the start, of what signals tell."""

    def __init__(self) -> None:
        #: The others: refusals.
        self._totals: dict[Metric, Counter[Labels]] = {}
        #: By kind of signal and app: the frequent ones, for 0.1 µs each (a metric's hash takes longer).
        self._by_app: dict[type[Signal], Counter[str]] = {each: Counter() for each in _FREQUENT}

    def samples(self) -> Iterator[tuple[Metric, Labels, int]]:
        """Everything so far."""
        for kind, apps in self._by_app.items():
            for app, total in apps.items():
                yield _FREQUENT[kind], (app,), total
        for metric, totals in self._totals.items():
            for labels, total in totals.items():
                yield metric, labels, total

    def observe(self, signal: Signal) -> None:
        """Count it."""
        apps = self._by_app.get(type(signal))
        if apps is not None:
            apps[signal.app_id] += 1
            return
        app = signal.app_id
        match signal:
            case SubscriptionRejected():
                reason = _SUBSCRIPTION_REASONS[signal.kind]
                self._counter(catalogue.SUBSCRIPTIONS_REFUSED)[app, reason] += 1
            case ConnectionRefused():
                self._counter(catalogue.CONNECTIONS_REFUSED)[app, reason_of(signal.code)] += 1
            case MessageRefused(code=Code.CLIENT_EVENT_RATE):
                self._counter(catalogue.RATE_LIMITED)[app, "client_event"] += 1
            case MessageRefused():
                self._counter(catalogue.MESSAGES_REFUSED)[app, reason_of(signal.code)] += 1
            case RequestRefused() if signal.reason in _RATES:
                self._counter(catalogue.RATE_LIMITED)[app, _RATES[signal.reason]] += 1
            case RequestRefused():
                self._counter(catalogue.REQUESTS_REFUSED)[app, signal.reason] += 1

    def _counter(self, metric: Metric) -> Counter[Labels]:
        found = self._totals.get(metric)
        if found is None:
            found = self._totals[metric] = Counter()
        return found


def reason_of(code: int) -> str:
    """A code of ours as one word: `over_quota`; `websocket_1009` for RFC 6455's; `other` for none."""
    try:
        return Code(code).name.lower()
    except ValueError:
        return f"websocket_{code}" if code else "other"
