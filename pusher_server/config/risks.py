"""Settings that work and are risky: one line for each, for the start and `check-config`.

Nothing is refused for them, because each may be right somewhere: a network of one's own, a machine for trials.
"""

import ipaddress
import os
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

from pusher_server.app import App, stray_character
from pusher_server.config.redis import RedisSettings, parse_url
from pusher_server.config.settings import Config

#: Shorter secrets and tokens can be found by trying. Ours have 40 hex digits, Pusher's 20.
SHORTEST_SECRET = 8
#: Values of `sslmode` (PostgreSQL) with which nothing is sent in plain text.
_ENCRYPTED = ("require", "verify-ca", "verify-full")


def risks(config: Config, path: Path | None) -> Iterator[str]:
    """Yield a line for each risk, without secrets. `path` is the config file, None when there is none."""
    for app in config.apps:
        yield from app_risks(app)
    yield from _of_operations(config)
    yield from _of_pasted(config)
    if config.cluster.redis.is_set:
        yield from _of_redis(config.cluster.redis)
    if config.database.url:
        yield from _of_database(config.database.url)
    for proxy in config.server.trusted_proxies:
        if ipaddress.ip_network(proxy, strict=False).prefixlen == 0:
            yield (
                f"server.trusted_proxies has {proxy}: every client may claim any address and TLS;"
                " name the proxy's own network"
            )
    yield from _of_files(config, path)


def app_risks(app: App) -> Iterator[str]:
    """Yield a line for each risk in an app, wherever it comes from."""
    public = {app.id, *(pair.key for pair in app.keys)}
    for pair in app.keys:
        if pair.secret in public:
            yield (
                f"app {app.id!r}: a secret is the same as the id or a key, which everybody knows; make one with"
                " `openssl rand -hex 20`"
            )
        elif len(pair.secret) < SHORTEST_SECRET:
            yield (
                f"app {app.id!r}: the secret of key {pair.key!r} has {_characters(len(pair.secret))} and can be"
                " guessed; make one with `openssl rand -hex 20`"
            )
    for webhook in app.webhooks:
        if not webhook.verify:
            yield (
                f"app {app.id!r}: verify = false for {webhook.shown_url}: anybody on the way can read and"
                " answer its requests; leave it true"
            )


def _of_operations(config: Config) -> Iterator[str]:
    operations = config.operations
    if not operations.enabled or _is_here(operations.host):
        return
    if not operations.token:
        yield (
            f"operations.host is {operations.host} without operations.token: everybody who reaches port"
            f" {operations.port} reads the metrics; set a token, or let a firewall decide"
        )
    elif len(operations.token) < SHORTEST_SECRET:
        yield (
            f"operations.token has {_characters(len(operations.token))} and can be guessed; make one with"
            " `openssl rand -hex 20`"
        )


def _of_pasted(config: Config) -> Iterator[str]:
    """Passwords with something around them; others have chosen these, so each may be right."""
    redis = config.cluster.redis
    for setting, text in (
        ("cluster.redis.username", redis.username),
        ("cluster.redis.password", redis.password),
        ("cluster.redis.sentinel_username", redis.sentinel_username),
        ("cluster.redis.sentinel_password", redis.sentinel_password),
        ("server.tls.key_password", config.server.tls.key_password),
    ):
        problem = stray_character(text)
        if problem:
            yield f"{setting} {problem}, unless it is part of it"


def _of_redis(settings: RedisSettings) -> Iterator[str]:
    url = parse_url(settings.url or "redis:///")
    addresses = [*url.addresses, *settings.sentinel_addresses]
    elsewhere = [
        address for address in addresses if not address.path and not _is_here(address.host)
    ]
    if elsewhere:
        lacks = []
        if not (settings.password or url.password or settings.certificate):
            lacks.append("a password")
        if not url.tls:
            lacks.append("TLS (rediss://)")
        if lacks:
            yield (
                f"cluster.redis: {elsewhere[0]} is another machine, and {' and '.join(lacks)}"
                f" {'is' if len(lacks) == 1 else 'are'} missing: others on that network can read and write"
                " all of it"
            )
    if url.tls and not settings.verify:
        yield (
            "cluster.redis.verify is false: any certificate is accepted, so anybody on the way can pose as"
            " Redis; set ca_certificate instead"
        )


def _of_database(text: str) -> Iterator[str]:
    """SQLite's file is among the files; a URL that cannot be read has its own error elsewhere."""
    try:
        url = urlsplit(text)
        host = url.hostname or ""
        query = parse_qs(url.query)
    except ValueError:
        return
    if text.startswith("sqlite") or not host or _is_here(host):
        return
    is_encrypted = (
        query.get("sslmode", [""])[0] in _ENCRYPTED or "ssl_ca" in query or "ssl" in query
    )
    if not is_encrypted:
        yield (
            f"database.url: {host} is another machine, and TLS is not required: the secrets of all apps may"
            " travel in plain text; add ?sslmode=verify-full (PostgreSQL) or ?ssl=true (MySQL, MariaDB)"
        )


def _of_files(config: Config, path: Path | None) -> Iterator[str]:
    """Files with secrets that others can read, and files that others can write."""
    scheme, _, sqlite = config.database.url.partition(":///")
    files = {
        "the config file": (str(path or ""), _has_secrets(config)),
        "server.tls.key": (config.server.tls.key, True),
        "cluster.redis.key": (config.cluster.redis.key, True),
        "database.url": (sqlite.partition("?")[0] if scheme.startswith("sqlite") else "", True),
    }
    for name, (file, is_secret) in files.items():
        mode = _mode(file)
        verbs = [
            verb for verb, bit in (("read", stat.S_IROTH), ("written", stat.S_IWOTH)) if mode & bit
        ]
        if not is_secret:
            verbs = [verb for verb in verbs if verb == "written"]
        if verbs:
            yield (
                f"{name}: {file} can be {' and '.join(verbs)} by every user of this machine, and it holds what"
                f" only this server shall know; chmod o= {file}"
            )


def _has_secrets(config: Config) -> bool:
    """Whether secrets stand in the file, as far as can be said: some may come from variables."""
    redis = config.cluster.redis
    return (
        (config.apps_from == "file" and bool(config.apps))
        or bool(config.operations.token or config.server.tls.key_password or config.database.url)
        or bool(redis.password or redis.sentinel_password or "@" in redis.url)
    )


def _mode(file: str) -> int:
    """The permission bits of a file; none where there is no file, or no such bits."""
    if not file or os.name != "posix":
        return 0
    try:
        return stat.S_IMODE(os.stat(file).st_mode)
    except OSError:
        return 0


def _is_here(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _characters(count: int) -> str:
    return "1 character" if count == 1 else f"{count} characters"
