"""The page that `serve` prints once it runs: its addresses, its environment, and settings for clients.

Pure: it makes text from the configuration and the server's report.
"""

from math import ceil
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from pusher_server import __version__
from pusher_server.metrics.process_stats import RESERVED_FILES, files_for_clients

if TYPE_CHECKING:
    from pusher_server.app import App
    from pusher_server.config import Config
    from pusher_server.server import StartReport

#: Addresses that mean "every interface", to which clients cannot connect.
EVERY_INTERFACE = {"0.0.0.0": "IPv4", "::": "IPv6"}

LARAVEL = """\
Laravel, .env:

  # before Laravel 11: BROADCAST_DRIVER=pusher
  BROADCAST_CONNECTION=pusher
  PUSHER_APP_ID={app_id}
  PUSHER_APP_KEY={key}
  PUSHER_APP_SECRET={secret}
  PUSHER_HOST={host}
  PUSHER_PORT={port}
  PUSHER_SCHEME={scheme}
  PUSHER_APP_CLUSTER=mt1

  ShouldBroadcast events are queued: a worker has to send them. Without these options it looks
  into an empty queue every 3 s only, and gives an event up after one failed try:

  php artisan queue:work --sleep=0.1 --tries=5 --backoff=1"""

LARAVEL_PATH = """
  In config/broadcasting.php, pusher: 'options' => [..., 'path' => '{path}/']
  (pusher-php-server up to version 5: '{path}')"""

ECHO = """\
Laravel Echo (npm install laravel-echo pusher-js):

  import Echo from 'laravel-echo';
  import Pusher from 'pusher-js';

  window.Pusher = Pusher;
  window.Echo = new Echo({{
    broadcaster: 'pusher',
    key: '{key}',
    cluster: 'mt1',
    wsHost: '{host}',
    wsPort: {port},
    wssPort: {port},{ws_path}
    forceTLS: {tls},
    enabledTransports: ['ws', 'wss'],
  }});"""


class PublicUrl(Struct, frozen=True):
    """The address for clients: scheme of HTTP, host as it stands in a URL, port, path prefix."""

    scheme: str
    host: str
    port: int
    path: str

    def of(self, rest: str, *, websocket: bool = False) -> str:
        """A full URL; `rest` starts with a slash."""
        scheme = self.scheme.replace("http", "ws") if websocket else self.scheme
        return f"{scheme}://{self.host}:{self.port}{self.path}{rest}"


def banner(
    config: "Config",
    report: "StartReport",
    *,
    source: str,
    python: str,
    address: str,
    show_secret: bool,
) -> str:
    """Return the page.

    `source`: where the settings come from. `address`: the host to show when we listen on every interface.
    `show_secret`: only for credentials that the operator has not chosen and so does not know.
    """
    app, *others = config.apps or (_some_app(),)
    url = _public_url(config, report, address)
    parts = [
        _where(config, report, url, app, source) + "\n" + _runs_on(report, python),
        _laravel(config, url, app, show_secret=show_secret),
        _echo(url, app),
    ]
    if others:
        parts[1] += f"\n  ({len(others)} more: {', '.join(other.id for other in others[:10])})"
    warning = file_limit_warning(config, report.file_limit, report.workers)
    if warning:
        parts.append(f"WARNING: {warning}")
    return "\n{}\n".format("\n\n".join(parts))


def file_limit_warning(config: "Config", file_limit: int, workers: int = 1) -> str | None:
    """The warning that a process may open too few files for its connections; None if it may open enough."""
    demanded = configured_connections(config, workers)
    allowed = allowed_connections(file_limit)
    if demanded <= allowed:
        return None
    return (
        f"{demanded} connections are configured, but this process may open {file_limit} files,"
        f" enough for about {allowed}: raise the limit to {demanded + RESERVED_FILES} (`ulimit -n`,"
        " in systemd LimitNOFILE=)"
    )


def configured_connections(config: "Config", workers: int = 1) -> int:
    """Connections that the settings demand of one process; 0 when they name no number."""
    limits = [app.limits.connections for app in config.apps]
    most = config.websocket.max_connections
    if most and not (limits and all(limits)):
        return most
    share = ceil(sum(limits) / workers)
    return min(most, share) if most else share


def allowed_connections(file_limit: int) -> int:
    """How many clients fit into the limit of open files."""
    return files_for_clients(file_limit) if file_limit else 0


def _some_app() -> "App":
    """A placeholder for the apps of a database, which may have none yet."""
    from pusher_server.app import App, AppKey

    return App(id="<app-id>", keys=(AppKey(key="<app-key>", secret="<secret>"),))


def _public_url(config: "Config", report: "StartReport", address: str) -> PublicUrl:
    """The first address we listen on, as clients have to write it."""
    scheme = "https" if config.server.tls.certificate else "http"
    prefix = config.server.path_prefix
    if config.server.unix_socket:
        return PublicUrl(scheme, "<your-proxy>", 443 if scheme == "https" else 80, prefix)
    url = urlsplit(report.urls[0])
    host = address if url.hostname in EVERY_INTERFACE else config.server.host
    # Port 0 takes a free port, so only the report has it.
    return PublicUrl(
        scheme, f"[{host}]" if ":" in host else host, url.port or config.server.port, prefix
    )


def _where(config: "Config", report: "StartReport", url: PublicUrl, app: "App", source: str) -> str:
    key = app.keys[0].key
    lines = [
        f"pusher-server {__version__} is running (Ctrl+C stops it)",
        "",
        f"  WebSocket  {url.of(f'/app/{key}', websocket=True)}",
        f"  HTTP API   {url.of(f'/apps/{app.id}/events')}",
        f"  Health     {url.of('/up')}",
    ]
    families = [EVERY_INTERFACE.get(urlsplit(address).hostname or "") for address in report.urls]
    if any(families):
        every = " and ".join(family for family in families if family)
        lines.append(f"  Listens    at every {every} address of this machine")
    if report.operations:
        lines.append(f"  Metrics    {report.operations}/metrics")
    if config.server.unix_socket:
        lines.insert(
            2, f"  Socket     {config.server.unix_socket} (the URLs below go through your proxy)"
        )
    return "\n".join([*lines, f"  Settings   {source}"])


def _runs_on(report: "StartReport", python: str) -> str:
    allowed = allowed_connections(report.file_limit)
    room = f"{report.file_limit} open files (about {allowed} connections)"
    workers = "1 process"
    if report.workers > 1:
        workers, room = f"{report.workers} workers", f"each {room}"
    return f"  Runs on    Python {python}, {report.loop}, {workers}, {room}"


def _laravel(config: "Config", url: PublicUrl, app: "App", *, show_secret: bool) -> str:
    pair = app.keys[0]
    text = LARAVEL.format(
        app_id=app.id,
        key=pair.key,
        secret=pair.secret if show_secret else _where_secret(config),
        host=url.host,
        port=url.port,
        scheme=url.scheme,
    )
    return text + (LARAVEL_PATH.format(path=url.path) if url.path else "")


def _where_secret(config: "Config") -> str:
    places = {"database": "database", "variable": "PUSHER_SERVER__APPS"}
    return f"<from your {places.get(config.apps_from, 'config')}>"


def _echo(url: PublicUrl, app: "App") -> str:
    return ECHO.format(
        key=app.keys[0].key,
        host=url.host,
        port=url.port,
        ws_path=f"\n    wsPath: '{url.path}'," if url.path else "",
        tls=str(url.scheme == "https").lower(),
    )
