"""`[cluster.redis]` and database URLs, from the parts that other servers keep apart."""

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from pusher_server.migration.draft import Settings
from pusher_server.migration.numbers import whole


def place(host: object, port: object, default: int) -> str:
    """`host:port`, with the brackets of IPv6."""
    name = str(host or "127.0.0.1")
    number = whole(port)
    shown = f"[{name}]" if ":" in name and not name.startswith("[") else name
    return f"{shown}:{default if number is None else number}"


def places(nodes: object, default: int) -> list[str]:
    """`host:port` for each node, of tables with `host` and `port`, or of texts."""
    if not isinstance(nodes, Iterable) or isinstance(nodes, str | Mapping):
        return []
    written = []
    for node in nodes:
        if isinstance(node, Mapping) and node.get("host"):
            written.append(place(node.get("host"), node.get("port"), default))
        elif isinstance(node, str) and node:
            _, _, rest = node.rpartition("://")
            written.append(rest.rpartition("@")[2].strip("/"))
    return written


def database_url(scheme: str, parts: Mapping[str, object], default_port: int) -> str:
    """`mysql://user:password@host:port/name`, percent-encoded (RFC 3986 section 2.1)."""
    user = quote(str(parts.get("user") or ""), safe="")
    password = quote(str(parts.get("password") or ""), safe="")
    login = f"{user}:{password}" if password else user
    where = place(parts.get("host"), parts.get("port"), default_port)
    database = quote(str(parts.get("database") or ""), safe="")
    return f"{scheme}://{login}@{where}/{database}" if login else f"{scheme}://{where}/{database}"


def write_redis(
    settings: Settings,
    source: str,
    *,
    where: str,
    database: object = 0,
    username: object = None,
    password: object = None,
    tls: bool = False,
) -> None:
    """Write `[cluster.redis]` for one server of Redis; `where` is `host:port`."""
    number = whole(database) or 0
    scheme = "rediss" if tls else "redis"
    settings.take(source, "cluster.redis.url", f"{scheme}://{where}/{number}")
    write_login(settings, source, username, password)


def write_login(settings: Settings, source: str, username: object, password: object) -> None:
    """Write the login of Redis, if there is one."""
    if username:
        settings.take(f"{source}.username", "cluster.redis.username", str(username))
    if password:
        settings.take(f"{source}.password", "cluster.redis.password", str(password))
