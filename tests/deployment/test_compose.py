"""compose.yaml: Compose reads it; its nodes, Redis, HAProxy and Prometheus run as it says, each on a host.

Hosts are network namespaces. The nodes are containers of our image, the other programs are this machine's
own, with the files that compose.yaml gives to theirs.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conformance.api import Api
from tests.conformance.client import Client, connected
from tests.conformance.target import Target
from tests.deployment.images import Container, Image, run
from tests.deployment.network import Network, network
from tests.deployment.test_image import APP, RUNS
from tests.support import containers
from tests.support.containers import COMPOSE, ENV_FILE, TOP
from tests.support.waiting import eventually

HOSTS = ["node-1", "node-2", "redis", "proxy", "prometheus"]
NODES = ["node-1", "node-2"]


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    """compose.yaml with the variables that the page makes."""
    return containers.compose(ENV_FILE)


def test_compose_reads_it_as_we_do(tree: dict[str, Any], tmp_path: Path) -> None:
    """Anchors, merged variables, profiles and mounts, through Compose itself (scripts/go-tools builds it)."""
    env_file = tmp_path / ".env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in ENV_FILE.items()))
    profiles = [word for name in ("one", "two", "board") for word in ("--profile", name)]
    command = ("docker-compose", "--env-file", env_file, "--file", TOP / "compose.yaml", *profiles)
    read = json.loads(run(*command, "config", "--format", "json"))
    assert set(read["services"]) == set(tree["services"])
    for name, service in read["services"].items():
        ours = tree["services"][name].get("environment", {})
        assert service.get("environment", {}) == {k: str(v) for k, v in ours.items()}, name
        for mount in service.get("volumes", []):
            assert mount["type"] == "volume" or Path(mount["source"]).is_file(), mount
    assert read["services"]["server"]["stop_grace_period"] == "1m0s"
    assert read["networks"]["store"]["internal"] is True


def test_without_the_env_file_compose_names_the_page(tmp_path: Path) -> None:
    empty = tmp_path / ".env"
    empty.touch()
    environment = {name: value for name, value in os.environ.items() if name not in ENV_FILE}
    refused = subprocess.run(
        ["docker-compose", "--env-file", empty, "--file", TOP / "compose.yaml", "--profile", "one", "config"],
        capture_output=True, text=True, env=environment, timeout=60, check=False,
    )  # fmt: skip
    assert refused.returncode != 0
    assert "docs/containers.md says how to make the file .env" in refused.stderr


@dataclass
class Setup:
    """The running profile `two`."""

    hosts: Network
    nodes: dict[str, Container]
    folder: Path

    def target(self, host: str) -> Target:
        """Clients' port of a node or of the proxy."""
        return Target(self.hosts.addresses[host], (6001,), APP)

    async def status(self, host: str, page: str = "/ready") -> int | None:
        """The status of a page, None while nobody answers."""
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                return (await http.get(f"{self.target(host).url}{page}")).status_code
            except httpx.TransportError:
                return None

    async def is_ready(self, host: str) -> bool:
        """Whether new clients are welcome there."""
        return await self.status(host) == 200

    async def is_draining(self, host: str) -> bool:
        """Whether it says that it ends."""
        return await self.status(host) == 500


@pytest.fixture(scope="module")
def setup(
    image: Image, tree: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Setup]:
    """Redis, two nodes and the proxy, started with what compose.yaml has for them."""
    folder = tmp_path_factory.mktemp("compose")
    with ExitStack() as stack:
        hosts = stack.enter_context(network(folder, HOSTS, {"nodes": NODES}))
        log = stack.enter_context((folder / "others.log").open("wb"))
        redis = tree["services"]["redis"]
        variables = {**os.environ, **redis["environment"]}
        data = folder / "redis"
        data.mkdir()
        options = {"stdout": log, "stderr": log, "env": variables, "cwd": data}
        hosts.start("redis", *redis["command"], "--", **options)
        nodes = {}
        for name in NODES:
            nodes[name] = stack.enter_context(node_of(image, tree, hosts, folder, name))
            nodes[name].start(RUNS)
        hosts.start("proxy", "haproxy", "-f", COMPOSE / "haproxy.cfg", stdout=log, stderr=log)
        yield Setup(hosts, nodes, folder)


def node_of(
    image: Image, tree: dict[str, Any], hosts: Network, folder: Path, name: str
) -> Container:
    """A node of the profile `two`, on its own host."""
    return Container(
        image,
        folder,
        name,
        tree["services"][name]["environment"],
        files={"/etc/resolv.conf": Path("/etc/netns") / hosts.namespace(name) / "resolv.conf"},
        network=hosts.path(name),
    )


async def test_an_event_goes_through_the_proxy_to_clients_of_both_nodes(setup: Setup) -> None:
    await eventually(lambda: setup.is_ready("proxy"))
    async with AsyncExitStack() as stack:
        clients: list[Client] = []
        for host in ("proxy", *NODES):
            clients.append(await stack.enter_async_context(connected(setup.target(host))))
            await clients[-1].subscribe("private-orders")
        http = await stack.enter_async_context(httpx.AsyncClient(trust_env=False))
        await Api(setup.target("proxy"), APP, http).publish("private-orders", "shipped", '{"id":1}')
        for client in clients:
            frame = await client.expect("shipped", "private-orders")
            assert frame.content == {"id": 1}
    for node in setup.nodes.values():
        assert "Traceback" not in node.log


def expressions(board: dict[str, Any]) -> list[str]:
    """Every query of a Grafana board, with its variables chosen."""
    queries = [target["expr"] for panel in _panels(board) for target in panel.get("targets", [])]
    chosen = {"$instance": ".*", "$app": ".*", "$__rate_interval": "1m", "$__interval": "30s"}
    for name, value in chosen.items():
        queries = [query.replace(name, value) for query in queries]
    return queries


def _panels(tree: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for panel in tree.get("panels", []):
        yield panel
        yield from _panels(panel)


async def test_prometheus_scrapes_both_nodes_and_answers_the_board(setup: Setup) -> None:
    settings = (COMPOSE / "prometheus.yml").read_text("utf-8")
    token = setup.folder / "token"
    token.write_text(ENV_FILE["OPERATIONS_TOKEN"])
    places = {"/etc/prometheus/alerts.yml": TOP / "ops/alerts.yml", "/run/operations-token": token}
    for inside, here in places.items():
        assert inside in settings
        settings = settings.replace(inside, str(here))
    file = setup.folder / "prometheus.yml"
    file.write_text(settings.replace("10s", "1s"))
    data = f"--storage.tsdb.path={setup.folder / 'prometheus'}"
    with (setup.folder / "prometheus.log").open("wb") as log:
        setup.hosts.start(
            "prometheus", "prometheus", f"--config.file={file}", data, stdout=log, stderr=log
        )
    url = f"http://{setup.hosts.addresses['prometheus']}:9090/api/v1"
    async with httpx.AsyncClient(trust_env=False) as http:

        async def ask(query: str) -> list[dict[str, Any]]:
            answer = (await http.get(f"{url}/query", params={"query": query})).json()
            assert answer["status"] == "success", f"{query}: {answer}"
            rows: list[dict[str, Any]] = answer["data"]["result"]
            return rows

        async def both_are_up() -> bool:
            return len(await ask('up{job="pusher-server"} == 1')) == len(NODES)

        show = (setup.folder / "prometheus.log").read_text
        await eventually(both_are_up, 30.0, show=show, not_yet=(httpx.TransportError, ValueError))
        board = json.loads((TOP / "ops/grafana-dashboard.json").read_text("utf-8"))
        queries = expressions(board)
        assert len(queries) > 20
        for query in queries:
            assert "$" not in query
            await ask(query)
        assert await ask("pusher_server_workers_ready") != []
        groups = (await http.get(f"{url}/rules")).json()["data"]["groups"]
        assert [rule["name"] for group in groups for rule in group["rules"]] != []


async def test_a_node_that_drains_gets_no_new_clients_and_sends_its_own_to_the_other(
    setup: Setup,
) -> None:
    """By the time it sends them away, the proxy knows: all who come then are let in."""
    node = setup.nodes["node-1"]
    await eventually(lambda: setup.is_ready("proxy"))
    async with connected(setup.target("node-1")) as client:
        node.stop("TERM")
        await eventually(lambda: setup.is_draining("node-1"))
        await client.expect_nothing()
        away = await client.expect("pusher:error", patience=20)
        assert away.data["code"] == 4200
        code, _ = await client.expect_close()
        assert code == 4200
        for _ in range(10):
            async with connected(setup.target("proxy")) as new:
                await new.subscribe("private-orders")
    assert node.wait() == 0, node.log
