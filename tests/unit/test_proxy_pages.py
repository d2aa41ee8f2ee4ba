"""docs/proxies.md and the files for proxies: no quiet client is cut, and the server believes what they say."""

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from pusher_server.app import App, AppKey
from pusher_server.config import ServerSettings, WebsocketSettings

TOP = Path(__file__).resolve().parents[2]
FOLDER = TOP / "docs" / "deploy"
PAGE = (TOP / "docs" / "proxies.md").read_text("utf-8")

#: The statement of each file by which a connection that carries nothing ends, in seconds.
LIMITS = {
    "nginx.conf": r"^\s*proxy_read_timeout (\d+)s;",
    "apache.conf": r"^\s*ProxyTimeout (\d+)$",
    "haproxy.cfg": r"^\s*timeout tunnel (\d+)s$",
}
#: Those without such a limit for WebSockets.
UNLIMITED = {"Caddyfile", "traefik.yml"}
#: Seconds after which Cloudflare ends a connection that carries nothing.
CLOUDFLARE = 100


def test_the_page_lists_every_file() -> None:
    listed = re.findall(r"\]\(deploy/([\w.]+)\)", PAGE)
    assert sorted(set(listed)) == sorted(file.name for file in FOLDER.iterdir())
    assert set(listed) == {*LIMITS, *UNLIMITED}


@pytest.mark.parametrize("name", LIMITS)
def test_a_quiet_client_is_not_cut(name: str) -> None:
    app = App(id="1", keys=(AppKey(key="k", secret="s"),))
    quiet = app.activity_timeout + WebsocketSettings().pong_timeout
    (limit,) = re.findall(LIMITS[name], (FOLDER / name).read_text("utf-8"), re.M)
    assert int(limit) > quiet
    (row,) = [line for line in PAGE.splitlines() if f"deploy/{name}" in line]
    assert f" {limit}" in row.split("|")[3]


@pytest.mark.parametrize("name", sorted({*LIMITS, *UNLIMITED}))
def test_it_leads_to_the_default_port_and_is_believed(name: str) -> None:
    text = (FOLDER / name).read_text("utf-8")
    assert f"127.0.0.1:{ServerSettings().port}" in text
    assert 'trusted_proxies = ["127.0.0.1"]' in text
    if name not in ("Caddyfile", "traefik.yml"):  # these set it themselves
        assert "X-Forwarded-Proto" in text


def test_haproxy_notices_within_the_drain_delay_that_its_file_names() -> None:
    text = (FOLDER / "haproxy.cfg").read_text("utf-8")
    ((inter, fall),) = re.findall(r"default-server inter (\d+)s fall (\d+)", text)
    (delay,) = re.findall(r"drain_delay = ([\d.]+)", text)
    assert float(delay) > int(inter) * (int(fall) + 1)


def test_traefiks_file_leads_from_the_name_to_the_server() -> None:
    tree = yaml.safe_load((FOLDER / "traefik.yml").read_text("utf-8"))["http"]
    (router,) = tree["routers"].values()
    balancer = tree["services"][router["service"]]["loadBalancer"]
    assert balancer["healthCheck"]["path"] == "/ready"


def test_cloudflare_hears_from_each_client_in_time() -> None:
    text = PAGE.partition("## Cloudflare")[2].partition("```toml\n")[2].partition("```")[0]
    settings = tomllib.loads(text)
    assert settings["defaults"]["activity_timeout"] + WebsocketSettings().pong_timeout < CLOUDFLARE
    ServerSettings(trusted_proxies=tuple(settings["server"]["trusted_proxies"]))
