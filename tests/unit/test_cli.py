"""`pusher_server.cli`: the commands, their answers and exit statuses, and what `serve` prints."""

import json
import logging
import os
import stat
import sys
import types
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme
from click.testing import CliRunner, Result
from msgspec import Struct, field, structs

from pusher_server import __version__
from pusher_server.app import App, AppKey, AppLimits
from pusher_server.cli import banner, config_file, credentials
from pusher_server.cli.main import main
from pusher_server.config import (
    Config,
    LogSettings,
    ServerSettings,
    TlsSettings,
    WebsocketSettings,
    example_text,
    load,
)
from pusher_server.errors import ConfigError

APP = '[[apps]]\nid = "shop"\nkey = "shop-key"\nsecret = "shop-secret"\n'


#: Files that are not there.
TLS = '[server.tls]\ncertificate = "/nowhere/a.pem"\nkey = "/nowhere/b.pem"\n'


class Report(Struct, frozen=True, kw_only=True):
    """What the server tells when it has started."""

    loop: str = "uvloop"
    file_limit: int = 1_048_576
    workers: int = 1
    urls: list[str] = field(default_factory=lambda: ["http://127.0.0.1:6001"])
    operations: str = ""


class FakeServer:
    """Stands in for `pusher_server.server.Server`: remembers what it was given, starts, ends."""

    started: list["FakeServer"]
    fails: ConfigError | None = None
    report = Report()

    def __init__(
        self,
        config: Config,
        *,
        config_path: Path | None = None,
        on_started: Callable[[Any], None],
    ) -> None:
        self.config = config
        self.config_path = config_path
        self.on_started = on_started

    def run(self) -> None:
        """Start, say so, and end at once."""
        if self.fails is not None:
            raise self.fails
        self.started.append(self)
        self.on_started(self.report)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> type[FakeServer]:
    """The class that `serve` finds as the server."""
    fake = type("FakeServer", (FakeServer,), {"started": []})
    module = types.ModuleType("pusher_server.server")
    module.Server = fake  # type: ignore[attr-defined]  # made on the fly
    monkeypatch.setitem(sys.modules, "pusher_server.server", module)
    return fake


@pytest.fixture(autouse=True)
def _clean_surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty directory, none of our variables, and logging as it was."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        os, "environ", {k: v for k, v in os.environ.items() if not k.startswith("PUSHER_")}
    )
    root = logging.getLogger()
    before = [*root.handlers], root.level
    yield
    root.handlers[:], root.level = before


def call(*arguments: str) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, arguments, catch_exceptions=False)


class TestSmallCommands:
    def test_version(self) -> None:
        assert call("version").output == f"{__version__}\n"

    def test_default_config_prints_the_example(self) -> None:
        assert call("default-config").output == example_text()

    def test_help_names_every_command_on_one_line_each(self) -> None:
        commands = call("--help").output.partition("Commands:\n")[2].splitlines()
        assert [line.split()[0] for line in commands] == [
            "serve",
            "check-config",
            "import",
            "apps",
            "webhooks",
            "doctor",
            "why",
            "tail",
            "channels",
            "connections",
            "publish",
            "kick",
            "token",
            "default-config",
            "install-service",
            "version",
        ]
        assert not any(line.endswith("...") for line in commands)

    @pytest.mark.parametrize(
        "arguments",
        [["check-config", "\udcff"], ["serve", "--host", "\udcff"], ["apps", "show", "\udcff"]],
    )
    def test_an_argument_that_is_no_utf_8_is_refused_by_name(self, arguments: list[str]) -> None:
        found = call(*arguments)
        assert found.exit_code == 2
        assert found.output.endswith(r"Error: '\udcff' is not UTF-8 text" + "\n")


class TestCheckConfig:
    def test_it_says_what_was_understood_without_secrets(self, tmp_path: Path) -> None:
        file = tmp_path / "a.toml"
        file.write_text(f'[server]\nport = 7001\n{APP}name = "Shop"\nstrict = true\n')
        file.chmod(0o600)
        result = call("check-config", str(file))
        assert result.exit_code == 0
        assert result.output.splitlines() == [
            f"OK: config file {file}",
            "listens on 127.0.0.1:7001 (http)",
            "app shop (Shop): key shop-key, strict",
        ]

    def test_it_says_where_webhooks_go_without_secrets(self, tmp_path: Path) -> None:
        file = tmp_path / "hooks.toml"
        app = '[[apps]]\nid = "1"\nkey = "k"\nsecret = "s"\n'
        file.write_text(app + '[[apps.webhooks]]\nurl = "https://me:hush@example.com/a?b=hush"\n')
        output = call("check-config", str(file)).output
        assert "app 1: key k, webhooks to https://example.com/a\n" in output
        assert "hush" not in output

    def test_it_warns_of_a_webhook_whose_host_is_unknown(self, tmp_path: Path) -> None:
        file = tmp_path / "webhooks.toml"
        app = '[[apps]]\nid = "1"\nkey = "k"\nsecret = "hush-hush"\n'
        hooks = [
            f'[[apps.webhooks]]\nurl = "http://{host}/a"\n' for host in ("127.0.0.1", "no.invalid")
        ]
        file.write_text(app + "".join(hooks))
        file.chmod(0o600)
        result = call("check-config", str(file))
        assert result.exit_code == 0
        warnings = [line for line in result.output.splitlines() if line.startswith("warning")]
        assert warnings == [
            "warning: app 1: the host of http://no.invalid/a cannot be resolved here"
        ]

    def test_without_a_file_it_checks_the_usual_one_if_there_is_one(self, tmp_path: Path) -> None:
        assert "embedded defaults" in call("check-config").output
        (tmp_path / config_file.USUAL_NAME).write_text(APP)
        assert f"config file {tmp_path / config_file.USUAL_NAME}" in call("check-config").output

    @pytest.mark.parametrize(("days", "words"), [(-3, "has expired on"), (3, "expires on")])
    def test_it_warns_of_a_certificate_that_has_expired_or_soon_does(
        self, tmp_path: Path, days: int, words: str
    ) -> None:
        now = datetime.now(UTC)
        certificate = trustme.CA().issue_cert(
            "x", not_before=now - timedelta(days=90), not_after=now + timedelta(days=days)
        )
        files = {name: tmp_path / f"{name}.pem" for name in ("certificate", "key")}
        certificate.cert_chain_pems[0].write_to_path(str(files["certificate"]))
        certificate.private_key_pem.write_to_path(str(files["key"]))
        file = tmp_path / "a.toml"
        tls = "\n".join(f'{name} = "{path}"' for name, path in files.items())
        file.write_text(f"[server.tls]\n{tls}\n{APP}")
        result = call("check-config", str(file))
        assert result.exit_code == 0
        assert "server.tls.certificate: valid until 20" in result.output
        assert f"warning: server.tls.certificate: {files['certificate']} {words}" in result.output

    def test_risky_settings_are_warnings(self, tmp_path: Path) -> None:
        file = tmp_path / "a.toml"
        file.write_text(APP.replace("shop-secret", "s"))
        file.chmod(0o644)
        result = call("check-config", str(file))
        assert result.exit_code == 0
        assert "warning: app 'shop': the secret of key 'shop-key' has 1 character" in result.output
        assert f"warning: the config file: {file} can be read" in result.output

    def test_ignored_variables_are_named(self) -> None:
        os.environ["PUSHER_APP_KEY"] = "k"
        assert "note: PUSHER_APP_KEY ignored" in call("check-config").output

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("[server]\nprot = 1\n", "server.prot: unknown setting; did you mean `server.port`?"),
            ("[server]\nport = 'x'\n", "server.port: expected a whole number, got text in quotes"),
            ("[server\n", "not valid TOML"),
            (f"{TLS}{APP}", "server.tls.certificate: cannot read /nowhere/a.pem"),
            (None, "no such file"),
        ],
    )
    def test_a_mistake_is_one_line_and_status_2(
        self, tmp_path: Path, text: str | None, said: str
    ) -> None:
        file = tmp_path / "a.toml"
        if text is not None:
            file.write_text(text)
        result = call("check-config", str(file))
        assert (result.exit_code, result.stdout) == (2, "")
        assert result.stderr.startswith("pusher-server: ")
        assert said in result.stderr
        assert len(result.stderr.splitlines()) == 1


class TestServe:
    def test_flags_win_and_the_server_gets_the_configuration(
        self, server: type[FakeServer], tmp_path: Path
    ) -> None:
        file = tmp_path / "a.toml"
        file.write_text(f'[server]\nport = 7001\nhost = "127.0.0.2"\n{APP}')
        result = call("serve", "--config", str(file), "--port", "7002")
        assert result.exit_code == 0
        (running,) = server.started
        assert running.config == load(file, {}, {"server.port": 7002})
        assert running.config_path == file

    def test_the_usual_file_is_taken_and_named(
        self, server: type[FakeServer], tmp_path: Path
    ) -> None:
        (tmp_path / "pusher-server.toml").write_text(APP)
        assert f"config file {tmp_path / 'pusher-server.toml'}" in call("serve").output
        assert server.started[0].config.apps[0].id == "shop"

    def test_the_banner_shows_the_secret_of_the_embedded_app(
        self, server: type[FakeServer]
    ) -> None:
        output = call("serve").output
        assert "PUSHER_APP_SECRET=app-secret" in output
        assert "embedded defaults (no config file)" in output

    def test_the_banner_does_not_show_the_operators_secret(
        self, server: type[FakeServer], tmp_path: Path
    ) -> None:
        (tmp_path / "pusher-server.toml").write_text(APP)
        result = call("serve")
        assert "PUSHER_APP_SECRET=<from your config>" in result.output
        assert "shop-secret" not in result.output + result.stderr

    def test_apps_from_a_variable_are_named_without_their_secrets(
        self, server: type[FakeServer], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PUSHER_SERVER__APPS", '[{"id": "1", "key": "k", "secret": "hushhush"}]')
        result = call("serve")
        assert "no config file), apps from PUSHER_SERVER__APPS" in result.output
        assert "PUSHER_APP_SECRET=<from your PUSHER_SERVER__APPS>" in result.output
        assert "hush" not in result.output + result.stderr

    def test_an_app_from_the_environment_is_named_without_its_secret(
        self, server: type[FakeServer]
    ) -> None:
        os.environ |= {"PUSHER_APP_ID": "7", "PUSHER_APP_KEY": "k7", "PUSHER_APP_SECRET": "hush"}
        result = call("serve")
        assert "app from PUSHER_APP_*" in result.output
        assert "hush" not in result.output + result.stderr

    def test_an_incomplete_app_in_the_environment_is_warned_of(
        self, server: type[FakeServer]
    ) -> None:
        os.environ |= {"PUSHER_APP_ID": "7", "PUSHER_APP_KEY": "k7"}
        result = call("serve")
        assert "PUSHER_APP_ID and PUSHER_APP_KEY ignored" in result.stderr
        assert "also needs PUSHER_APP_SECRET" in result.stderr
        assert server.started[0].config.apps[0].keys[0].key == "app-key"

    def test_published_credentials_are_refused_beyond_loopback(
        self, server: type[FakeServer]
    ) -> None:
        result = call("serve", "--host", "0.0.0.0")
        assert result.exit_code == 2
        assert "published example credentials" in result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert server.started == []

    def test_credentials_are_made_shown_and_kept(
        self, server: type[FakeServer], tmp_path: Path
    ) -> None:
        file = tmp_path / "made.env"
        arguments = ("serve", "--host", "0.0.0.0", "--make-credentials", str(file))
        output = call(*arguments).output
        assert f"app from {file}" in output
        first = server.started[0].config.apps[0]
        assert f"PUSHER_APP_SECRET={first.keys[0].secret}" in output
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        call(*arguments)
        assert server.started[1].config.apps == (first,)
        assert load(None, os.environ, {"server.host": "0.0.0.0"}).apps == (first,), "as on SIGHUP"

    def test_no_credentials_are_made_on_loopback(
        self, server: type[FakeServer], tmp_path: Path
    ) -> None:
        file = tmp_path / "made.env"
        call("serve", "--make-credentials", str(file))
        assert server.started[0].config.apps_from == "embedded"
        assert not file.exists()

    def test_credentials_are_not_made_for_a_copied_example(
        self, server: type[FakeServer], tmp_path: Path
    ) -> None:
        (tmp_path / "pusher-server.toml").write_text(example_text())
        made = tmp_path / "made.env"
        result = call("serve", "--host", "0.0.0.0", "--make-credentials", str(made))
        assert result.exit_code == 2
        assert not made.exists()

    def test_what_the_server_refuses_is_one_line_and_status_2(
        self, server: type[FakeServer]
    ) -> None:
        server.fails = ConfigError("server.port", "6001 is in use;\nchoose another")
        result = call("serve")
        assert result.exit_code == 2
        assert result.stderr == "pusher-server: server.port: 6001 is in use; choose another\n"

    def test_with_json_logs_the_start_is_a_record_and_no_page(
        self, server: type[FakeServer]
    ) -> None:
        server.report = Report(file_limit=100)
        os.environ |= {
            "PUSHER_SERVER__LOG__FORMAT": "json",
            "PUSHER_SERVER__WEBSOCKET__MAX_CONNECTIONS": "5000",
        }
        result = call("serve")
        assert result.stdout == ""
        started, warning = map(json.loads, result.stderr.splitlines())
        assert started["event"] == "started"
        assert started["urls"] == ["http://127.0.0.1:6001"]
        assert warning["level"] == "warning"
        assert "5000 connections are configured" in warning["event"]


class TestCredentials:
    @pytest.mark.parametrize("text", ["", "PUSHER_APP_ID=1\nPUSHER_APP_KEY=\n", "nonsense"])
    def test_a_file_without_them_is_refused(self, tmp_path: Path, text: str) -> None:
        file = tmp_path / "made.env"
        file.write_text(text)
        with pytest.raises(ConfigError, match="delete it to get new credentials"):
            credentials.read_or_make(file)

    def test_a_place_that_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match=r"no/made\.env: cannot be written"):
            credentials.read_or_make(tmp_path / "no" / "made.env")

    def test_two_machines_do_not_get_the_same(self, tmp_path: Path) -> None:
        first, second = (credentials.read_or_make(tmp_path / name) for name in "ab")
        assert all(first[name] != second[name] for name in credentials.NAMES)


EMBEDDED = load(None, {}, {})


def page(config: Config = EMBEDDED, report: Report | None = None, **changes: Any) -> str:
    """The banner, with what a test does not care about filled in."""
    given = {"source": "here", "python": "3.13.1", "address": "192.168.1.2", "show_secret": True}
    return banner.banner(config, report or Report(), **{**given, **changes})  # type: ignore[arg-type]


def with_server(**settings: Any) -> Config:
    """The embedded configuration, listening differently."""
    return structs.replace(EMBEDDED, server=ServerSettings(**settings))


class TestBanner:
    def test_the_laravel_lines_are_ready_to_paste(self) -> None:
        lines = [line.strip() for line in page().splitlines()]
        start = lines.index("BROADCAST_CONNECTION=pusher")
        assert lines[start : start + 8] == [
            "BROADCAST_CONNECTION=pusher",
            "PUSHER_APP_ID=1",
            "PUSHER_APP_KEY=app-key",
            "PUSHER_APP_SECRET=app-secret",
            "PUSHER_HOST=127.0.0.1",
            "PUSHER_PORT=6001",
            "PUSHER_SCHEME=http",
            "PUSHER_APP_CLUSTER=mt1",
        ]
        assert "# before Laravel 11: BROADCAST_DRIVER=pusher" in lines

    def test_the_queue_worker_is_remembered(self) -> None:
        assert "php artisan queue:work --sleep=0.1 --tries=5 --backoff=1" in page()

    def test_the_echo_snippet_fits_the_server(self) -> None:
        snippet = page().partition("Laravel Echo")[2]
        for line in (
            "broadcaster: 'pusher',",
            "key: 'app-key',",
            "cluster: 'mt1',",
            "wsHost: '127.0.0.1',",
            "wsPort: 6001,",
            "forceTLS: false,",
            "enabledTransports: ['ws', 'wss'],",
        ):
            assert f"    {line}\n" in snippet
        assert "wsPath" not in snippet

    def test_the_urls(self) -> None:
        text = page()
        assert "ws://127.0.0.1:6001/app/app-key" in text
        assert "http://127.0.0.1:6001/apps/1/events" in text
        assert "http://127.0.0.1:6001/up" in text

    def test_what_it_runs_on(self) -> None:
        assert "Python 3.13.1, uvloop, 1 process, 1048576 open files" in page()

    def test_tls_and_a_path_prefix(self) -> None:
        tls = TlsSettings(certificate="c", key="k")
        text = page(with_server(tls=tls, path_prefix="/ws"))
        assert "wss://127.0.0.1:6001/ws/app/app-key" in text
        assert "PUSHER_SCHEME=https" in text
        assert "forceTLS: true" in text
        assert "wsPath: '/ws'" in text
        assert "'path' => '/ws/'" in text  # without the last slash Guzzle drops it
        assert "version 5: '/ws')" in text

    def test_every_interface_is_shown_as_an_address_that_can_be_reached(self) -> None:
        for host, urls, families in (
            ("0.0.0.0", ["http://0.0.0.0:6001"], "IPv4"),
            ("0", ["http://0.0.0.0:6001"], "IPv4"),
            ("::", ["http://[::]:6001", "http://0.0.0.0:6001"], "IPv6 and IPv4"),
            ("::0", ["http://[::]:6001"], "IPv6"),
        ):
            text = page(with_server(host=host), Report(urls=urls))
            assert "PUSHER_HOST=192.168.1.2" in text
            assert "wsHost: '192.168.1.2'" in text
            assert f"at every {families} address of this machine" in text
            assert "0.0.0.0" not in text
            assert "::" not in text.replace("::1", "")

    def test_an_ipv6_address_has_brackets(self) -> None:
        report = Report(urls=["http://[::1]:6001"])
        assert "ws://[::1]:6001/app/" in page(with_server(host="::1"), report)

    def test_a_port_that_was_chosen_at_start(self) -> None:
        text = page(with_server(port=0), Report(urls=["http://127.0.0.1:49321"]))
        assert "PUSHER_PORT=49321" in text
        assert "wsPort: 49321" in text

    def test_a_unix_socket_is_reached_through_the_operators_proxy(self) -> None:
        text = page(with_server(unix_socket="/run/p.sock"), Report(urls=["unix:/run/p.sock"]))
        assert "/run/p.sock" in text
        assert "PUSHER_HOST=<your-proxy>" in text

    def test_other_apps_are_mentioned(self) -> None:
        other = App(id="shop", keys=(AppKey(key="k", secret="hush"),))
        text = page(structs.replace(EMBEDDED, apps=(*EMBEDDED.apps, other)))
        assert "(1 more: shop)" in text
        assert "hush" not in text

    def test_secrets_are_left_out_on_request(self) -> None:
        assert "app-secret" not in page(show_secret=False)

    def test_too_few_files_are_warned_of(self) -> None:
        config = structs.replace(EMBEDDED, websocket=WebsocketSettings(max_connections=5_000))
        text = page(config, Report(file_limit=1_024))
        assert "WARNING: 5000 connections are configured" in text
        assert "enough for about 960" in text
        assert "WARNING" not in page(config, Report(file_limit=5_064))


class TestConfiguredConnections:
    @pytest.mark.parametrize(
        ("process", "apps", "wanted"),
        [
            (0, (0,), 0),
            (0, (10, 20), 30),
            (0, (10, 0), 10),
            (100, (0,), 100),
            (100, (10, 0), 100),
            (100, (10, 20), 30),
            (25, (10, 20), 25),
        ],
    )
    def test_the_smaller_of_what_process_and_apps_allow(
        self, process: int, apps: tuple[int, ...], wanted: int
    ) -> None:
        config = Config(
            websocket=WebsocketSettings(max_connections=process),
            log=LogSettings(),
            apps=tuple(
                App(
                    id=str(i),
                    keys=(AppKey(key=str(i), secret="s"),),
                    limits=AppLimits(connections=n),
                )
                for i, n in enumerate(apps)
            ),
        )
        assert banner.configured_connections(config) == wanted
