"""`pusher-server token`: signs a subscription or a sign-in, as the auth route of a backend does."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pusher_server.cli import env_style
from pusher_server.cli.apps import open_apps
from pusher_server.cli.apps_shown import print_json

if TYPE_CHECKING:
    from pusher_server.app import App


@click.command("token")
@click.argument("app_id", metavar="APP")
@click.option("--socket-id", required=True, help="The connection, as its client shows it.")
@click.option("--channel", default="", help="Sign a subscription to it.")
@click.option("--channel-data", default="", metavar="JSON", help="What a presence channel needs.")
@click.option("--user-data", default="", metavar="JSON", help="Sign a sign-in with it.")
@click.option(
    "--config",
    "named",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Config file.  [default: ./pusher-server.toml if it exists]",
)
def token(
    app_id: str,
    socket_id: str,
    channel: str,
    channel_data: str,
    user_data: str,
    named: Path | None,
) -> None:
    """Print what the backend's auth route has to answer.

    Compare it with what it does answer, or paste it into a client. The secret comes from the
    configuration, and is not shown. The answer is worth something for this connection alone.
    """
    from pusher_server.protocol.socket_id import is_socket_id

    if bool(channel) == bool(user_data):
        raise click.UsageError("give --channel or --user-data")
    if channel_data and not channel:
        raise click.UsageError("--channel-data belongs to --channel")
    if not is_socket_id(socket_id):
        raise click.UsageError(f"--socket-id {socket_id!r}: it has to be two integers and a dot")
    app = _app(app_id, named)
    if app is None:
        raise click.ClickException(f"there is no app {app_id!r}")
    if user_data:
        signed, more = f"{socket_id}::user::{user_data}", {"user_data": user_data}
    else:
        signed, more = f"{socket_id}:{channel}", {}
        if channel_data:
            signed, more = f"{signed}:{channel_data}", {"channel_data": channel_data}
    from pusher_server.auth.signatures import sign

    pair = app.keys[0]
    print_json({"auth": f"{pair.key}:{sign(pair.secret, signed.encode())}", **more})


def _app(app_id: str, named: Path | None) -> "App | None":
    """Return the app, from the database, the file, the environment or the embedded defaults."""
    config = env_style.read_config(named)
    if config.database.url:
        return open_apps(named).one(app_id)
    return next((app for app in config.apps if app.id == app_id), None)
