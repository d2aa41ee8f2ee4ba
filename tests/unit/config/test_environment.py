"""`pusher_server.config.environment`: every setting from variables, tables as JSON."""

import json
import tomllib
import typing
from pathlib import Path

import pytest

from pusher_server.app import App
from pusher_server.config import Config, load
from pusher_server.config.environment import near_misses
from pusher_server.config.loading import example_text
from pusher_server.config.problems import fields_of, subtable_of
from pusher_server.config.settings import SECTIONS
from pusher_server.errors import ConfigError

APPS = "PUSHER_SERVER__APPS"
FULL: list[dict[str, object]] = [
    {
        "id": "shop",
        "keys": [{"key": "new", "secret": "hush-1"}, {"key": "old", "secret": "hush-2"}],
        "name": "Läden, Süd",
        "allowed_origins": ["shop.example", "*.shop.example"],
        "limits": {"connections": 7, "client_events_per_second": 2},
        "client_events": "all",
        "webhooks": [
            {
                "url": "https://example.com/hook?token=hush-3",
                "event_types": ["channel_occupied", "member_added"],
                "headers": {"X-Token": "hush-4"},
                "filter": {"channel_name_starts_with": "presence-"},
                "batch": True,
            }
        ],
    },
    {"id": "two", "key": "two-key", "secret": "hush-5", "enabled": False},
]
TOML = """
[[apps]]
id = "shop"
keys = [{ key = "new", secret = "hush-1" }, { key = "old", secret = "hush-2" }]
name = "Läden, Süd"
allowed_origins = ["shop.example", "*.shop.example"]
limits = { connections = 7, client_events_per_second = 2 }
client_events = "all"
[[apps.webhooks]]
url = "https://example.com/hook?token=hush-3"
event_types = ["channel_occupied", "member_added"]
headers = { X-Token = "hush-4" }
filter = { channel_name_starts_with = "presence-" }
batch = true
[[apps]]
id = "two"
key = "two-key"
secret = "hush-5"
enabled = false
"""
FILE = '[[apps]]\nid = "file"\nkey = "k"\nsecret = "hush-hush"\n'
CREDENTIALS = {"PUSHER_APP_ID": "1", "PUSHER_APP_KEY": "k", "PUSHER_APP_SECRET": "s"}


def read(tmp_path: Path, text: str, **environ: str) -> Config:
    file = tmp_path / "pusher.toml"
    file.write_text(text, "utf-8")
    return load(file, environ, {})


def with_apps(value: object) -> Config:
    return load(None, {APPS: value if isinstance(value, str) else json.dumps(value)}, {})


def refusal(text: str, name: str = APPS) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(None, {name: text}, {})
    assert "hush" not in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def test_apps_and_webhooks_are_those_that_a_file_would_give(tmp_path: Path) -> None:
    config = with_apps(FULL)
    assert config.apps == read(tmp_path, TOML).apps
    assert config.apps_from == "variable"
    assert config.notices == ()
    assert "hush" not in repr(config)


def test_apps_inherit_the_defaults_of_other_variables() -> None:
    environ = {
        APPS: json.dumps(FULL),
        "PUSHER_SERVER__DEFAULTS__LIMITS__CONNECTIONS": "3",
        "PUSHER_SERVER__DEFAULTS__WEBHOOKS": '[{"url": "https://example.com/all"}]',
    }
    shop, two = load(None, environ, {}).apps
    assert (shop.limits.connections, two.limits.connections) == (7, 3)
    assert [webhook.url for webhook in two.webhooks] == ["https://example.com/all"]
    assert [webhook.url for webhook in shop.webhooks] == ["https://example.com/hook?token=hush-3"]


def test_they_replace_those_of_the_file_and_that_is_logged(tmp_path: Path) -> None:
    config = read(tmp_path, FILE, **{APPS: json.dumps(FULL)})
    assert [app.id for app in config.apps] == ["shop", "two"]
    (notice,) = config.notices
    assert notice.endswith("pusher.toml are ignored: the apps come from PUSHER_SERVER__APPS")


def test_they_win_over_single_credentials_and_that_is_logged() -> None:
    config = load(None, {**CREDENTIALS, APPS: json.dumps(FULL)}, {})
    assert [app.id for app in config.apps] == ["shop", "two"]
    (notice,) = config.notices
    assert notice.endswith("ignored: the apps come from PUSHER_SERVER__APPS")


@pytest.mark.parametrize("empty", ["", " \n"])
def test_an_empty_variable_is_as_good_as_none(tmp_path: Path, empty: str) -> None:
    """compose writes one for a name that has no value."""
    assert load(None, {APPS: empty}, {}).apps_from == "embedded"
    assert load(None, {APPS: empty, **CREDENTIALS}, {}).apps_from == "environment"
    assert read(tmp_path, FILE, **{APPS: empty}).apps[0].id == "file"


def test_the_columns_of_a_database_are_an_object() -> None:
    environ = {
        "PUSHER_SERVER__DATABASE__URL": "sqlite:////tmp/x",
        "PUSHER_SERVER__DATABASE__COLUMNS": '{"key": "app_key"}',
    }
    assert load(None, environ, {}).database.columns == {"key": "app_key"}


def test_a_database_has_the_apps_alone() -> None:
    environ = {"PUSHER_SERVER__DATABASE__URL": "sqlite:////tmp/x", APPS: json.dumps(FULL)}
    with pytest.raises(ConfigError, match="remove this variable") as caught:
        load(None, environ, {})
    assert caught.value.setting == APPS


def test_published_credentials_are_refused_here_too() -> None:
    (app,) = tomllib.loads(example_text())["apps"]
    environ = {APPS: json.dumps([app]), "PUSHER_SERVER__SERVER__HOST": "0.0.0.0"}
    with pytest.raises(ConfigError, match="published example credentials"):
        load(None, environ, {})


@pytest.mark.parametrize(
    ("text", "setting", "words"),
    [
        ("x", APPS, "is not valid JSON: Expecting value at line 1, column 1"),
        ('[{"id": "hush"', APPS, "is not valid JSON: Expecting ',' delimiter at line 1, column 15"),
        ("'[]'", APPS, "remove the quotes around it"),
        ('"[]"', APPS, "expected a JSON list of objects; remove the quotes around it"),
        ('{"id": "1"}', APPS, "expected a JSON list of objects"),
        ("null", APPS, "expected a JSON list of objects"),
        ("NaN", APPS, "NaN is no number"),
        ("[" * 600 + "]" * 600, APPS, "nested more than 512 levels deep"),
        ("[" * 20_000 + "]" * 20_000, APPS, "nested more than 512 levels deep"),
        ('{"a":' * 600, APPS, "nested more than 512 levels deep"),
        ('[{"id": "1", "id": "2"}]', APPS, "has the name 'id' twice"),
        ('["\\ud800"]', APPS, "half a surrogate pair"),
        ("9" * 10_000, APPS, "a number is too long"),
        ("[]", "apps", "no app; write at least one"),
        ("[7]", "apps[0]", "expected a table"),
        ("[" * 512 + "]" * 512, "apps[0]", "expected a table"),
        ('[{"key": "k", "secret": "hush"}]', "apps[0].id", "missing"),
        ('[{"id": "1", "secret": "hush"}]', "apps[0].key", "missing"),
        ('[{"id": 1, "key": "k", "secret": "hush"}]', "apps[0].id", "expected text in quotes"),
        ('[{"id": "1", "key": "k ", "secret": "hush"}]', "apps[0].key", "its end"),
        ('[{"id": "1", "kye": "k", "secret": "hush"}]', "apps[0].kye", "did you mean `apps[0].key`?"),
    ],
)  # fmt: skip
def test_mistakes_name_the_setting_the_variable_and_the_fix(
    text: str, setting: str, words: str
) -> None:
    error = refusal(text)
    assert error.setting == setting
    assert words in error.problem
    assert APPS in str(error)


@pytest.mark.parametrize(
    ("value", "setting", "words"),
    [
        ({"webhooks": [{"ulr": "x"}]}, "apps[0].webhooks[0].ulr", "did you mean"),
        ({"webhooks": [{"url": "ftp://hush"}]}, "apps[0].webhooks[0].url", "is not http:// or"),
        ({"webhooks": {"url": "http://x"}}, "apps[0].webhooks", "expected a list of tables"),
        ({"limits": {"connections": -1}}, "apps[0].limits.connections", "write 0 for"),
        ({"limits": {"connections": None}}, "apps[0].limits.connections", "got nothing"),
        ({"limits": []}, "apps[0].limits", "expected a table"),
    ],
)
def test_mistakes_inside_an_app_do_too(value: dict[str, object], setting: str, words: str) -> None:
    error = refusal(json.dumps([{"id": "1", "key": "k", "secret": "hush", **value}]))
    assert error.setting == setting
    assert words in error.problem
    assert error.problem.endswith("(from the variable PUSHER_SERVER__APPS)")


def test_two_apps_with_one_id_or_key_are_refused() -> None:
    first = {"id": "1", "key": "k", "secret": "hush"}
    assert refusal(json.dumps([first, first])).setting == "apps[1].id"
    assert refusal(json.dumps([first, {**first, "id": "2"}])).setting == "apps[1].key"


@pytest.mark.parametrize(
    ("name", "text", "setting", "words"),
    [
        ("DEFAULTS__WEBHOOKS", "{}", "", "expected a JSON list of objects"),
        ("DEFAULTS__WEBHOOKS", '[{"url": "hush"}]', "defaults.webhooks[0].url", "is not http://"),
        ("DEFAULTS__WEBHOOKS", '[{"u": "hush"}]', "defaults.webhooks[0].u", "unknown setting"),
        ("DATABASE__COLUMNS", "key=app_key", "", "is not valid JSON"),
        ("DATABASE__COLUMNS", "[]", "", "expected a JSON object"),
        ("DATABASE__COLUMNS", '{"key": 7}', "database.columns[...]", "expected"),
    ],
)
def test_mistakes_in_other_tables(name: str, text: str, setting: str, words: str) -> None:
    variable = f"PUSHER_SERVER__{name}"
    error = refusal(text, variable)
    assert error.setting == (setting or variable)
    assert words in error.problem
    assert variable in str(error)


def value_of(kind: object) -> str:
    """A text that a variable may have for a setting of this type."""
    if subtable_of(typing.get_args(kind)[0] if typing.get_args(kind) else None) is not None:
        return "[]"
    match typing.get_origin(kind):
        case None:
            return {bool: "true", int: "7", float: "1.5", str: ""}[typing.cast(type, kind)]
        case typing.Literal:
            return str(typing.get_args(kind)[0])
    return (
        "{}" if typing.get_origin(kind) is dict else "" if typing.get_origin(kind) is tuple else "2"
    )


def test_every_setting_can_be_set() -> None:
    """By a variable of its own, whatever its type."""

    def names(struct: type, path: str) -> typing.Iterator[tuple[str, object]]:
        for name, kind in fields_of(struct).items():
            table = subtable_of(kind)
            if table is not None:
                yield from names(table, f"{path}__{name}")
            elif path != "defaults" or name not in ("id", "keys", "name"):
                yield f"{path}__{name}", kind

    variables = [pair for name, struct in SECTIONS.items() for pair in names(struct, name)]
    variables += names(App, "defaults")
    assert len(variables) > 90
    for name, kind in variables:
        try:
            load(None, {f"PUSHER_SERVER__{name.upper()}": value_of(kind)}, {})
            problem = ""
        except ConfigError as error:  # this setting may not have this value, and yet it is known
            problem = error.problem
        assert "sets nothing" not in problem, name
        assert ", got " not in problem, name


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("PUSHER_SERVER_APPS", "PUSHER_SERVER__APPS,"),
        ("PUSHER_SERVER_SERVER_PORT", "PUSHER_SERVER__SERVER__…"),
        ("PUSHER_SERVER_LOG__LEVEL", "PUSHER_SERVER__LOG__…"),
        ("PUSHER_SERVER_SERVICE_HOST", ""),
        ("PUSHER_SERVER_PORT", ""),
        ("PUSHER_SERVER_OPERATIONS_SERVICE_HOST", ""),
        ("PUSHER_SERVER_OPERATIONS_PORT_9601_TCP", ""),
        ("PUSHER_SERVER_PORT_6001_TCP_ADDR", ""),
        ("PUSHER_SERVER__LOG__LEVEL", ""),
    ],
)
def test_a_variable_that_lacks_an_underscore_has_a_line(variable: str, meant: str) -> None:
    """Those that Kubernetes makes for a Service have none."""
    lines = [*near_misses({variable: "hidden"})]
    assert len(lines) == bool(meant)
    if lines:
        assert lines[0].startswith(f"{variable} sets nothing: write {meant}")
        assert "hidden" not in lines[0]
