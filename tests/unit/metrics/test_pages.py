"""What is written about metrics is what is exported: docs/metrics.md, the dashboard, the alert rules."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pusher_server.metrics.catalogue import CATALOGUE, PREFIX
from pusher_server.metrics.exposition import SOKETI

TOP = Path(__file__).resolve().parents[3]
PAGE = (TOP / "docs" / "metrics.md").read_text("utf-8")
ALERTS = (TOP / "ops" / "alerts.yml").read_text("utf-8")
DASHBOARD = json.loads((TOP / "ops" / "grafana-dashboard.json").read_text("utf-8"))

#: What Prometheus has of its own, or what the target's scrape config brings.
FOREIGN_LABELS = {"instance", "job", "le"}


def exported() -> dict[str, set[str]]:
    """Names as they can be queried -> their labels."""
    names: dict[str, set[str]] = {}
    for metric in CATALOGUE:
        suffixes = ("_bucket", "_count", "_sum") if metric.kind == "histogram" else ("",)
        for suffix in suffixes:
            names[metric.name + suffix] = set(metric.labels)
    return names


def expressions(board: Any) -> Iterator[str]:
    """Every query of the dashboard, its variables' too."""
    for panel in board["panels"]:
        yield from (target["expr"] for target in panel.get("targets", ()))
    for variable in board["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


def alert_expressions() -> list[str]:
    return re.findall(r"^ +expr: (.+)$", ALERTS, re.M)


def metrics_in(expression: str) -> set[str]:
    return set(re.findall(rf"\b{PREFIX}\w+", expression))


def labels_in(expression: str) -> set[str]:
    """Those that are grouped or selected by."""
    found: set[str] = set()
    for group in re.findall(r"\b(?:by|on) ?\(([^)]*)\)", expression):
        found |= {label.strip() for label in group.split(",")}
    for selector in re.findall(r"\{([^}]*)\}", expression):
        found |= set(re.findall(r"(\w+)=~?\"", selector))
    return found


QUERIES = [*expressions(DASHBOARD), *alert_expressions()]


def test_the_page_has_every_metric_and_no_other() -> None:
    """With kind, labels and help."""
    rows = re.findall(r"^\| `(pusher_server_\w+)` \| (\w+) \| ([^|]+) \| ([^|]+) \|$", PAGE, re.M)
    documented = {name: (kind, set(re.findall(r"\w+", labels)), text)
                  for name, kind, labels, text in rows}  # fmt: skip
    assert len(documented) == len(rows), "a metric stands in two rows"
    assert documented == {m.name: (m.kind, set(m.labels), m.help) for m in CATALOGUE}


def test_the_page_has_soketis_names() -> None:
    rows = dict(re.findall(r"^\| `(soketi_\w+)` \| `(\w+)` \|$", PAGE, re.M))
    assert rows == {name: metric.name for name, metric in SOKETI.items()}


@pytest.mark.parametrize("expression", QUERIES)
def test_a_query_asks_for_what_there_is(expression: str) -> None:
    names = exported()
    asked = metrics_in(expression)
    assert asked <= names.keys()
    allowed = set().union(*(names[name] for name in asked)) | FOREIGN_LABELS
    assert labels_in(expression) <= allowed


def test_every_metric_is_on_the_dashboard() -> None:
    """What nobody looks at need not be exported."""
    asked = set().union(*map(metrics_in, expressions(DASHBOARD)))
    shown = {re.sub(r"_(bucket|count|sum)$", "", name) for name in asked}
    assert {metric.name for metric in CATALOGUE} - shown == set()


def test_every_alert_has_what_a_person_needs() -> None:
    alerts = re.split(r"^ +- alert: ", ALERTS, flags=re.M)[1:]
    names = [alert.splitlines()[0] for alert in alerts]
    assert len(names) == len(set(names)) == len(alert_expressions()) >= 10
    for alert in alerts:
        for field in ("expr", "severity", "summary", "description"):
            assert f"{field}: " in alert, alert


def test_panels_do_not_overlap() -> None:
    """And have a title and a number of their own."""
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
