"""The command group, which turns an operator's mistake into one line and exit status 2."""

import sys

import click

from pusher_server import __version__, standard_streams
from pusher_server.cli.apps import apps
from pusher_server.cli.check_config import check_config
from pusher_server.cli.default_config import default_config
from pusher_server.cli.doctor import doctor
from pusher_server.cli.import_peer import import_peer
from pusher_server.cli.inventory import channels, connections, kick, publish
from pusher_server.cli.serve import serve
from pusher_server.cli.systemd import install_service
from pusher_server.cli.tail import tail
from pusher_server.cli.token import token
from pusher_server.cli.version import version
from pusher_server.cli.webhooks import webhooks
from pusher_server.cli.why import why
from pusher_server.errors import ConfigError
from pusher_server.protocol.surrogates import has_surrogate

#: The usual status of a command that was called wrongly; click uses it for its own errors, too.
BAD_CONFIG = 2


class Commands(click.Group):
    """A group that answers ConfigError with one line on standard error."""

    def invoke(self, ctx: click.Context) -> object:
        """Run the command. A wrong setting ends the process with status 2 and no traceback."""
        try:
            return super().invoke(ctx)
        except ConfigError as error:
            line = f"pusher-server: {' '.join(str(error).split())}\n"
            standard_streams.write(line, sys.stderr)
            standard_streams.flush_or_drop()  # a closed standard error does not change the status
            ctx.exit(BAD_CONFIG)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Refuse arguments that are not UTF-8: Python keeps lone surrogates, which cannot be sent or stored."""
        for arg in args:
            if has_surrogate(arg):
                raise click.UsageError(f"{arg!r} is not UTF-8 text")
        return super().parse_args(ctx, args)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order of use, not of the alphabet."""
        return list(self.commands)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, message="%(version)s", help="Show the version and exit.")
def main() -> None:
    """A self-hosted broadcast server that speaks the Pusher Channels protocol.

    Laravel, pusher-js, Laravel Echo and the other Pusher clients work against it unchanged.
    """


for command in (
    serve,
    check_config,
    import_peer,
    apps,
    webhooks,
    doctor,
    why,
    tail,
    channels,
    connections,
    publish,
    kick,
    token,
    default_config,
    install_service,
    version,
):
    main.add_command(command)
