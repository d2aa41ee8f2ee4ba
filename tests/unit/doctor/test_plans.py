"""From options, files and variables to a plan; wrong use is one line that names the option."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from pusher_server.app import App, AppKey, Webhook, WebhookFilter
from pusher_server.cli.main import main
from pusher_server.doctor.credentials import Credentials, fired_webhooks, of_app
from pusher_server.doctor.plans import Options, prepare
from pusher_server.doctor.results import Mask, Result, fault
from pusher_server.doctor.targets import Target, is_local, parse_origin, parse_url
from pusher_server.errors import ConfigError

PAIR = {"PUSHER_APP_ID": "7", "PUSHER_APP_KEY": "key-of-7", "PUSHER_APP_SECRET": "secret-of-7"}

URLS = {
    "wss://ws.example.com": Target("ws.example.com", 443, True),
    "ws://127.0.0.1:6001": Target("127.0.0.1", 6_001, False),
    "https://ws.example.com:8443/ws/": Target("ws.example.com", 8_443, True, "/ws"),
    "http://[::1]:6001": Target("::1", 6_001, False),
    "wss://ws.example.com/a/b": Target("ws.example.com", 443, True, "/a/b"),
    "wss://ws.example.com/ws/app/the-key?protocol=7": Target("ws.example.com", 443, True, "/ws"),
}


@pytest.mark.parametrize("text", URLS)
def test_a_url(text: str) -> None:
    assert parse_url(text, "--url") == URLS[text]


@pytest.mark.parametrize(
    "text",
    [
        "ws.example.com", "ftp://a", "wss://", "wss://a b", "wss://u:geheim@a", "wss://a:0", "wss://a:99999",
        "wss://a:x", "wss://[::1", "wss://a/<b>", "wss://a\x1b[2J",
    ],
)  # fmt: skip
def test_what_is_no_url(text: str) -> None:
    """The text itself is not repeated: it may have a password."""
    with pytest.raises(ConfigError, match=r"^--url: ") as error:
        parse_url(text, "--url")
    assert not any(secret in str(error.value) for secret in ("geheim", "99999", "<b>", "\x1b"))


@pytest.mark.parametrize(
    ("text", "origin"),
    [
        ("https://app.example.com/", "https://app.example.com"),
        ("https://app.example.com:443/login", "https://app.example.com"),
        ("http://localhost:5173", "http://localhost:5173"),
        ("http://[::1]:80", "http://[::1]"),
    ],
)
def test_an_origin(text: str, origin: str) -> None:
    assert parse_origin(text) == origin


@pytest.mark.parametrize("text", ["app.example.com", "wss://a", "https://", "https://[::"])
def test_what_is_no_origin(text: str) -> None:
    with pytest.raises(ConfigError, match=r"^--origin: "):
        parse_origin(text)


def test_international_names() -> None:
    """As they are looked up, and as browsers send them."""
    assert parse_url("wss://ws.bücher.example", "--url").host == "ws.xn--bcher-kva.example"
    assert parse_origin("https://bücher.example") == "https://xn--bcher-kva.example"


def test_the_host_header() -> None:
    assert Target("::1", 6_001, False).host_header == "[::1]:6001"
    assert Target("a.example", 443, True).host_header == "a.example"


def test_local_hosts() -> None:
    assert all(map(is_local, ("localhost", "app.localhost", "127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_local, ("ws.example.com", "10.0.0.5", "localhost.example", "128.0.0.1")))


def test_credentials_of_the_environment() -> None:
    plan = prepare(Options(url="wss://a"), PAIR, "doctor-1").plan
    assert (plan.clients, plan.backend) == (Target("a", 443, True), Target("a", 443, True))
    assert plan.credentials.is_complete
    assert "secret-of-7" not in f"{plan!r} {plan.credentials!r}"


def test_the_address_of_the_environment() -> None:
    variables = {
        **PAIR,
        "PUSHER_HOST": "ws.shop.example",
        "PUSHER_PORT": "6001",
        "PUSHER_SCHEME": "http",
    }
    plan = prepare(Options(), variables, "doctor-1").plan
    assert (plan.clients.host, plan.clients.port, plan.clients.is_tls) == (
        "ws.shop.example",
        6_001,
        False,
    )


CONFIG = """
[server]
port = 7001
path_prefix = "/ws"
[operations]
token = "token-of-operations"
[[apps]]
id = "7"
key = "key-of-7"
secret = "secret-of-7"
[[apps]]
id = "8"
key = "key-of-8"
secret = "secret-of-8"
"""


def config(folder: Path, text: str = CONFIG) -> Path:
    """A config file."""
    path = folder / "server.toml"
    path.write_text(text)
    return path


def test_a_config_file(tmp_path: Path) -> None:
    options = Options(app=config(tmp_path))
    plan = prepare(options, {"PUSHER_APP_ID": "8"}, "doctor-1").plan
    assert plan.clients == Target("127.0.0.1", 7_001, False, "/ws")
    assert (plan.credentials.app_id, plan.operations_token) == ("8", "token-of-operations")
    with pytest.raises(ConfigError, match="has 2 apps: name one of them with PUSHER_APP_ID"):
        prepare(options, {}, "doctor-1")


def test_apps_in_a_database(tmp_path: Path) -> None:
    """The file has the address then, and the environment the credentials."""
    text = '[database]\nurl = "sqlite:///apps.sqlite"\n'
    prepared = prepare(Options(app=config(tmp_path, text)), PAIR, "doctor-1")
    assert (prepared.plan.credentials.app_id, prepared.plan.clients.port) == ("7", 6_001)
    with pytest.raises(ConfigError, match="apps of a database need PUSHER_APP_ID"):
        prepare(Options(app=config(tmp_path, text)), {}, "doctor-1")


def test_a_variable_that_is_no_text() -> None:
    with pytest.raises(ConfigError, match="PUSHER_APP_SECRET: is not UTF-8 text"):
        prepare(Options(url="wss://a"), {**PAIR, "PUSHER_APP_SECRET": "a\udcff"}, "doctor-1")


WRONG_USE: dict[str, tuple[list[str], Mapping[str, str]]] = {
    "--url": (["--quick"], {}),
    "--url: needs a scheme": (["--url", "example.com"], {}),
    "--origin": (["--url", "wss://a", "--origin", "a"], {}),
    "--auth-url": (["--url", "wss://a", "--auth-url", "wss://a"], {}),
    "--operations": (["--url", "wss://a", "--operations", "ws://a"], {}),
    "--laravel: give it or --app": (["--laravel", ".", "--app", "x.toml"], {}),
    "no such file": (["--app", "not-there.env"], {}),
    "No such option": (["--secret", "x"], {}),
}


@pytest.mark.parametrize("words", WRONG_USE)
def test_wrong_use_is_status_2(words: str) -> None:
    arguments, environment = WRONG_USE[words]
    empty = dict.fromkeys((*PAIR, "PUSHER_HOST"))
    result = CliRunner().invoke(main, ["doctor", *arguments], env={**empty, **environment})
    assert result.exit_code == 2
    assert words in result.output
    assert "Traceback" not in result.output


def app(*webhooks: Webhook) -> App:
    """An app with these webhooks."""
    return App(id="7", keys=(AppKey(key="key-of-7", secret="secret-of-7"),), webhooks=webhooks)


def test_the_webhooks_of_a_publication() -> None:
    """Those of the app that the channel's name and coming and going concern."""
    url = "https://shop.example/hook"
    channel = "doctor-0123"
    assert "where the app has webhooks" in fired_webhooks(Credentials("7", "k", "s"), channel)
    some = Webhook(url=url, event_types=("channel_vacated", "member_added"))
    assert fired_webhooks(of_app(app(some)), channel) == (
        "the app's webhooks for channel_vacated are sent"
    )
    others = Webhook(url=url, filter=WebhookFilter(channel_name_starts_with="private-"))
    assert fired_webhooks(of_app(app(others)), channel) == "the app has no webhook for it"
    assert "channel_occupied and channel_vacated" in fired_webhooks(
        of_app(app(Webhook(url=url))), channel
    )


def test_no_value_of_a_mask_is_shown() -> None:
    """Words and what the arguments have are left; the longest value is replaced first."""
    mask = Mask(
        {"A": "ws.shop.example", "B": "ws.shop.example:6001", "C": "pusher", "D": "10.1.2.3"},
        ["wss://10.1.2.3"],
    )
    text = "pusher at ws.shop.example:6001, ws.shop.example and 10.1.2.3"
    assert mask.text(text) == "pusher at B, A and 10.1.2.3"
    assert "shop" not in repr(mask)
    result = fault("port", "port_refused", host="ws.shop.example", port=1)
    assert mask.result(result).sentence.startswith("A refuses connections")


def test_a_fault_escapes_what_a_terminal_would_obey() -> None:
    result: Result = fault("origin", "origin_refused", origin="https://a\x1b[2J\u202e{0}", name="a")
    assert result.sentence == "The app does not allow the origin https://a\\x1b[2J\\u202e{0}."
    assert result.mark == "✗"
    assert result.fix == 'Add its host to the app\'s own: `allowed_origins = ["a"]`.'
    assert fault("API", "api_silent", reason="no.").sentence == "The API does not answer: no."
