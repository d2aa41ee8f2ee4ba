"""`pusher_server.migration.soketi`: its options, apps, variables; -1, 0 and null as they are there."""

from typing import Any

import pytest

from pusher_server.errors import ConfigError
from pusher_server.migration import soketi
from pusher_server.migration.draft import Draft
from pusher_server.migration.findings import Verdict, table
from tests.unit.migration.imported import app, findings, is_noted, setting

APP = {"id": "1", "key": "shop-key", "secret": "shop-secret"}


def read(tree: dict[str, Any] | None = None, /, **variables: str) -> Draft:
    """The draft for a file and variables."""
    environ = {f"SOKETI_{name}": value for name, value in variables.items()}
    return soketi.read(tree or {}, environ, "soketi.json")


def read_app(**settings: Any) -> Draft:
    """The draft for one app."""
    return read({"appManager.array.apps": [{**APP, **settings}]})


def test_without_anything_it_is_soketis_default() -> None:
    """Its published app too, which has a warning for each part."""
    draft = read()
    assert app(draft)["key"] == "app-key"
    assert len(findings(draft, Verdict.UNSAFE, "secret")) == 1
    assert setting(draft, "server") == {"host": "0.0.0.0", "port": 6001, "shutdown_grace": 3.0}
    assert setting(draft, "defaults.limits") == {
        "channel_name_length": 200,
        "event_channels": 100,
        "event_name_length": 200,
        "event_data_bytes": 102_400,
        "batch_events": 10,
        "presence_members": 100,
        "presence_member_bytes": 2_048,
    }
    assert setting(draft, "defaults.cache_ttl") == 3_600


@pytest.mark.parametrize(
    ("value", "connections"),
    [(-1, 0), (0, 0), (None, 0), ("", 0), ("abc", 0), (5, 5), ("500", 500), (-7, 0)],
)
def test_connections(value: object, connections: int) -> None:
    """`parseInt(x) || -1`, and below 0 is no limit: -1, 0, null and no number are all none."""
    draft = read_app(maxConnections=value)
    assert app(draft)["limits"]["connections"] == connections
    assert is_noted(draft, Verdict.UNSAFE, "maxConnections") == (connections == 0)


@pytest.mark.parametrize(
    ("value", "rate"), [(-1, 0), (None, 0), ("x", 0), (0, 1), ("0", 1), (20, 20)]
)
def test_rates_of_the_backend(value: object, rate: int) -> None:
    """-1 is no limit, but 0 refuses every request there: it becomes the least that there is here."""
    draft = read_app(maxBackendEventsPerSecond=value)
    assert app(draft)["limits"]["backend_events_per_second"] == rate
    assert is_noted(draft, Verdict.CHANGED, "maxBackendEventsPerSecond") == (rate == 1)


def test_no_client_events_a_second_are_no_client_events() -> None:
    """0 lets nothing through, which is a switch here."""
    draft = read_app(maxClientEventsPerSecond=0, enableClientMessages=True)
    assert app(draft)["client_events"] == "off"


@pytest.mark.parametrize(
    ("value", "limit"), [(5, 5), (0, 1), (-1, 1), ("many", 0), (2.5, 2), (None, None), ("", None)]
)
def test_sizes_are_compared_as_they_are(value: object, limit: int | None) -> None:
    """-1 and 0 let nothing through there; what is no number is no limit; null is the server's option."""
    draft = read_app(maxPresenceMembersPerChannel=value)
    assert app(draft)["limits"].get("presence_members") == limit


def test_kilobytes_become_bytes() -> None:
    """Fractions, too."""
    draft = read({"eventLimits.maxPayloadInKb": 0.5, "presence.maxMemberSizeInKb": "10"})
    assert setting(draft, "defaults.limits.event_data_bytes") == 512
    assert setting(draft, "defaults.limits.presence_member_bytes") == 10_240


def test_a_table_in_the_file_replaces_all_of_the_default() -> None:
    """`{"eventLimits": {…}}` drops its other limits there: these are then no numbers, so no limits."""
    draft = read({"eventLimits": {"maxBatchSize": 5}})
    assert setting(draft, "defaults.limits.batch_events") == 5
    assert setting(draft, "defaults.limits.event_channels") == 0


def test_the_environment_wins_over_the_file() -> None:
    """And a value that is JSON is what it says; null and nothing are no value."""
    tree = {"port": 7001, "appManager.array.apps": [dict(APP)]}
    draft = read(
        tree, PORT="7002", DEFAULT_APP_KEY="other-key", DEFAULT_APP_ENABLED="false", HOST=""
    )
    assert setting(draft, "server.port") == 7_002
    assert app(draft)["key"] == "other-key"
    assert app(draft)["enabled"] is False
    assert setting(draft, "server.host") == "0.0.0.0"
    assert is_noted(draft, Verdict.TAKEN, "SOKETI_DEFAULT_APP_KEY")


def test_ids_are_texts() -> None:
    """A number in JSON becomes one, as there."""
    assert app(read_app(id=77))["id"] == "77"


def test_three_spellings_of_a_setting() -> None:
    """As the tables of its databases have them; the last one of soketi's list wins."""
    draft = read_app(max_connections=7, maxConnections=8)
    assert app(draft)["limits"]["connections"] == 7


def test_client_events_are_taken_on_public_channels() -> None:
    """soketi asks for no private channel; that was unsafe."""
    draft = read_app(enableClientMessages=True)
    assert app(draft)["client_events"] == "members"
    assert app(draft)["client_events_on_public_channels"] is True
    assert is_noted(draft, Verdict.UNSAFE, "enableClientMessages")
    assert app(read_app())["client_events"] == "off"


def test_signing_in_has_soketis_time() -> None:
    """Milliseconds there, seconds here, rounded up."""
    tree = {
        "userAuthenticationTimeout": 2_500,
        "appManager.array.apps": [{**APP, "enableUserAuthentication": True}],
    }
    assert app(read(tree))["authorization_timeout"] == 3


def test_webhooks() -> None:
    """Those that can be sent, with the batch switch of the server."""
    hooks = [
        {
            "url": "https://a.example/hook",
            "event_types": ["channel_occupied"],
            "filter": {"channel_name_starts_with": "x"},
        },
        {"lambda_function": "f", "event_types": []},
        {"url": "ftp://a.example", "event_types": []},
        {"url": "https://a.example", "event_types": ["nonsense"]},
        "no table",
    ]
    draft = read(
        {"webhooks.batching.enabled": True, "appManager.array.apps": [{**APP, "webhooks": hooks}]}
    )
    assert app(draft)["webhooks"] == [{**hooks[0], "batch": True}]  # type: ignore[dict-item]
    assert [f.source for f in findings(draft, Verdict.IMPOSSIBLE)] == [
        f"apps[0].webhooks.{index}" for index in (1, 2, 3, 4)
    ]
    assert setting(draft, "webhooks.batch_window") == 0.05


def test_webhooks_as_json_text() -> None:
    """In a variable; what is no list sends nothing there either."""
    draft = read(DEFAULT_APP_WEBHOOKS='[{"url": "https://a.example/h"}]')
    assert app(draft)["webhooks"] == [{"url": "https://a.example/h"}]
    assert is_noted(
        read(DEFAULT_APP_WEBHOOKS="[{"), Verdict.IMPOSSIBLE, "SOKETI_DEFAULT_APP_WEBHOOKS"
    )


def test_redis() -> None:
    """One server, Sentinels, a cluster."""
    one = read(ADAPTER_DRIVER="redis", DB_REDIS_HOST="r", DB_REDIS_PASSWORD="p@ss", DB_REDIS_DB="2")
    assert setting(one, "cluster.redis") == {"url": "redis://r:6379/2", "password": "p@ss"}
    sentinels = read(
        ADAPTER_DRIVER="redis", DB_REDIS_SENTINELS='[{"host": "s1", "port": 1}, {"host": "s2"}]'
    )
    assert setting(sentinels, "cluster.redis") == {
        "sentinels": ["s1:1", "s2:26379"],
        "sentinel_master": "mymaster",
        "url": "redis:///0",
    }
    nodes = '[{"host": "a", "port": 1}, {"host": "b", "port": 2}]'
    many = read(
        ADAPTER_DRIVER="redis", ADAPTER_REDIS_CLUSTER_MODE="true", DB_REDIS_CLUSTER_NODES=nodes
    )
    assert setting(many, "cluster.redis") == {"url": "redis://a:1,b:2", "cluster": True}
    tls = read(ADAPTER_DRIVER="redis", ADAPTER_REDIS_PUB_OPTIONS='{"tls": {"x": 1}}')
    assert setting(tls, "cluster.redis.url") == "rediss://127.0.0.1:6379/0"


@pytest.mark.parametrize("driver", ["nats", "cluster"])
def test_other_adapters_are_named(driver: str) -> None:
    """With what connects nodes here."""
    draft = read(ADAPTER_DRIVER=driver)
    assert is_noted(draft, Verdict.IMPOSSIBLE, "SOKETI_ADAPTER_DRIVER")
    assert setting(draft, "cluster") is None


@pytest.mark.parametrize(
    ("driver", "url"),
    [("mysql", "mysql://u:p%40%2F@h:3306/d"), ("postgres", "postgresql://u:p%40%2F@h:5432/d")],
)
def test_its_tables_stay_where_they_are(driver: str, url: str) -> None:
    """Read with the preset; a password is percent-encoded."""
    kind = driver.upper()
    variables = {
        f"DB_{kind}_{name}": value
        for name, value in (
            ("HOST", "h"),
            ("USERNAME", "u"),
            ("PASSWORD", "p@/"),
            ("DATABASE", "d"),
        )
    }
    draft = read(APP_MANAGER_DRIVER=driver, **variables)
    assert setting(draft, "database") == {"url": url, "preset": "soketi"}
    assert draft.apps == []
    assert "p@/" not in table(draft.findings)
    assert "p%40" not in table(draft.findings)


def test_dynamodb_is_one_sentence() -> None:
    """That names the way out."""
    with pytest.raises(ConfigError, match="SOKETI_APP_MANAGER_DRIVER: apps come from dynamodb"):
        read(APP_MANAGER_DRIVER="dynamodb")


def test_what_has_no_counterpart_is_named() -> None:
    """Each option that was set, and no default."""
    draft = read({"cors.origin": ["x"], "queue.driver": "sqs", "nonsense": 1}, CLUSTER_PORT="1")
    named = {finding.source for finding in findings(draft, Verdict.IMPOSSIBLE)}
    assert named == {"cors.origin", "queue.driver", "nonsense", "SOKETI_CLUSTER_PORT"}


@pytest.mark.parametrize(
    "tree",
    [
        {"appManager.array.apps": "x"},
        {"appManager.array.apps": [1]},
        {"appManager.array.apps.5.id": "x"},
        {"appManager.array.apps.x": 1},
        {"port": "http"},
        {"port": 70_000},
        {"a..b": 1},
        {"port.x.y": 1},
        {".".join("a" * 99): 1},
    ],
)
def test_a_file_that_is_none_is_one_sentence(tree: dict[str, Any]) -> None:
    """And no other error."""
    with pytest.raises(ConfigError):
        read(tree)


def test_metrics_are_private_until_they_were_public() -> None:
    """soketi listens on every interface; here only when it exported metrics."""
    assert setting(read(), "operations.host") == "127.0.0.1"
    enabled = read(METRICS_ENABLED="1", METRICS_SERVER_PORT="9700")
    assert setting(enabled, "operations") == {
        "enabled": True,
        "host": "0.0.0.0",
        "soketi_names": True,
        "port": 9_700,
    }


def test_no_secret_is_in_the_table() -> None:
    """Of apps, of Redis, of webhooks."""
    hooks = '[{"url": "https://u:hidden@a.example/h?token=hidden", "headers": {"X": "hidden"}}]'
    draft = read(
        ADAPTER_DRIVER="redis",
        DB_REDIS_PASSWORD="hidden",
        DEFAULT_APP_SECRET="hidden",
        DEFAULT_APP_WEBHOOKS=hooks,
        SSL_PASS="hidden",
        SSL_CERT="/nowhere",
    )
    assert "hidden" not in table(draft.findings)


@pytest.mark.parametrize("text", ["0123", "1e5", "1.0", "true", "12345678901234567890123", "[1]"])
def test_credentials_are_the_text_of_their_variable(text: str) -> None:
    """Whatever they are as JSON: clients and backends have this text."""
    draft = read(
        DEFAULT_APP_ID=text,
        DEFAULT_APP_KEY=text,
        DEFAULT_APP_SECRET=text,
        ADAPTER_DRIVER="redis",
        DB_REDIS_PASSWORD=text,
    )
    assert [app(draft)[name] for name in ("id", "key", "secret")] == [text] * 3
    assert setting(draft, "cluster.redis.password") == text


def test_metrics_that_are_off_have_no_port() -> None:
    """soketi looks at it only when they are on, so it may be that of clients."""
    draft = read({"appManager.array.apps": [APP], "metrics.port": 6_001})
    assert setting(draft, "operations") == {"enabled": False}
    assert is_noted(draft, Verdict.CHANGED, "metrics.port")
    draft = read({"appManager.array.apps": [APP], "metrics.port": 6_002})
    assert setting(draft, "operations") == {"host": "127.0.0.1", "port": 6_002}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"port": None}, r"^soketi\.json: `port`: is no port"),
        ({"appManager.driver": "dynamodb"}, r"^soketi\.json: `appManager\.driver`: apps come from"),
        ({"appManager.array.apps": []}, r"^soketi\.json: has no app in `appManager\.array\.apps`"),
    ],
)
def test_an_error_names_its_file(tree: dict[str, Any], message: str) -> None:
    """One from a variable names the variable."""
    with pytest.raises(ConfigError, match=message):
        read(tree)
    with pytest.raises(ConfigError, match=r"^SOKETI_PORT: is no port"):
        read(PORT="abc")
