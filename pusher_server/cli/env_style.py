"""The option `--env-style`: another server's variables, understood as ours."""

import os
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pusher_server import standard_streams
from pusher_server.cli import config_file
from pusher_server.errors import ConfigError

if TYPE_CHECKING:
    from pusher_server.config import Config

option = click.option(
    "--env-style",
    "style",
    type=click.Choice(["soketi", "reverb"]),
    help="Understand the variables of that server, too; ours win.",
)


def apply(style: str | None, path: Path | None) -> list[str]:
    """Write the variables of `style` into the environment as ours; returns lines for the operator.

    Without a style, a line when foreign variables are set and nothing of ours; `path` is the config file.
    Raises ConfigError.
    """
    from pusher_server.migration import environment
    from pusher_server.migration.findings import Verdict

    if style is None:
        notice = environment.foreign_notice(os.environ) if path is None else None
        return [] if notice is None else [notice]
    variables, draft = environment.translate(style, os.environ)
    # Into the environment itself: workers and a reload on SIGHUP read it again.
    os.environ.update(variables)
    left_out = [finding for finding in draft.findings if finding.verdict is Verdict.IMPOSSIBLE]
    return [
        f"--env-style {style}: `pusher-server import {style} --dry-run` shows what became of each setting",
        *(f"--env-style {style}: {finding.source} {finding.note}" for finding in left_out),
    ]


def read_config(named: Path | None) -> "Config":
    """The configuration of a command without the option; a refusal has the line about foreign variables.

    `named`: the file of the command line, None for the usual one. Raises ConfigError.
    """
    from pusher_server.config import load

    path = config_file.choose(named, Path.cwd())
    with shown_on_refusal(apply(None, path)):
        return load(path, os.environ, {})


@contextmanager
def shown_on_refusal(notices: Iterable[str]) -> Iterator[None]:
    """Print the lines on standard error when the configuration is refused: they may have the cause."""
    try:
        yield
    except ConfigError:
        for notice in notices:
            standard_streams.write(f"pusher-server: {notice}\n", sys.stderr)
        raise
