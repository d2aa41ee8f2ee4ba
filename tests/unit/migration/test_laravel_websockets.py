"""`pusher_server.migration.laravel_websockets`: `config/websockets.php` of versions 1 and 2."""

from pathlib import Path
from typing import Any

import pytest

from pusher_server.errors import ConfigError
from pusher_server.migration import laravel_websockets
from pusher_server.migration.draft import NAME_IS_COMPUTED, Draft
from pusher_server.migration.findings import Verdict, table
from pusher_server.migration.php import read_php
from pusher_server.migration.php_operators import COMPUTED_NAME, Unknown
from tests.unit.migration.imported import app, findings, is_noted, setting

VARIABLES = {
    "PUSHER_APP_ID": "1",
    "PUSHER_APP_KEY": "shop-key",
    "PUSHER_APP_SECRET": "shop-secret",
    "APP_NAME": "Shop",
}
#: The form of version 1, after its documentation.
VERSION_1 = """<?php
use BeyondCode\\LaravelWebSockets\\Dashboard\\Http\\Middleware\\Authorize;
return [
    'dashboard' => ['port' => env('LARAVEL_WEBSOCKETS_PORT', 6001)],
    'apps' => [[
        'id' => env('PUSHER_APP_ID'), 'name' => env('APP_NAME'), 'key' => env('PUSHER_APP_KEY'),
        'secret' => env('PUSHER_APP_SECRET'), 'path' => env('PUSHER_APP_PATH'), 'capacity' => null,
        'enable_client_messages' => true, 'enable_statistics' => true,
    ]],
    'app_provider' => BeyondCode\\LaravelWebSockets\\Apps\\ConfigAppProvider::class,
    'allowed_origins' => ['shop.example', 'https://www.shop.example', '*.never.example'],
    'max_request_size_in_kb' => 250,
    'path' => 'laravel-websockets',
    'middleware' => ['web', Authorize::class],
    'statistics' => ['interval_in_seconds' => 60],
    'ssl' => ['local_cert' => null, 'local_pk' => null, 'passphrase' => null],
    'channel_manager' => \\BeyondCode\\LaravelWebSockets\\WebSockets\\Channels\\ArrayChannelManager::class,
];"""


def read(variables: dict[str, str] | None = None, **settings: Any) -> Draft:
    """The draft for the published configuration with other settings at its top."""
    known = {**VARIABLES, **(variables or {})}
    tree = {**laravel_websockets.published(known), **settings}
    return laravel_websockets.read(tree, known, "websockets.php")


def read_app(**settings: Any) -> Draft:
    """The draft with other settings of the app."""
    tree: Any = laravel_websockets.published(VARIABLES)
    tree["apps"][0].update(settings)
    return laravel_websockets.read(tree, VARIABLES, "websockets.php")


def test_version_1() -> None:
    """Its origins are for all apps, and compared as texts."""
    tree = read_php(VERSION_1, "websockets.php", VARIABLES.get)
    assert laravel_websockets.is_file(tree)
    draft = laravel_websockets.read(tree, VARIABLES, "websockets.php")
    assert setting(draft, "server") == {"host": "0.0.0.0", "port": 6_001}
    assert setting(draft, "http.request_bytes") == 256_000
    assert app(draft) == {
        "id": "1",
        "key": "shop-key",
        "secret": "shop-secret",
        "name": "Shop",
        "limits": {"connections": 0},
        "client_events": "members",
        "client_events_on_public_channels": True,
        "lenient_channel_names": True,
        "allowed_origins": ["shop.example", "www.shop.example"],
    }
    named = {finding.source for finding in findings(draft, Verdict.IMPOSSIBLE)}
    assert named == {"path", "middleware", "statistics", "channel_manager"}


@pytest.mark.parametrize(
    ("value", "connections", "enabled"),
    [
        (None, 0, None),
        (100, 100, None),
        ("100", 100, None),
        (0, None, False),
        (-1, None, False),
        ("many", None, None),
    ],
)
def test_capacity(value: object, connections: int | None, enabled: bool | None) -> None:
    """null is no limit; 0 and -1 let nobody connect there."""
    draft = read_app(capacity=value)
    assert app(draft).get("limits", {}).get("connections") == connections
    assert app(draft).get("enabled") is enabled


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        ([], []),
        (["a.example"], ["a.example"]),
        (["*"], ["nobody.invalid"]),
        (["*.a.example", "b.example"], ["b.example"]),
        ({"0": "a.example", "3": None}, ["a.example"]),
        ([True, {}], ["nobody.invalid"]),
        (5, ["nobody.invalid"]),
    ],
)
def test_origins(origins: object, expected: list[str]) -> None:
    """An empty list is every origin; a star is a character there, so it matches none.

    Something else than a list lets nobody in: PHP compares with nothing but an array.
    """
    draft = read_app(allowed_origins=origins)
    assert app(draft)["allowed_origins"] == expected
    assert is_noted(draft, Verdict.UNSAFE, "allowed_origins") == (origins == [])


@pytest.mark.parametrize(
    ("name", "ours"),
    [
        ("allowed_origins", "allowed_origins"),
        ("capacity", "limits"),
        ("enable_client_messages", "client_events"),
        ("name", "name"),
    ],
)
def test_nothing_is_said_of_a_setting_that_is_computed(name: str, ours: str) -> None:
    """But that it was left out: it is not as if it were missing."""
    draft = read_app(**{name: Unknown("config('x')", 7)})
    (finding,) = [finding for finding in draft.findings if finding.source == f"apps[0].{name}"]
    assert finding.verdict is Verdict.IMPOSSIBLE
    assert "is computed in websockets.php, line 7 (`config('x')`)" in finding.note
    assert ("Until then every origin is let in" in finding.note) == (name == "allowed_origins")
    assert ours not in app(draft)


def test_computed_origins_of_version_1_belong_to_every_app() -> None:
    """They stand at the top."""
    tree: Any = laravel_websockets.published(VARIABLES)
    del tree["apps"][0]["allowed_origins"]
    tree["allowed_origins"] = Unknown("Sites::all()", 9)
    draft = laravel_websockets.read(tree, VARIABLES, "websockets.php")
    named = [finding for finding in draft.findings if finding.source.endswith("allowed_origins")]
    assert [finding.verdict for finding in named] == [Verdict.IMPOSSIBLE]
    assert "allowed_origins" not in app(draft)


def test_a_setting_whose_name_is_computed_is_named_by_its_line() -> None:
    """At the top, and of an app."""
    tree: Any = laravel_websockets.published(VARIABLES)
    tree[f"{COMPUTED_NAME}3)"] = tree["apps"][0][f"{COMPUTED_NAME}8)"] = 1
    draft = laravel_websockets.read(tree, VARIABLES, "websockets.php")
    named = {finding.source: finding.note for finding in draft.findings}
    assert named["(name in line 3)"] == named["apps[0].(name in line 8)"] == NAME_IS_COMPUTED


def test_client_messages_were_open_to_every_connection() -> None:
    """There to channels that the sender never joined, too; here from members."""
    draft = read_app(enable_client_messages=True)
    assert app(draft)["client_events"] == "members"
    assert is_noted(draft, Verdict.CHANGED, "enable_client_messages")
    assert is_noted(draft, Verdict.UNSAFE, "enable_client_messages")
    assert app(read_app(enable_client_messages="0"))["client_events"] == "off"


def test_tables() -> None:
    """MySQL from `.env`, SQLite from the configuration."""
    manager = "BeyondCode\\LaravelWebSockets\\Apps\\MysqlAppManager"
    variables = {"DB_HOST": "db", "DB_PASSWORD": "p#1", "DB_USERNAME": "u", "DB_DATABASE": "shop"}
    draft = read(variables, managers={"app": manager, "mysql": {"table": "push_apps"}})
    assert setting(draft, "database") == {
        "url": "mysql://u:p%231@db:3306/shop",
        "table": "push_apps",
        "preset": "laravel-websockets",
    }
    assert "p%231" not in table(draft.findings)
    assert draft.apps == []
    sqlite = manager.replace("Mysql", "SQLite")
    draft = read(managers={"app": sqlite, "sqlite": {"database": "/srv/x.sqlite"}})
    assert setting(draft, "database") == {
        "url": "sqlite:////srv/x.sqlite",
        "table": "apps",
        "preset": "laravel-websockets",
    }


def test_a_manager_of_ones_own_is_named() -> None:
    """And the apps of the file are read."""
    draft = read(managers={"app": "App\\MyManager"})
    assert is_noted(draft, Verdict.IMPOSSIBLE, "managers.app")
    assert app(draft)["id"] == "1"


def test_tls(tmp_path: Path) -> None:
    """The key may be in the certificate's file; files that are not here are named."""
    pem = tmp_path / "site.pem"
    pem.write_text("x")
    draft = read({"LARAVEL_WEBSOCKETS_SSL_LOCAL_CERT": str(pem)})
    assert setting(draft, "server.tls") == {"certificate": str(pem), "key": str(pem)}
    draft = read({"LARAVEL_WEBSOCKETS_SSL_LOCAL_CERT": "/nowhere/a.pem"})
    assert setting(draft, "server.tls") is None
    assert is_noted(draft, Verdict.IMPOSSIBLE, "ssl.local_cert")


def test_redis() -> None:
    """By Laravel's own connection."""
    draft = read(
        {"WEBSOCKETS_REPLICATION_MODE": "redis", "REDIS_PASSWORD": "hidden", "REDIS_SCHEME": "tls"}
    )
    assert setting(draft, "cluster.redis") == {
        "url": "rediss://127.0.0.1:6379/0",
        "password": "hidden",
    }
    assert "hidden" not in table(draft.findings)


def test_without_credentials_it_is_one_sentence() -> None:
    """That names the variable."""
    with pytest.raises(ConfigError, match=r"apps\[0\]\.key has no value: set PUSHER_APP_KEY"):
        read({"PUSHER_APP_KEY": ""})
    with pytest.raises(ConfigError, match="has no app"):
        read(apps=[])
    with pytest.raises(ConfigError, match=r"apps\[0\]\.secret is computed, and .* --answer apps"):
        read_app(secret=Unknown("decrypt('x')", 7))
    with pytest.raises(ConfigError, match=r"`apps\.0` is computed in line 7: write its settings"):
        read(apps=[Unknown("App::one()", 7)])


def test_other_options_of_tls_are_named() -> None:
    """Each that says something."""
    ssl = {"local_cert": None, "verify_peer": False, "peer_name": None, "ciphers": "HIGH"}
    draft = read(ssl=ssl)
    named = {finding.source for finding in findings(draft, Verdict.IMPOSSIBLE)}
    assert {"ssl.verify_peer", "ssl.ciphers"} <= named
    assert not {"ssl", "ssl.peer_name", "ssl.local_cert"} & named
