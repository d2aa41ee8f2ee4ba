"""`pusher-server version`."""

import click

from pusher_server import __version__


@click.command()
def version() -> None:
    """Print the version."""
    click.echo(__version__)
