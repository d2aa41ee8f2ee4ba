"""The Helm chart through Helm: it renders what ops/kubernetes/ has, and refuses what cannot work."""

import base64
import re
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pusher_server.config import Config
from tests.support import containers
from tests.support.containers import CHART, CREDENTIALS

Objects = dict[tuple[str, str], dict[str, Any]]

#: Labels that only Helm's objects have.
_OF_HELM = {
    "app.kubernetes.io/instance",
    "app.kubernetes.io/version",
    "app.kubernetes.io/managed-by",
    "helm.sh/chart",
}
NAME = "pusher-server"


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run Helm; scripts/go-tools builds it."""
    return subprocess.run(
        ["helm", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def render(*values: str, release: str = NAME) -> Objects:
    """The objects of a release with some values."""
    settings = [part for value in values for part in ("--set", value)]
    run = helm("template", release, str(CHART), *settings)
    assert run.returncode == 0, run.stderr
    return containers.by_kind_and_name(run.stdout)


def without_helm(value: Any) -> Any:
    """A value as the manifests have it: without labels and annotations that only Helm writes."""
    if isinstance(value, list):
        return [without_helm(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {
        name: without_helm(below)
        for name, below in value.items()
        if name not in _OF_HELM and name != "checksum/config"
    }
    return {
        name: below for name, below in kept.items() if not (name == "annotations" and not below)
    }


def settings(objects: Objects, tmp_path: Path, name: str = NAME) -> Config:
    """The settings of a node, loaded by the server's own code."""
    file = tmp_path / "pusher-server.toml"
    file.write_text(objects["ConfigMap", name]["data"]["pusher-server.toml"])
    return containers.settings_of(CREDENTIALS, file)


def pod(objects: Objects, name: str = NAME) -> dict[str, Any]:
    """The specification of a node's pod."""
    spec: dict[str, Any] = objects["Deployment", name]["spec"]["template"]["spec"]
    return spec


def test_it_passes_helms_own_check() -> None:
    run = helm("lint", "--strict", str(CHART))
    assert run.returncode == 0, run.stdout + run.stderr
    assert "[WARNING]" not in run.stdout
    assert "[ERROR]" not in run.stdout


def test_it_renders_the_manifests() -> None:
    rendered, plain = render("image.tag=latest"), containers.manifests()
    rendered.pop(("Secret", NAME))
    assert set(rendered) == set(plain)
    for key in plain:
        ours, theirs = without_helm(plain[key]), without_helm(rendered[key])
        if key == ("Service", f"{NAME}-operations"):  # the chart's ServiceMonitor finds it by that
            assert theirs["metadata"]["labels"].pop("app.kubernetes.io/component") == "operations"
        if key[0] == "ConfigMap":
            (ours_text,), (theirs_text,) = ours.pop("data").values(), theirs.pop("data").values()
            assert tomllib.loads(theirs_text) == tomllib.loads(ours_text)
        assert theirs == ours, key


def test_selectors_of_two_releases_do_not_meet() -> None:
    """In one namespace each finds its own pods only."""
    for release in ("pusher-server", "chat"):
        name = release if "pusher-server" in release else f"{release}-pusher-server"
        objects = render(release=release)
        labels = objects["Deployment", name]["spec"]["template"]["metadata"]["labels"]
        assert labels["app.kubernetes.io/instance"] == release
        for key in (("Service", name), ("PodDisruptionBudget", name), ("NetworkPolicy", name)):
            spec = objects[key]["spec"]
            selector = spec.get("podSelector", spec.get("selector"))
            assert selector.get("matchLabels", selector) == labels, key


def test_it_makes_fresh_credentials(tmp_path: Path) -> None:
    first, second = (render()["Secret", NAME]["data"] for _ in range(2))
    assert set(first) == {*CREDENTIALS, "REDIS_PASSWORD"}
    values = {name: base64.b64decode(value).decode() for name, value in first.items()}
    assert all(first[name] != second[name] for name in first)
    assert re.fullmatch(r"1\d{6}", values["PUSHER_APP_ID"])
    assert [len(values[name]) for name in ("PUSHER_APP_KEY", "PUSHER_APP_SECRET")] == [20, 40]
    app = containers.settings_of(values).apps[0]
    assert app.keys[0].secret == values["PUSHER_APP_SECRET"]


def test_a_secret_of_the_operator_is_used() -> None:
    objects = render("secret.existing=mine")
    assert ("Secret", NAME) not in objects
    (node,) = pod(objects)["containers"]
    (redis,) = objects["StatefulSet", f"{NAME}-redis"]["spec"]["template"]["spec"]["containers"]
    references = [
        variable["valueFrom"]["secretKeyRef"]["name"]
        for variable in node["env"] + redis["env"]
        if "secretKeyRef" in variable["valueFrom"]
    ]
    assert set(references) == {"mine"}
    assert len(references) == 5


def test_a_redis_of_the_operator(tmp_path: Path) -> None:
    objects = render("redis.enabled=false", "redis.url=rediss://redis.example.com:6379/0")
    assert not [key for key in objects if "redis" in key[1]]
    assert "REDIS_PASSWORD" not in objects["Secret", NAME]["data"]
    assert settings(objects, tmp_path).cluster.redis.url == "rediss://redis.example.com:6379/0"
    (node,) = pod(objects)["containers"]
    (password,) = [v for v in node["env"] if v["name"].endswith("__REDIS__PASSWORD")]
    assert password["valueFrom"]["secretKeyRef"]["optional"] is True


def test_one_node_needs_no_redis(tmp_path: Path) -> None:
    objects = render("redis.enabled=false", "replicas=1")
    assert not settings(objects, tmp_path).cluster.redis.is_set
    (node,) = pod(objects)["containers"]
    assert not [v for v in node["env"] if "REDIS" in v["name"]]


@pytest.mark.parametrize(("pause", "delay", "grace"), [(0, 0, 5), (20, 30, 120)])
def test_times_of_a_drain_add_up(tmp_path: Path, pause: int, delay: int, grace: int) -> None:
    objects = render(f"drain.preStop={pause}", f"drain.delay={delay}", f"drain.grace={grace}")
    server = settings(objects, tmp_path).server
    assert (server.drain_delay, server.shutdown_grace) == (delay, grace)
    spec = pod(objects)
    assert spec["terminationGracePeriodSeconds"] > pause + delay + grace + 20
    (node,) = spec["containers"]
    command = ["sleep", str(pause)]
    assert node.get("lifecycle") == ({"preStop": {"exec": {"command": command}}} if pause else None)


def test_more_settings_and_variables(tmp_path: Path) -> None:
    values = tmp_path / "values.yaml"
    values.write_text(
        'settings: |\n  [defaults]\n  allowed_origins = ["example.com"]\n'
        "env:\n  - { name: PUSHER_SERVER__SERVER__PATH_PREFIX, value: /ws }\n"
    )
    run = helm("template", NAME, str(CHART), "--values", str(values))
    assert run.returncode == 0, run.stderr
    objects = containers.by_kind_and_name(run.stdout)
    assert settings(objects, tmp_path).apps[0].allowed_origins == ("example.com",)
    (node,) = pod(objects)["containers"]
    assert node["env"][-1] == {"name": "PUSHER_SERVER__SERVER__PATH_PREFIX", "value": "/ws"}
    changed = render()["Deployment", NAME]["spec"]["template"]["metadata"]["annotations"]
    template = objects["Deployment", NAME]["spec"]["template"]
    assert template["metadata"]["annotations"] != changed, "other settings are new pods"


def test_an_ingress_and_a_monitor() -> None:
    objects = render(
        "ingress.enabled=true", "ingress.host=ws.example.com", "ingress.tlsSecret=tls",
        "serviceMonitor.enabled=true",
    )  # fmt: skip
    (rule,) = objects["Ingress", NAME]["spec"]["rules"]
    (path,) = rule["http"]["paths"]
    assert rule["host"] == "ws.example.com"
    assert path["backend"]["service"] == {"name": NAME, "port": {"name": "clients"}}
    monitor = objects["ServiceMonitor", NAME]["spec"]
    service = objects["Service", f"{NAME}-operations"]
    labels = service["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    assert labels[monitor["jobLabel"]] == NAME, "the alerts' job"
    assert [e["port"] for e in monitor["endpoints"]] == [
        p["name"] for p in service["spec"]["ports"]
    ]


def test_an_image_by_its_digest() -> None:
    digest = f"sha256:{'a' * 64}"
    (node,) = pod(render("image.tag=v1", f"image.digest={digest}"))["containers"]
    assert node["image"] == f"pusher-server:v1@{digest}"


@pytest.mark.parametrize(
    ("value", "sentence"),
    [
        ("redis.enabled=false", "several replicas need Redis"),
        ("ingress.enabled=true", "ingress.host is missing"),
        ("replicas=0", "replicas"),
        ("image.taq=1", "taq"),
        ("drain.grace=-1", "grace"),
        ("redis.url=example.com", "url"),
        ("image.digest=latest", "digest"),
    ],
)
def test_what_cannot_work_is_refused(value: str, sentence: str) -> None:
    run = helm("template", NAME, str(CHART), "--set", value)
    assert run.returncode != 0
    assert sentence in run.stderr
