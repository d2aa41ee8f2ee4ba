"""`pusher-server serve`: reads the settings, starts the server, prints how to use it."""

import logging
import os
import platform
import signal
import socket
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pusher_server import standard_streams, stray_signals
from pusher_server.cli import banner, config_file, credentials, env_style

if TYPE_CHECKING:
    from pusher_server.config import Config
    from pusher_server.server import StartReport

logger = logging.getLogger("pusher_server.cli")

#: This machine, and networks that the Internet does not route (RFC 1918, RFC 6598, RFC 4193).
_PRIVATE = (
    "127.0.0.0/8",
    "::1/128",
    "10.0.0.0/8",
    "172.16.0.0/12",
    "192.168.0.0/16",
    "100.64.0.0/10",
    "fc00::/7",
)


@click.command()
@click.option(
    "--config",
    "named",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Config file.  [default: ./pusher-server.toml if it exists, else embedded defaults]",
)
@click.option("--host", help="Address to listen on, instead of server.host.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port, instead of server.port.")
@click.option(
    "--unix-socket", metavar="PATH", help="Unix socket to listen on, instead of host and port."
)
@click.option(
    "--workers",
    metavar="NUMBER",
    help='Processes that share the work, or "auto" for one per core, instead of server.workers.',
)
@click.option(
    "--make-credentials",
    "made",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Where others could reach the embedded app, so that it may not be used: take the"
    " credentials in FILE, which is made with fresh ones if it does not exist.",
)
@env_style.option
def serve(
    named: Path | None,
    host: str | None,
    port: int | None,
    unix_socket: str | None,
    workers: str | None,
    made: Path | None,
    style: str | None,
) -> None:
    """Run the server until SIGTERM or Ctrl+C.

    Settings come from the config file, then from variables such as PUSHER_SERVER__SERVER__PORT,
    then from the options below; later ones win. Without a config file there is one app, which
    PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET describe. Without these it is the embedded
    one, which works on loopback only. SIGHUP reads apps and certificates again.
    """
    standard_streams.open_closed_streams()
    stray_signals.ignore()
    if hasattr(signal, "SIGHUP"):
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until the server takes it
    path = config_file.choose(named, Path.cwd())
    overrides = {
        "server.host": host,
        "server.port": port,
        "server.unix_socket": unix_socket,
        "server.workers": workers,
    }
    notices = env_style.apply(style, path)
    with env_style.shown_on_refusal(notices):
        config, generated = _read(path, overrides, made)

    from pusher_server import logs

    logs.configure(config.log)
    for notice in (*notices, *config.notices):
        logger.warning(notice)
    source = config_file.describe(path)
    if config.apps_from == "environment":
        source += f", app from {made if generated else 'PUSHER_APP_*'}"
    if config.apps_from == "variable":
        source += ", apps from PUSHER_SERVER__APPS"
    if config.apps_from == "database":
        source += f", apps from the database ({config.database.preset})"
    show_secret = generated or config.apps_from == "embedded"
    try:
        _run(
            config,
            path,
            lambda report: _announce(config, path, report, source, show_secret=show_secret),
        )
    finally:
        standard_streams.flush_or_drop()


def _explain_reach(config: "Config") -> None:
    """Log the private networks that webhooks of a database's apps may reach: its writers choose the URLs."""
    from pusher_server.webhooks.delivery.denied_networks import DeniedNetworks

    denied = DeniedNetworks(config.webhooks.denied_networks)
    open_ones = [network for network in _PRIVATE if not denied.cover(network)]
    if open_ones:
        logger.info(
            "webhooks of the database's apps may go anywhere but to webhooks.denied_networks; to close"
            " this machine and private networks to them, add %s",
            ", ".join(open_ones),
        )


def _run(config: "Config", path: Path | None, announce: Callable[["StartReport"], None]) -> None:
    """Run the server in this process, or in several that it supervises."""
    from pusher_server.processes.cores import worker_count

    if config.database.url:
        import asyncio

        from pusher_server.apps.database.runtime import check

        asyncio.run(check(config.database))
    count = worker_count(config.server)
    if count == 1:
        from pusher_server.server import Server

        Server(config, config_path=path, on_started=announce).run()
        return
    from pusher_server.processes.supervisor import Supervisor

    supervisor = Supervisor(
        config,
        count,
        config_path=path,
        needs_bus=not config.cluster.redis.is_set,
        on_started=announce,
    )
    status = supervisor.run()
    if status:
        sys.exit(status)


def _read(
    path: Path | None, overrides: Mapping[str, object], made: Path | None
) -> tuple["Config", bool]:
    """The configuration, and whether its app's credentials are those of the file `made`."""
    from pusher_server.config import PublishedCredentials, load

    try:
        return load(path, os.environ, overrides), False
    except PublishedCredentials:
        if made is None or path is not None:
            raise
    # Into the environment itself: a reload on SIGHUP reads it again.
    os.environ.update(credentials.read_or_make(made))
    return load(path, os.environ, overrides), True


def _announce(
    config: "Config", path: Path | None, report: "StartReport", source: str, *, show_secret: bool
) -> None:
    """Print that the server runs: a page for people, or one log line for machines."""
    from pusher_server.config.risks import risks

    for risk in risks(config, path):
        logger.warning(risk)
    if config.apps_from == "database":
        _explain_reach(config)
    warning = banner.file_limit_warning(config, report.file_limit, report.workers)
    if config.log.format == "json":
        started = {"urls": report.urls, "loop": report.loop, "workers": report.workers}
        limits = {"file_limit": report.file_limit, "operations": report.operations}
        logger.info("started", extra={**started, **limits})
        if warning:
            logger.warning(warning)
        return
    text = banner.banner(
        config,
        report,
        source=source,
        python=platform.python_version(),
        address=_own_address(report),
        show_secret=show_secret,
    )
    problem = standard_streams.write(f"{text}\n", sys.stdout)
    if problem is not None:
        where = ", ".join(report.urls)
        logger.warning("running at %s; standard output cannot be written: %s", where, problem)


def _own_address(report: "StartReport") -> str:
    """The probable address of this machine in its network, of a family on which we listen."""
    if any("[" not in url for url in report.urls):
        return _route(socket.AF_INET, "192.0.2.1") or "127.0.0.1"
    return _route(socket.AF_INET6, "2001:db8::1") or "::1"


def _route(family: int, destination: str) -> str | None:
    """Our address on the route to `destination`, None without a route; UDP's connect sends nothing."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect((destination, 9))
            return str(probe.getsockname()[0])
    except OSError:
        return None
