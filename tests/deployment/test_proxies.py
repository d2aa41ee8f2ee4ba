"""The files of docs/deploy/ in the real nginx, Caddy, Apache and HAProxy: TLS, WebSockets, the API, addresses.

Names, ports and certificates are replaced, nothing else.
"""

import asyncio
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import signed, wire
from tests.support.containers import TOP
from tests.support.inprocess import KEY, app
from tests.support.processes import by_tls, write_certificate
from tests.support.serving import RunningServer, free_port
from tests.support.waiting import block_until, eventually
from tests.support.wire import Address

FILES = TOP / "docs" / "deploy"


@dataclass(frozen=True)
class Site:
    """Where a proxy listens, which server it leads to, and a folder with cert.pem and key.pem."""

    folder: Path
    port: int
    server: int

    def text(self, name: str, replaced: dict[str, str]) -> str:
        """A file of docs/deploy/ for this site; whatever is to be replaced has to be in it."""
        text = (FILES / name).read_text("utf-8")
        for old, new in {"127.0.0.1:6001": f"127.0.0.1:{self.server}", **replaced}.items():
            assert old in text, f"{name} has no {old}"
            text = text.replace(old, new)
        return text

    def write(self, name: str, text: str) -> Path:
        """A file in the folder."""
        path = self.folder / name
        path.write_text(text)
        return path


def nginx(site: Site) -> list[str]:
    """Read inside of http { }, as the file says."""
    live = "/etc/letsencrypt/live/ws.example.com"
    own = site.text(
        "nginx.conf",
        {
            "    listen [::]:80;\n": "",
            "    listen [::]:443 ssl;\n": "",
            "listen 80;": f"listen 127.0.0.1:{free_port()};",
            "listen 443 ssl;": f"listen 127.0.0.1:{site.port} ssl;",
            f"{live}/fullchain.pem": str(site.folder / "cert.pem"),
            f"{live}/privkey.pem": str(site.folder / "key.pem"),
        },
    )
    included = site.write("site.conf", own)
    temporary = "".join(
        f"{kind}_temp_path {site.folder}/{kind};"
        for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    main = (
        f"daemon off; user root; pid {site.folder}/pid; error_log stderr;"
        f"events {{ }} http {{ {temporary} include {included}; }}"
    )
    return ["nginx", "-c", str(site.write("nginx.conf", main))]


def caddy(site: Site) -> list[str]:
    """With a certificate of ours instead of one that it gets."""
    own = site.text("Caddyfile", {"ws.example.com {": f"https://localhost:{site.port} {{"})
    head = "{\n\tadmin off\n\tauto_https disable_redirects\n\tskip_install_trust\n}\n"
    opened = f"https://localhost:{site.port} {{\n"
    tls = f"\ttls {site.folder}/cert.pem {site.folder}/key.pem\n"
    assert opened in own
    file = site.write("Caddyfile", head + own.replace(opened, opened + tls))
    return ["caddy", "run", "--config", str(file), "--adapter", "caddyfile"]


def apache(site: Site) -> list[str]:
    """With the modules that the file names, and those that Debian always loads."""
    live = "/etc/letsencrypt/live/ws.example.com"
    own = site.text(
        "apache.conf",
        {
            "*:443": f"127.0.0.1:{site.port}",
            f"{live}/fullchain.pem": str(site.folder / "cert.pem"),
            f"{live}/privkey.pem": str(site.folder / "key.pem"),
            "${APACHE_LOG_DIR}": str(site.folder),
        },
    )
    names = ("mpm_event", "authz_core", "ssl", "headers", "proxy", "proxy_http")
    loaded = [
        f"LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n" for name in names
    ]
    head = (
        f"ServerRoot {site.folder}\nPidFile {site.folder}/pid\nErrorLog {site.folder}/error.log\n"
        f"DefaultRuntimeDir {site.folder}\nMutex pthread\nServerName localhost\n"
        f"User nobody\nGroup nogroup\nListen 127.0.0.1:{site.port}\n"
    )
    file = site.write("apache.conf", "".join(loaded) + head + own)
    return ["apache2", "-D", "FOREGROUND", "-f", str(file)]


def haproxy(site: Site) -> list[str]:
    """With certificate and key in one file."""
    both = "".join((site.folder / name).read_text() for name in ("cert.pem", "key.pem"))
    pem = site.write("both.pem", both)
    own = site.text(
        "haproxy.cfg",
        {"bind :443": f"bind 127.0.0.1:{site.port}", "/etc/haproxy/ws.example.com.pem": str(pem)},
    )
    return ["haproxy", "-db", "-f", str(site.write("haproxy.cfg", own))]


def haproxy_by_tcp(site: Site) -> list[str]:
    """HAProxy that does TLS, passes bytes on, and names its client by the PROXY protocol."""
    text = haproxy(site)[-1]
    page = (TOP / "docs" / "proxies.md").read_text("utf-8")
    assert "send-proxy-v2 check-send-proxy" in page
    assert "send-proxy-v2-ssl" in page
    file = Path(text)
    changed = {
        "mode http": "mode tcp",
        "    timeout http-request 10s\n": "",
        "    option forwardfor\n": "",
        "    http-request set-header X-Forwarded-Proto https\n": "",
        f"127.0.0.1:{site.server} check": f"127.0.0.1:{site.server} check send-proxy-v2-ssl check-send-proxy",
    }
    own = file.read_text()
    for old, new in changed.items():
        assert old in own, old
        own = own.replace(old, new)
    file.write_text(own)
    return ["haproxy", "-db", "-f", str(file)]


@dataclass(frozen=True)
class Running:
    """A proxy in front of a server."""

    server: RunningServer
    address: Address
    log: Path


@pytest.fixture(
    params=[nginx, caddy, apache, haproxy, haproxy_by_tcp], ids=lambda made: str(made.__name__)
)
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Running]:
    """A server whose app takes TLS only, and each proxy with its file in front of it."""
    command: Callable[[Site], list[str]] = request.param
    write_certificate(tmp_path)
    tmp_path.chmod(0o755)
    settings = {
        "server": {
            "trusted_proxies": ["127.0.0.1"],
            "proxy_protocol": command is haproxy_by_tcp,
        },
        "apps": [app(tls_only=True)],
        "log": {"access": True, "level": "debug"},
    }
    server = BehindProxy(tmp_path, settings)
    with server:
        site = Site(tmp_path, free_port(), server.port)
        log = tmp_path / "proxy.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                command(site), stdin=subprocess.DEVNULL, stdout=output, stderr=output
            )
        try:
            address = by_tls(Address(port=site.port))
            block_until(lambda: asyncio.run(_is_ready(address)), 20, show=log.read_text)
            yield Running(server, address, log)
        finally:
            process.terminate()
            process.wait(20)
        assert "Traceback" not in server.log


class BehindProxy(RunningServer):
    """A server that may take nobody without a PROXY header; so that it listens is enough."""

    def ready_status(self) -> int | None:
        """200 once it has printed that it runs."""
        return 200 if " is running " in self.log else None


async def _is_ready(address: Address) -> bool:
    try:
        async with wire.opened(address) as client:
            return (await client.ask("/ready")).status == 200
    except (OSError, AssertionError, asyncio.IncompleteReadError):
        return False


async def test_events_pass_and_the_server_believes_the_proxy(running: Running) -> None:
    """`tls_only` lets nobody in unless the proxy says that it was TLS."""
    async with wire.connected(running.address, KEY) as client:
        await client.join("orders")
        async with wire.opened(running.address) as backend:
            await backend.send(signed.event("orders", '{"id":1}', "shipped"))
            assert (await backend.answer()).status == 200
        message = await client.expect("shipped")
        assert message["data"] == '{"id":1}'


async def test_a_client_cannot_claim_an_address(running: Running) -> None:
    """What a client puts into X-Forwarded-For stays in front of what the proxy saw."""
    async with wire.opened(running.address, source="127.0.0.2") as client:
        forged = {"X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "http"}
        assert (await client.ask("/health", **forged)).status == 200
    lines: list[str] = []

    def is_logged() -> bool:
        lines[:] = [line for line in running.server.log.splitlines() if "/health" in line]
        return bool(lines)

    await eventually(is_logged, show=lambda: running.server.log)
    assert "127.0.0.2" in lines[0]
    assert "203.0.113.9" not in running.server.log


async def test_signatures_hold_for_unusual_paths(running: Running) -> None:
    """A proxy that tidies the path up would break them."""
    for channel in ("a,b", "a=b@c;d", "a%2Cb%3D"):
        async with wire.opened(running.address) as backend:
            await backend.send(signed.get(f"/apps/3/channels/{channel}"))
            assert (await backend.answer()).status == 200, channel
