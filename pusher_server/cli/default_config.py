"""`pusher-server default-config`."""

import click


@click.command("default-config")
def default_config() -> None:
    """Print all settings, explained: a config file to start from."""
    from pusher_server.config import example_text

    click.echo(example_text(), nl=False)
