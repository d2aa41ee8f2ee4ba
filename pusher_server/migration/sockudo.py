"""Reads sockudo: its TOML or JSON file, its variables, and where its table of apps is.

Facts of sockudo/sockudo, version 5.0.1: `crates/sockudo-core/src/options/` (names, defaults, variables), and
the places that `docs/migration/sockudo.md` names.
"""

import re
from collections.abc import Mapping

from pusher_server.errors import ConfigError
from pusher_server.migration.draft import Answers, Draft, no_answers
from pusher_server.migration.numbers import whole
from pusher_server.migration.options import MISSING, Options
from pusher_server.migration.places import (
    database_url,
    place,
    places,
    write_login,
    write_redis,
)
from pusher_server.migration.sockudo_apps import (
    WEBHOOK_BATCHES,
    write_app,
    write_table_of_apps,
)
from pusher_server.migration.sockudo_environment import apply_environment, unread
from pusher_server.migration.tls import write_tls

NAME = "sockudo"

#: Tables that only sockudo has.
_OWN = ("app_manager", "channel_limits", "event_limits", "delta_compression", "tag_filtering")
#: Its own protocol and add-ons; Pusher's clients use none of them.
_ADD_ONS = (
    "ably_compat",
    "ai_transport",
    "annotations",
    "connection_recovery",
    "delta_compression",
    "echo_control",
    "ephemeral",
    "event_name_filtering",
    "history",
    "idempotency",
    "presence_history",
    "push",
    "push_rules",
    "tag_filtering",
    "versioned_messages",
)
_OF_APPS = (
    "sockudo applies none of these to Pusher's clients: limits of an app count, there and here"
)
#: Other options without a counterpart, and what to do.
_ELSEWHERE = {
    "adapter": "the connection to Redis has its settings in [cluster.redis]",
    "cache": "the last events are kept where the cluster's state is",
    "channel_limits": _OF_APPS,
    "cleanup": "is not needed here: remove it",
    "cors": "http.cors = true lets browsers call the HTTP API; it needs the secret, so leave it off",
    "database": "apps are read from MySQL, MariaDB, PostgreSQL and SQLite",
    "database_pooling": "a few connections are enough: apps are cached",
    "event_limits": _OF_APPS,
    "instance": "cluster.node_id names a node in logs",
    "logging": "log.format and log.level say how much is logged",
    "path_prefix": "sockudo serves from / whatever it says: set server.path_prefix if you want one",
    "presence": "limits of an app count: limits.presence_members",
    "queue": "webhooks wait in webhooks.outbox, or in Redis when nodes share one",
    "websocket": "slow readers have websocket.write_buffer_bytes and websocket.stall_timeout",
}
_OTHER_VARIABLES = {
    "REDIS_URL": "is not read here, and sockudo lets it win: set cluster.redis.url",
    "CACHE_DRIVER": _ELSEWHERE["cache"],
    "QUEUE_DRIVER": _ELSEWHERE["queue"],
}
_VARIABLE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)(?::-([^}]*))?\}")


def is_file(tree: Mapping[str, object]) -> bool:
    """Whether a TOML or JSON file is sockudo's."""
    return any(key in tree for key in _OWN)


def substitute(text: str, environ: Mapping[str, str], name: str) -> str:
    """Replace `${NAME}` and `${NAME:-default}`, as sockudo does before it parses. Raises ConfigError."""
    missing: list[str] = []

    def value(match: re.Match[str]) -> str:
        given = environ.get(match[1]) or match[2]
        if given is None:
            missing.append(match[1])
            return match[0]
        return given

    replaced = _VARIABLE.sub(value, text)
    if missing:
        shown = ", ".join(dict.fromkeys(missing[:5]))
        raise ConfigError(
            name, f"needs the variables {shown}: set them, or name the .env file, too"
        )
    return replaced


def read(
    tree: Mapping[str, object],
    environ: Mapping[str, str],
    name: str,
    answers: Answers = no_answers,
) -> Draft:
    """The configuration of ours for sockudo's. `tree` is its file. Raises ConfigError."""
    options = Options(apply_environment(tree, environ, name), name)
    draft = Draft(NAME, answers)
    _write_server(draft, options)
    _write_operations(draft, options)
    _write_cluster(draft, options)
    _write_rates(draft, options)
    _write_defaults(draft, options)
    timeout = options.get("user_authentication_timeout")
    seconds = 3_600 if timeout is MISSING else whole(timeout) or 1
    batch = _write_webhooks(draft, options)
    driver = str(options.get("app_manager.driver")).lower()
    if driver in (str(MISSING).lower(), "memory"):
        for index, app in enumerate(options.tables("app_manager.array.apps")):
            write_app(draft.app(f"apps[{index}]."), app, seconds, batch)
        if not draft.apps:
            raise ConfigError(name, "has no app in `app_manager.array.apps`")
    elif driver in ("mysql", "pgsql", "postgres", "postgresql"):
        _write_database(draft, options, "mysql" if driver == "mysql" else "postgres")
    else:
        raise ConfigError(
            name, f"apps come from {driver[:40]!r}, which is not read here: list them in the file"
        )
    draft.differ("times of API requests", "may differ by 600 s at most: keep clocks right")
    _name_the_rest(draft, options)
    for variable in unread(environ):
        draft.refuse(
            variable, _OTHER_VARIABLES.get(variable, "is not read here: write its setting")
        )
    return draft


def _number(options: Options, path: str, default: int) -> int:
    """A number of the file. Raises ConfigError, as sockudo itself refuses the file."""
    value = options.get(path)
    number = default if value is MISSING else whole(value)
    if number is None or number < 0:
        raise ConfigError(
            options.name, f"`{path}` is no number from 0 on, so sockudo does not read it either"
        )
    return number


def _write_server(draft: Draft, options: Options) -> None:
    draft.take("host", "server.host", options.text("host", "0.0.0.0"))
    port = _number(options, "port", 6_001)
    if not 0 < port < 65_536:
        raise ConfigError(options.name, "`port` is no port: write a number up to 65535")
    draft.take("port", "server.port", port)
    if options.get("unix_socket.enabled") is True:
        path = options.get("unix_socket.path")
        draft.take(
            "unix_socket.path",
            "server.unix_socket",
            "/var/run/sockudo/sockudo.sock" if path is MISSING else str(path),
        )
    options.pass_over("unix_socket")
    grace = min(_number(options, "shutdown_grace_period", 10), 86_400)
    draft.take("shutdown_grace_period", "server.shutdown_grace", grace)
    megabytes = _number(options, "http_api.request_limit_in_mb", 10)
    draft.take(
        "http_api.request_limit_in_mb",
        "http.request_bytes",
        max(1, megabytes) * 1_048_576,
        "megabytes there",
    )
    options.pass_over("http_api")
    connections = _number(options, "max_connections", 0)
    draft.take(
        "max_connections", "websocket.max_connections", connections, "0 is no limit, there and here"
    )
    if options.get("debug") is True:
        draft.take("debug", "log.level", "debug")
    if options.get("ssl.enabled") is True:
        names = ("ssl.cert_path", "ssl.key_path", "ssl.passphrase")
        values = [options.get(path) for path in names]
        named = [
            (path, None if value is MISSING else value)
            for path, value in zip(names, values, strict=True)
        ]
        write_tls(draft, named[0], named[1], named[2])
    options.pass_over("ssl", "mode", "server_role", "health_check_timeout_ms")


def _write_operations(draft: Draft, options: Options) -> None:
    enabled = options.get("metrics.enabled")
    if enabled is MISSING or enabled is True:
        draft.take("metrics.host", "operations.host", options.text("metrics.host", "0.0.0.0"))
        draft.take("metrics.port", "operations.port", _number(options, "metrics.port", 9_601))
        draft.differ(
            "metrics.prometheus.prefix", "the metrics are called pusher_server_… (docs/metrics.md)"
        )
    else:
        draft.take("metrics.enabled", "operations.enabled", False)
    options.pass_over("metrics")


def _write_cluster(draft: Draft, options: Options) -> None:
    driver = options.get("adapter.driver")
    if driver is MISSING or str(driver).lower() == "local":
        options.pass_over("adapter")
        return
    redis = "database.redis"
    login = [_text(options.get(f"{redis}.{name}")) for name in ("username", "password")]
    tls = options.get(f"{redis}.master_tls.enabled") is True
    scheme = "rediss" if tls else "redis"
    sentinels = places(options.get(f"{redis}.sentinels"), 26_379)
    if str(driver).lower() == "redis-cluster":
        _, nodes = options.first(
            "adapter.cluster.nodes", f"{redis}.cluster.nodes", f"{redis}.cluster_nodes"
        )
        hosts = places(nodes, 6_379)
        if hosts:
            draft.take(
                "adapter.cluster.nodes", "cluster.redis.url", f"{scheme}://{','.join(hosts)}"
            )
            draft.take("adapter.driver", "cluster.redis.cluster", True)
            write_login(draft, redis, *login)
        else:
            draft.refuse(
                "adapter.cluster.nodes",
                "names no node: set cluster.redis.url and cluster.redis.cluster",
            )
    elif str(driver).lower() != "redis":
        draft.refuse(
            "adapter.driver", f"`{str(driver)[:20]}` connects no nodes here: set cluster.redis.url"
        )
    elif sentinels:
        draft.take(f"{redis}.sentinels", "cluster.redis.sentinels", sentinels)
        name = options.get(f"{redis}.name")
        draft.take(
            f"{redis}.name",
            "cluster.redis.sentinel_master",
            "mymaster" if name is MISSING else str(name),
        )
        draft.take(
            f"{redis}.db", "cluster.redis.url", f"{scheme}:///{_number(options, f'{redis}.db', 0)}"
        )
        write_login(draft, redis, *login)
    else:
        host, port = options.get(f"{redis}.host"), options.get(f"{redis}.port")
        write_redis(
            draft,
            redis,
            where=place(_text(host), port, 6_379),
            database=_number(options, f"{redis}.db", 0),
            username=login[0],
            password=login[1],
            tls=tls,
        )
    draft.differ(
        f"{redis}.key_prefix", "keys begin with cluster.redis.prefix: both can use one Redis"
    )
    options.pass_over("adapter", redis)


def _text(value: object) -> str:
    return "" if value in (MISSING, None) else str(value)


def _write_rates(draft: Draft, options: Options) -> None:
    """Write the rate of new connections, which is on unless the file switches it off."""
    enabled = options.get("rate_limiter.enabled")
    if enabled is MISSING or enabled is True:
        path = "rate_limiter.websocket_rate_limit"
        attempts = _number(options, f"{path}.max_requests", 20)
        window = _number(options, f"{path}.window_seconds", 60)
        # Ten seconds' worth may come at once here, and all of a window's there.
        draft.change(
            path,
            "server.connection_attempts_per_address",
            min(max(attempts, 1) / 10, 1_000_000),
            f"{attempts} new connections of an address in {window} s there; here as many at once,"
            " then so many a second. Name a proxy in front in server.trusted_proxies",
        )
        draft.refuse(
            "rate_limiter.api_rate_limit",
            "an app has limits.backend_events_per_second and limits.reads_per_second",
        )
    options.pass_over("rate_limiter")


def _write_defaults(draft: Draft, options: Options) -> None:
    seconds = _number(options, "activity_timeout", 120)
    draft.take("activity_timeout", "defaults.activity_timeout", max(1, seconds))
    kilobytes = _number(options, "websocket_max_payload_kb", 64)
    draft.take(
        "websocket_max_payload_kb", "defaults.limits.message_bytes", kilobytes * 1_024, "bytes here"
    )
    draft.take("(full app)", "defaults.over_quota_code", 4_004)


def _write_webhooks(draft: Draft, options: Options) -> bool:
    """Write `[webhooks]`; returns whether events share requests."""
    milliseconds = _number(options, "webhooks.request_timeout_ms", 10_000)
    draft.take(
        "webhooks.request_timeout_ms", "webhooks.timeout", min(max(milliseconds, 1) / 1_000, 60)
    )
    enabled = options.get("webhooks.batching.enabled")
    is_on = enabled is MISSING or enabled is True
    if is_on:
        window = _number(options, "webhooks.batching.duration", WEBHOOK_BATCHES[0])
        size = _number(options, "webhooks.batching.size", WEBHOOK_BATCHES[1])
        draft.take("webhooks.batching.duration", "webhooks.batch_window", min(window / 1_000, 10))
        draft.take("webhooks.batching.size", "webhooks.batch_events", min(max(size, 1), 1_000))
    if options.get("webhooks.retry") is not MISSING:
        draft.differ(
            "webhooks.retry",
            "here for webhooks.retry_for (290 s), because validators refuse older bodies",
        )
    options.pass_over("webhooks")
    return is_on


def _write_database(draft: Draft, options: Options, kind: str) -> None:
    source = f"database.{kind}"
    defaults: Mapping[str, object] = {
        "host": "localhost",
        "user": "root",
        "password": "",
        "database": "sockudo",
    }
    parts = {
        name: value
        if (value := options.get(f"{source}.{there}")) is not MISSING
        else defaults[name]
        for name, there in (
            ("host", "host"),
            ("user", "username"),
            ("password", "password"),
            ("database", "database"),
        )
    }
    # One struct serves both there, so PostgreSQL's default port is MySQL's.
    parts["port"] = _number(options, f"{source}.port", 3_306)
    scheme = "mysql" if kind == "mysql" else "postgresql"
    draft.take(source, "database.url", database_url(scheme, parts, 3_306))
    table = options.get(f"{source}.table_name")
    write_table_of_apps(draft, "applications" if table is MISSING else str(table))
    options.pass_over(source, "app_manager")


def _name_the_rest(draft: Draft, options: Options) -> None:
    options.pass_over("app_manager")
    named = set()
    for path, _ in options.unread():
        top = path.split(".")[0]
        if top in named:
            continue
        named.add(top)
        if top in _ADD_ONS:
            draft.refuse(
                top, "is of sockudo's own protocol or an add-on; Pusher's clients do without it"
            )
        else:
            draft.refuse(top, _ELSEWHERE.get(top, "has no counterpart here: remove it"))
