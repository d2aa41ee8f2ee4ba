"""Every metric that is exported: name, kind, help, labels. docs/metrics.md has the same list (tested).

Labels are few on purpose: an app, a reason out of a fixed set, a link, a worker; never a channel, user or
socket.
"""

from typing import Literal

from msgspec import Struct

PREFIX = "pusher_server_"


class Metric(Struct, frozen=True):
    """`name` as it is exported, without the suffixes of histograms.

    `largest`: of several processes' values the largest counts, not their sum.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram", "info"]
    help: str
    labels: tuple[str, ...] = ()
    largest: bool = False


def _counter(name: str, text: str, *labels: str) -> Metric:
    return Metric(f"{PREFIX}{name}_total", "counter", text, labels)


def _gauge(name: str, text: str, *labels: str) -> Metric:
    return Metric(PREFIX + name, "gauge", text, labels)


CONNECTIONS = _gauge("connections", "Established WebSocket connections.", "app")
CONNECTIONS_OPENED = _counter("connections_opened", "WebSocket connections established.", "app")
CONNECTIONS_CLOSED = _counter("connections_closed", "Established connections that ended.", "app")
CONNECTIONS_REFUSED = _counter(
    "connections_refused",
    "Connections refused, or ended for a fault, by reason; app is empty for an unknown key.",
    "app", "reason",
)  # fmt: skip
SUBSCRIPTIONS = _gauge("subscriptions", "Subscriptions of all connections.", "app")
SUBSCRIPTIONS_REFUSED = _counter(
    "subscriptions_refused", "Subscriptions refused, by Pusher's type of error.", "app", "reason"
)
CHANNELS = _gauge("channels", "Occupied channels of each process, users' own included.", "app")
USERS = _gauge("users", "Signed-in users of each process.", "app")

MESSAGES_RECEIVED = _counter(
    "messages_received", "Messages from clients that could be read.", "app"
)
MESSAGES_SENT = _counter(
    "messages_sent", "Messages to clients: deliveries, and what is for one client alone.", "app"
)
MESSAGES_REFUSED = _counter(
    "messages_refused", "Messages of clients answered with an error, by reason.", "app", "reason"
)
BYTES_RECEIVED = _counter("received_bytes", "WebSocket bytes from clients.", "app")
BYTES_SENT = _counter("sent_bytes", "WebSocket bytes to clients.", "app")
PUBLISHES = _counter("publishes", "Events from the backend, once for each channel.", "app")
CLIENT_EVENTS = _counter("client_events", "Events from clients that were relayed.", "app")
DELIVERIES = _counter("deliveries", "Messages of broadcasts, one for each recipient.", "app")
LATENCY = Metric(
    PREFIX + "publish_to_written_seconds",
    "histogram",
    "Time from an event's arrival at the fan-out to the last write, by channel and batch.",
)
CACHE_EVICTIONS = _counter(
    "cache_evictions",
    "Last events of cache channels forgotten before their time, for limits.cache_bytes.",
    "app",
)
SLOW_CONSUMERS = _counter(
    "slow_consumers_dropped", "Clients cut because they did not read fast enough.", "app"
)

HTTP_REQUESTS = _counter("http_requests", "API requests with a known key.", "app")
HTTP_BYTES_RECEIVED = _counter("http_received_bytes", "Bodies of API requests.", "app")
HTTP_BYTES_SENT = _counter("http_sent_bytes", "Bodies of API answers but errors.", "app")
REQUESTS_REFUSED = _counter(
    "requests_refused",
    "API requests not let through, by reason; app is empty for an unknown key.",
    "app", "reason",
)  # fmt: skip
RATE_LIMITED = _counter(
    "rate_limited", "What exceeded a rate: publish, read, client_event.", "app", "rate"
)

WEBHOOKS_WAITING = _gauge(
    "webhooks_waiting",
    "Events that are decided and not yet delivered, one for each webhook.",
    "app",
)
WEBHOOKS_OLDEST = Metric(
    PREFIX + "webhooks_oldest_age_seconds",
    "gauge",
    "Time since the oldest of them was decided; 0 when none waits.",
    ("app",),
    largest=True,
)
WEBHOOK_ATTEMPTS = _counter("webhook_attempts", "Requests to webhooks.", "app")
WEBHOOK_FAILURES = _counter(
    "webhook_failed_attempts", "Requests to webhooks that no 2xx answered.", "app"
)
WEBHOOK_EVENTS = _counter("webhook_events_delivered", "Events that a webhook accepted.", "app")
WEBHOOK_DEAD = _counter("webhook_dead_letters", "Events given up, and kept.", "app")
WEBHOOK_DROPPED = _counter(
    "webhook_events_dropped",
    "Events given up untried: memory, crowded_out, unwanted.",
    "app", "reason",
)  # fmt: skip
WEBHOOK_UNDONE = _counter(
    "webhook_events_undone",
    "Events that are not sent because one undid the other while both waited.",
    "app",
)
WEBHOOK_LATENCY = Metric(
    PREFIX + "webhook_delivery_seconds",
    "histogram",
    "Time from an event's decision to its acceptance by a webhook.",
)

LOOP_LAG = Metric(
    PREFIX + "event_loop_lag_seconds",
    "histogram",
    "How late the event loop came to a timer, four samples a second.",
)
LOOP_LAG_RECENT = _gauge(
    "event_loop_lag_recent_seconds", "The worst lag of the last 10 seconds.", "worker"
)
MEMORY = _gauge("process_resident_memory_bytes", "Resident memory.", "worker")
CPU = _counter("process_cpu_seconds", "User and system CPU time.", "worker")
OPEN_FILES = _gauge("process_open_fds", "Open file descriptors.", "worker")
MAX_FILES = _gauge("process_max_fds", "The limit of open file descriptors.", "worker")
STARTED = _gauge("process_start_time_seconds", "Start of the process, Unix time.", "worker")

CERTIFICATE_EXPIRY = _gauge(
    "certificate_expiry_timestamp_seconds",
    "End of a certificate's validity, Unix time; the label is its setting.",
    "certificate", "worker",
)  # fmt: skip

LINK_UP = _gauge(
    "cluster_link_up", "1 while the store of the cluster can be asked.", "link", "worker"
)
LINK_OPENED = _counter("cluster_link_opened", "Times that the link was opened.", "link")
RENEWAL_AGE = _gauge(
    "cluster_renewal_age_seconds", "Time since the lease was last renewed.", "link", "worker"
)
COMMANDS = _counter("cluster_commands", "Commands to the store.", "link")
PUSHES = _counter("cluster_pushes", "Messages and transitions from the store.", "link")
DROPPED = _counter(
    "cluster_publications_dropped",
    "Publications other nodes did not get: link away or full.",
    "link",
)
REDECLARED = _counter(
    "cluster_keys_redeclared", "Keys told to the store again after it was away.", "link"
)
HELD_KEYS = _gauge("roster_held_keys", "Keys that this machine's nodes hold.", "link")
FOLLOWED_TOPICS = _gauge("roster_followed_topics", "Topics that are followed.", "link")

WORKERS = _gauge("workers", "Configured processes.")
WORKERS_READY = _gauge("workers_ready", "Processes that take clients.")
WORKERS_UNANSWERED = _gauge("workers_unanswered", "Processes that did not answer this scrape.")
WORKER_STARTS = _counter("worker_starts", "Starts of each process.", "worker")
BUILD = Metric(PREFIX + "build_info", "info", "What runs.", ("version", "python"))

CATALOGUE: tuple[Metric, ...] = tuple(
    value for value in dict(globals()).values() if isinstance(value, Metric)
)
BY_NAME: dict[str, Metric] = {metric.name: metric for metric in CATALOGUE}
