"""Sums as the text that Prometheus reads; on request also under soketi's names."""

import platform
from collections.abc import Iterable, Iterator

from prometheus_client.core import (
    CollectorRegistry,
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from pusher_server import __version__
from pusher_server.histogram import DELIVERY_BOUNDS
from pusher_server.hub.traffic import LATENCY_BOUNDS
from pusher_server.metrics import catalogue
from pusher_server.metrics.catalogue import CATALOGUE, Metric
from pusher_server.metrics.lag import LAG_BOUNDS
from pusher_server.metrics.reading import Distribution, Labels, Sums

_BOUNDS = {
    catalogue.LATENCY.name: LATENCY_BOUNDS,
    catalogue.LOOP_LAG.name: LAG_BOUNDS,
    catalogue.WEBHOOK_LATENCY.name: DELIVERY_BOUNDS,
}

#: soketi's name -> ours. All of soketi's are gauges or counters without `_total`, so their type is left open.
SOKETI: dict[str, Metric] = {
    "soketi_connected": catalogue.CONNECTIONS,
    "soketi_new_connections_total": catalogue.CONNECTIONS_OPENED,
    "soketi_new_disconnections_total": catalogue.CONNECTIONS_CLOSED,
    "soketi_socket_received_bytes": catalogue.BYTES_RECEIVED,
    "soketi_socket_transmitted_bytes": catalogue.BYTES_SENT,
    "soketi_ws_messages_received_total": catalogue.MESSAGES_RECEIVED,
    "soketi_ws_messages_sent_total": catalogue.MESSAGES_SENT,
    "soketi_http_received_bytes": catalogue.HTTP_BYTES_RECEIVED,
    "soketi_http_transmitted_bytes": catalogue.HTTP_BYTES_SENT,
    "soketi_http_calls_received_total": catalogue.HTTP_REQUESTS,
}


def exposition(
    sums: Sums, accept: str = "", *, soketi_port: int | None = None
) -> tuple[bytes, str]:
    """The text and its content type, in the format of the `Accept` header.

    `soketi_port`: soketi's label `port`, if its names are to be exported too.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Sums(sums, soketi_port))
    encode, content_type = choose_encoder(accept)
    return encode(registry), content_type


class _Sums(Collector):
    """Numbers that are there already."""

    def __init__(self, sums: Sums, soketi_port: int | None) -> None:
        self._sums = sums
        self._soketi_port = soketi_port

    def collect(self) -> Iterable[Family]:
        """One family for each metric of the catalogue."""
        for metric in CATALOGUE:
            yield self._family(metric)
        if self._soketi_port is not None:
            yield from self._soketi(str(self._soketi_port))

    def _family(self, metric: Metric) -> Family:
        if metric.kind == "info":
            values = {"version": __version__, "python": platform.python_version()}
            return InfoMetricFamily(metric.name.removesuffix("_info"), metric.help, value=values)
        if metric.kind == "histogram":
            family = HistogramMetricFamily(metric.name, metric.help)
            distribution = self._sums.histograms.get(metric.name)
            if distribution is not None:
                buckets = list(_cumulative(distribution, _BOUNDS[metric.name]))
                family.add_metric([], buckets, distribution.total)
            return family
        kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
        counted = kind(metric.name, metric.help, labels=metric.labels)
        for labels, value in self._samples(metric):
            counted.add_metric(labels, value)
        return counted

    def _soketi(self, port: str) -> Iterator[Family]:
        for name, metric in SOKETI.items():
            family = Family(name, f"As {metric.name}.", "unknown")
            for (app_id,), value in self._samples(metric):
                family.add_sample(name, {"app_id": app_id, "port": port}, value)
            yield family

    def _samples(self, metric: Metric) -> Iterable[tuple[Labels, float]]:
        return self._sums.numbers.get(metric.name, {}).items()


def _cumulative(
    distribution: Distribution, bounds: tuple[float, ...]
) -> Iterator[tuple[str, float]]:
    count = 0
    for bound, here in zip((*map(str, bounds), "+Inf"), distribution.counts, strict=True):
        count += here
        yield bound, count
