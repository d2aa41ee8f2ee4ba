"""`pusher-server install-service`: a systemd service with user, config and credentials, and the way back."""

import os
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pusher_server.errors import ConfigError

if TYPE_CHECKING:
    from pusher_server.cli.systemd_steps import Step

#: Folders that the unit hides from the service: ProtectHome=, PrivateTmp= (systemd.exec(5)).
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")
#: Signs without a meaning of their own in a unit's ExecStart= (systemd.service(5)).
_PLAIN_PATH = re.compile(r"/[A-Za-z0-9._/+@~-]+")


@click.command("install-service")
@click.option("--remove", "removes", is_flag=True, help="Take back what this command did.")
@click.option(
    "--purge",
    is_flag=True,
    help="With --remove: also a changed config, and webhook events that wait.",
)
@click.option("--force", is_flag=True, help="Replace a unit that this command did not write.")
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--root",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    default=Path("/"),
    metavar="DIR",
    help="The top of the system that is changed, such as an image's.  [default: /]",
)
@click.option(
    "--program",
    metavar="PATH",
    help="The program that the service starts.  [default: the one that runs]",
)
def install_service(
    removes: bool, purge: bool, force: bool, dry_run: bool, root: Path, program: str | None
) -> None:
    """Install a systemd service, its user and fresh credentials.

    Writes a unit and a config. An existing config is kept, so it may be run again, as after an upgrade.
    It does not start the service. Needs root. --remove stops the service and removes what this command made.
    """
    from pusher_server.cli import systemd_steps
    from pusher_server.cli.systemd_host import Host

    if not sys.platform.startswith("linux"):
        raise click.ClickException("systemd needs Linux")
    if purge and not removes:
        raise click.UsageError("--purge belongs to --remove")
    if os.geteuid() != 0 and not dry_run:
        raise click.ClickException(
            "this changes /etc and needs root: run it with sudo, or with --dry-run"
        )
    host = Host(root)
    if removes:
        if not _take(systemd_steps.remove(host, purge=purge), dry_run=dry_run):
            click.echo("nothing to remove: this command has installed nothing here")
        return
    command = _command(program, host_is_ours=host.is_this_machine)
    _take(systemd_steps.install(host, command, force=force), dry_run=dry_run)
    if not dry_run:
        _say_what_is_next(command, is_running=host.runs_systemd)


def _take(steps: Iterable["Step"], *, dry_run: bool) -> int:
    """Take the steps one after the other, each with its line; return how many there were."""
    count = 0
    for step in steps:
        if not dry_run:
            step.act()
        click.echo(step.planned if dry_run else step.done)
        count += 1
    return count


def _command(program: str | None, *, host_is_ours: bool) -> tuple[str, ...]:
    """The words that start the server in the unit. Raises ConfigError if the service could not run them."""
    command = (program,) if program is not None else own_command()
    if not _PLAIN_PATH.fullmatch(command[0]):
        raise ConfigError(
            repr(command[0]),
            "the program needs an absolute path of letters, digits and . _ + @ ~ - only",
        )
    if host_is_ours:
        import pusher_server

        own = [sys.prefix, sys.base_prefix, str(Path(pusher_server.__file__).parent)]
        refuse_hidden([command[0], *([] if program is not None else own)])
    return command


def own_command() -> tuple[str, ...]:
    """The words that start this installation: its script, else its interpreter and our package."""
    script = Path(sys.executable).with_name("pusher-server")
    return (str(script),) if script.exists() else (sys.executable, "-m", "pusher_server")


def refuse_hidden(paths: Iterable[str]) -> None:
    """Raise ConfigError if one of the paths, or the place that it links to, is hidden from the service."""
    for path in paths:
        for place in (path, os.path.realpath(path)):
            for hidden in _HIDDEN:
                if Path(place).is_relative_to(hidden):
                    raise ConfigError(
                        place,
                        f"the service cannot see {hidden} (ProtectHome and PrivateTmp in its unit); install the"
                        " server for all users, in a checkout:"
                        " /usr/bin/python3 -m venv /opt/pusher-server/.venv &&"
                        " /opt/pusher-server/.venv/bin/pip install .",
                    )


def _say_what_is_next(command: tuple[str, ...], *, is_running: bool) -> None:
    """Print the commands that start the service and show its credentials. `is_running`: systemd is."""
    from pusher_server.cli.systemd_files import CONFIG, NAME

    words = " ".join(command)
    lines = [
        f"systemctl enable --now {NAME}    # starts it, now and with the machine",
        f"journalctl -u {NAME} -f    # its log",
        f"{words} apps list --config {CONFIG}",
        f"{words} apps show ID --reveal --config {CONFIG}    # the secret, for your backend's .env",
    ]
    click.echo(
        "\nNext, as root:" if is_running else "\nsystemd does not run here. Where it does, as root:"
    )
    for line in lines:
        click.echo(f"  {line}")
