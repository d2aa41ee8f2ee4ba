"""Manifests of Kubernetes and the chart's values: settings that load, times that fit, names that meet.

`tests/deployment/test_chart.py` compares what the chart renders with these manifests.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pusher_server import __version__
from pusher_server.config import Config, OperationsSettings, ServerSettings
from pusher_server.config.risks import risks
from tests.support import containers
from tests.support.containers import CHART, CREDENTIALS

Object = dict[str, Any]

OBJECTS = containers.manifests()
DEPLOYMENT = OBJECTS["Deployment", "pusher-server"]
POD = DEPLOYMENT["spec"]["template"]["spec"]
(NODE,) = POD["containers"]
#: The keys of the Secret, which the page says how to make.
SECRET = {**CREDENTIALS, "REDIS_PASSWORD": "e" * 40}
#: Seconds after drain_delay and shutdown_grace; tests/unit/test_deployment_pages.py holds the page to the code.
REST = 20


def environment() -> dict[str, str]:
    """The variables of a node, out of the Secret and the pod's own name."""
    values = {}
    for variable in NODE["env"]:
        source = variable["valueFrom"]
        reference = source.get("secretKeyRef")
        if reference is not None:
            assert reference["name"] == "pusher-server"
            values[variable["name"]] = SECRET[reference["key"]]
        else:
            assert source == {"fieldRef": {"fieldPath": "metadata.name"}}
            values[variable["name"]] = "pusher-server-5d4f-x"
    return values


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """The settings of a node."""
    (text,) = OBJECTS["ConfigMap", "pusher-server"]["data"].values()
    file = tmp_path / "pusher-server.toml"
    file.write_text(text)
    return containers.settings_of(environment(), file)


def test_a_node_starts_with_its_settings(config: Config) -> None:
    assert config.apps_from == "environment"
    assert config.apps[0].id == SECRET["PUSHER_APP_ID"]
    assert config.cluster.redis.password == SECRET["REDIS_PASSWORD"]
    assert config.cluster.node_id == "pusher-server-5d4f-x"
    assert config.server.host == config.operations.host == "0.0.0.0"
    assert config.log.format == "json"
    named = [line.split(" ")[0] for line in risks(config, None)]
    assert named == ["operations.host", "cluster.redis:"], "the network policies are for these"


def test_the_page_makes_the_secret() -> None:
    page = (containers.TOP / "docs" / "containers.md").read_text("utf-8")
    made = page.partition("kubectl create secret generic pusher-server")[2].partition("```")[0]
    names = [line.partition("--from-literal=")[2].partition("=")[0] for line in made.splitlines()]
    assert set(filter(None, names)) == set(SECRET)


def test_the_pod_ends_later_than_its_drain(config: Config) -> None:
    program, pause = NODE["lifecycle"]["preStop"]["exec"]["command"]
    assert program == "sleep"
    drain = config.server.drain_delay + config.server.shutdown_grace + REST
    assert POD["terminationGracePeriodSeconds"] > float(pause) + drain


def test_readiness_fails_within_the_drain_delay_and_is_never_asked_to_restart(
    config: Config,
) -> None:
    ready = NODE["readinessProbe"]
    assert ready["httpGet"] == {"path": "/ready", "port": "operations"}
    program, pause = NODE["lifecycle"]["preStop"]["exec"]["command"]
    within = ready["periodSeconds"] * ready["failureThreshold"]
    assert float(pause) + config.server.drain_delay >= within, program
    for probe in ("livenessProbe", "startupProbe"):
        assert NODE[probe]["httpGet"] == {"path": "/live", "port": "operations"}
    start = NODE["startupProbe"]
    patience = start["periodSeconds"] * start["failureThreshold"]
    assert patience > config.cluster.start_timeout


def test_clients_are_paced_and_never_left_without_a_pod() -> None:
    strategy = DEPLOYMENT["spec"]["strategy"]
    assert strategy["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}
    assert DEPLOYMENT["spec"]["replicas"] >= 2
    budget = OBJECTS["PodDisruptionBudget", "pusher-server"]["spec"]
    assert budget["maxUnavailable"] < DEPLOYMENT["spec"]["replicas"]


def test_the_pod_fits_the_image() -> None:
    user = containers.final("USER").text
    security = POD["securityContext"]
    assert f"{security['runAsUser']}:{security['runAsGroup']}" == user
    mounts = {mount["name"]: mount["mountPath"] for mount in NODE["volumeMounts"]}
    assert mounts["config"] == containers.final("WORKDIR").text
    assert mounts["state"] == containers.final("VOLUME").text
    assert set(mounts) == {volume["name"] for volume in POD["volumes"]}
    ports = {port["name"]: port["containerPort"] for port in NODE["ports"]}
    assert ports == {"clients": ServerSettings().port, "operations": OperationsSettings().port}


def pods() -> Iterator[tuple[str, Object]]:
    """The name and template of every kind of pod."""
    for (_, name), thing in OBJECTS.items():
        if "template" in thing.get("spec", {}):
            yield name, thing["spec"]["template"]


@pytest.mark.parametrize(("name", "template"), list(pods()), ids=[name for name, _ in pods()])
def test_pods_have_no_more_rights_than_they_need(name: str, template: Object) -> None:
    spec = template["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
    assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert spec["automountServiceAccountToken"] is False
    assert spec["enableServiceLinks"] is False
    for container in spec["containers"]:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert "memory" in container["resources"]["limits"], name


def matched(labels: dict[str, str]) -> list[str]:
    """The pods that a selector finds."""
    return [
        name
        for name, template in pods()
        if labels.items() <= template["metadata"]["labels"].items()
    ]


def test_selectors_find_their_pods_and_no_others() -> None:
    expected = {
        ("Deployment", "pusher-server"): "pusher-server",
        ("StatefulSet", "pusher-server-redis"): "pusher-server-redis",
        ("Service", "pusher-server"): "pusher-server",
        ("Service", "pusher-server-operations"): "pusher-server",
        ("Service", "pusher-server-redis"): "pusher-server-redis",
        ("PodDisruptionBudget", "pusher-server"): "pusher-server",
        ("NetworkPolicy", "pusher-server"): "pusher-server",
        ("NetworkPolicy", "pusher-server-redis"): "pusher-server-redis",
    }
    selectors = {}
    for key, thing in OBJECTS.items():
        spec = thing.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector"))
        if selector is not None:
            selectors[key] = selector.get("matchLabels", selector)
    assert {key: matched(selector) for key, selector in selectors.items()} == {
        key: [pod] for key, pod in expected.items()
    }


def test_ports_have_the_names_of_the_containers() -> None:
    for (kind, name), thing in OBJECTS.items():
        if kind == "Service":
            (pod,) = matched(thing["spec"]["selector"])
            (template,) = [template for found, template in pods() if found == pod]
            ports = {p["name"] for c in template["spec"]["containers"] for p in c["ports"]}
            assert {port["targetPort"] for port in thing["spec"]["ports"]} <= ports, name


def test_redis_is_for_nodes_only(config: Config) -> None:
    (rule,) = OBJECTS["NetworkPolicy", "pusher-server-redis"]["spec"]["ingress"]
    (source,) = rule["from"]
    assert matched(source["podSelector"]["matchLabels"]) == ["pusher-server"]
    host = config.cluster.redis.url.partition("://")[2].partition(":")[0]
    assert ("Service", host) in OBJECTS


def values() -> Object:
    """The chart's defaults."""
    tree: Object = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    return tree


def test_the_chart_installs_this_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text("utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_the_schema_knows_every_value_and_no_other() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text("utf-8"))
    assert set(schema["properties"]) - {"global"} == set(values())
    for name, value in values().items():
        if schema["properties"][name].get("additionalProperties") is False:
            assert set(schema["properties"][name]["properties"]) == set(value), name


def test_every_value_is_used() -> None:
    text = "".join(file.read_text("utf-8") for file in (CHART / "templates").iterdir())
    assert [name for name in values() if f".Values.{name}" not in text] == []
