"""The options by which a command finds the operations listener of a running server."""

from pathlib import Path

import click

operations_option = click.option(
    "--operations",
    "url",
    default="",
    metavar="URL",
    help="The operations listener.  [default: as the config file says]",
)
config_option = click.option(
    "--config",
    "named",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Config file.  [default: ./pusher-server.toml if it exists]",
)
