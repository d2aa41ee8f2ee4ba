"""Which file is the outbox."""

from pathlib import Path

import pytest

from pusher_server.config import ServerSettings, WebhookSettings
from pusher_server.webhooks.outbox.path import outbox_path


@pytest.mark.parametrize(
    ("environ", "directory"),
    [
        ({"HOME": "/home/me"}, "/home/me/.local/state/pusher-server"),
        ({"HOME": "/home/me", "XDG_STATE_HOME": "/state"}, "/state/pusher-server"),
        ({"HOME": "/home/me", "XDG_STATE_HOME": "no/root"}, "/home/me/.local/state/pusher-server"),
        ({"HOME": "/home/me", "STATE_DIRECTORY": "/var/lib/ps:/var/lib/2"}, "/var/lib/ps"),
        ({}, "/var/lib/pusher-server"),
    ],
)
def test_the_usual_one_is_where_state_is_kept(environ: dict[str, str], directory: str) -> None:
    settings = WebhookSettings()
    found = outbox_path(settings, ServerSettings(), environ)
    assert found == Path(directory, "outbox-6001.sqlite3")


def test_two_servers_of_one_user_have_two() -> None:
    environ = {"HOME": "/home/me"}
    servers = (
        ServerSettings(),
        ServerSettings(port=7001),
        ServerSettings(unix_socket="/run/ps/a.sock"),
        ServerSettings(unix_socket="/run/ps/b.sock"),
    )
    found = [outbox_path(WebhookSettings(), each, environ).name for each in servers]
    assert found == [
        "outbox-6001.sqlite3",
        "outbox-7001.sqlite3",
        "outbox-run-ps-a.sock.sqlite3",
        "outbox-run-ps-b.sock.sqlite3",
    ]


def test_the_settings_may_name_one(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for named in ("mine", str(tmp_path / "mine")):
        assert outbox_path(WebhookSettings(outbox=named), ServerSettings(), {}) == tmp_path / "mine"
