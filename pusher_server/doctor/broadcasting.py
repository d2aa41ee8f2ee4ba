"""The broadcast connection that a Laravel project uses, from its files: driver, credentials, address."""

from msgspec import Struct

from pusher_server.doctor.credentials import Credentials
from pusher_server.doctor.project import Project
from pusher_server.doctor.targets import Target
from pusher_server.migration.php import env_value
from pusher_server.migration.php_operators import Unknown

DRIVERS = ("pusher", "reverb")


class Connection(Struct, frozen=True):
    """The connection that Laravel publishes over. A value may be an `Unknown`, which only PHP knows.

    `family` is `PUSHER` or `REVERB`: its variables begin so.
    """

    name: object
    driver: object
    key: object
    secret: object
    app_id: object
    host: object
    port: object
    scheme: object
    path: object
    family: str

    def __repr__(self) -> str:
        return f"Connection({self.family})"


def connection_of(project: Project) -> Connection:
    """Return the project's default connection, from config/broadcasting.php or as Laravel's own file has it."""
    tree = project.broadcasting
    if tree is None:
        tree = _published(project)
    name = tree.get("default", "null")
    connections = tree.get("connections")
    table = (
        connections.get(name) if isinstance(connections, dict) and isinstance(name, str) else None
    )
    if not isinstance(table, dict):
        table = {}
    options = table.get("options")
    options = options if isinstance(options, dict) else {}
    driver = table.get("driver")
    return Connection(
        name=name,
        driver=driver,
        key=table.get("key"),
        secret=table.get("secret"),
        app_id=table.get("app_id"),
        host=options.get("host"),
        port=options.get("port"),
        scheme=_scheme(options),
        path=options.get("path", ""),
        family="REVERB" if driver == "reverb" or name == "reverb" else "PUSHER",
    )


def _scheme(options: dict[str, object]) -> object:
    """As pusher/pusher-php-server reads its options (`Pusher::__construct`)."""
    if "scheme" in options:
        return options["scheme"]
    tls = options.get("useTLS", options.get("encrypted", False))
    if isinstance(tls, Unknown):
        return tls
    return "https" if tls is True and "port" not in options else "http"


def _published(project: Project) -> dict[str, object]:
    """The values of Laravel's own config/broadcasting.php, which a project need not have since Laravel 11."""

    def env(name: str, default: object = None) -> object:
        text = project.lookup(name)
        return default if text is None else env_value(text)

    cluster = env("PUSHER_APP_CLUSTER") or "mt1"
    return {
        "default": env("BROADCAST_CONNECTION", "null"),
        "connections": {
            "pusher": {
                "driver": "pusher",
                "key": env("PUSHER_APP_KEY"),
                "secret": env("PUSHER_APP_SECRET"),
                "app_id": env("PUSHER_APP_ID"),
                "options": {
                    "host": env("PUSHER_HOST") or f"api-{cluster}.pusher.com",
                    "port": env("PUSHER_PORT", 443),
                    "scheme": env("PUSHER_SCHEME", "https"),
                },
            },
            "reverb": {
                "driver": "reverb",
                "key": env("REVERB_APP_KEY"),
                "secret": env("REVERB_APP_SECRET"),
                "app_id": env("REVERB_APP_ID"),
                "options": {
                    "host": env("REVERB_HOST"),
                    "port": env("REVERB_PORT", 443),
                    "scheme": env("REVERB_SCHEME", "https"),
                },
            },
        },
    }


def credentials_of(connection: Connection) -> Credentials:
    """Return the credentials that are known."""
    return Credentials(_text(connection.app_id), _text(connection.key), _text(connection.secret))


def _text(value: object) -> str:
    is_text = isinstance(value, str | int) and not isinstance(value, bool)
    return str(value) if is_text else ""


def backend_target(connection: Connection) -> Target | None:
    """Return the address that Laravel publishes to, None when only PHP knows it or it is none of ours."""
    host, scheme = connection.host, connection.scheme
    port = port_of(connection.port)
    if not isinstance(host, str) or not host or port is None or not isinstance(scheme, str):
        return None
    bare = host.partition("://")[2] or host
    if is_hosted(host) or not is_bare_host(bare):
        return None
    prefix = connection.path if isinstance(connection.path, str) else ""
    return Target(
        bare,
        port,
        scheme == "https",
        f"/{prefix.strip('/')}" if prefix.strip("/") else "",
        host_named=f"{connection.family}_HOST",
        port_named=f"{connection.family}_PORT",
    )


def port_of(value: object) -> int | None:
    """Return a port, None when it is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    text = str(value).strip()
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return None
    return int(text) if 0 < int(text) < 65_536 else None


def is_hosted(host: object) -> bool:
    """Whether a host is one of hosted Pusher."""
    text = str(host).lower().rstrip("/.")
    return text.endswith((".pusher.com", ".pusherapp.com"))


def is_bare_host(host: str) -> bool:
    """Whether a text is a host alone, without scheme, port and path."""
    return not any(mark in host for mark in ("://", "/", " ", "@")) and (host.count(":") != 1)
