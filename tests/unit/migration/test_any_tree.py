"""Any content of another server's file is a draft that can be written, or the error of the command line."""

import tomllib
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher_server.app import App
from pusher_server.config.apps import SINGLE_KEY
from pusher_server.config.problems import check_names
from pusher_server.config.settings import SECTIONS
from pusher_server.errors import ConfigError
from pusher_server.migration import laravel_websockets, reverb, sockudo, soketi
from pusher_server.migration.draft import Draft
from pusher_server.migration.findings import table
from pusher_server.migration.php_operators import Unknown
from pusher_server.migration.soketi_options import SoketiOptions
from pusher_server.migration.toml_text import write_toml

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-5, 10)
    | st.integers()
    | st.floats()
    | st.sampled_from(
        [
            "",
            "0",
            "-1",
            "12",
            "1.5",
            "true",
            "null",
            "*",
            "https://a.example:1/x",
            "a b",
            "\u2028",
            "[",
            "/x",
        ]
    )
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
)
UNKNOWN = st.just(Unknown("config('x')", 7))
VALUES = st.recursive(
    SCALARS,
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(
            st.sampled_from(["host", "port", "url", "event_types", "filter", "headers", "x"]),
            values,
            max_size=3,
        )
    ),
    max_leaves=6,
)
PHP_VALUES = st.recursive(
    SCALARS | UNKNOWN,
    lambda values: (
        st.lists(values, max_size=3)
        | st.dictionaries(st.sampled_from(["url", "host", "enabled"]), values, max_size=2)
    ),
    max_leaves=6,
)

SOKETI_OPTIONS = sorted(
    {path for path, _ in SoketiOptions({}, {}, "x").unread()} | {"appManager", "webhooks"}
)
SOKETI_APP = [
    "id",
    "key",
    "secret",
    "maxConnections",
    "max_connections",
    "enabled",
    "enableClientMessages",
    "maxBackendEventsPerSecond",
    "maxClientEventsPerSecond",
    "maxPresenceMembersPerChannel",
    "maxEventPayloadInKb",
    "enableUserAuthentication",
    "webhooks",
]
REVERB_APP = [
    "app_id",
    "key",
    "secret",
    "allowed_origins",
    "max_connections",
    "max_message_size",
    "activity_timeout",
    "accept_client_events_from",
    "rate_limiting",
    "options",
]
WEBSOCKETS_APP = [
    "id",
    "key",
    "secret",
    "name",
    "capacity",
    "allowed_origins",
    "enable_client_messages",
]
SOCKUDO_APP = [
    "id",
    "key",
    "secret",
    "enabled",
    "policy",
    "max_connections",
    "max_client_events_per_second",
    "decay_seconds",
    "webhooks",
    "allowed_origins",
    "max_event_payload_in_kb",
]
SOCKUDO_TOP = [
    "host",
    "ssl",
    "metrics",
    "webhooks",
    "rate_limiter",
    "database",
    "adapter",
    "unix_socket",
    "max_connections",
    "activity_timeout",
    "history",
]


def held(read: Callable[[], Draft]) -> None:
    """The draft is TOML with names that exist here; nothing else than ConfigError is raised."""
    try:
        draft = read()
    except ConfigError:
        return
    tomllib.loads(write_toml(draft.table, draft.apps, []))
    assert table(draft.findings)
    for name, section in draft.table.items():
        check_names(section, App if name == "defaults" else SECTIONS[name], name, elsewhere=())
    for app in draft.apps:
        check_names(app, App, "app", elsewhere=(), extra=SINGLE_KEY)


def apps(
    names: list[str], values: st.SearchStrategy[Any]
) -> st.SearchStrategy[list[dict[str, Any]]]:
    """Apps that have credentials more often than not."""
    credentials = {
        name: st.just("x") for name in names if name in ("id", "app_id", "key", "secret")
    }
    rest = st.dictionaries(st.sampled_from(names), values, max_size=5)
    return st.lists(
        st.builds(lambda some, more: {**more, **some}, st.fixed_dictionaries(credentials), rest),
        min_size=1,
        max_size=2,
    )


@given(
    st.dictionaries(st.sampled_from(SOKETI_OPTIONS), VALUES, max_size=6),
    apps(SOKETI_APP, VALUES) | VALUES,
)
def test_soketi(options: dict[str, Any], given_apps: Any) -> None:
    """Any option with any value, in dotted form."""
    held(
        lambda: soketi.read(
            {**options, "appManager.array.apps": given_apps, "port": 1}, {}, "x.json"
        )
    )


@given(
    st.dictionaries(
        st.sampled_from(
            [
                "SOKETI_" + name
                for name in (
                    "PORT",
                    "DEFAULT_APP_WEBHOOKS",
                    "DB_REDIS_SENTINELS",
                    "ADAPTER_DRIVER",
                    "APP_MANAGER_DRIVER",
                    "METRICS_ENABLED",
                    "PATH_PREFIX",
                )
            ]
        ),
        st.sampled_from(["redis", "mysql", "[]", "[{}]", "{}", "-1", "null", "[1,", "x"])
        | st.text(max_size=5),
    )
)
def test_soketis_variables(environ: dict[str, str]) -> None:
    """Any text in them."""
    held(lambda: soketi.read({}, environ, "x"))


@given(
    apps(REVERB_APP, PHP_VALUES) | PHP_VALUES,
    st.dictionaries(
        st.sampled_from(["host", "path", "max_request_size", "options", "scaling"]), PHP_VALUES
    ),
)
def test_reverb(given_apps: Any, server: dict[str, Any]) -> None:
    """Values that are computed, too."""
    held(
        lambda: reverb.read(
            {"servers": {"reverb": {"port": 1, **server}}, "apps": {"apps": given_apps}}, "x.php"
        )
    )


@given(
    apps(WEBSOCKETS_APP, PHP_VALUES) | PHP_VALUES,
    st.dictionaries(
        st.sampled_from(
            [
                "dashboard",
                "managers",
                "app_provider",
                "ssl",
                "replication",
                "max_request_size_in_kb",
                "allowed_origins",
            ]
        ),
        PHP_VALUES,
    ),
)
def test_laravel_websockets(given_apps: Any, top: dict[str, Any]) -> None:
    """The same."""
    held(lambda: laravel_websockets.read({"apps": given_apps, **top}, {}, "x.php"))


@given(apps(SOCKUDO_APP, VALUES) | VALUES, st.dictionaries(st.sampled_from(SOCKUDO_TOP), VALUES))
def test_sockudo(given_apps: Any, top: dict[str, Any]) -> None:
    """In both forms of an app."""
    held(
        lambda: sockudo.read({"app_manager": {"array": {"apps": given_apps}}, **top}, {}, "x.toml")
    )


@pytest.mark.parametrize(
    "tree", [{}, {"apps": []}, {"apps": {"apps": {}}}, {"servers": 1, "apps": 2}]
)
def test_the_kind_of_a_file_is_judged_whatever_is_in_it(tree: Mapping[str, object]) -> None:
    """By its names alone."""
    for module in (soketi, reverb, laravel_websockets, sockudo):
        assert module.is_file(tree) in (True, False)
