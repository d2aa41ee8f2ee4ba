"""Set-ups of `integrations/laravel` that are wrong in one way, each with what the check has to say about it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.examples.laravel_package import PackagedApplication

Change = Callable[[PackagedApplication], None]

BROADCASTING = "config/broadcasting.php"
PROVIDER = "        App\\Providers\\BroadcastServiceProvider::class, // the example's\n"


def nothing(_application: PackagedApplication) -> None:
    """Change no file."""


def replacing(name: str, old: str, new: str) -> Change:
    """Change the text of one file."""
    return lambda application: application.replace(name, old, new)


def caching_then(line: str, other: str) -> Change:
    """Cache the configuration with `line` in `.env`, then write `other` there."""

    def change(application: PackagedApplication) -> None:
        assert application.run("config:cache").returncode == 0
        application.replace(".env", line, other)

    return change


def without_rules(application: PackagedApplication) -> None:
    """The route is there, but nobody loads `routes/channels.php`."""
    provider = "app/Providers/BroadcastServiceProvider.php"
    application.replace(provider, "require base_path('routes/channels.php');", "")


def without_table(application: PackagedApplication) -> None:
    """The table of jobs has another name than the configuration says."""
    application.replace("config/queue.php", "'table' => 'jobs'", "'table' => 'work'")


def with_old_route_cache(application: PackagedApplication) -> None:
    """The routes were cached while the example's provider was not registered."""
    application.replace("config/app.php", PROVIDER, "")
    assert application.run("route:cache").returncode == 0
    place = "        App\\Providers\\RouteServiceProvider::class,\n"
    application.replace("config/app.php", place, place + PROVIDER)


def with_route_cache_then_path(application: PackagedApplication) -> None:
    """The routes were cached before webhooks had a path."""
    assert application.run("route:cache").returncode == 0
    with application.dotenv_path.open("a", encoding="utf-8") as file:
        file.write("PUSHER_SERVER_WEBHOOK_PATH=hooks\n")


def in_maintenance(application: PackagedApplication) -> None:
    """`php artisan down`."""
    (application.directory / "storage" / "framework").mkdir(exist_ok=True)
    assert application.run("down").returncode == 0


@dataclass(frozen=True)
class WrongSetup:
    """One wrong set-up. Values may name the ports of the fixture `ports`, as "{tls}"."""

    name: str
    step: str
    #: A regular expression for the step's text, and one for the lines to paste.
    text: str
    fix: str
    environment: Mapping[str, str] = field(default_factory=dict)
    #: Further lines of `.env`.
    more: str = ""
    change: Change = nothing
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def _connection(name: str, value: str, text: str, change: Change = nothing) -> WrongSetup:
    return WrongSetup(
        name,
        "Connection",
        text,
        "BROADCAST_CONNECTION=pusher",
        {"BROADCAST_CONNECTION": value},
        change=change,
    )


CONNECTIONS = [
    _connection("log", "log", "writes events into the log"),
    _connection("null", "null", "drops events without an error"),
    _connection("no-connection", "pushr", 'no connection "pushr"'),
    _connection(
        "other-driver",
        "redis",
        'has the driver "redis"',
        replacing(BROADCASTING, "'log' => [", "'redis' => ['driver' => 'redis'], 'log' => ["),
    ),
    WrongSetup(
        "old-variable",
        "Connection",
        "writes events into the log",
        "BROADCAST_DRIVER=pusher",
        more="BROADCAST_DRIVER=log\n",
        change=replacing(
            BROADCASTING,
            "env('BROADCAST_CONNECTION', env('BROADCAST_DRIVER', 'null'))",
            "env('BROADCAST_DRIVER', 'null')",
        ),
    ),
    WrongSetup(
        "no-library",
        "Connection",
        "pusher/pusher-php-server is missing",
        "composer require pusher/pusher-php-server",
        change=lambda application: (
            application.directory / "stand_ins" / "Pusher" / "Pusher.php"
        ).unlink(),
    ),
    WrongSetup(
        "no-secret",
        "Connection",
        "PUSHER_APP_SECRET is empty",
        "pusher-server:install",
        {"PUSHER_APP_SECRET": ""},
    ),
    WrongSetup(
        "blank-in-key",
        "Connection",
        "PUSHER_APP_KEY has blanks",
        "pusher-server:install",
        {"PUSHER_APP_KEY": '"comments-key "'},
    ),
    WrongSetup(
        "hosted",
        "Connection",
        "go to hosted Pusher, api-mt1.pusher.com",
        "pusher-server:install",
        {"PUSHER_HOST": ""},
        change=replacing(
            BROADCASTING,
            "env('PUSHER_HOST', '127.0.0.1')",
            "env('PUSHER_HOST') ?: 'api-mt1.pusher.com'",
        ),
    ),
    WrongSetup(
        "no-host",
        "Connection",
        "has no host, so events go to hosted Pusher",
        "pusher-server:install",
        change=replacing(BROADCASTING, "'host' => env('PUSHER_HOST', '127.0.0.1'),", ""),
    ),
    WrongSetup(
        "url-as-host",
        "Connection",
        'PUSHER_HOST is "http://127.0.0.1/"',
        "^PUSHER_HOST=127.0.0.1$",
        {"PUSHER_HOST": "http://127.0.0.1/"},
    ),
    WrongSetup(
        "no-port", "Connection", 'PUSHER_PORT is "http"', "PUSHER_PORT=", {"PUSHER_PORT": "http"}
    ),
    WrongSetup(
        "websocket-scheme",
        "Connection",
        'PUSHER_SCHEME is "wss"',
        "PUSHER_SCHEME=http",
        {"PUSHER_SCHEME": "wss"},
    ),
]

PUBLICATIONS = [
    WrongSetup(
        "no-such-name",
        "Publication",
        "ws.invalid has no address",
        "PUSHER_HOST=",
        {"PUSHER_HOST": "ws.invalid"},
    ),
    WrongSetup(
        "no-listener",
        "Publication",
        r"Nothing listens on 127.0.0.1:{nobody}",
        "curl -i http://127.0.0.1:{nobody}/up",
        {"PUSHER_PORT": "{nobody}"},
    ),
    WrongSetup(
        "proxy-of-the-process",
        "Publication",
        r"did not get through a proxy \(HTTP_PROXY",
        "NO_PROXY=127.0.0.1",
        variables={"HTTP_PROXY": "http://127.0.0.1:{nobody}"},
    ),
    WrongSetup(
        "other-program",
        "Publication",
        r"127.0.0.1:{other} does not answer as the server does \(HTTP/1.. 40",
        "PUSHER_PORT=6001",
        {"PUSHER_PORT": "{other}"},
    ),
    WrongSetup(
        "https-to-http",
        "Publication",
        "PUSHER_SCHEME is https, and port {plain} speaks plain HTTP",
        "^PUSHER_SCHEME=http$",
        {"PUSHER_SCHEME": "https"},
    ),
    WrongSetup(
        "http-to-https",
        "Publication",
        "PUSHER_SCHEME is http, and port {tls} speaks TLS",
        "^PUSHER_SCHEME=https$",
        {"PUSHER_PORT": "{tls}"},
    ),
    WrongSetup(
        "unknown-issuer",
        "Publication",
        "The certificate of localhost:{tls} is not trusted by PHP",
        "openssl s_client -connect localhost:{tls}",
        {"PUSHER_HOST": "localhost", "PUSHER_PORT": "{tls}", "PUSHER_SCHEME": "https"},
    ),
    WrongSetup(
        "certificate-of-another-name",
        "Publication",
        "The certificate of 127.0.0.1:{tls} is not for the name 127.0.0.1",
        "openssl s_client",
        {"PUSHER_PORT": "{tls}", "PUSHER_SCHEME": "https"},
        variables={"PHP_INI_SCAN_DIR": ":{trusting}"},
    ),
    WrongSetup(
        "wrong-key",
        "Publication",
        "no app with this PUSHER_APP_KEY, or key and secret",
        "^PUSHER_APP_KEY=",
        {"PUSHER_APP_KEY": "other-key"},
    ),
    WrongSetup(
        "secret-as-key",
        "Publication",
        "or key and secret have changed places",
        "^PUSHER_APP_KEY=",
        {"PUSHER_APP_KEY": "comments-secret", "PUSHER_APP_SECRET": "comments-key"},
    ),
    WrongSetup(
        "wrong-secret",
        "Publication",
        "PUSHER_APP_SECRET is not the secret of PUSHER_APP_KEY",
        "^PUSHER_APP_SECRET=",
        {"PUSHER_APP_SECRET": "of-another-app"},
    ),
    WrongSetup(
        "wrong-app-id",
        "Publication",
        "The app with this key has another id than PUSHER_APP_ID=70",
        "^PUSHER_APP_ID=",
        {"PUSHER_APP_ID": "70"},
    ),
    WrongSetup(
        "disabled-app",
        "Publication",
        "The app 71 is disabled",
        "pusher-server apps enable 71",
        {"PUSHER_APP_ID": "71", "PUSHER_APP_KEY": "disabled-key"},
    ),
    WrongSetup(
        "wrong-path",
        "Publication",
        'not below the path "/ws"',
        "'path' => ''",
        change=replacing(BROADCASTING, "// 'path' => '/ws/',", "'path' => '/ws/',"),
    ),
]

WORKER = "php artisan queue:work database --sleep=0.1 --tries=5 --backoff=1"
LATER = [
    WrongSetup(
        "cached-configuration",
        "Configuration",
        r"is cached and differs from .env in: broadcasting.connections.pusher.options.host$",
        "php artisan config:cache",
        change=caching_then("PUSHER_HOST=127.0.0.1", "PUSHER_HOST=127.0.0.2"),
    ),
    WrongSetup(
        "cached-queue",
        "Configuration",
        r"differs from .env in: queue.default$",
        "php artisan config:cache",
        change=caching_then("QUEUE_CONNECTION=database", "QUEUE_CONNECTION=sync"),
    ),
    WrongSetup("no-worker", "Queue", 'No worker took the job from "database"', WORKER),
    WrongSetup(
        "no-worker-of-this-queue",
        "Queue",
        'No worker took the job from "database"',
        "queue:work database --queue=broadcasts --sleep",
        arguments=("--queue=broadcasts",),
    ),
    WrongSetup("maintenance", "Queue", "in maintenance mode", "artisan up", change=in_maintenance),
    WrongSetup(
        "no-table",
        "Queue",
        "does not take a job: .*no such table: work",
        "queue:table && php artisan migrate",
        change=without_table,
    ),
    WrongSetup(
        "no-queue-connection",
        "Queue",
        'no connection "redis"',
        "QUEUE_CONNECTION=database",
        {"QUEUE_CONNECTION": "redis"},
    ),
    WrongSetup(
        "redis-away",
        "Queue",
        'The queue "redis" does not take a job: ',
        'connection "redis" in config/queue.php',
        {"QUEUE_CONNECTION": "redis"},
        change=replacing(
            "config/queue.php",
            "'sync' => [",
            "'redis' => ['driver' => 'redis', 'queue' => 'default'], 'sync' => [",
        ),
    ),
    WrongSetup(
        "null-queue",
        "Queue",
        "drops every job",
        "QUEUE_CONNECTION=database",
        {"QUEUE_CONNECTION": "null"},
        change=replacing(
            "config/queue.php", "'sync' => [", "'null' => ['driver' => 'null'], 'sync' => ["
        ),
    ),
    WrongSetup(
        "no-route",
        "Channels",
        "The route /broadcasting/auth is missing: ",
        "BroadcastServiceProvider::class",
        {"QUEUE_CONNECTION": "sync"},
        change=replacing("config/app.php", PROVIDER, ""),
    ),
    WrongSetup(
        "no-rules",
        "Channels",
        "The rules of routes/channels.php are not loaded",
        "BroadcastServiceProvider::class",
        {"QUEUE_CONNECTION": "sync"},
        change=without_rules,
    ),
    WrongSetup(
        "key-of-browser",
        "Browser",
        "VITE_PUSHER_APP_KEY is another key",
        "VITE_PUSHER_APP_KEY=",
        {"QUEUE_CONNECTION": "sync"},
        more="VITE_PUSHER_APP_KEY=of-before\n",
    ),
    WrongSetup(
        "secret-in-browser",
        "Browser",
        "MIX_PUSHER_APP_KEY is the secret",
        "MIX_PUSHER_APP_KEY=",
        {"QUEUE_CONNECTION": "sync"},
        more="MIX_PUSHER_APP_KEY=comments-secret\n",
    ),
    WrongSetup(
        "no-route-in-cache",
        "Channels",
        "The route /broadcasting/auth is missing in the cached routes",
        "php artisan route:clear",
        {"QUEUE_CONNECTION": "sync"},
        change=with_old_route_cache,
    ),
    WrongSetup(
        "no-webhook-route-in-cache",
        "Webhooks",
        "The route /hooks is missing in the cached routes",
        "php artisan route:cache",
        {"QUEUE_CONNECTION": "sync"},
        change=with_route_cache_then_path,
    ),
    WrongSetup(
        "webhook-keys",
        "Webhooks",
        "PUSHER_SERVER_WEBHOOK_KEYS is no JSON",
        "PUSHER_SERVER_WEBHOOK_KEYS=",
        {"QUEUE_CONNECTION": "sync"},
        more="PUSHER_SERVER_WEBHOOK_PATH=hooks\nPUSHER_SERVER_WEBHOOK_KEYS=key:secret\n",
    ),
    WrongSetup(
        "webhook-cache",
        "Webhooks",
        'The cache "array" forgets',
        "PUSHER_SERVER_WEBHOOK_STORE=file",
        {"QUEUE_CONNECTION": "sync"},
        more="PUSHER_SERVER_WEBHOOK_PATH=hooks\nPUSHER_SERVER_WEBHOOK_STORE=array\n",
        change=replacing(
            "config/cache.php", "'stores' => [", "'stores' => ['array' => ['driver' => 'array'], "
        ),
    ),
]

WRONG_SETUPS = CONNECTIONS + PUBLICATIONS + LATER
