"""Reads what hub, node and links keep anyway into one `Reading`; nothing runs between two scrapes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Protocol

from msgspec import Struct

from pusher_server.histogram import Histogram
from pusher_server.metrics import catalogue
from pusher_server.metrics.catalogue import Metric
from pusher_server.metrics.counting import Counting
from pusher_server.metrics.lag import LagWatch
from pusher_server.metrics.process_stats import ProcessStats, own_stats
from pusher_server.metrics.reading import Distribution, Labels, Reading, State
from pusher_server.node.node import Node

Sample = tuple[Metric, Labels, float]


class LinkReading(Struct, frozen=True, kw_only=True):
    """One store of the cluster, seen from here. `peer` has no password; `renewal_age` is in seconds."""

    peer: str
    up: bool
    opened: int
    renewal_age: float
    commands: int
    pushes: int
    dropped: int
    redeclared: int
    held_keys: int
    followed_topics: int


class WebhookReading(Struct, frozen=True, kw_only=True):
    """One app's webhooks, as this process knows them.

    `waiting` and `oldest` (seconds of the epoch) only if it is the one that delivers them: every process can
    see what waits, and it would be counted as often.
    """

    app_id: str
    waiting: int
    oldest: float | None
    attempts: int
    failures: int
    delivered: int
    dead: int
    #: By reason.
    dropped: Mapping[str, int]
    undone: int


class Collecting(Protocol):
    """Whatever can be read."""

    def read(self) -> Reading:
        """Now."""


class Collector(Collecting):
    """One process. `worker` is its name among its machine's; the callables are asked at each reading.

    `clock` gives seconds of the epoch. `webhook_latency` is from decided to delivered.

    `evictions` tells by app how many events of cache channels had to go before their time.
    `not_ready` say why no client should come, `problems` what is wrong besides; None while all is well.
    """

    def __init__(
        self,
        node: Node,
        *,
        worker: str,
        lag: LagWatch,
        links: Callable[[], Iterable[LinkReading]],
        webhooks: Callable[[], Iterable[WebhookReading]],
        webhook_latency: Histogram,
        max_connections: int,
        evicted: Callable[[], Mapping[str, int]] = dict,
        clock: Callable[[], float],
        not_ready: Iterable[Callable[[], str | None]] = (),
        problems: Iterable[Callable[[], str | None]] = (),
    ) -> None:
        self._node = node
        self._worker = worker
        self._lag = lag
        self._links = links
        self._webhooks = webhooks
        self._webhook_latency = webhook_latency
        self._max_connections = max_connections
        self._evicted = evicted
        self._clock = clock
        self._not_ready = tuple(not_ready)
        self._problems = tuple(problems)
        self.counting = Counting()

    def read(self) -> Reading:
        """Everything, now."""
        use = own_stats()
        numbers: dict[str, list[tuple[Labels, float]]] = {}
        for metric, labels, value in chain(self._samples(use), self.counting.samples()):
            numbers.setdefault(metric.name, []).append((labels, value))
        return Reading(
            node=self._node.node_id,
            state=self._state(use),
            numbers=numbers,
            histograms={
                catalogue.LATENCY.name: _distribution(self._node.hub.traffic.latency),
                catalogue.WEBHOOK_LATENCY.name: _distribution(self._webhook_latency),
                catalogue.LOOP_LAG.name: _distribution(self._lag.histogram),
            },
        )

    def _state(self, use: ProcessStats) -> State:
        return State(
            starting=self._node.starting,
            draining=self._node.draining,
            not_ready=_first(self._not_ready),
            problem=_first(self._problems),
            lag=self._lag.recent,
            connections=sum(self._node.connections_here().values()),
            max_connections=self._max_connections,
            open_files=use.open_files,
            max_files=use.max_files,
            memory=use.memory,
            cpu_seconds=use.cpu_seconds,
            uptime=self._clock() - use.started,
        )

    def _samples(self, use: ProcessStats) -> Iterator[Sample]:
        yield from self._app_samples()
        worker = (self._worker,)
        yield catalogue.LOOP_LAG_RECENT, worker, self._lag.recent
        yield catalogue.MEMORY, worker, use.memory
        yield catalogue.CPU, worker, use.cpu_seconds
        yield catalogue.OPEN_FILES, worker, use.open_files
        yield catalogue.MAX_FILES, worker, use.max_files
        yield catalogue.STARTED, worker, use.started
        for link in self._links():
            yield from self._link_samples(link)
        for app_id, count in self._evicted().items():
            yield catalogue.CACHE_EVICTIONS, (app_id,), count
        now = self._clock()
        for app in self._webhooks():
            yield from _webhook_samples(app, now)

    def _app_samples(self) -> Iterator[Sample]:
        hub = self._node.hub
        for app_id, traffic in hub.traffic.apps.items():
            labels = (app_id,)
            app_state = hub.app_states.get(app_id)
            if app_state is not None:
                yield catalogue.CONNECTIONS, labels, len(app_state.connections)
                yield catalogue.SUBSCRIPTIONS, labels, app_state.subscriptions
                yield catalogue.CHANNELS, labels, len(app_state.channels)
                yield catalogue.USERS, labels, len(app_state.users)
            yield catalogue.MESSAGES_RECEIVED, labels, traffic.messages_received
            yield catalogue.MESSAGES_SENT, labels, traffic.deliveries + traffic.replies
            yield catalogue.BYTES_RECEIVED, labels, traffic.bytes_received
            yield catalogue.BYTES_SENT, labels, traffic.bytes_sent
            yield catalogue.PUBLISHES, labels, traffic.published
            yield catalogue.CLIENT_EVENTS, labels, traffic.client_events
            yield catalogue.DELIVERIES, labels, traffic.deliveries
            yield catalogue.SLOW_CONSUMERS, labels, traffic.slow_consumers_dropped
            yield catalogue.HTTP_REQUESTS, labels, traffic.http_requests
            yield catalogue.HTTP_BYTES_RECEIVED, labels, traffic.http_bytes_received
            yield catalogue.HTTP_BYTES_SENT, labels, traffic.http_bytes_sent

    def _link_samples(self, link: LinkReading) -> Iterator[Sample]:
        peer = (link.peer,)
        yield catalogue.LINK_UP, (link.peer, self._worker), float(link.up)
        yield catalogue.RENEWAL_AGE, (link.peer, self._worker), link.renewal_age
        yield catalogue.LINK_OPENED, peer, link.opened
        yield catalogue.COMMANDS, peer, link.commands
        yield catalogue.PUSHES, peer, link.pushes
        yield catalogue.DROPPED, peer, link.dropped
        yield catalogue.REDECLARED, peer, link.redeclared
        yield catalogue.HELD_KEYS, peer, link.held_keys
        yield catalogue.FOLLOWED_TOPICS, peer, link.followed_topics


def _webhook_samples(app: WebhookReading, now: float) -> Iterator[Sample]:
    labels = (app.app_id,)
    yield catalogue.WEBHOOKS_WAITING, labels, app.waiting
    age = 0.0 if app.oldest is None else max(0.0, now - app.oldest)
    yield catalogue.WEBHOOKS_OLDEST, labels, age
    yield catalogue.WEBHOOK_ATTEMPTS, labels, app.attempts
    yield catalogue.WEBHOOK_FAILURES, labels, app.failures
    yield catalogue.WEBHOOK_EVENTS, labels, app.delivered
    yield catalogue.WEBHOOK_DEAD, labels, app.dead
    yield catalogue.WEBHOOK_UNDONE, labels, app.undone
    for reason, events in app.dropped.items():
        yield catalogue.WEBHOOK_DROPPED, (*labels, reason), events


def _first(questions: Iterable[Callable[[], str | None]]) -> str | None:
    return next((said for ask in questions if (said := ask()) is not None), None)


def _distribution(histogram: Histogram) -> Distribution:
    return Distribution(list(histogram.counts), histogram.total)
