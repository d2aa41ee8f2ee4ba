"""Checks of a Laravel project's files: does it publish to this server, and do its pages connect to it?

Pure: values in, results out. A sentence names variables, never their values.
"""

from collections.abc import Iterator

from pusher_server.app import stray_character
from pusher_server.doctor.broadcasting import (
    DRIVERS,
    Connection,
    is_bare_host,
    is_hosted,
    port_of,
)
from pusher_server.doctor.project import Project
from pusher_server.doctor.results import Result, fault, good
from pusher_server.doctor.targets import Target
from pusher_server.migration.php_operators import Unknown

_CONFIG = "config/broadcasting.php"
_VARIABLES = ("BROADCAST_CONNECTION", "BROADCAST_DRIVER")
_PREFIXES = ("private-encrypted-", "private-", "presence-")
#: Names in the code that register routes/channels.php and the auth route.
_REGISTERING = ("withBroadcasting", "channels")


def check_project(project: Project, connection: Connection, url: Target | None) -> list[Result]:
    """Return the results of a project's files. `url` is the address of clients, None when it is not given."""
    results = list(project.problems)
    if not (project.root / ".env").is_file():
        results.append(fault("project", "env_missing"))
    results += _driver(project, connection)
    if connection.driver in DRIVERS:
        results += _credentials(connection)
        results += _address(connection, url)
    results += _queue(project)
    results += _channels(project)
    results += _packages(project)
    if project.is_older("bootstrap/cache/config.php", ".env"):
        results.append(fault("configuration cache", "config_cached"))
    return results


def _dynamic(check: str, setting: str, value: Unknown) -> Result:
    return fault(check, "dynamic", setting=setting, line=value.line, file=_CONFIG)


def _driver(project: Project, connection: Connection) -> Iterator[Result]:
    check = "broadcast connection"
    for setting, value in (("default", connection.name), ("driver", connection.driver)):
        if isinstance(value, Unknown):
            yield _dynamic(check, setting, value)
            return
    if connection.driver in DRIVERS:
        yield good(check, f"Laravel broadcasts with the driver {connection.driver}")
        return
    if project.env is None:
        return  # nothing is known without its variables
    present = [name for name in _VARIABLES if project.env.get(name)]
    if len(present) == 1 and project.env[present[0]] in _usable(project):
        (other,) = [name for name in _VARIABLES if name not in present]
        yield fault(check, "broadcast_variable", present=present[0], variable=other)
        return
    yield fault(check, "broadcast_off", variable=present[0] if present else _VARIABLES[0])


def _usable(project: Project) -> set[str]:
    """Return the names of connections with a driver of ours."""
    tree = project.broadcasting
    if tree is None:
        return set(DRIVERS)
    connections = tree.get("connections")
    if not isinstance(connections, dict):
        return set()
    return {
        name
        for name, table in connections.items()
        if isinstance(table, dict) and table.get("driver") in DRIVERS
    }


def _credentials(connection: Connection) -> Iterator[Result]:
    check = "credentials of Laravel"
    values = {
        f"{connection.family}_APP_ID": connection.app_id,
        f"{connection.family}_APP_KEY": connection.key,
        f"{connection.family}_APP_SECRET": connection.secret,
    }
    is_good = True
    for variable, value in values.items():
        if isinstance(value, Unknown):
            yield _dynamic(check, variable.rpartition("_APP_")[2].lower(), value)
            is_good = False
        elif value in (None, "", False):
            yield fault(check, "env_empty", variable=variable)
            is_good = False
        elif problem := stray_character(str(value)):
            yield fault(check, "env_stray", variable=variable, problem=problem)
            is_good = False
    _, key, secret = values
    if is_good and values[key] == values[secret]:
        yield fault(check, "key_is_secret", key=key, secret=secret)
        is_good = False
    if is_good:
        yield good(check, "id, key and secret have values")


def _address(connection: Connection, url: Target | None) -> Iterator[Result]:
    check = "host of Laravel"
    variable = f"{connection.family}_HOST"
    for setting in ("host", "port", "scheme"):
        value = getattr(connection, setting)
        if isinstance(value, Unknown):
            yield _dynamic(check, f"options.{setting}", value)
            return
    host = connection.host
    if not isinstance(host, str) or not host or is_hosted(host):
        yield fault(check, "host_missing")
        return
    if not is_bare_host(host):
        yield fault(check, "host_is_url", variable=variable)
        return
    port = port_of(connection.port)
    is_tls = connection.scheme == "https"
    same_place = url is not None and (host.lower(), port) == (url.host.lower(), url.port)
    if url is not None and same_place and is_tls != url.is_tls:
        scheme = "https" if url.is_tls else "http"
        variable = f"{connection.family}_SCHEME"
        yield fault(check, "scheme_differs", variable=variable, scheme=scheme)
        return
    if same_place:
        yield good(check, "Laravel publishes to the host and port of --url")
    else:
        yield good(check, "Laravel publishes to a host of yours")


def _queue(project: Project) -> Iterator[Result]:
    if project.env is None and project.queue is None:
        return
    name = (project.queue or {}).get("default", project.lookup("QUEUE_CONNECTION") or "database")
    if name == "sync":
        yield good("queue", "events leave Laravel at once (sync)")
    else:
        yield fault("queue", "queue_worker")


def _channels(project: Project) -> Iterator[Result]:
    check = "rules of channels"
    if not (project.root / "routes/channels.php").is_file():
        yield fault(check, "channels_missing")
        return
    wrong = False
    number = 0
    rules = project.channels or []
    for first, second, third, fourth, fifth in zip(
        rules, rules[1:], rules[2:], rules[3:], rules[4:], strict=False
    ):
        names = (first.text.rpartition("\\")[2], second.text, third.text, fourth.text)
        if names != ("Broadcast", "::", "channel", "(") or fifth.kind == "end":
            continue
        number += 1
        line = project.channels_text.count("\n", 0, fifth.start) + 1
        prefix = next((word for word in _PREFIXES if fifth.text.startswith(word)), "")
        if fifth.kind == "string" and prefix:
            wrong = True
            yield fault(check, "channel_prefixed", line=line, prefix=prefix)
    if number and not wrong:
        rules_of = "one rule" if number == 1 else f"{number} rules"
        yield good(check, f"routes/channels.php has {rules_of}, without prefixes")
    names_of = project.bootstrap
    if (
        number
        and names_of is not None
        and not any(
            name in _REGISTERING
            or (name.endswith("BroadcastServiceProvider") and "Illuminate" not in name)
            for name in names_of
        )
    ):
        yield fault("auth route of Laravel", "channels_unregistered")


def _packages(project: Project) -> Iterator[Result]:
    packages = project.php_packages
    needed = {"pusher/pusher-php-server", "laravel/reverb"}
    if packages is not None and "laravel/framework" in packages and not packages & needed:
        yield fault("libraries", "php_library_missing")
    if project.pages and project.page_packages is not None:
        packages = project.page_packages
        if "pusher-js" not in packages:
            yield fault("libraries", "client_library_missing", library="pusher-js")
