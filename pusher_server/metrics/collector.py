"""Reads the numbers of hub, node and links into one `Reading`; nothing runs between two scrapes."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import chain
from typing import Protocol

from pusher_server.histogram import Histogram
from pusher_server.hub.traffic import AppTraffic
from pusher_server.metrics import catalogue
from pusher_server.metrics.catalogue import Metric
from pusher_server.metrics.counting import Counting
from pusher_server.metrics.lag import LagWatch
from pusher_server.metrics.process_stats import ProcessStats, own_stats
from pusher_server.metrics.reading import Distribution, Labels, Reading, State
from pusher_server.node.node import Node

#: A metric, the values of its labels, its value.
Sample = tuple[Metric, Labels, float]

#: The traffic of an app that only the API has served.
_NO_TRAFFIC = AppTraffic()


class RequestCounts(Protocol):
    """Numbers that an API counts of one app's requests and their bodies."""

    requests: int
    bytes_received: int
    bytes_sent: int


class Collecting(Protocol):
    """Anything that gives a `Reading`."""

    def read(self) -> Reading:
        """The numbers as they are now."""


class Collector(Collecting):
    """One process. `worker` is its name among its machine's; the callables are called at each reading.

    `clock` gives seconds of the epoch. `webhook_latency` is from decided to delivered. `requests` are the API's
    numbers by app, `sources` yield numbers that other parts of the process count.

    `not_ready` return why no client should come, `problems` other troubles; None while all is well.
    """

    def __init__(
        self,
        node: Node,
        *,
        worker: str,
        lag: LagWatch,
        requests: Mapping[str, RequestCounts],
        sources: Iterable[Callable[[], Iterable[Sample]]],
        webhook_latency: Histogram,
        max_connections: int,
        clock: Callable[[], float],
        not_ready: Iterable[Callable[[], str | None]] = (),
        problems: Iterable[Callable[[], str | None]] = (),
    ) -> None:
        self._node = node
        self._worker = worker
        self._lag = lag
        self._requests = requests
        self._sources = tuple(sources)
        self._webhook_latency = webhook_latency
        self._max_connections = max_connections
        self._clock = clock
        self._not_ready = tuple(not_ready)
        self._problems = tuple(problems)
        self.counting = Counting()

    def read(self) -> Reading:
        """Read all numbers as they are now."""
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
            connections=sum(self._node.hub.connection_counts().values()),
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
        for source in self._sources:
            yield from source()

    def _app_samples(self) -> Iterator[Sample]:
        hub = self._node.hub
        for app_id in dict.fromkeys([*hub.traffic.apps, *self._requests]):
            labels = (app_id,)
            traffic = hub.traffic.apps.get(app_id, _NO_TRAFFIC)
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
            requests = self._requests.get(app_id)
            yield catalogue.HTTP_REQUESTS, labels, 0 if requests is None else requests.requests
            received = 0 if requests is None else requests.bytes_received
            yield catalogue.HTTP_BYTES_RECEIVED, labels, received
            sent = 0 if requests is None else requests.bytes_sent
            yield catalogue.HTTP_BYTES_SENT, labels, sent


def _first(checks: Iterable[Callable[[], str | None]]) -> str | None:
    return next((reason for check in checks if (reason := check()) is not None), None)


def _distribution(histogram: Histogram) -> Distribution:
    return Distribution(list(histogram.counts), histogram.total)
