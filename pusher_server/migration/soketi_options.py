"""soketi's options: their defaults and the variables that set them.

Facts of soketi/soketi, version 1.6.1: the defaults of `src/server.ts`, the variables of `src/cli/cli.ts`.
"""

import copy
from collections.abc import Mapping

from pusher_server.config.json_text import parse_json
from pusher_server.errors import ConfigError
from pusher_server.migration.files import DEEPEST
from pusher_server.migration.options import Options

#: Only the options that are read here, and those whose absence would change a meaning.
_DEFAULTS: dict[str, object] = {
    "adapter": {"driver": "local", "redis": {"prefix": "", "clusterMode": False}},
    "appManager": {
        "driver": "array",
        "array": {
            "apps": [
                {
                    "id": "app-id",
                    "key": "app-key",
                    "secret": "app-secret",
                    "maxConnections": -1,
                    "enableClientMessages": False,
                    "enabled": True,
                    "maxBackendEventsPerSecond": -1,
                    "maxClientEventsPerSecond": -1,
                    "maxReadRequestsPerSecond": -1,
                    "webhooks": [],
                }
            ]
        },
        "mysql": {"table": "apps"},
        "postgres": {"table": "apps"},
    },
    "cache": {"driver": "memory"},
    "channelLimits": {"maxNameLength": 200, "cacheTtl": 3_600},
    "database": {
        "mysql": {
            "host": "127.0.0.1",
            "port": 3_306,
            "user": "root",
            "password": "password",
            "database": "main",
        },
        "postgres": {
            "host": "127.0.0.1",
            "port": 5_432,
            "user": "postgres",
            "password": "password",
            "database": "main",
        },
        "redis": {
            "host": "127.0.0.1",
            "port": 6_379,
            "db": 0,
            "username": None,
            "password": None,
            "keyPrefix": "",
            "sentinels": None,
            "sentinelPassword": None,
            "name": "mymaster",
            "clusterNodes": [],
        },
    },
    "debug": False,
    "eventLimits": {
        "maxChannelsAtOnce": 100,
        "maxNameLength": 200,
        "maxPayloadInKb": 100,
        "maxBatchSize": 10,
    },
    "host": "0.0.0.0",
    "httpApi": {"requestLimitInMb": 100},
    "metrics": {
        "enabled": False,
        "host": "0.0.0.0",
        "port": 9_601,
        "prometheus": {"prefix": "soketi_"},
    },
    "mode": "full",
    "pathPrefix": "",
    "port": 6_001,
    "presence": {"maxMembersPerChannel": 100, "maxMemberSizeInKb": 2},
    "queue": {"driver": "sync"},
    "rateLimiter": {"driver": "local"},
    "shutdownGracePeriod": 3_000,
    "ssl": {"certPath": "", "keyPath": "", "passphrase": "", "caPath": ""},
    "userAuthenticationTimeout": 30_000,
    "webhooks": {"batching": {"enabled": False, "duration": 50}},
}

#: The tables and settings at the top.
ALL_OPTIONS = tuple(_DEFAULTS)

#: Every variable begins so.
PREFIX = "SOKETI_"
_APP = "appManager.array.apps.0"
_VARIABLES = {
    "ADAPTER_DRIVER": "adapter.driver",
    "ADAPTER_REDIS_PREFIX": "adapter.redis.prefix",
    "ADAPTER_REDIS_CLUSTER_MODE": "adapter.redis.clusterMode",
    "ADAPTER_REDIS_SUB_OPTIONS": "adapter.redis.redisSubOptions",
    "ADAPTER_REDIS_PUB_OPTIONS": "adapter.redis.redisPubOptions",
    "APP_MANAGER_DRIVER": "appManager.driver",
    "APP_MANAGER_MYSQL_TABLE": "appManager.mysql.table",
    "APP_MANAGER_POSTGRES_TABLE": "appManager.postgres.table",
    "CHANNEL_LIMITS_MAX_NAME_LENGTH": "channelLimits.maxNameLength",
    "CHANNEL_CACHE_TTL": "channelLimits.cacheTtl",
    "CACHE_DRIVER": "cache.driver",
    "DEBUG": "debug",
    "DEFAULT_APP_ID": f"{_APP}.id",
    "DEFAULT_APP_KEY": f"{_APP}.key",
    "DEFAULT_APP_SECRET": f"{_APP}.secret",
    "DEFAULT_APP_MAX_CONNS": f"{_APP}.maxConnections",
    "DEFAULT_APP_ENABLE_CLIENT_MESSAGES": f"{_APP}.enableClientMessages",
    "DEFAULT_APP_ENABLED": f"{_APP}.enabled",
    "DEFAULT_APP_MAX_BACKEND_EVENTS_PER_SEC": f"{_APP}.maxBackendEventsPerSecond",
    "DEFAULT_APP_MAX_CLIENT_EVENTS_PER_SEC": f"{_APP}.maxClientEventsPerSecond",
    "DEFAULT_APP_MAX_READ_REQ_PER_SEC": f"{_APP}.maxReadRequestsPerSecond",
    "DEFAULT_APP_USER_AUTHENTICATION": f"{_APP}.enableUserAuthentication",
    "DEFAULT_APP_WEBHOOKS": f"{_APP}.webhooks",
    "DB_MYSQL_HOST": "database.mysql.host",
    "DB_MYSQL_PORT": "database.mysql.port",
    "DB_MYSQL_USERNAME": "database.mysql.user",
    "DB_MYSQL_PASSWORD": "database.mysql.password",
    "DB_MYSQL_DATABASE": "database.mysql.database",
    "DB_POSTGRES_HOST": "database.postgres.host",
    "DB_POSTGRES_PORT": "database.postgres.port",
    "DB_POSTGRES_USERNAME": "database.postgres.user",
    "DB_POSTGRES_PASSWORD": "database.postgres.password",
    "DB_POSTGRES_DATABASE": "database.postgres.database",
    "DB_REDIS_HOST": "database.redis.host",
    "DB_REDIS_PORT": "database.redis.port",
    "DB_REDIS_DB": "database.redis.db",
    "DB_REDIS_USERNAME": "database.redis.username",
    "DB_REDIS_PASSWORD": "database.redis.password",
    "DB_REDIS_KEY_PREFIX": "database.redis.keyPrefix",
    "DB_REDIS_SENTINELS": "database.redis.sentinels",
    "DB_REDIS_SENTINEL_PASSWORD": "database.redis.sentinelPassword",
    "DB_REDIS_CLUSTER_NODES": "database.redis.clusterNodes",
    "DB_REDIS_INSTANCE_NAME": "database.redis.name",
    "EVENT_MAX_BATCH_SIZE": "eventLimits.maxBatchSize",
    "EVENT_MAX_CHANNELS_AT_ONCE": "eventLimits.maxChannelsAtOnce",
    "EVENT_MAX_NAME_LENGTH": "eventLimits.maxNameLength",
    "EVENT_MAX_SIZE_IN_KB": "eventLimits.maxPayloadInKb",
    "HOST": "host",
    "METRICS_ENABLED": "metrics.enabled",
    "METRICS_HOST": "metrics.host",
    "METRICS_PROMETHEUS_PREFIX": "metrics.prometheus.prefix",
    "METRICS_SERVER_PORT": "metrics.port",
    "MODE": "mode",
    "PORT": "port",
    "PATH_PREFIX": "pathPrefix",
    "PRESENCE_MAX_MEMBER_SIZE": "presence.maxMemberSizeInKb",
    "PRESENCE_MAX_MEMBERS": "presence.maxMembersPerChannel",
    "QUEUE_DRIVER": "queue.driver",
    "RATE_LIMITER_DRIVER": "rateLimiter.driver",
    "SHUTDOWN_GRACE_PERIOD": "shutdownGracePeriod",
    "SSL_CERT": "ssl.certPath",
    "SSL_KEY": "ssl.keyPath",
    "SSL_PASS": "ssl.passphrase",
    "SSL_CA": "ssl.caPath",
    "USER_AUTHENTICATION_TIMEOUT": "userAuthenticationTimeout",
    "WEBHOOKS_BATCHING": "webhooks.batching.enabled",
    "WEBHOOKS_BATCHING_DURATION": "webhooks.batching.duration",
}


#: Options that are texts, whatever they look like. soketi takes 1e5 for a number and compares it as one.
#: Clients and backends have the text.
_TEXTS = ("id", "key", "secret", "user", "username", "password", "sentinelPassword", "passphrase")


class SoketiOptions(Options):
    """The options of one server: its defaults, under the file's, under the environment's."""

    def __init__(self, file: Mapping[str, object], environ: Mapping[str, str], name: str) -> None:
        tree = copy.deepcopy(_DEFAULTS)
        #: Option -> the name by which the operator has set it.
        self.given: dict[str, str] = {}
        for path, value in file.items():
            _put(tree, path, value, name)
            self.given[path] = path
        #: Variables that soketi has and that mean nothing here.
        self.other_variables: list[str] = []
        for variable, text in environ.items():
            if not variable.startswith(PREFIX) or not text:
                continue
            option = _VARIABLES.get(variable.removeprefix(PREFIX))
            if option is None:
                self.other_variables.append(variable)
                continue
            is_text = option.rpartition(".")[2] in _TEXTS
            _put(tree, option, text if is_text else _from_variable(text), variable)
            self.given[option] = variable
        super().__init__(tree, name)

    def is_given(self, path: str) -> bool:
        """Whether the operator has set an option, or a table that it is in."""
        return self.source(path) is not None

    def source(self, path: str) -> str | None:
        """The name by which the operator has set an option; None for soketi's default."""
        for option, source in reversed(self.given.items()):
            if path == option:
                return source
            if path.startswith(f"{option}."):
                return path
        return None


def _from_variable(text: str) -> object:
    """A variable's value: what it is as JSON, unless that is nothing or null, else its text."""
    try:
        parsed = parse_json(text)
    except ValueError:
        return text
    return text if parsed is None else parsed


def _put(tree: dict[str, object], path: str, value: object, name: str) -> None:
    """Set an option; a value that is a table replaces all of the table that was there."""
    steps = path.split(".")
    if len(steps) > DEEPEST or not all(steps):
        raise ConfigError(name, f"`{path[:60]}` is no option of soketi")
    place: object = tree
    for step, following in zip(steps, [*steps[1:], None], strict=True):
        if isinstance(place, list):
            if not step.isdecimal() or int(step) > len(place):
                raise ConfigError(name, f"`{path}` does not lead to an option of soketi")
            index = int(step)
            if index == len(place):
                place.append({})
            if following is None:
                place[index] = value
                return
            place = place[index]
        elif isinstance(place, dict):
            if following is None:
                place[step] = value
                return
            place = place.setdefault(step, [] if following.isdecimal() else {})
        else:
            raise ConfigError(name, f"`{path}` does not lead to an option of soketi")
