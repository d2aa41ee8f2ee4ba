"""`pusher_server.migration.sockudo`: its file in both forms of an app, its variables, its table."""

from typing import Any

import pytest

from pusher_server.errors import ConfigError
from pusher_server.migration import sockudo
from pusher_server.migration.draft import Draft
from pusher_server.migration.findings import Verdict, table
from tests.unit.migration.imported import app, findings, is_noted, setting

APP = {"id": "1", "key": "shop-key", "secret": "shop-secret", "enabled": True}


def read(tree: dict[str, Any] | None = None, /, **variables: str) -> Draft:
    """The draft for a file with one app, and variables."""
    apps = {"app_manager": {"array": {"apps": [dict(APP)]}}}
    return sockudo.read({**apps, **(tree or {})}, variables, "config.toml")


def read_app(*, policy: dict[str, Any] | None = None, **flat: Any) -> Draft:
    """The draft for one app, in the form with `policy` or without."""
    settings = {**APP, **flat, **({} if policy is None else {"policy": policy})}
    return sockudo.read({"app_manager": {"array": {"apps": [settings]}}}, {}, "config.toml")


def test_defaults() -> None:
    """What sockudo does without a setting is written down."""
    draft = read()
    assert setting(draft, "server") == {
        "host": "0.0.0.0",
        "port": 6_001,
        "shutdown_grace": 10,
        "connection_attempts_per_address": 2.0,
    }
    assert setting(draft, "operations") == {"host": "0.0.0.0", "port": 9_601}
    assert setting(draft, "websocket.max_connections") == 0
    assert setting(draft, "http.request_bytes") == 10_485_760
    assert setting(draft, "defaults.activity_timeout") == 120
    assert setting(draft, "defaults.limits.message_bytes") == 65_536
    assert setting(draft, "webhooks") == {
        "timeout": 10.0,
        "batch_window": 0.05,
        "batch_events": 100,
    }


@pytest.mark.parametrize("form", ["policy", "flat"])
@pytest.mark.parametrize(("value", "limit"), [(0, 0), (100, 100), ("100", 100), (-1, None)])
def test_connections(form: str, value: object, limit: int | None) -> None:
    """0 is no limit, there and here; sockudo cannot read -1."""
    limits = {"max_connections": value}
    draft = read_app(policy={"limits": limits}) if form == "policy" else read_app(**limits)
    assert app(draft).get("limits", {}).get("connections") == limit
    assert is_noted(draft, Verdict.IMPOSSIBLE, "max_connections") == (limit is None)
    assert is_noted(draft, Verdict.UNSAFE, "max_connections") == (limit == 0)


@pytest.mark.parametrize(
    ("rate", "decay", "expected"), [(0, None, 0), (50, None, 50), (100, 30, 4), (0, 30, 0)]
)
def test_client_events(rate: int, decay: int | None, expected: int) -> None:
    """In a window there, by the second here; 0 has no limiter."""
    draft = read_app(max_client_events_per_second=rate, decay_seconds=decay)
    assert app(draft)["limits"]["client_events_per_second"] == expected


@pytest.mark.parametrize(("value", "limit"), [(None, None), (0, 1), (5, 5), (-1, None)])
def test_limits_that_may_be_missing(value: object, limit: int | None) -> None:
    """Missing is no limit, and 0 lets nothing through."""
    draft = read_app(max_presence_members_per_channel=value)
    assert app(draft)["limits"].get("presence_members") == limit
    assert is_noted(draft, Verdict.CHANGED, "max_presence_members_per_channel") == (value == 0)


def test_kilobytes_become_bytes() -> None:
    """Of events and of members."""
    draft = read_app(max_event_payload_in_kb=100, max_presence_member_size_in_kb="2")
    assert app(draft)["limits"]["event_data_bytes"] == 102_400
    assert app(draft)["limits"]["presence_member_bytes"] == 2_048


def test_limits_that_sockudo_does_not_apply_are_left_out() -> None:
    """It stores the rates of backends and nothing reads them."""
    draft = read_app(max_backend_events_per_second=5, max_read_requests_per_second=5)
    assert "backend_events_per_second" not in app(draft)["limits"]
    assert is_noted(draft, Verdict.CHANGED, "max_backend_events_per_second")


@pytest.mark.parametrize(
    ("origins", "expected"),
    [
        (None, []),
        ([], []),
        (["*"], ["*"]),
        (["Any"], ["*"]),
        (["*.shop.example"], ["*.shop.example", "shop.example"]),
        (["https://shop.example:8443"], ["shop.example"]),
    ],
)
def test_origins(origins: list[str] | None, expected: list[str]) -> None:
    """`*.shop.example` has the domain itself there; scheme and port are not compared here."""
    draft = read_app(policy={"channels": {"allowed_origins": origins}})
    assert app(draft)["allowed_origins"] == expected


@pytest.mark.parametrize("enabled", [False, None, ...])
def test_an_app_without_the_switch_is_off(enabled: object) -> None:
    """As its reader has it: a missing switch is false."""
    settings = {name: value for name, value in APP.items() if name != "enabled"}
    if enabled is not ...:
        settings["enabled"] = enabled
    draft = sockudo.read({"app_manager": {"array": {"apps": [settings]}}}, {}, "config.toml")
    assert app(draft)["enabled"] is False


def test_features() -> None:
    """Client events on private channels only, signing in with the server's time, watchlists."""
    features = dict.fromkeys(
        ("enable_client_messages", "enable_user_authentication", "enable_watchlist_events"), True
    )
    draft = sockudo.read(
        {
            "user_authentication_timeout": 60,
            "app_manager": {"array": {"apps": [{**APP, "policy": {"features": features}}]}},
        },
        {},
        "config.toml",
    )
    assert app(draft)["client_events"] == "members"
    assert "client_events_on_public_channels" not in app(draft)
    assert app(draft)["authorization_timeout"] == 60
    assert app(draft)["watchlist"] is True


def test_webhooks() -> None:
    """A prefix and a suffix are ours under other names; a pattern is not."""
    hooks = [
        {
            "url": "https://a.example/h",
            "event_types": ["member_added"],
            "filter": {"channel_prefix": "presence-"},
        },
        {"url": "https://b.example/h", "event_types": [], "filter": {"channel_pattern": "x.*"}},
        {"lambda_function": "f", "event_types": []},
    ]
    draft = read_app(policy={"webhooks": hooks})
    assert app(draft)["webhooks"] == [
        {
            "url": "https://a.example/h",
            "batch": True,
            "event_types": ["member_added"],
            "filter": {"channel_name_starts_with": "presence-"},
        }
    ]
    assert len(findings(draft, Verdict.IMPOSSIBLE, ".1")) == 1
    assert len(findings(draft, Verdict.IMPOSSIBLE, ".2")) == 1


def test_variables_win_over_the_file() -> None:
    """One that sockudo cannot read changes nothing."""
    draft = read(
        {"port": 1}, PORT="7000", HOST="127.0.0.1", METRICS_ENABLED="off", ACTIVITY_TIMEOUT="soon"
    )
    assert setting(draft, "server.port") == 7_000
    assert setting(draft, "server.host") == "127.0.0.1"
    assert setting(draft, "operations") == {"enabled": False}
    assert setting(draft, "defaults.activity_timeout") == 120


def test_the_app_of_the_variables_stands_in_for_all() -> None:
    """With 100 for each limit that is not set."""
    names = {"ID": "9", "KEY": "env-key", "SECRET": "env-secret", "ENABLE_CLIENT_MESSAGES": "on"}
    draft = read({}, **{f"SOCKUDO_DEFAULT_APP_{name}": value for name, value in names.items()})
    assert [given["key"] for given in draft.apps] == ["env-key"]
    assert app(draft)["limits"]["connections"] == 100
    assert app(draft)["limits"]["event_data_bytes"] == 102_400
    assert app(draft)["client_events"] == "members"
    with pytest.raises(ConfigError, match="SOCKUDO_DEFAULT_APP_SECRET: is missing"):
        read({}, SOCKUDO_DEFAULT_APP_ID="9", SOCKUDO_DEFAULT_APP_KEY="k")


def test_variables_in_the_file_are_replaced() -> None:
    """With their defaults; one that is nowhere is named."""
    text = 'a = "${A:-x}" b = "${B}"'
    assert sockudo.substitute(text, {"B": "y"}, "f") == 'a = "x" b = "y"'
    with pytest.raises(ConfigError, match="needs the variables B"):
        sockudo.substitute(text, {"B": ""}, "f")


def test_redis() -> None:
    """One server, Sentinels, a cluster."""
    redis = {"host": "r", "port": 1, "db": 2, "password": "hidden", "master_tls": {"enabled": True}}
    draft = read({"adapter": {"driver": "redis"}, "database": {"redis": redis}})
    assert setting(draft, "cluster.redis") == {"url": "rediss://r:1/2", "password": "hidden"}
    assert "hidden" not in table(draft.findings)
    sentinels = {"sentinels": [{"host": "s", "port": 1}], "name": "m"}
    draft = read({"adapter": {"driver": "redis"}, "database": {"redis": sentinels}})
    assert setting(draft, "cluster.redis") == {
        "sentinels": ["s:1"],
        "sentinel_master": "m",
        "url": "redis:///0",
    }
    draft = read(
        {"adapter": {"driver": "redis-cluster", "cluster": {"nodes": ["redis://a:1", "b:2"]}}}
    )
    assert setting(draft, "cluster.redis") == {"url": "redis://a:1,b:2", "cluster": True}
    assert is_noted(read({"adapter": {"driver": "nats"}}), Verdict.IMPOSSIBLE, "adapter.driver")


def test_its_table_has_columns_of_its_own() -> None:
    """Named over soketi's preset."""
    mysql = {"host": "db", "username": "u", "password": "p/1", "table_name": "tenants"}
    draft = read({"app_manager": {"driver": "mysql"}, "database": {"mysql": mysql}})
    database = setting(draft, "database")
    assert database["url"] == "mysql://u:p%2F1@db:3306/sockudo"
    assert (database["preset"], database["table"]) == ("soketi", "tenants")
    assert (
        database["columns"]["limits"]["client_events_per_second"] == "max_client_events_per_second"
    )
    assert draft.apps == []


def test_the_rate_of_new_connections_is_on_by_default() -> None:
    """As many at once as there; off when the file says so."""
    limits = {"websocket_rate_limit": {"max_requests": 50, "window_seconds": 10}}
    path = "server.connection_attempts_per_address"
    assert setting(read({"rate_limiter": limits}), path) == 5.0
    assert setting(read({"rate_limiter": {"enabled": False, **limits}}), path) is None


def test_add_ons_are_named_once() -> None:
    """By their tables."""
    draft = read(
        {"history": {"enabled": True, "backend": "memory"}, "delta_compression": {"enabled": True}}
    )
    assert {finding.source for finding in findings(draft, Verdict.IMPOSSIBLE)} == {
        "history",
        "delta_compression",
        "rate_limiter.api_rate_limit",
    }


@pytest.mark.parametrize(
    "tree",
    [
        {"port": "http"},
        {"port": 0},
        {"app_manager": {"array": {"apps": []}}},
        {"app_manager": {"array": {"apps": [{"id": "1"}]}}},
        {"app_manager": {"array": {"apps": 5}}},
        {"app_manager": {"driver": "dynamodb"}},
        {"activity_timeout": -1},
        {"websocket_max_payload_kb": "many"},
    ],
)
def test_a_file_that_sockudo_cannot_read_is_one_sentence(tree: dict[str, Any]) -> None:
    """And no other error."""
    with pytest.raises(ConfigError):
        read(tree)


def test_variables_that_are_not_read_are_named() -> None:
    """Those of sockudo: a `.env` may be an application's, too."""
    draft = read(
        REDIS_URL="redis://:hidden@h:1",
        CLEANUP_BATCH_SIZE="25",
        SOCKUDO_NEW="1",
        CORS_ORIGINS="",
        APP_NAME="Shop",
        PORT="7001",
        SOCKUDO_MAX_CONNECTIONS="5",
    )
    named = {finding.source for finding in findings(draft, Verdict.IMPOSSIBLE)}
    assert {"REDIS_URL", "CLEANUP_BATCH_SIZE", "SOCKUDO_NEW"} <= named
    assert not {"CORS_ORIGINS", "APP_NAME", "PORT", "SOCKUDO_MAX_CONNECTIONS"} & named
    assert "hidden" not in table(draft.findings)


def test_lists_and_switches_of_variables() -> None:
    """A cluster with TLS, and webhooks one by one."""
    draft = read(
        ADAPTER_DRIVER="redis-cluster",
        REDIS_CLUSTER_NODES="a:7000, b:7001",
        DATABASE_REDIS_MASTER_TLS_ENABLED="yes",
        WEBHOOK_BATCHING_ENABLED="off",
    )
    assert setting(draft, "cluster.redis") == {"url": "rediss://a:7000,b:7001", "cluster": True}
    assert setting(draft, "webhooks.batch_window") is None
