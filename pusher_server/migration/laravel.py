"""Settings that Laravel's broadcasters share: credentials, origins, connection limits, Redis.

`docs/migration/` names the files of laravel/reverb and beyondcode/laravel-websockets that these facts are from.
"""

import re
from collections.abc import Callable, Mapping
from urllib.parse import unquote, urlsplit

from pusher_server.errors import ConfigError
from pusher_server.migration.draft import Settings
from pusher_server.migration.numbers import names, whole
from pusher_server.migration.options import MISSING, Options
from pusher_server.migration.php import env_value
from pusher_server.migration.places import place, write_redis

#: The rule while `allowed_origins` is not known.
ANY_ORIGIN = "every origin is let in"
#: The origin that stands for "nobody": no site can have it (RFC 2606 section 2).
NOBODY = "nobody.invalid"
_HOST = re.compile(r"[A-Za-z0-9*?._-]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]+")


def environment(variables: Mapping[str, str]) -> Callable[..., object]:
    """Laravel's `env()` over these variables: name and default to value."""

    def env(name: str, default: object = None) -> object:
        text = variables.get(name)
        return default if text is None else env_value(text)

    return env


def write_credentials(
    ours: Settings, app: Options, paths: Mapping[str, str], variables: Mapping[str, str]
) -> None:
    """Write id, key and secret. `paths`: ours -> the other server's. Raises ConfigError for a missing one."""
    for setting, path in paths.items():
        name, value = ours.value(app, path)
        if value in (MISSING, None, ""):
            full = f"{ours.sources}{name}"
            way = f"has no value: set {variables[setting]} in the .env file beside it, or give"
            if ours.is_left_out(name):
                way = "is computed, and no app goes without it: give"
            raise ConfigError(app.name, f"{full} {way} --answer {full}=VALUE")
        ours.take(path, setting, str(value))


def write_capacity(ours: Settings, app: Options, path: str, server: str) -> None:
    """Write the limit of connections: null is none, and 0 or less lets nobody in."""
    name, value = ours.value(app, path)
    if value is MISSING or value is None:
        ours.take(name, "limits.connections", 0, "null there and 0 here are no limit")
        ours.warn(name, "no limit: one page in a loop can take every connection")
        return
    number = whole(value)
    if number is None:
        ours.refuse(
            name, f"is no number, so {server} takes no connection with it: set limits.connections"
        )
    elif number <= 0:
        ours.change(
            name,
            "enabled",
            False,
            f"{number} lets nobody connect at {server}, and 0 is no limit here: the app is switched off."
            " Remove `enabled` to let all in, or set limits.connections",
        )
    else:
        ours.take(name, "limits.connections", number)


def write_origins(
    ours: Settings,
    source: str,
    value: object,
    server: str,
    *,
    empty_means_all: bool,
    has_patterns: bool,
) -> None:
    """Write `allowed_origins`. `has_patterns`: `*` is a pattern there, and not a character."""
    # In PHP the keys of a list count for nothing.
    listed = names(list(value.values()) if isinstance(value, Mapping) else value)
    if listed is None:
        ours.change(
            source,
            "allowed_origins",
            [NOBODY],
            f"is no list of hosts, so {server} lets no browser in; list your sites",
        )
        return
    if (not listed and empty_means_all) or (has_patterns and "*" in listed):
        shown = ["*"] if listed else []
        ours.take(source, "allowed_origins", shown, "every origin, there and here")
        ours.warn(
            source, "no origin check: list your sites, so that no other page can use your key"
        )
        return
    hosts = []
    for entry in listed:
        host = _host(entry)
        if not _HOST.fullmatch(host):
            ours.refuse(source, f"{entry[:60]!r} is no host: write the host of the site")
        elif not has_patterns and "*" in host:
            ours.differ(source, f"{entry[:60]!r} was left out: it matches no origin at {server}")
        else:
            hosts.append(host)
            if host != entry:
                ours.differ(source, f"{entry[:60]!r} is {host!r}: only hosts are compared")
    if not hosts:
        ours.change(
            source,
            "allowed_origins",
            [NOBODY],
            f"{server} lets no browser in with this list; list your sites",
        )
    else:
        ours.take(source, "allowed_origins", hosts)


def _host(entry: str) -> str:
    """The host of an origin, without scheme, port and path; IPv6 without brackets."""
    text = entry if "://" in entry else f"//{entry}"
    if entry.count(":") > 1 and "[" not in entry and "://" not in entry:
        return entry
    try:
        host = urlsplit(text).netloc.rpartition("@")[2]
    except ValueError:
        return ""
    host = re.sub(r":\d*$", "", host)
    return host.strip("[]")


def write_redis_connection(ours: Settings, source: str, server: Mapping[str, object]) -> None:
    """Write `[cluster.redis]` from a connection of Laravel's: `url` wins over the parts."""
    url = server.get("url")
    if not isinstance(url, str) or "://" not in url:
        scheme, parts = str(server.get("scheme") or ""), dict(server)
    else:
        scheme, parts = _url_parts(url, server)
    host = str(parts.get("host") or "127.0.0.1")
    is_tls = scheme in ("tls", "rediss")
    if host.startswith(("tls://", "rediss://")):
        host, is_tls = host.partition("://")[2], True
    if host.startswith("/"):
        ours.take(source, "cluster.redis.url", f"unix://{host}")
        return
    write_redis(
        ours,
        source,
        where=place(host, parts.get("port"), 6_379),
        database=parts.get("database"),
        username=parts.get("username"),
        password=parts.get("password"),
        tls=is_tls,
    )


def _url_parts(url: str, server: Mapping[str, object]) -> tuple[str, dict[str, object]]:
    try:
        split = urlsplit(url)
        port = split.port
    except ValueError:
        raise ConfigError(
            "REDIS_URL", "cannot be read: write redis://user:password@host:6379/0"
        ) from None
    parts = dict(server)
    given: Mapping[str, object] = {
        "host": split.hostname,
        "port": port,
        "username": unquote(split.username or ""),
        "password": unquote(split.password or ""),
        "database": split.path.strip("/"),
    }
    parts.update({name: value for name, value in given.items() if value})
    return split.scheme, parts


def redis_variables(variables: Mapping[str, str]) -> dict[str, object]:
    """The connection `default` of Laravel's own `config/database.php`."""
    env = environment(variables)
    return {
        "url": env("REDIS_URL"),
        "host": env("REDIS_HOST", "127.0.0.1"),
        "username": env("REDIS_USERNAME"),
        "password": env("REDIS_PASSWORD"),
        "port": env("REDIS_PORT", "6379"),
        "database": env("REDIS_DB", "0"),
        "scheme": env("REDIS_SCHEME", ""),
    }
