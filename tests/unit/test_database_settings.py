"""`[database]` in the configuration: who has the apps then, and what the commands say."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from pusher_server.cli import banner
from pusher_server.cli.main import main
from pusher_server.config import Config, load
from pusher_server.errors import ConfigError
from pusher_server.server import StartReport

URL = "postgresql://pusher:hush@127.0.0.1/pusher"
DATABASE = f'[database]\nurl = "{URL}"\n'


def read(tmp_path: Path, text: str = DATABASE, **environ: str) -> Config:
    """The configuration of a file with this text."""
    file = tmp_path / "pusher.toml"
    file.write_text(text)
    return load(file, environ, {})


def test_the_apps_are_those_of_the_database(tmp_path: Path) -> None:
    """The file has none, and its defaults are kept for them."""
    config = read(tmp_path, DATABASE + "[defaults]\nstrict = true\n")
    assert config.apps == ()
    assert config.apps_from == "database"
    assert "169.254.0.0/16" in config.denied_to_webhooks
    closed = read(tmp_path, f'{DATABASE}[webhooks]\ndenied_networks = ["10.0.0.0/8"]\n')
    assert closed.denied_to_webhooks == ("10.0.0.0/8",)
    assert config.defaults == {"strict": True}
    assert "hush" not in repr(config)


def test_a_variable_is_enough() -> None:
    """Then the embedded app is not there either."""
    config = load(None, {"PUSHER_SERVER__DATABASE__URL": URL}, {})
    assert config.database.url == URL
    assert config.apps == ()


def test_a_file_cannot_have_apps_too(tmp_path: Path) -> None:
    """Nobody shall wonder which of two places counts."""
    app = '[[apps]]\nid = "1"\nkey = "k"\nsecret = "s"\n'
    with pytest.raises(ConfigError, match=r"^apps: the apps come from the database"):
        read(tmp_path, DATABASE + app)


def test_an_app_from_the_environment_is_ignored_and_that_is_said(tmp_path: Path) -> None:
    """As beside the apps of a file."""
    names = {"PUSHER_APP_ID": "1", "PUSHER_APP_KEY": "k", "PUSHER_APP_SECRET": "s"}
    (notice,) = read(tmp_path, **names).notices
    assert notice.endswith("ignored: the apps come from the database")


def test_wrong_defaults_are_found_without_an_app(tmp_path: Path) -> None:
    """At the start, not with the first row."""
    with pytest.raises(ConfigError, match=r"defaults\.limits\.connections"):
        read(tmp_path, DATABASE + "[defaults.limits]\nconnections = -1\n")


@pytest.mark.parametrize("written", ["limits.connections", '"limits.connections"'])
def test_columns_of_limits_are_written_either_way(tmp_path: Path, written: str) -> None:
    """A dot in a name of TOML makes a table of it."""
    config = read(tmp_path, f'{DATABASE}[database.columns]\n{written} = "quota"\n')
    run = CliRunner().invoke(main, ["check-config", str(tmp_path / "pusher.toml")])
    assert run.exit_code == 0, run.output
    assert config.database.columns


def test_check_config_says_where_the_apps_are(tmp_path: Path) -> None:
    """Without the password, and without asking the database."""
    read(tmp_path)
    run = CliRunner().invoke(main, ["check-config", str(tmp_path / "pusher.toml")])
    assert run.exit_code == 0
    assert "apps from the database (own); `pusher-server apps list` asks it" in run.output
    assert "hush" not in run.output


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[database]\nurl = "nonsense"\n', "database.url: is no database URL"),
        (DATABASE + 'columns = { kye = "k" }\n', "did you mean `key`?"),
        (DATABASE + "poll_interval = 0\n", "database.poll_interval: "),
        (DATABASE + 'preset = "other"\n', "expected one of own, soketi, laravel-websockets"),
    ],
)
def test_check_config_finds_mistakes(tmp_path: Path, text: str, said: str) -> None:
    """One line, exit status 2."""
    file = tmp_path / "pusher.toml"
    file.write_text(text)
    run = CliRunner().invoke(main, ["check-config", str(file)])
    assert run.exit_code == 2
    assert said in run.output
    assert run.output.count("\n") == 1
    assert "hush" not in run.output


def test_the_page_at_the_start_has_blanks_for_an_app(tmp_path: Path) -> None:
    """No app is known yet."""
    report = StartReport(loop="uvloop", file_limit=1_024, workers=1, urls=["http://127.0.0.1:6001"])
    text = banner.banner(
        read(tmp_path), report, source="x", python="3", address="192.0.2.1", show_secret=False
    )
    assert "PUSHER_APP_KEY=<app-key>" in text
    assert "PUSHER_APP_SECRET=<from your database>" in text
    assert "hush" not in text


def test_the_limit_of_the_process_counts_where_apps_are_unknown(tmp_path: Path) -> None:
    """For the warning about open files."""
    config = read(tmp_path, DATABASE + "[websocket]\nmax_connections = 5000\n")
    assert banner.configured_connections(config) == 5_000
