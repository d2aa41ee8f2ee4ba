"""sockudo's variables, written over its file. A value that sockudo cannot read changes nothing there.

Facts of sockudo/sockudo, version 5.0.1: `crates/sockudo-core/src/options/env/`.
"""

import copy
import re
from collections.abc import Mapping

from pusher_server.errors import ConfigError
from pusher_server.migration.numbers import names, whole

_SWITCHES = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}
#: Variable -> option.
_TEXTS = {
    "HOST": "host",
    "SSL_CERT_PATH": "ssl.cert_path",
    "SSL_KEY_PATH": "ssl.key_path",
    "UNIX_SOCKET_PATH": "unix_socket.path",
    "METRICS_HOST": "metrics.host",
    "ADAPTER_DRIVER": "adapter.driver",
    "APP_MANAGER_DRIVER": "app_manager.driver",
    "DATABASE_REDIS_HOST": "database.redis.host",
    "DATABASE_REDIS_USERNAME": "database.redis.username",
    "DATABASE_REDIS_PASSWORD": "database.redis.password",
    "DATABASE_MYSQL_HOST": "database.mysql.host",
    "DATABASE_MYSQL_USERNAME": "database.mysql.username",
    "DATABASE_MYSQL_PASSWORD": "database.mysql.password",
    "DATABASE_MYSQL_DATABASE": "database.mysql.database",
    "DATABASE_MYSQL_TABLE_NAME": "database.mysql.table_name",
    "DATABASE_POSTGRES_HOST": "database.postgres.host",
    "DATABASE_POSTGRES_USERNAME": "database.postgres.username",
    "DATABASE_POSTGRES_PASSWORD": "database.postgres.password",
    "DATABASE_POSTGRES_DATABASE": "database.postgres.database",
}
_NUMBERS = {
    "PORT": "port",
    "ACTIVITY_TIMEOUT": "activity_timeout",
    "SHUTDOWN_GRACE_PERIOD": "shutdown_grace_period",
    "USER_AUTHENTICATION_TIMEOUT": "user_authentication_timeout",
    "WEBSOCKET_MAX_PAYLOAD_KB": "websocket_max_payload_kb",
    "SOCKUDO_MAX_CONNECTIONS": "max_connections",
    "METRICS_PORT": "metrics.port",
    "WEBHOOK_BATCHING_DURATION": "webhooks.batching.duration",
    "WEBHOOK_BATCHING_SIZE": "webhooks.batching.size",
    "DATABASE_REDIS_PORT": "database.redis.port",
    "DATABASE_REDIS_DB": "database.redis.db",
    "DATABASE_MYSQL_PORT": "database.mysql.port",
    "DATABASE_POSTGRES_PORT": "database.postgres.port",
}
_BOOLEANS = {
    "DEBUG": "debug",
    "SSL_ENABLED": "ssl.enabled",
    "UNIX_SOCKET_ENABLED": "unix_socket.enabled",
    "METRICS_ENABLED": "metrics.enabled",
    "RATE_LIMITER_ENABLED": "rate_limiter.enabled",
    "WEBHOOK_BATCHING_ENABLED": "webhooks.batching.enabled",
    "DATABASE_REDIS_MASTER_TLS_ENABLED": "database.redis.master_tls.enabled",
}
#: Lists with commas; the later one wins.
_LISTS = {
    "REDIS_CLUSTER_NODES": "adapter.cluster.nodes",
    "DATABASE_REDIS_CLUSTER_NODES": "adapter.cluster.nodes",
}
#: The beginnings of sockudo's other variables, those of its own protocol left aside.
_OTHERS = re.compile(
    r"(SOCKUDO|DATABASE|REDIS|ADAPTER|CACHE|QUEUE|CORS|CLEANUP|CLUSTER_HEALTH|RATE_LIMITER|NATS|PULSAR|RABBITMQ"
    r"|KAFKA|WEBHOOK|WEBSOCKET|METRICS|SSL|UNIX_SOCKET|HTTP_API|HEALTH_CHECK|LOG_COLORS|LOG_INCLUDE)_"
)
_APP = "SOCKUDO_DEFAULT_APP_"
#: Limits of the app that the variables describe; 100 when a variable is missing.
_APP_LIMITS = (
    "max_connections",
    "max_backend_events_per_second",
    "max_client_events_per_second",
    "max_read_requests_per_second",
    "max_presence_members_per_channel",
    "max_presence_member_size_in_kb",
    "max_channel_name_length",
    "max_event_channels_at_once",
    "max_event_name_length",
    "max_event_payload_in_kb",
    "max_event_batch_size",
)
_APP_LIMIT = 100
_FEATURES = ("enable_client_messages", "enable_user_authentication", "enable_watchlist_events")


def apply_environment(
    tree: Mapping[str, object], environ: Mapping[str, str], name: str
) -> dict[str, object]:
    """The file's options with the environment's over them. Raises ConfigError."""
    options = copy.deepcopy(dict(tree))
    for variable, path in _TEXTS.items():
        if variable in environ:
            _put(options, path, environ[variable], name)
    for variable, path in _NUMBERS.items():
        number = whole(environ.get(variable))
        if number is not None and number >= 0:
            _put(options, path, number, name)
    for variable, path in _BOOLEANS.items():
        switch = _SWITCHES.get(environ.get(variable, "").lower())
        if switch is not None:
            _put(options, path, switch, name)
    for variable, path in _LISTS.items():
        if environ.get(variable):
            _put(options, path, names(environ[variable]), name)
    _apply_app(options, environ, name)
    return options


def unread(environ: Mapping[str, str]) -> list[str]:
    """sockudo's variables that are set and that `apply_environment` does not read."""
    of_the_app = ("id", "key", "secret", "enabled", "allowed_origins", *_APP_LIMITS, *_FEATURES)
    read = {f"{_APP}{part.upper()}" for part in of_the_app} | {"SOCKUDO_ENABLE_CLIENT_MESSAGES"}
    read.update(_TEXTS, _NUMBERS, _BOOLEANS, _LISTS)
    return [name for name in environ if _OTHERS.match(name) and environ[name] and name not in read]


def _apply_app(options: dict[str, object], environ: Mapping[str, str], name: str) -> None:
    """The app of the variables stands in for all apps of the file."""
    given = {part: environ.get(f"{_APP}{part.upper()}") for part in ("id", "key", "secret")}
    if not any(given.values()):
        return
    if not all(given.values()):
        missing = ", ".join(f"{_APP}{part.upper()}" for part, value in given.items() if not value)
        raise ConfigError(
            missing, f"is missing beside the other {_APP}… variables, so sockudo has no app"
        )
    limits = {}
    for limit in _APP_LIMITS:
        number = whole(environ.get(f"{_APP}{limit.upper()}"))
        limits[limit] = _APP_LIMIT if number is None or number < 0 else number
    features = {
        feature: _SWITCHES.get(environ.get(f"{_APP}{feature.upper()}", "").lower(), False)
        for feature in _FEATURES
    }
    if f"{_APP}ENABLE_CLIENT_MESSAGES" not in environ:
        shared = environ.get("SOCKUDO_ENABLE_CLIENT_MESSAGES", "").lower()
        features["enable_client_messages"] = _SWITCHES.get(shared, False)
    origins = environ.get(f"{_APP}ALLOWED_ORIGINS", "")
    channels = {"allowed_origins": origins.split(",")} if origins else {}
    app = {
        **given,
        "enabled": _SWITCHES.get(environ.get(f"{_APP}ENABLED", "").lower(), True),
        "policy": {"limits": limits, "features": features, "channels": channels},
    }
    _put(options, "app_manager.array.apps", [app], name)


def _put(options: dict[str, object], path: str, value: object, name: str) -> None:
    *above, last = path.split(".")
    table = options
    for step in above:
        below = table.setdefault(step, {})
        if not isinstance(below, dict):
            raise ConfigError(name, f"`{step}` is no table")
        table = below
    table[last] = value
