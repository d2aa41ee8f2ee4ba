"""`pusher-server check-config`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pusher_server.cli import config_file, env_style

if TYPE_CHECKING:
    from pusher_server.app import App
    from pusher_server.config import Config


@click.command("check-config")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@env_style.option
def check_config(file: Path | None, style: str | None) -> None:
    """Check the configuration and say what was understood.

    FILE defaults to ./pusher-server.toml if it exists, else the embedded defaults. The exit status
    is 0 when everything is right; otherwise 2, with a line that names the setting and the fix.
    """
    from pusher_server.config import load
    from pusher_server.server import cluster
    from pusher_server.server.tls import Certificate

    path = config_file.choose(file, Path.cwd())
    notices = env_style.apply(style, path)
    with env_style.shown_on_refusal(notices):
        config = load(path, os.environ, {})
    if config.database.url:
        from pusher_server.apps.database.url import open_store

        open_store(config.database, config.defaults)  # raises ConfigError; it does not connect
    if config.server.tls.certificate:
        Certificate(config.server.tls)  # raises ConfigError when the files cannot be used
    cluster.check(config.cluster)  # the same
    click.echo("\n".join([summary(config, path), *(f"note: {notice}" for notice in notices)]))


def summary(config: "Config", path: Path | None) -> str:
    """A summary of the configuration, without secrets. Raises ConfigError."""
    from pusher_server.config.risks import risks
    from pusher_server.processes.cores import worker_count

    server = config.server
    count = worker_count(server)
    scheme = "https" if server.tls.certificate else "http"
    address = f"unix:{server.unix_socket}" if server.unix_socket else f"{server.host}:{server.port}"
    prefix = server.path_prefix
    lines = [
        f"OK: {config_file.describe(path)}",
        f"listens on {address} ({scheme})" + (f" below {prefix}" if prefix else ""),
        *([f"workers: {count}"] if count > 1 else []),
        *(_app_line(app) for app in config.apps),
        *_database_line(config),
        *(f"note: {notice}" for notice in config.notices),
        *(f"warning: {line}" for line in risks(config, path)),
        *_certificates(config),
        *_unresolvable(config),
    ]
    return "\n".join(lines)


def _database_line(config: "Config") -> list[str]:
    if not config.database.url:
        return []
    return [f"apps from the database ({config.database.preset}); `pusher-server apps list` asks it"]


def _certificates(config: "Config") -> list[str]:
    """A line for each certificate with its last day, and warnings about those that end soon."""
    import time

    from pusher_server.server import certificate_expiry

    files = certificate_expiry.files_of(config)
    read = {setting: certificate_expiry.read_validity(file) for setting, file in files.items()}
    dates = {setting: validity for setting, validity in read.items() if validity is not None}
    warnings = certificate_expiry.warnings(files, dates, time.time())
    return [
        *(f"{setting}: {validity}" for setting, validity in dates.items()),
        *(f"warning: {line}" for line in warnings),
    ]


def _unresolvable(config: "Config") -> list[str]:
    """Warnings about webhooks whose host cannot be resolved now; the server starts anyway and retries."""
    import socket
    from urllib.parse import urlsplit

    lines = []
    for app in config.apps:
        for webhook in app.webhooks:
            try:
                socket.getaddrinfo(urlsplit(webhook.url).hostname, None)
            except OSError:
                lines.append(
                    f"warning: app {app.id}: the host of {webhook.shown_url} cannot be resolved here"
                )
    return lines


def _app_line(app: "App") -> str:
    keys = ", ".join(pair.key for pair in app.keys)
    label = f" ({app.name})" if app.name else ""
    marks = [
        word for word, holds in (("strict", app.strict), ("disabled", not app.enabled)) if holds
    ]
    if app.webhooks:
        marks.append("webhooks to " + " and ".join(webhook.shown_url for webhook in app.webhooks))
    return f"app {app.id}{label}: key {keys}" + "".join(f", {mark}" for mark in marks)
