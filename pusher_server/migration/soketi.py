"""Reads soketi: its JSON file, its `SOKETI_` variables, and where its tables of apps are.

Facts of soketi/soketi, version 1.6.1; `docs/migration/soketi.md` says which file each is from.
"""

from collections.abc import Mapping

from pusher_server.errors import ConfigError
from pusher_server.migration.draft import Answers, Draft, no_answers
from pusher_server.migration.findings import shown
from pusher_server.migration.numbers import javascript_float, javascript_int, truthy, whole
from pusher_server.migration.options import MISSING
from pusher_server.migration.places import database_url, place, places, write_login, write_redis
from pusher_server.migration.soketi_apps import write_apps, write_defaults
from pusher_server.migration.soketi_options import ALL_OPTIONS, PREFIX, SoketiOptions
from pusher_server.migration.tls import write_tls

NAME = "soketi"
#: The secret of the app that it has by default.
PUBLISHED_SECRET = "app-secret"

#: Nobody means this much; a publication that is allowed has 100 kB.
_REQUEST_MEGABYTES = 100
#: Keys at the top of a file that only soketi has.
_OWN = ("appManager", "channelLimits", "eventLimits", "rateLimiter", "shutdownGracePeriod")
#: Options that mean nothing here, by their beginnings, and why.
_ELSEWHERE = {
    "adapter.cluster": "nodes agree through Redis, processes on one machine by server.workers",
    "adapter.nats": "nodes agree through Redis: set cluster.redis.url",
    "adapter.redis": "the connection to Redis has its settings in [cluster.redis]",
    "appManager.cache": "apps of a database are cached by themselves",
    "appManager": "apps are read from the file or from MySQL, MariaDB, PostgreSQL and SQLite",
    "cache": "the last events are kept where the cluster's state is",
    "cluster": "nodes agree through Redis, processes on one machine by server.workers",
    "cors": "http.cors = true lets browsers call the HTTP API; it needs the secret, so leave it off",
    "databasePooling": "a few connections are enough: apps are cached",
    "database": "apps are read from MySQL, MariaDB, PostgreSQL and SQLite",
    "httpApi": "requests are bounded by http.request_bytes",
    "instance": "cluster.node_id names a node in logs",
    "metrics": "metrics are Prometheus's, with operations.soketi_names under soketi's names",
    "queue": "webhooks wait in webhooks.outbox, or in Redis when nodes share one",
    "rateLimiter": "rates are shared by nodes with cluster.shared_rates = true",
}


def is_file(tree: Mapping[str, object]) -> bool:
    """Whether a JSON file is soketi's."""
    return any(key.split(".")[0] in _OWN for key in tree)


def is_possible(tree: Mapping[str, object]) -> bool:
    """Whether a JSON file could be soketi's: all its options are called as some of soketi's."""
    known = {*ALL_OPTIONS, *_ELSEWHERE}
    return bool(tree) and all(key.split(".")[0] in known for key in tree)


def read(
    tree: Mapping[str, object],
    environ: Mapping[str, str],
    name: str,
    answers: Answers = no_answers,
) -> Draft:
    """The configuration of ours for soketi's. `tree` is its JSON file. Raises ConfigError."""
    options = SoketiOptions(tree, environ, name)
    draft = Draft(NAME, answers)
    _write_server(draft, options)
    write_tls(
        draft,
        ("ssl.certPath", options.get("ssl.certPath")),
        ("ssl.keyPath", options.get("ssl.keyPath")),
        ("ssl.passphrase", options.get("ssl.passphrase")),
    )
    if options.get("ssl.caPath"):
        draft.refuse("ssl.caPath", "client certificates are checked by a proxy in front")
    _write_metrics(draft, options)
    _write_cluster(draft, options)
    write_defaults(draft, options)
    _write_webhook_batches(draft, options)
    driver = options.get("appManager.driver")
    if driver in ("array", MISSING):
        write_apps(draft, options)
        if not draft.apps:
            raise ConfigError(name, "has no app in `appManager.array.apps`")
    elif driver in ("mysql", "postgres"):
        _write_database(draft, options, str(driver))
    else:
        raise ConfigError(
            _place(options, "appManager.driver"),
            f"apps come from {shown('driver', driver)}, which is not read here:"
            " list them in appManager.array.apps",
        )
    _name_the_rest(draft, options)
    return draft


def _place(options: SoketiOptions, path: str) -> str:
    """The setting of an error: a variable, or the option with its file."""
    source = options.source(path)
    return source if source and source.startswith(PREFIX) else f"{options.name}: `{path}`"


def _source(options: SoketiOptions, path: str) -> str:
    return options.source(path) or f"{path} (default)"


def _write_server(draft: Draft, options: SoketiOptions) -> None:
    draft.take(_source(options, "host"), "server.host", options.text("host", "0.0.0.0"))
    port = whole(options.get("port"))
    if port is None or not 0 < port < 65_536:
        raise ConfigError(_place(options, "port"), "is no port: write a number up to 65535")
    draft.take(_source(options, "port"), "server.port", port)
    prefix = options.text("pathPrefix", "").rstrip("/")
    if prefix:
        source = _source(options, "pathPrefix")
        draft.take(source, "server.path_prefix", f"/{prefix.lstrip('/')}")
    grace = javascript_float(options.get("shutdownGracePeriod"))
    draft.take(
        _source(options, "shutdownGracePeriod"),
        "server.shutdown_grace",
        min(max(grace or 0, 0) / 1_000, 86_400),
        "milliseconds there, seconds here",
    )
    if truthy(options.get("debug")):
        draft.take(_source(options, "debug"), "log.level", "debug")
    if options.get("mode") != "full":
        draft.differ(_source(options, "mode"), "this server does all: websockets, API and webhooks")
    megabytes = javascript_float(options.get("httpApi.requestLimitInMb"))
    source = _source(options, "httpApi.requestLimitInMb")
    if megabytes is not None and megabytes > 0 and megabytes != _REQUEST_MEGABYTES:
        draft.take(source, "http.request_bytes", max(1, int(megabytes * 1_048_576)))
    else:
        draft.differ(source, "100 MB there by default; http.request_bytes is 10 MiB here")
    draft.differ("messages of clients", "100 MB there; limits.message_bytes is 128 KiB here")
    draft.differ("times of API requests", "are checked here: clocks may differ by 600 s at most")


def _write_metrics(draft: Draft, options: SoketiOptions) -> None:
    port, clients = whole(options.get("metrics.port")), whole(options.get("port"))
    if truthy(options.get("metrics.enabled")):
        host = options.text("metrics.host", "0.0.0.0")
        draft.take(_source(options, "metrics.enabled"), "operations.enabled", True)
        draft.take(_source(options, "metrics.host"), "operations.host", host)
        if options.get("metrics.prometheus.prefix") == "soketi_":
            draft.take("metrics.prometheus.prefix", "operations.soketi_names", True)
        else:
            draft.refuse(
                "metrics.prometheus.prefix", "the metrics are called pusher_server_…: relabel them"
            )
    elif port == clients:
        draft.change(
            _source(options, "metrics.port"),
            "operations.enabled",
            False,
            "is the clients' port, and metrics are off there: with another operations.port, it may be true",
        )
        return
    else:
        draft.change(
            "metrics.host", "operations.host", "127.0.0.1", "only this machine reads metrics"
        )
    if port is not None and 0 < port < 65_536:
        draft.take(_source(options, "metrics.port"), "operations.port", port)
    options.pass_over("metrics.driver")


def _write_cluster(draft: Draft, options: SoketiOptions) -> None:
    driver = options.get("adapter.driver")
    if driver == "local":
        return
    if driver != "redis":
        draft.refuse(
            _source(options, "adapter.driver"),
            f"`{str(driver)[:20]}` connects no nodes here: set cluster.redis.url, or server.workers",
        )
        return
    redis = "database.redis"
    options_given = [options.get(f"adapter.redis.redis{kind}Options") for kind in ("Pub", "Sub")]
    tls = any(isinstance(given, Mapping) and truthy(given.get("tls")) for given in options_given)
    sentinels = places(options.get(f"{redis}.sentinels"), 26_379)
    nodes = places(options.get(f"{redis}.clusterNodes"), 6_379)
    login = (options.get(f"{redis}.username"), options.get(f"{redis}.password"))
    scheme = "rediss" if tls else "redis"
    if truthy(options.get("adapter.redis.clusterMode")) and nodes:
        draft.take(f"{redis}.clusterNodes", "cluster.redis.url", f"{scheme}://{','.join(nodes)}")
        draft.take("adapter.redis.clusterMode", "cluster.redis.cluster", True)
        write_login(draft, redis, *login)
    elif sentinels:
        draft.take(f"{redis}.sentinels", "cluster.redis.sentinels", sentinels)
        draft.take(
            f"{redis}.name", "cluster.redis.sentinel_master", str(options.get(f"{redis}.name"))
        )
        draft.take(
            f"{redis}.db",
            "cluster.redis.url",
            f"{scheme}:///{whole(options.get(f'{redis}.db')) or 0}",
        )
        write_login(draft, redis, *login)
        password = options.get(f"{redis}.sentinelPassword")
        if password:
            draft.take(
                f"{redis}.sentinelPassword", "cluster.redis.sentinel_password", str(password)
            )
    else:
        where = place(options.get(f"{redis}.host"), options.get(f"{redis}.port"), 6_379)
        number = options.get(f"{redis}.db")
        write_redis(
            draft,
            redis,
            where=where,
            database=number,
            username=login[0],
            password=login[1],
            tls=tls,
        )
    options.pass_over(f"{redis}.keyPrefix", "adapter.redis.prefix", "adapter.redis")
    draft.differ(
        "adapter.redis.prefix",
        "keys begin with cluster.redis.prefix: both servers can use one Redis",
    )
    if options.get("rateLimiter.driver") in ("redis", "cluster"):
        draft.take(_source(options, "rateLimiter.driver"), "cluster.shared_rates", True)


def _write_webhook_batches(draft: Draft, options: SoketiOptions) -> None:
    if truthy(options.get("webhooks.batching.enabled")):
        duration = javascript_int(options.get("webhooks.batching.duration"))
        seconds = min(max(duration or 0, 0) / 1_000, 10)
        source = _source(options, "webhooks.batching.duration")
        draft.take(source, "webhooks.batch_window", seconds, "milliseconds there, seconds here")
    options.pass_over("webhooks.batching.duration")


def _write_database(draft: Draft, options: SoketiOptions, driver: str) -> None:
    names = ("host", "port", "user", "password", "database")
    parts = {name: options.get(f"database.{driver}.{name}") for name in names}
    scheme, port = ("mysql", 3_306) if driver == "mysql" else ("postgresql", 5_432)
    draft.take(f"database.{driver}", "database.url", database_url(scheme, parts, port))
    draft.take("appManager.driver", "database.preset", "soketi", "its table is read as it is")
    table = str(options.get(f"appManager.{driver}.table"))
    if table != "apps":
        draft.take(f"appManager.{driver}.table", "database.table", table)
    draft.take(
        "enable_client_messages", "defaults.client_events_on_public_channels", True, "as at soketi"
    )
    draft.warn("allowed_origins", "soketi checks no origin: set defaults.allowed_origins")
    if parts["password"] == "password":
        draft.warn(f"database.{driver}.password", "is soketi's published default")
    options.pass_over("appManager.array")


def _name_the_rest(draft: Draft, options: SoketiOptions) -> None:
    """Name what the operator has set and nothing has read."""
    for path, _ in options.unread():
        if not options.is_given(path):
            continue
        beginnings = [path.rsplit(".", cut)[0] for cut in range(path.count(".") + 1)]
        advice = next((_ELSEWHERE[part] for part in beginnings if part in _ELSEWHERE), None)
        source = options.source(path) or path
        draft.refuse(source, advice or "soketi has no such option: remove it")
    for variable in options.other_variables:
        draft.refuse(variable, "has no counterpart here: remove it")
