"""`pusher-server token`: what an auth route answers, by an implementation of signatures that is not ours."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from pusher_server.cli.main import main
from tests.support.signing import channel_auth, user_auth

SECRET = "7ad3773142a6692b25b8"


def token(folder: Path, *arguments: str) -> Result:
    file = folder / "pusher.toml"
    file.write_text(f'[[apps]]\nid = "1"\nkey = "k"\nsecret = "{SECRET}"\n')
    run = CliRunner().invoke(main, ["token", *arguments, "--config", str(file)])
    assert SECRET not in run.output
    return run


@pytest.mark.parametrize("data", ["", '{"user_id":"7"}', '{"user_id":"ü"}'])
def test_a_subscription_is_signed(tmp_path: Path, data: str) -> None:
    more = ("--channel-data", data) if data else ()
    run = token(tmp_path, "1", "--socket-id", "1.2", "--channel", "presence-a", *more)
    expected = {"auth": channel_auth("k", SECRET, "1.2", "presence-a", data or None)}
    assert json.loads(run.stdout) == (expected | {"channel_data": data} if data else expected)


def test_a_sign_in_is_signed(tmp_path: Path) -> None:
    run = token(tmp_path, "1", "--socket-id", "1.2", "--user-data", '{"id":"7"}')
    expected = {"auth": user_auth("k", SECRET, "1.2", '{"id":"7"}'), "user_data": '{"id":"7"}'}
    assert json.loads(run.stdout) == expected


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("1", "--socket-id", "1.2"), "--channel or --user-data"),
        (("1", "--socket-id", "1.2", "--channel", "a", "--user-data", "{}"), "--channel or"),
        (("1", "--socket-id", "1.2", "--user-data", "{}", "--channel-data", "{}"), "belongs to"),
        (("1", "--socket-id", "x", "--channel", "a"), "two integers and a dot"),
        (("1", "--channel", "a"), "--socket-id"),
    ],
)
def test_a_wrong_use_is_named(tmp_path: Path, arguments: tuple[str, ...], words: str) -> None:
    run = token(tmp_path, *arguments)
    assert run.exit_code == 2
    assert words in run.output


def test_an_app_that_is_not_there(tmp_path: Path) -> None:
    run = token(tmp_path, "2", "--socket-id", "1.2", "--channel", "a")
    assert run.exit_code == 1
    assert "there is no app '2'" in run.output
