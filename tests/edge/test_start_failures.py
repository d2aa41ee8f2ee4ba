"""A server that cannot start says why in one line on standard error and ends with status 2."""

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from pusher_server.config import ServerSettings
from pusher_server.errors import ConfigError
from pusher_server.server.listening import listen
from tests.support.inprocess import app
from tests.support.processes import tls_settings, write_certificate
from tests.support.serving import free_port, to_toml


def start(
    directory: Path, config: dict[str, Any] | str | bytes, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Run `serve` to its end."""
    path = directory / "config.toml"
    if isinstance(config, bytes):
        path.write_bytes(config)
    else:
        path.write_text(config if isinstance(config, str) else to_toml(config))
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PUSHER_")}
    return subprocess.run(
        [sys.executable, "-m", "pusher_server", "serve", "--config", str(path), *arguments],
        capture_output=True, text=True, timeout=20, check=False, env=environment,
    )  # fmt: skip


def one_line(ended: subprocess.CompletedProcess[str], *words: str) -> None:
    """Status 2, and the whole story on one line that holds these words."""
    assert ended.returncode == 2, ended
    assert ended.stdout == ""
    assert ended.stderr.count("\n") == 1, ended.stderr
    assert "Traceback" not in ended.stderr
    for word in words:
        assert word in ended.stderr


def test_a_port_in_use(tmp_path: Path) -> None:
    """The setting, the address and what to do."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        ended = start(tmp_path, {"apps": [app()], "server": {"port": port}})
        one_line(ended, "server.port", f"127.0.0.1:{port}")
        one_line(start(tmp_path, {"apps": [app()]}, "--port", str(port)), "server.port")


def test_two_servers_started_at_the_same_moment() -> None:
    """Binding alone does not tell them apart, so we listen before we go on."""
    settings = ServerSettings(port=free_port())
    (first,) = listen(settings, 0)
    with first, pytest.raises(ConfigError, match="in use"):
        listen(settings, 0)


def test_an_address_that_is_not_ours(tmp_path: Path) -> None:
    """A documentation address, and a name that does not exist."""
    apps = [{"id": "1", "key": "k", "secret": "s"}]
    ended = start(tmp_path, {"apps": apps, "server": {"host": "192.0.2.1"}})
    one_line(ended, "server.host", "192.0.2.1")
    ended = start(tmp_path, {"apps": apps, "server": {"host": "no.such.host.invalid"}})
    one_line(ended, "server.host", "no.such.host.invalid")


def mismatched(folder: Path) -> None:
    write_certificate(folder, key_of=trustme.CA().issue_cert("localhost"))


def garbage(folder: Path) -> None:
    for name in ("cert.pem", "key.pem"):
        (folder / name).write_text("-----BEGIN CERTIFICATE-----\nAAAA\n")


def no_key(folder: Path) -> None:
    write_certificate(folder)
    (folder / "key.pem").unlink()


def a_folder(folder: Path) -> None:
    write_certificate(folder)
    (folder / "cert.pem").unlink()
    (folder / "cert.pem").mkdir()


@pytest.mark.parametrize("spoil", [mismatched, garbage, no_key, a_folder, lambda folder: None])
def test_a_certificate_that_cannot_be_used(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    """Mismatched, garbage, missing, a folder, nothing at all."""
    spoil(tmp_path)
    config = {"apps": [app()], "server": {"port": 0, "tls": tls_settings(tmp_path)}}
    one_line(start(tmp_path, config), "server.tls.")


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("redis", "words"),
    [
        ({"url": "127.0.0.1:6379"}, ("cluster.redis.url", "redis://host:6379/0")),
        ({"url": "http://127.0.0.1"}, ("cluster.redis.url", "redis://host:6379/0")),
        ({"url": "redis://:hunter2@no host/0"}, ("cluster.redis.url", "unreadable host")),
        ({"url": "redis://h/zero"}, ("cluster.redis.url", "database")),
        ({"url": "redis://a:1,b:2"}, ("cluster.redis.url", "cluster = true")),
        ({"url": "redis://a:1/0", "ca_certificate": "ca.pem"}, ("cluster.redis.url", "rediss://")),
        ({"sentinels": ["a:1"]}, ("cluster.redis.sentinel_master",)),
        (
            {"url": "rediss://h/0", "ca_certificate": "/no/ca.pem"},
            ("cluster.redis.ca_certificate", "/no/ca.pem"),
        ),
        (
            {"url": "rediss://h/0", "certificate": "/no/cert.pem", "key": "/no/key.pem"},
            ("cluster.redis.certificate", "/no/cert.pem"),
        ),
    ],
)
def test_a_redis_that_is_described_wrongly(
    tmp_path: Path, redis: dict[str, Any], words: tuple[str, ...], workers: int
) -> None:
    """Before any process is started, and without the password."""
    config = {
        "apps": [app()],
        "server": {"port": 0, "workers": workers},
        "cluster": {"redis": redis},
    }
    ended = start(tmp_path, config)
    one_line(ended, *words)
    assert "hunter2" not in ended.stderr


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"server": {"prot": 1}}, ("server.prot", "server.port")),
        ({"server": {"port": "six"}}, ("server.port",)),
        ({"server": {"port": 70_000}}, ("server.port",)),
        ({"server": {"loop": "fast"}}, ("server.loop",)),
        ({"sever": {"port": 1}}, ("sever", "server")),
        ({"http": {"header_timeout": 0}}, ("http.header_timeout",)),
        ({"server": {"trusted_proxies": ["everybody"]}}, ("server.trusted_proxies", "everybody")),
        ({"server": {"path_prefix": "push"}}, ("server.path_prefix",)),
        ({"apps": [app(), app()]}, ("3",)),
        ({"apps": [app(), {"id": "4", "key": app()["key"], "secret": "x"}]}, ()),
        ({"apps": [app(limits={"connections": -1})]}, ("connections",)),
        ({"apps": [app(enabeld=True)]}, ("enabeld", "enabled")),
        ({"apps": []}, ("apps",)),
        ("[server\n", ("config.toml", "TOML")),
        (b"\xff\xfe\x00", ("config.toml", "UTF-8")),
        ("a" * 10 + "=" + "[" * 50_000, ("config.toml",)),
    ],
)
def test_a_wrong_config(tmp_path: Path, config: Any, words: tuple[str, ...]) -> None:
    """Names the setting, and the one that was meant."""
    if isinstance(config, dict):
        config = {"apps": [app()], **config}
    one_line(start(tmp_path, config), *words)


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    """Or that is a folder."""
    for path in (tmp_path / "missing.toml", tmp_path):
        ended = subprocess.run(
            [sys.executable, "-m", "pusher_server", "serve", "--config", str(path)],
            capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
        one_line(ended, str(path))
