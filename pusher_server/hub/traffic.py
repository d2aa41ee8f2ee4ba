"""Counts messages and bytes of this node since its start: plain numbers that only rise, for metrics.

A broadcast is counted once, by the number of its recipients. Nothing is counted per subscriber, and nothing
here is computed before metrics read it.
"""

from pusher_server.histogram import Histogram

#: Upper bounds in seconds: a quiet server writes within 1 ms, one that is at its limit takes seconds.
LATENCY_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


class AppTraffic:
    """One app's numbers. Bytes are those of whole frames."""

    __slots__ = (
        "bytes_received",
        "bytes_sent",
        "client_events",
        "deliveries",
        "messages_received",
        "published",
        "replies",
        "slow_consumers_dropped",
    )

    def __init__(self) -> None:
        self.messages_received = 0
        self.bytes_received = 0
        #: Events of the backend, once for each channel; of clients, those that were relayed.
        self.published = 0
        self.client_events = 0
        #: Messages of broadcasts, one for each recipient.
        self.deliveries = 0
        #: Messages to one connection alone: greetings, successes, errors, pongs.
        self.replies = 0
        self.bytes_sent = 0
        #: Readers cut because they did not keep up.
        self.slow_consumers_dropped = 0

    def replied(self, frame: bytes) -> bytes:
        """Count one message to one connection. Returns its frame unchanged."""
        self.replies += 1
        self.bytes_sent += len(frame)
        return frame


class Traffic:
    """The numbers of all apps on this node, and the latency from publishing to the last write."""

    def __init__(self) -> None:
        self.apps: dict[str, AppTraffic] = {}
        self.latency = Histogram(LATENCY_BOUNDS)

    def of(self, app_id: str) -> AppTraffic:
        """The app's numbers, made on first use."""
        traffic = self.apps.get(app_id)
        if traffic is None:
            traffic = self.apps[app_id] = AppTraffic()
        return traffic
