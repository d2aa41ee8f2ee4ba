"""Containerfile and compose.yaml: they name what exists, load as settings, and agree with each other."""

import importlib.util
import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from pusher_server.app import App, AppKey
from pusher_server.config import (
    OperationsSettings,
    PublishedCredentials,
    ServerSettings,
    WebsocketSettings,
)
from pusher_server.config.risks import risks
from pusher_server.migration.environment import foreign_notice
from tests.support import containers
from tests.support.containers import COMPOSE, CREDENTIALS, ENV_FILE, TOP, seconds

#: Seconds after drain_delay and shutdown_grace; tests/unit/test_deployment_pages.py holds the page to the code.
REST = 20


def read(name: str) -> str:
    """A file of the repository."""
    return (TOP / name).read_text("utf-8")


class TestContainerfile:
    def test_every_stage_is_built_on_the_argument(self) -> None:
        before = containers.instructions()[0]
        assert (before.name, before.text.partition("=")[0]) == ("ARG", "BASE")
        assert [stage[0].words[0] for stage in containers.stages()] == ["${BASE}", "${BASE}"]

    def test_it_copies_what_exists_and_is_not_ignored(self) -> None:
        allowed = set(re.findall(r"^!(\S+)$", read(".dockerignore"), re.M))
        assert read(".dockerignore").splitlines()[1] == "*"
        copied = [
            source
            for instruction in containers.instructions()
            if instruction.name == "COPY" and not instruction.text.startswith("--from=")
            for source in instruction.words[:-1]
        ]
        assert set(copied) == allowed
        assert all((TOP / source).exists() for source in copied)

    def test_it_copies_what_the_package_is_built_from(self) -> None:
        project = tomllib.loads(read("pyproject.toml"))
        wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]
        needed = {"pyproject.toml", project["project"]["readme"]}
        needed |= {*wheel["packages"], *wheel["force-include"]}
        copied = {
            word
            for instruction in containers.stages()[0]
            if instruction.name == "COPY"
            for word in instruction.words
        }
        assert needed <= copied

    def test_it_installs_exact_versions_and_compares_hashes(self) -> None:
        text = " ".join(i.text for i in containers.stages()[0] if i.name == "RUN")
        commands = [command for command in text.split("&&") if "/bin/pip install" in command]
        dependencies, server = (command.split() for command in commands)
        assert "--require-hashes" in dependencies
        assert dependencies[-2:] == ["--requirement", "/src/constraints.txt"]
        assert {"--no-deps", "/src"} <= set(server), "ranges would bring other versions"

    def test_the_stages_hand_on_one_folder(self) -> None:
        (handed,) = [i.words for i in containers.stages()[-1] if i.name == "COPY"]
        assert handed == ["--from=build", "/opt/pusher-server", "/opt/pusher-server"]
        (program,) = containers.final("ENTRYPOINT").words
        assert program == "/opt/pusher-server/bin/pusher-server"
        assert containers.final("CMD").words == ["serve"]
        assert containers.image_environment()["PATH"].startswith("/opt/pusher-server/bin:")

    def test_its_own_variables_do_not_hide_those_of_another_server(self) -> None:
        """A container whose image alone was changed says why it does not start."""
        notice = foreign_notice({**containers.image_environment(), "SOKETI_PORT": "1"})
        assert notice is not None
        assert "start with --env-style soketi" in notice

    def test_it_does_not_run_as_root(self) -> None:
        user = containers.final("USER").text
        assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user), "Kubernetes needs a number"
        made = " ".join(i.text for i in containers.stages()[-1] if i.name == "RUN")
        assert f"useradd --system --uid {user.partition(':')[0]} " in made

    def test_the_data_belong_to_that_user_and_are_a_volume(self) -> None:
        folder = containers.image_environment()["STATE_DIRECTORY"]
        assert containers.final("VOLUME").text == folder
        made = " ".join(i.text for i in containers.stages()[-1] if i.name == "RUN")
        assert re.search(rf"install -d -m 0700 -o 10001 -g 10001 {folder}\b", made)

    def test_its_ports_are_those_of_the_settings(self) -> None:
        ports = {str(ServerSettings().port), str(OperationsSettings().port)}
        assert set(containers.final("EXPOSE").words) == ports

    def test_its_variables_are_settings(self) -> None:
        config = containers.settings_of(CREDENTIALS)
        assert config.server.host == "0.0.0.0"
        assert config.apps_from == "environment"
        assert list(risks(config, None)) == []

    def test_without_credentials_it_does_not_start(self) -> None:
        with pytest.raises(PublishedCredentials):
            containers.settings_of({})

    def test_it_ends_by_sigterm(self) -> None:
        assert containers.final("STOPSIGNAL").text == "SIGTERM"

    def test_its_health_check_is_a_program(self) -> None:
        """tests/edge/test_container_health.py runs it."""
        program, option, module = containers.health_check()
        assert (program, option) == ("python3", "-m")
        assert importlib.util.find_spec(module) is not None


@pytest.fixture(scope="module")
def tree() -> dict[str, Any]:
    """compose.yaml with the variables that the page makes."""
    return containers.compose(ENV_FILE)


def nodes(tree: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The services that run our image."""
    return {n: s for n, s in tree["services"].items() if s["image"] == "pusher-server"}


class TestCompose:
    def test_the_profiles(self, tree: dict[str, Any]) -> None:
        profiles: dict[str, list[str]] = {}
        for name, service in tree["services"].items():
            for profile in service["profiles"]:
                profiles.setdefault(profile, []).append(name)
        assert profiles == {
            "one": ["server"],
            "two": ["node-1", "node-2", "proxy", "redis"],
            "board": ["prometheus", "grafana"],
        }

    def test_the_page_makes_every_variable_that_is_needed(self) -> None:
        page = read("docs/containers.md")
        made = page.partition("cat > .env <<END\n")[2].partition("END\n")[0]
        assert set(re.findall(r"^(\w+)=", made, re.M)) == set(ENV_FILE)
        assert containers.required_variables() == set(ENV_FILE)

    def test_every_node_starts_with_its_settings(self, tree: dict[str, Any]) -> None:
        configs = {
            name: containers.settings_of(service["environment"])
            for name, service in nodes(tree).items()
        }
        assert set(configs) == {"server", "node-1", "node-2"}
        for name, config in configs.items():
            assert config.apps_from == "environment", name
            assert config.operations.host == "0.0.0.0", name
            assert config.operations.token == ENV_FILE["OPERATIONS_TOKEN"], name
        assert not configs["server"].cluster.redis.is_set
        for name in ("node-1", "node-2"):
            assert configs[name].cluster.redis.url == "redis://redis:6379/0"
            assert configs[name].cluster.redis.password == ENV_FILE["REDIS_PASSWORD"]
            assert configs[name].cluster.node_id == name

    def test_supervisors_wait_longer_than_a_drain(self, tree: dict[str, Any]) -> None:
        for service in nodes(tree).values():
            settings = containers.settings_of(service["environment"]).server
            drain = settings.drain_delay + settings.shutdown_grace + REST
            assert seconds(service["stop_grace_period"]) > drain
        page = read("docs/containers.md")
        (stop,) = re.findall(r"--stop-timeout (\d+)", page)
        assert float(stop) > ServerSettings().drain_delay + ServerSettings().shutdown_grace + REST

    def test_nothing_has_more_rights_than_it_needs(self, tree: dict[str, Any]) -> None:
        for name, service in tree["services"].items():
            assert service["cap_drop"] == ["ALL"], name
            assert service["security_opt"] == ["no-new-privileges:true"], name
            assert "privileged" not in service, name
            assert service.get("user") != "root", name
            if name != "grafana":
                assert service["read_only"] is True, name
        for service in nodes(tree).values():
            assert service["tmpfs"] == ["/tmp"]

    def test_what_is_published(self, tree: dict[str, Any]) -> None:
        published = {n: s["ports"] for n, s in tree["services"].items() if "ports" in s}
        assert published == {
            "server": ["6001:6001"],
            "proxy": ["6001:6001"],
            "grafana": ["127.0.0.1:3000:3000"],
        }

    def test_only_nodes_reach_redis(self, tree: dict[str, Any]) -> None:
        assert tree["networks"]["store"] == {"internal": True}
        inside = {n for n, s in tree["services"].items() if "store" in s["networks"]}
        assert inside == {"node-1", "node-2", "redis"}
        assert tree["services"]["redis"]["networks"] == ["store"]
        assert '"$REDISCLI_AUTH"' in tree["services"]["redis"]["command"][-1]

    def test_what_is_mounted_exists(self, tree: dict[str, Any]) -> None:
        mounted = [v.split(":") for s in tree["services"].values() for v in s.get("volumes", [])]
        files = [source for source, *_ in mounted if source.startswith(".")]
        assert files
        assert all((TOP / file).is_file() for file in files)
        volumes = {source for source, *_ in mounted if not source.startswith(".")}
        assert volumes == set(tree["volumes"])

    def test_images_have_a_version(self, tree: dict[str, Any]) -> None:
        images = {n: s["image"] for n, s in tree["services"].items() if n not in nodes(tree)}
        assert all(re.search(r":v?\d+\.\d+(\.\d+)?$", image) for image in images.values()), images


class TestProxy:
    #: HAProxy's statements, without comments.
    text = re.sub(r"#.*", "", (COMPOSE / "haproxy.cfg").read_text("utf-8"))

    def time(self, name: str) -> float:
        """The only time-out of that name."""
        (value,) = re.findall(rf"^\s+timeout {name} (\w+)$", self.text, re.M)
        return seconds(value)

    def test_a_silent_client_is_not_cut(self) -> None:
        app = App(id="1", keys=(AppKey(key="k", secret="s"),))
        assert self.time("tunnel") > app.activity_timeout + WebsocketSettings().pong_timeout

    def test_its_servers_are_the_nodes(self, tree: dict[str, Any]) -> None:
        servers = re.findall(r"^\s+server (\S+) (\S+):6001 check$", self.text, re.M)
        clustered = {n for n in nodes(tree) if n != "server"}
        assert {name for name, _ in servers} == clustered
        assert all(name == address for name, address in servers)
        assert clustered == set(tree["services"]["proxy"]["depends_on"])

    def test_a_node_drains_longer_than_the_proxy_needs_to_notice(
        self, tree: dict[str, Any]
    ) -> None:
        assert "option httpchk GET /ready" in self.text
        ((inter, fall),) = re.findall(r"default-server inter (\w+) fall (\d+)", self.text)
        delay = float(nodes(tree)["node-1"]["environment"]["PUSHER_SERVER__SERVER__DRAIN_DELAY"])
        assert delay > seconds(inter) * (int(fall) + 1)

    def test_nodes_believe_it(self, tree: dict[str, Any]) -> None:
        assert "option forwardfor" in self.text
        environment = nodes(tree)["node-1"]["environment"]
        assert containers.settings_of(environment).server.trusted_proxies


class TestBoard:
    def test_every_node_is_scraped_under_the_name_of_the_alerts(self, tree: dict[str, Any]) -> None:
        scraped = yaml.safe_load((COMPOSE / "prometheus.yml").read_text("utf-8"))
        (job,) = scraped["scrape_configs"]
        assert f'job="{job["job_name"]}"' in read("ops/alerts.yml")
        (discovery,) = job["dns_sd_configs"]
        assert discovery["port"] == OperationsSettings().port
        for name, service in nodes(tree).items():
            assert service["networks"]["clients"]["aliases"] == discovery["names"], name

    def test_files_are_where_the_programs_look(self, tree: dict[str, Any]) -> None:
        scraped = yaml.safe_load((COMPOSE / "prometheus.yml").read_text("utf-8"))
        prometheus, grafana = tree["services"]["prometheus"], tree["services"]["grafana"]
        places = [volume.split(":")[1] for volume in prometheus["volumes"]]
        assert scraped["rule_files"][0] in places
        token = scraped["scrape_configs"][0]["authorization"]["credentials_file"]
        assert [config["target"] for config in prometheus["configs"]] == [token]
        assert tree["configs"]["operations_token"]["content"] == ENV_FILE["OPERATIONS_TOKEN"]
        boards = yaml.safe_load((COMPOSE / "grafana-boards.yml").read_text("utf-8"))
        folder = Path(boards["providers"][0]["options"]["path"])
        board = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
        assert board.parent == folder
        assert str(board) in [volume.split(":")[1] for volume in grafana["volumes"]]

    def test_the_board_takes_the_only_source(self, tree: dict[str, Any]) -> None:
        sources = yaml.safe_load((COMPOSE / "grafana-datasource.yml").read_text("utf-8"))
        (source,) = sources["datasources"]
        assert source["isDefault"] is True
        assert source["url"] == "http://prometheus:9090"
        variables = json.loads(read("ops/grafana-dashboard.json"))["templating"]["list"]
        (wanted,) = [v["query"] for v in variables if v["type"] == "datasource"]
        assert wanted == source["type"]
