"""`pusher-server channels`, `connections`, `publish` and `kick`: a running server's channels and clients."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pusher_server.cli.apps_shown import print_json
from pusher_server.cli.listener_options import config_option, operations_option

if TYPE_CHECKING:
    from pusher_server.diagnosis.inventory import Answer, KickOrder, PublishOrder

_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_app_id = click.argument("app_id", metavar="APP")


@click.command("channels")
@_app_id
@click.option("--channel", default="", metavar="GLOB", help="Only these: private-*.")
@operations_option
@config_option
@_json
def channels(app_id: str, channel: str, url: str, named: Path | None, as_json: bool) -> None:
    """List an app's occupied channels, of all workers and nodes."""
    answer = _get("/channels", {"app": app_id, "channel": channel}, url, named)
    if as_json:
        print_json(_builtins(answer))
        return
    for row in answer.channels:
        click.echo(f"{row.subscribers:>8}  {_shown(row.channel)}")
    _end(answer, "no channel is occupied" if not answer.channels else "")


@click.command("connections")
@_app_id
@click.option("--channel", default="", help="Only those that are subscribed to it.")
@click.option(
    "--user", default="", metavar="ID", help="Only those that are signed in as this user."
)
@operations_option
@config_option
@_json
def connections(
    app_id: str, channel: str, user: str, url: str, named: Path | None, as_json: bool
) -> None:
    """List an app's connections, of all workers and nodes."""
    question = {"app": app_id, "channel": channel, "user": user}
    answer = _get("/connections", question, url, named)
    if as_json:
        print_json(_builtins(answer))
        return
    for row in answer.connections:
        user_name = f"  user={_shown(row.user)}" if row.user else ""
        names = ", ".join(_shown(name) for name in row.channels)
        click.echo(
            f"{row.socket_id}  {_shown(row.address)}{user_name}  {row.subscriptions}: {names}"
        )
    _end(answer, "no connection" if not answer.connections else "")


@click.command("publish")
@_app_id
@click.argument("channel")
@click.argument("event")
@click.argument("data", default="")
@operations_option
@config_option
def publish(app_id: str, channel: str, event: str, data: str, url: str, named: Path | None) -> None:
    """Publish an event, as a backend does.

    DATA is the text that clients get, mostly JSON; `-` reads it from standard input.
    """
    from pusher_server.diagnosis.inventory import PublishOrder

    text = sys.stdin.read() if data == "-" else data
    order = PublishOrder(app=app_id, channel=channel, event=event, data=text)
    answer = _order(order, url, named)
    click.echo(f"published; subscribers: {answer.count}")


@click.command("kick")
@_app_id
@click.option("--socket-id", default="", help="This connection.")
@click.option("--user", default="", metavar="ID", help="All that are signed in as this user.")
@operations_option
@config_option
def kick(app_id: str, socket_id: str, user: str, url: str, named: Path | None) -> None:
    """Close a connection, or all of a user, with code 4009.

    Pusher's clients do not come back by themselves then. Status 1 when there was none.
    """
    from pusher_server.diagnosis.inventory import KickOrder

    if bool(socket_id) == bool(user):
        raise click.UsageError("give --socket-id or --user")
    answer = _order(KickOrder(app=app_id, socket_id=socket_id, user=user), url, named)
    click.echo(f"closed: {answer.count}")
    _end(answer, "")
    if not answer.count:
        raise click.exceptions.Exit(1)


def _get(path: str, parameters: dict[str, str], url: str, named: Path | None) -> "Answer":
    from pusher_server.cli.operations import Operations
    from pusher_server.diagnosis.inventory import Answer

    return _good(Operations(url, named).get(path, parameters, Answer))


def _order(order: "PublishOrder | KickOrder", url: str, named: Path | None) -> "Answer":
    from pusher_server.cli.operations import Operations
    from pusher_server.diagnosis.inventory import Answer

    return _good(Operations(url, named).order(order, Answer))


def _good(answer: "Answer") -> "Answer":
    if answer.problem:
        raise click.ClickException(_shown(answer.problem))
    return answer


def _end(answer: "Answer", text: str) -> None:
    """Print the last lines of a list."""
    if text:
        click.echo(text)
    if answer.more:
        click.echo("… and more: filter them")
    if answer.answered < answer.nodes:
        click.echo(f"{answer.answered} of {answer.nodes} nodes answered")


def _shown(text: str) -> str:
    from pusher_server.diagnosis.printable import printable

    return printable(text, 200)


def _builtins(answer: "Answer") -> Any:
    import msgspec

    return msgspec.to_builtins(answer)
