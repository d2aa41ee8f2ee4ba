"""Checks of the variables that a Laravel project's pages are built with: `VITE_…`, before Laravel 9 `MIX_…`.

Pure: values in, results out. A sentence names variables, never their values.
"""

from collections.abc import Iterator

from pusher_server.doctor.broadcasting import Connection, is_bare_host, port_of
from pusher_server.doctor.project import Project
from pusher_server.doctor.results import Result, fault, good
from pusher_server.doctor.targets import Target

_CHECK = "variables of the page"
_KINDS = ("VITE_", "MIX_")
_FAMILIES = ("PUSHER", "REVERB")


def page_variables(project: Project, family: str) -> str:
    """Return the beginning of the page's variables, as `VITE_PUSHER`; "" without any.

    The scripts that make an Echo decide; without them the variables of `.env`, those of `family` first.
    """
    in_scripts = [name for page in project.pages for name in page.variables]
    families = sorted(_FAMILIES, key=lambda name: name != family)
    for names in (in_scripts, [*(project.env or {})]):
        for kind in _KINDS:
            for own in families:
                if any(name.startswith(f"{kind}{own}_") for name in names):
                    return f"{kind}{own}"
    return ""


def page_target(project: Project, family: str) -> Target | None:
    """Return the address that pages connect to by their variables, None when they do not say."""
    beginning = page_variables(project, family)
    host = project.lookup(f"{beginning}_HOST") or ""
    if not beginning or not host or not is_bare_host(host):
        return None
    is_tls = (project.lookup(f"{beginning}_SCHEME") or "https") == "https"
    port = port_of(project.lookup(f"{beginning}_PORT")) or (443 if is_tls else 80)
    named = {"host_named": f"{beginning}_HOST", "port_named": f"{beginning}_PORT"}
    return Target(host, port, is_tls, **named)


def check_pages(project: Project, connection: Connection, url: Target | None) -> list[Result]:
    """Return the results of the page's variables. `url` is what `--url` says, None without it."""
    env = project.env
    if env is None:
        return []
    results = [
        *_secret(env, connection),
        *_hosts_in_scripts(project),
        *_missing(project),
    ]
    beginning = page_variables(project, connection.family)
    if beginning:
        results += _key(env, beginning, connection)
        if url is not None:
            results += _compared(env, beginning, url)
    if beginning and not results:
        results.append(
            good(_CHECK, f"{beginning}_… fit the backend" + (" and --url" if url else ""))
        )
    if project.is_older("public/build/manifest.json", ".env"):
        results.append(fault(_CHECK, "build_old"))
    return results


def _secret(env: dict[str, str], connection: Connection) -> Iterator[Result]:
    """A variable with the secret in it becomes part of a public file."""
    secret = connection.secret
    for name, value in env.items():
        if name.startswith(_KINDS) and isinstance(secret, str) and secret and secret in value:
            yield fault(_CHECK, "client_secret", variable=name)


def _hosts_in_scripts(project: Project) -> Iterator[Result]:
    for page in project.pages:
        if page.lacks_host:
            yield fault(_CHECK, "echo_without_host", file=page.name)


def _missing(project: Project) -> Iterator[Result]:
    """Key and host have no default that leads here; port and scheme have."""
    for page in project.pages:
        for name in page.variables:
            kind = next(kind for kind in _KINDS if name.startswith(kind))
            is_needed = name.endswith(("_APP_KEY", "_HOST")) and name not in page.defaulted
            if is_needed and not (project.env or {}).get(name):
                source = name.removeprefix(kind)
                yield fault(
                    _CHECK, "client_variable_missing", variable=name, file=page.name, source=source
                )


def _key(env: dict[str, str], beginning: str, connection: Connection) -> Iterator[Result]:
    variable = f"{beginning}_APP_KEY"
    key = env.get(variable)
    if key and isinstance(connection.key, str) and connection.key and key != connection.key:
        source = f"{connection.family}_APP_KEY"
        yield fault(_CHECK, "client_key_differs", variable=variable, source=source)


def _compared(env: dict[str, str], beginning: str, url: Target) -> Iterator[Result]:
    host = env.get(f"{beginning}_HOST", "")
    if not host:
        return
    if not is_bare_host(host):
        yield fault(_CHECK, "host_is_url", variable=f"{beginning}_HOST")
        return
    if host.lower() != url.host.lower():
        yield fault(_CHECK, "client_host_differs", variable=f"{beginning}_HOST")
        return
    scheme = env.get(f"{beginning}_SCHEME", "")
    if scheme and (scheme == "https") != url.is_tls:
        expected = "https" if url.is_tls else "http"
        yield fault(
            _CHECK, "client_scheme_differs", variable=f"{beginning}_SCHEME", scheme=expected
        )
        return
    port = env.get(f"{beginning}_PORT", "")
    if port and port_of(port) != url.port:
        yield fault(_CHECK, "client_port_differs", variable=f"{beginning}_PORT")
