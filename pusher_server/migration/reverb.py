"""Reads Laravel Reverb: `config/reverb.php` and its `REVERB_` variables.

Facts of laravel/reverb, version 1.10.2: `config/reverb.php` (names and defaults), `Server.php` and
`ClientEvent.php` in `src/Protocols/Pusher/` (limits, origins, rates), `src/ConfigApplicationProvider.php`.
"""

import math
from collections.abc import Mapping

from pusher_server.errors import ConfigError
from pusher_server.migration.draft import Answers, Draft, Settings, no_answers
from pusher_server.migration.laravel import (
    ANY_ORIGIN,
    NOBODY,
    environment,
    write_capacity,
    write_credentials,
    write_origins,
    write_redis_connection,
)
from pusher_server.migration.numbers import php_truthy, whole
from pusher_server.migration.options import MISSING, Options, as_text
from pusher_server.migration.tls import ONLY_FILES, write_tls

NAME = "reverb"
_PATHS = {"id": "app_id", "key": "key", "secret": "secret"}
#: The variables of the app, all of which are needed.
CREDENTIALS = ("REVERB_APP_ID", "REVERB_APP_KEY", "REVERB_APP_SECRET")
_VARIABLES = dict(zip(("id", "key", "secret"), CREDENTIALS, strict=True))


def is_file(tree: Mapping[str, object]) -> bool:
    """Whether a PHP configuration is Reverb's."""
    apps = tree.get("apps")
    return "servers" in tree and isinstance(apps, Mapping) and "apps" in apps


def published(variables: Mapping[str, str]) -> dict[str, object]:
    """The values of `config/reverb.php` as Reverb publishes it, with these variables."""
    env = environment(variables)
    redis = {
        "url": env("REDIS_URL"),
        "host": env("REDIS_HOST", "127.0.0.1"),
        "port": env("REDIS_PORT", "6379"),
        "username": env("REDIS_USERNAME"),
        "password": env("REDIS_PASSWORD"),
        "database": env("REDIS_DB", "0"),
    }
    server = {
        "host": env("REVERB_SERVER_HOST", "0.0.0.0"),
        "port": env("REVERB_SERVER_PORT", 8_080),
        "path": env("REVERB_SERVER_PATH", ""),
        "options": {"tls": {}},
        "max_request_size": env("REVERB_MAX_REQUEST_SIZE", 10_000),
        "scaling": {"enabled": env("REVERB_SCALING_ENABLED", False), "server": redis},
    }
    app = {
        "key": env("REVERB_APP_KEY"),
        "secret": env("REVERB_APP_SECRET"),
        "app_id": env("REVERB_APP_ID"),
        "allowed_origins": ["*"],
        "ping_interval": env("REVERB_APP_PING_INTERVAL", 60),
        "activity_timeout": env("REVERB_APP_ACTIVITY_TIMEOUT", 30),
        "max_connections": env("REVERB_APP_MAX_CONNECTIONS"),
        "max_message_size": env("REVERB_APP_MAX_MESSAGE_SIZE", 10_000),
        "accept_client_events_from": env("REVERB_APP_ACCEPT_CLIENT_EVENTS_FROM", "members"),
        "rate_limiting": {
            "enabled": env("REVERB_APP_RATE_LIMITING_ENABLED", False),
            "max_attempts": env("REVERB_APP_RATE_LIMIT_MAX_ATTEMPTS", 60),
            "decay_seconds": env("REVERB_APP_RATE_LIMIT_DECAY_SECONDS", 60),
            "terminate_on_limit": env("REVERB_APP_RATE_LIMIT_TERMINATE", False),
        },
    }
    return {"servers": {"reverb": server}, "apps": {"provider": "config", "apps": [app]}}


def read(tree: Mapping[str, object], name: str, answers: Answers = no_answers) -> Draft:
    """The configuration of ours for Reverb's. `tree` is its `config/reverb.php`. Raises ConfigError."""
    options = Options(tree, name)
    draft = Draft(NAME, answers)
    _write_server(draft, options)
    _, provider = draft.value(options, "apps.provider")
    if provider not in (MISSING, None, "config"):
        draft.refuse(
            "apps.provider", f"{str(provider)[:60]} is code of yours: list its apps in [[apps]]"
        )
    for index, app in enumerate(options.tables("apps.apps")):
        _write_app(draft.app(f"apps[{index}]."), app)
    if not draft.apps:
        raise ConfigError(name, "has no app in `apps.apps`")
    draft.differ("times of API requests", "are checked here: clocks may differ by 600 s at most")
    options.pass_over("default")
    draft.refuse_unread(options, "has no counterpart here; metrics are at operations.port")
    return draft


def _write_server(draft: Draft, options: Options) -> None:
    servers = options.get("servers")
    if not isinstance(servers, Mapping) or not isinstance(servers.get("reverb"), Mapping):
        raise ConfigError(options.name, "has no `servers.reverb`; is it config/reverb.php?")
    server = Options(servers["reverb"], options.name)
    ours = Settings(draft, draft.table, "servers.reverb.", "")
    _, host = ours.value(server, "host")
    ours.take(
        "host", "server.host", as_text(host, "0.0.0.0", f"{options.name}: servers.reverb.host")
    )
    _, given = ours.value(server, "port")
    port = 8_080 if given in (MISSING, None) else whole(given)
    if port is None or not 0 < port < 65_536:
        raise ConfigError(
            options.name, "`servers.reverb.port` is no port: write a number up to 65535"
        )
    if ours.is_left_out("port"):
        ours.change(
            "(port)", "server.port", port, "Reverb's default, until you write the computed one"
        )
    else:
        ours.take("port", "server.port", port)
    _, path = ours.value(server, "path")
    prefix = as_text(path, "", f"{options.name}: servers.reverb.path").strip("/")
    if prefix:
        ours.take("path", "server.path_prefix", f"/{prefix}")
    _, size = ours.value(server, "max_request_size")
    number = 10_000 if size in (MISSING, None) else whole(size)
    if number is None or number < 1:
        ours.refuse("max_request_size", "is no size: http.request_bytes stays at 10 MiB")
    else:
        ours.take("max_request_size", "http.request_bytes", number)
    _write_tls(ours, server)
    _write_scaling(ours, server)
    server.pass_over("hostname")
    advice = "has no counterpart here; metrics are at operations.port"
    ours.refuse_unread(server, advice, "options", ONLY_FILES)


def _write_tls(ours: Settings, server: Options) -> None:
    tls = "options.tls"
    certificate, key, password = (
        ours.value(server, f"{tls}.{name}") for name in ("local_cert", "local_pk", "passphrase")
    )
    files = [
        (name, None if value is MISSING else value) for name, value in (certificate, key, password)
    ]
    if not write_tls(ours, files[0], files[1], files[2]):
        ours.differ(tls, "no certificate named: let a proxy serve TLS, or set [server.tls]")


def _write_scaling(ours: Settings, server: Options) -> None:
    _, enabled = ours.value(server, "scaling.enabled")
    if enabled is not MISSING and php_truthy(enabled):
        connection = {
            part: value
            for part in ("url", "host", "port", "username", "password", "database", "scheme")
            if (value := ours.value(server, f"scaling.server.{part}")[1]) is not MISSING
        }
        write_redis_connection(ours, "scaling.server", connection)
        ours.differ(
            "scaling.channel", "keys begin with cluster.redis.prefix: both can use one Redis"
        )
    server.pass_over("scaling")


def _write_app(ours: Settings, app: Options) -> None:
    write_credentials(ours, app, _PATHS, _VARIABLES)
    ours.take("(channel names)", "lenient_channel_names", True, "Reverb allows every name")
    ours.take(
        "(terminate_connections)",
        "terminate_presence_members",
        True,
        "by presence members, as there",
    )
    name, origins = ours.value(app, "allowed_origins", until_then=ANY_ORIGIN)
    if origins is MISSING:
        ours.change(
            name,
            "allowed_origins",
            [NOBODY],
            "is missing, so Reverb takes no connection; list your sites",
        )
    else:
        write_origins(ours, name, origins, "Reverb", empty_means_all=False, has_patterns=True)
    write_capacity(ours, app, "max_connections", "Reverb")
    ours.take("(full app)", "over_quota_code", 4_004)
    _write_sizes(ours, app)
    _write_client_events(ours, app)
    _write_rate(ours, app)
    app.pass_over("options")
    ours.refuse_unread(app, "Reverb has no such setting, and neither has this server: remove it")


def _write_sizes(ours: Settings, app: Options) -> None:
    name, value = ours.value(app, "activity_timeout")
    seconds = 30 if value in (MISSING, None) else whole(value)
    if seconds is None or seconds < 1:
        ours.change(name, "activity_timeout", 30, "is no time: Reverb's default")
    else:
        ours.take(name, "activity_timeout", seconds)
    app.pass_over("ping_interval")
    ours.differ("ping_interval", "activity_timeout is both: a silent client is checked after it")
    name, value = ours.value(app, "max_message_size")
    size = whole(value) if value is not MISSING else None
    if size is None or size < 0:
        ours.refuse(
            name, "is no size, so Reverb takes no connection: limits.message_bytes stays at 128 KiB"
        )
    else:
        ours.take(
            name, "limits.message_bytes", size, "no limit, there and here" if size == 0 else ""
        )
    if size == 0:
        ours.warn(name, "no limit: one client can send messages of any size")


def _write_client_events(ours: Settings, app: Options) -> None:
    name, value = ours.value(app, "accept_client_events_from")
    # A file from before the setting has none, and Reverb then accepts all.
    senders = "all" if value in (MISSING, None) else value
    if senders not in ("all", "members"):
        ours.take(name, "client_events", "off")
        return
    ours.take(name, "client_events", senders)
    ours.take(name, "client_events_on_public_channels", True, "Reverb takes them there, too")
    danger = (
        "send to any channel" if senders == "all" else "send to all subscribers of a public channel"
    )
    ours.warn(
        name,
        f"anybody may {danger}: `members` and client_events_on_public_channels = false close that",
    )


def _write_rate(ours: Settings, app: Options) -> None:
    _, enabled = ours.value(app, "rate_limiting.enabled")
    rate = "rate_limiting"
    # Only `true` itself counts; a file from before the setting has none.
    if enabled is not True and str(enabled).lower() != "true":
        ours.differ(
            rate, "is off, and client events have 10 a second here: limits.client_events_per_second"
        )
        ours.warn(rate, "no limit for messages of clients")
        app.pass_over(rate)
        return
    attempts = whole(ours.value(app, f"{rate}.max_attempts")[1])
    _, given = ours.value(app, f"{rate}.decay_seconds")
    decay = 1 if given in (MISSING, None) else whole(given)
    if attempts is None or attempts < 1 or decay is None or decay < 1:
        ours.refuse(
            rate,
            "has no usable max_attempts and decay_seconds: limits.client_events_per_second stays at 10",
        )
    else:
        ours.change(
            rate,
            "limits.client_events_per_second",
            math.ceil(attempts / decay),
            f"{attempts} messages in {decay} s there; here client events alone, by the second",
        )
    if php_truthy(app.get(f"{rate}.terminate_on_limit")):
        ours.refuse(
            f"{rate}.terminate_on_limit",
            "a client beyond its rate gets an error and stays connected",
        )
    app.pass_over(rate)
