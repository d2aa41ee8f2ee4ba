"""The text, read back by prometheus-client's own parsers."""

from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from pusher_server.metrics import catalogue
from pusher_server.metrics.exposition import SOKETI, exposition
from pusher_server.metrics.reading import Distribution, Sums


def sums() -> Sums:
    made = Sums()
    made.add(catalogue.CONNECTIONS.name, [(("1",), 2)])
    made.add(catalogue.DELIVERIES.name, [(("1",), 10), (('a"b\n\\',), 1)])
    made.add_histogram(catalogue.LATENCY.name, Distribution([2, 1] + [0] * 10 + [4], 9.5))
    return made


def samples(text: bytes) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in read_text(text.decode())
        for sample in family.samples
    }


def test_numbers_arrive_with_their_labels() -> None:
    text, content_type = exposition(sums())
    found = samples(text)
    assert content_type.startswith("text/plain; version=0.0.4")
    assert found["pusher_server_connections", (("app", "1"),)] == 2
    assert found["pusher_server_deliveries_total", (("app", "1"),)] == 10
    assert found["pusher_server_deliveries_total", (("app", 'a"b\n\\'),)] == 1


def test_buckets_are_cumulative() -> None:
    found = samples(exposition(sums())[0])
    name = catalogue.LATENCY.name
    assert found[name + "_bucket", (("le", "0.0005"),)] == 2
    assert found[name + "_bucket", (("le", "0.001"),)] == 3
    assert found[name + "_bucket", (("le", "2.5"),)] == 3
    assert found[name + "_bucket", (("le", "+Inf"),)] == 7
    assert found[name + "_count", ()] == 7
    assert found[name + "_sum", ()] == 9.5


def test_prometheus_may_ask_for_openmetrics() -> None:
    """As it does by default; a stricter parser then reads all of it."""
    text, content_type = exposition(sums(), "application/openmetrics-text;version=1.0.0,*/*;q=0.1")
    assert content_type.startswith("application/openmetrics-text")
    families = {family.name for family in read_openmetrics(text.decode())}
    assert "pusher_server_deliveries" in families


def test_the_whole_catalogue_is_exported_even_before_anything_happens() -> None:
    text = exposition(Sums())[0].decode()
    for metric in catalogue.CATALOGUE:
        kind = {"info": "gauge"}.get(metric.kind, metric.kind)
        assert f"# HELP {metric.name} {metric.help}\n# TYPE {metric.name} {kind}\n" in text
    assert text.count("# TYPE ") == len(catalogue.CATALOGUE)


def test_soketis_names_are_there_on_request_only() -> None:
    assert b"soketi_" not in exposition(sums())[0]
    found = samples(exposition(sums(), soketi_port=6001)[0])
    assert found["soketi_connected", (("app_id", "1"), ("port", "6001"))] == 2
    text = exposition(sums(), soketi_port=6001)[0].decode()
    for name in SOKETI:
        assert f"# TYPE {name} untyped\n" in text
