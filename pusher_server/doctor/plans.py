"""Makes the plan of a doctor's run from its options, files and variables. Raises ConfigError for wrong use."""

from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct, field

from pusher_server.app import App
from pusher_server.config import Config, load
from pusher_server.config.apps import CREDENTIALS
from pusher_server.doctor.broadcasting import (
    Connection,
    backend_target,
    connection_of,
    credentials_of,
)
from pusher_server.doctor.credentials import Credentials, of_app
from pusher_server.doctor.examination import Plan
from pusher_server.doctor.laravel import check_project
from pusher_server.doctor.laravel_pages import check_pages, page_target
from pusher_server.doctor.project import Project, read_project
from pusher_server.doctor.results import Mask, Result
from pusher_server.doctor.targets import Target, parse_origin, parse_url
from pusher_server.errors import ConfigError
from pusher_server.migration.dotenv import parse
from pusher_server.migration.files import read_text
from pusher_server.protocol.surrogates import has_surrogate

_TOKEN = "PUSHER_SERVER__OPERATIONS__TOKEN"
#: Variables of a `.env` whose values could come back in an answer from the network.
_HIDDEN = ("PUSHER_", "REVERB_", "VITE_", "MIX_", "APP_", "BROADCAST_")


class Options(Struct, frozen=True, kw_only=True):
    """The options of the command line, as they were given."""

    url: str = ""
    laravel: Path | None = None
    app: Path | None = None
    origin: str = ""
    auth_url: str = ""
    operations: str = ""
    is_quick: bool = False
    publishes: bool = True


class Prepared(Struct):
    """A plan, the results that files alone give, and the mask for all that is printed."""

    plan: Plan
    results: list[Result]
    mask: Mask


class _Source(Struct):
    """Credentials and addresses of one source. `variables` are what no output may have."""

    credentials: Credentials
    clients: Target | None = None
    backend: Target | None = None
    token: str = ""
    results: list[Result] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"_Source({self.credentials!r})"


def prepare(options: Options, environ: Mapping[str, str], channel: str) -> Prepared:
    """Return the plan of these options. `channel` is the name for the publication. Raises ConfigError."""
    if options.laravel is not None and options.app is not None:
        raise ConfigError("--laravel", "give it or --app: both say which credentials to use")
    url = parse_url(options.url, "--url") if options.url else None
    origin = parse_origin(options.origin) if options.origin else ""
    if options.auth_url:
        _check_http(options.auth_url, "--auth-url")
    if options.operations:
        _check_http(options.operations, "--operations")
    source = _source(options, url, environ)
    clients = url or source.clients or source.backend
    if clients is None:
        raise ConfigError(
            "--url", "is missing: give the server's address as clients use it, wss://ws.example.com"
        )
    pair = source.credentials
    hidden = {"(app id)": pair.app_id, "(key)": pair.key, "(secret)": pair.secret}
    arguments = (options.url, options.origin, options.auth_url, options.operations)
    return Prepared(
        Plan(
            clients=clients,
            backend=source.backend or clients,
            is_backend_here=url is None,
            credentials=pair,
            channel=channel,
            origin=origin,
            auth_url=options.auth_url,
            operations=options.operations.rstrip("/"),
            operations_token=environ.get(_TOKEN, "") or source.token,
            is_quick=options.is_quick,
            publishes=options.publishes,
        ),
        source.results,
        Mask({**source.variables, **hidden}, arguments),
    )


def _source(options: Options, url: Target | None, environ: Mapping[str, str]) -> _Source:
    if options.laravel is not None:
        return _from_laravel(options.laravel, url)
    if options.app is not None:
        if options.app.suffix == ".toml":
            return _from_config(options.app, environ)
        text = read_text(options.app)
        return _from_variables(parse(text, str(options.app), expand=True), is_file=True)
    return _from_variables(environ, is_file=False)


def _from_laravel(root: Path, url: Target | None) -> _Source:
    try:
        project: Project = read_project(root)
    except OSError as error:  # a name that is too long, a directory of somebody else's
        raise ConfigError("--laravel", f"cannot be read: {error.strerror}") from None
    connection: Connection = connection_of(project)
    results = check_project(project, connection, url)
    results += check_pages(project, connection, url)
    hidden = {
        name: value for name, value in (project.env or {}).items() if name.startswith(_HIDDEN)
    }
    return _Source(
        credentials_of(connection),
        page_target(project, connection.family),
        backend_target(connection),
        results=results,
        variables=hidden,
    )


def _from_config(path: Path, environ: Mapping[str, str]) -> _Source:
    """Return the app and the address of a config file of ours."""
    config: Config = load(path, environ, {})
    token = config.operations.token
    given = _pair(environ)
    if not config.apps and given.is_complete:  # the apps are in a database
        return _Source(given, _listener(config), token=token)
    return _Source(of_app(_chosen(config, environ, str(path))), _listener(config), token=token)


def _chosen(config: Config, environ: Mapping[str, str], name: str) -> App:
    wanted = environ.get("PUSHER_APP_ID", "")
    for app in config.apps:
        if app.id == wanted or (not wanted and len(config.apps) == 1):
            return app
    if not config.apps:
        raise ConfigError(
            name, "has no app: apps of a database need PUSHER_APP_ID, _KEY and _SECRET here"
        )
    raise ConfigError(name, f"has {len(config.apps)} apps: name one of them with PUSHER_APP_ID")


def _listener(config: Config) -> Target | None:
    """Return the address that the server of a config file listens on, as seen from its machine."""
    server = config.server
    if server.unix_socket:
        return None
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(server.host, server.host)
    return Target(host, server.port, bool(server.tls.certificate), server.path_prefix)


def _from_variables(variables: Mapping[str, str], *, is_file: bool) -> _Source:
    """Return what `PUSHER_APP_*` and `PUSHER_HOST` say, of a file or of the environment."""
    pair = _pair(variables)
    host, port = variables.get("PUSHER_HOST", ""), variables.get("PUSHER_PORT", "")
    target = None
    if host:
        scheme = variables.get("PUSHER_SCHEME", "") or "https"
        bare = f"[{host}]" if ":" in host else host
        named = {"host_named": "PUSHER_HOST", "port_named": "PUSHER_PORT"}
        parsed = parse_url(f"{scheme}://{bare}" + (f":{port}" if port else ""), "PUSHER_HOST")
        target = Target(parsed.host, parsed.port, parsed.is_tls, **named)
    hidden = {name: value for name, value in variables.items() if name.startswith(_HIDDEN)}
    return _Source(pair, target, variables=hidden if is_file else {})


def _pair(variables: Mapping[str, str]) -> Credentials:
    values = {part: variables.get(name, "") for part, name in CREDENTIALS.items()}
    for part, value in values.items():
        if has_surrogate(value):
            raise ConfigError(CREDENTIALS[part], "is not UTF-8 text")
    return Credentials(values["id"], values["key"], values["secret"])


def _check_http(url: str, setting: str) -> None:
    parse_url(url, setting)
    if not url.startswith(("http://", "https://")):
        raise ConfigError(setting, "is a URL of HTTP: it begins with http:// or https://")
