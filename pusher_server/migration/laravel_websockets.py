"""Reads laravel-websockets: `config/websockets.php` of versions 1 and 2, and where its tables of apps are.

Facts of beyondcode/laravel-websockets, version 2 (branch 2.x): `config/websockets.php`,
`src/Server/WebSocketHandler.php`, `src/Apps/`, `src/Server/Messages/PusherClientMessage.php`; version 1:
the published `config/websockets.php`.
"""

from collections.abc import Mapping

from pusher_server.errors import ConfigError
from pusher_server.migration.draft import (
    NAME_IS_COMPUTED,
    Answers,
    Draft,
    Settings,
    no_answers,
)
from pusher_server.migration.laravel import (
    ANY_ORIGIN,
    environment,
    redis_variables,
    write_capacity,
    write_credentials,
    write_origins,
    write_redis_connection,
)
from pusher_server.migration.numbers import php_truthy, whole
from pusher_server.migration.options import MISSING, Options
from pusher_server.migration.php_operators import COMPUTED_NAME
from pusher_server.migration.places import database_url
from pusher_server.migration.tls import ONLY_FILES, write_tls

NAME = "laravel-websockets"

_OWN = ("dashboard", "managers", "app_provider", "max_request_size_in_kb", "replication")
_CREDENTIALS = {"id": "id", "key": "key", "secret": "secret"}
_VARIABLES = {"id": "PUSHER_APP_ID", "key": "PUSHER_APP_KEY", "secret": "PUSHER_APP_SECRET"}
#: Parts that this server does not have, and what to do.
_ELSEWHERE = {
    "statistics": "there is no dashboard: metrics are at operations.port, for Prometheus and Grafana",
    "dashboard": "there is no dashboard: metrics are at operations.port, for Prometheus and Grafana",
    "middleware": "there is no dashboard: metrics are at operations.port, for Prometheus and Grafana",
    "path": "there is no dashboard; server.path_prefix is for clients and the API",
    "handlers": "code of yours is not run: webhooks carry what happens",
    "promise_resolver": "has no meaning outside PHP: remove it",
    "channel_manager": "has no meaning outside PHP: nodes share cluster.redis.url",
}


def is_file(tree: Mapping[str, object]) -> bool:
    """Whether a PHP configuration is laravel-websockets'."""
    return "apps" in tree and "servers" not in tree and any(key in tree for key in _OWN)


def published(variables: Mapping[str, str]) -> dict[str, object]:
    """The values of `config/websockets.php` as version 2 publishes it, with these variables."""
    env = environment(variables)
    app = {
        "id": env("PUSHER_APP_ID"),
        "name": env("APP_NAME"),
        "key": env("PUSHER_APP_KEY"),
        "secret": env("PUSHER_APP_SECRET"),
        "capacity": None,
        "enable_client_messages": False,
        "allowed_origins": [],
    }
    return {
        "dashboard": {"port": env("LARAVEL_WEBSOCKETS_PORT", 6_001)},
        "apps": [app],
        "replication": {"mode": env("WEBSOCKETS_REPLICATION_MODE", "local")},
        "max_request_size_in_kb": 250,
        "ssl": {
            "local_cert": env("LARAVEL_WEBSOCKETS_SSL_LOCAL_CERT"),
            "local_pk": env("LARAVEL_WEBSOCKETS_SSL_LOCAL_PK"),
            "passphrase": env("LARAVEL_WEBSOCKETS_SSL_PASSPHRASE"),
        },
    }


def read(
    tree: Mapping[str, object],
    variables: Mapping[str, str],
    name: str,
    answers: Answers = no_answers,
) -> Draft:
    """The configuration of ours for that of `config/websockets.php`. Raises ConfigError.

    `variables` are those of `.env`: the connections of Laravel's `config/database.php` are in them.
    """
    options = Options(tree, name)
    draft = Draft(NAME, answers)
    draft.take("--host", "server.host", "0.0.0.0", "the default of `websockets:serve`")
    source, given = draft.value(options, "dashboard.port")
    port = 6_001 if given in (MISSING, None) else whole(given)
    if port is None or not 0 < port < 65_536:
        raise ConfigError(name, "`dashboard.port` is no port: write a number up to 65535")
    draft.take(source, "server.port", port, "unless `websockets:serve` had another --port")
    _write_request_size(draft, options)
    _write_tls(draft, options)
    _write_replication(draft, options, variables)
    if not _write_database(draft, options, variables):
        for index, app in enumerate(options.tables("apps")):
            _write_app(draft.app(f"apps[{index}]."), app, options)
        if not draft.apps:
            raise ConfigError(name, "has no app in `apps`")
    options.pass_over("apps", "allowed_origins")
    draft.differ("times of API requests", "are checked here: clocks may differ by 600 s at most")
    _name_the_rest(draft, options)
    return draft


def _name_the_rest(draft: Draft, options: Options) -> None:
    """Name what nothing has read, a table by its own name."""
    named = set()
    for path, value in options.unread():
        top = path.partition(".")[0]
        if top == "ssl":
            if value not in (None, "", [], {}):
                draft.refuse(path, ONLY_FILES)
        elif top not in named:
            named.add(top)
            advice = _ELSEWHERE.get(top, "has no counterpart here: remove it")
            draft.refuse(top, NAME_IS_COMPUTED if top.startswith(COMPUTED_NAME) else advice)


def _write_request_size(draft: Draft, options: Options) -> None:
    source, value = draft.value(options, "max_request_size_in_kb")
    kilobytes = whole(value) if value is not MISSING else None
    if kilobytes is not None and kilobytes > 0:
        draft.take(source, "http.request_bytes", kilobytes * 1_024, "kilobytes there, bytes here")
    else:
        draft.differ(source, "no size: http.request_bytes stays at 10 MiB")


def _write_tls(draft: Draft, options: Options) -> None:
    named = [
        draft.value(options, f"ssl.{name}") for name in ("local_cert", "local_pk", "passphrase")
    ]
    files = [(name, None if value is MISSING else value) for name, value in named]
    write_tls(draft, files[0], files[1], files[2])


def _write_replication(draft: Draft, options: Options, variables: Mapping[str, str]) -> None:
    source, mode = draft.value(options, "replication.mode")
    if mode == "redis":
        _, connection = draft.value(options, "replication.modes.redis.connection")
        if connection not in (MISSING, None, "default"):
            draft.refuse(
                "replication.modes.redis.connection",
                f"{str(connection)[:40]!r} is a connection of config/database.php: check cluster.redis.url",
            )
        write_redis_connection(draft, source, redis_variables(variables))
    elif mode not in (MISSING, None, "local"):
        draft.refuse(source, f"{str(mode)[:40]!r} is code of yours: nodes share cluster.redis.url")
    options.pass_over("replication")


def _write_database(draft: Draft, options: Options, variables: Mapping[str, str]) -> bool:
    """Write `[database]` when the apps are in a table; returns whether they are."""
    source, manager = draft.value(options, "managers.app", "app_provider")
    kind = str(manager).rpartition("\\")[2]
    if manager in (MISSING, None) or kind in ("ConfigAppManager", "ConfigAppProvider"):
        options.pass_over("managers", "app_provider")
        return False
    if kind == "SQLiteAppManager":
        _, file = draft.value(options, "managers.sqlite.database")
        if file in (MISSING, None, ""):
            raise ConfigError(options.name, "`managers.sqlite.database` names no file")
        draft.take(source, "database.url", f"sqlite:///{file}")
        draft.take("managers.sqlite", "database.table", "apps")
    elif kind == "MysqlAppManager":
        env = environment(variables)
        parts = {
            "host": env("DB_HOST", "127.0.0.1"),
            "port": env("DB_PORT", "3306"),
            "user": env("DB_USERNAME", "root"),
            "password": env("DB_PASSWORD", ""),
            "database": env("DB_DATABASE", "laravel"),
        }
        draft.take("DB_HOST …", "database.url", database_url("mysql", parts, 3_306))
        _, table = draft.value(options, "managers.mysql.table")
        if table not in (MISSING, None, "", "websockets_apps"):
            draft.take("managers.mysql.table", "database.table", str(table))
    else:
        options.pass_over("managers", "app_provider")
        draft.refuse(source, f"{str(manager)[:80]} is code of yours: list its apps in [[apps]]")
        return False
    draft.take(source, "database.preset", NAME, "its table is read as it is")
    write_defaults_of_table(draft)
    options.pass_over("managers", "app_provider")
    return True


def write_defaults_of_table(draft: Draft) -> None:
    """Write `[defaults]` for apps of its table, which has no columns for them."""
    draft.take("(client messages)", "defaults.client_events_on_public_channels", True, "as there")
    draft.take(
        "(channel names)", "defaults.lenient_channel_names", True, "every name is allowed there"
    )
    draft.warn("column capacity", "NULL is no limit: one page in a loop can take every connection")


def _write_app(ours: Settings, app: Options, options: Options) -> None:
    write_credentials(ours, app, _CREDENTIALS, _VARIABLES)
    source, label = ours.value(app, "name")
    if label not in (MISSING, None, ""):
        ours.take(source, "name", str(label))
    write_capacity(ours, app, "capacity", "laravel-websockets")
    _write_client_events(ours, app)
    ours.take("(channel names)", "lenient_channel_names", True, "every name is allowed there")
    _write_origins(ours, app, options)
    app.pass_over("host", "path", "port", "encrypted", "enable_statistics", "options")
    ours.refuse_unread(
        app, "laravel-websockets has no such setting, and neither has this server: remove it"
    )


def _write_client_events(ours: Settings, app: Options) -> None:
    source, is_on = ours.value(app, "enable_client_messages")
    if is_on is MISSING or not php_truthy(is_on):
        ours.take(source, "client_events", "off")
        return
    ours.change(
        source,
        "client_events",
        "members",
        "from subscribers of the channel only; `all` is the old way",
    )
    ours.take(source, "client_events_on_public_channels", True, "taken there, too")
    ours.differ(source, "10 a second from one client: limits.client_events_per_second")
    ours.warn(
        source, "every connection may send to every channel, private ones too, and at any rate"
    )


def _write_origins(ours: Settings, app: Options, options: Options) -> None:
    source, origins = ours.value(app, "allowed_origins", until_then=ANY_ORIGIN)
    if origins is MISSING:  # version 1 has one list for all apps
        _, origins = ours.draft.value(options, "allowed_origins", until_then=ANY_ORIGIN)
        if ours.draft.is_left_out("allowed_origins"):
            return
    write_origins(
        ours,
        source,
        [] if origins is MISSING else origins,
        "laravel-websockets",
        empty_means_all=True,
        has_patterns=False,
    )
