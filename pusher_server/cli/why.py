"""`pusher-server why`: asks a running server why nothing arrives."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from pusher_server.cli.apps_shown import print_json
from pusher_server.cli.listener_options import config_option, operations_option

if TYPE_CHECKING:
    from pusher_server.diagnosis.explanation import Explanation
    from pusher_server.diagnosis.findings import Finding

_MARKS = {"yes": "✓", "no": "✗", "unseen": "?"}


@click.command("why")
@click.option("--app", "app_id", default="", metavar="ID", help="Only what concerns this app.")
@click.option(
    "--channel", default="", help="Check the way of an event to this channel (with --app)."
)
@click.option("--event", default="", help="Its name: shows the line that listens to it.")
@operations_option
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def why(app_id: str, channel: str, event: str, url: str, named: Path | None, as_json: bool) -> None:
    """Say why nothing arrives, as a running server has seen it.

    It prints one sentence for each cause, and the fix; with --channel the way of an event, step by step.
    Status 1 when something is wrong.

    operations.token comes from the config file or from PUSHER_SERVER__OPERATIONS__TOKEN.
    """
    if channel and not app_id:
        raise click.UsageError("--channel needs --app: the id of the channel's app")
    from pusher_server.cli.operations import Operations
    from pusher_server.diagnosis.explanation import Explanation

    question = {"app": app_id, "channel": channel, "event": event}
    answer = Operations(url, named).get("/why", question, Explanation)
    if as_json:
        import msgspec

        print_json(msgspec.to_builtins(answer))
    else:
        _print(answer, app_id)
    if any(finding.is_fault for finding in answer.findings):
        raise click.exceptions.Exit(1)


def _print(answer: "Explanation", app_id: str) -> None:
    for step in answer.steps:
        click.echo(f"{_MARKS[step.state]} {step.name}: {_shown(step.text)}")
        if step.missing:
            click.echo(f"    {_shown(step.missing)}")
    if answer.steps:
        click.echo()
    for finding in answer.findings:
        _print_finding(finding)
    if not answer.findings:
        click.echo("nothing is known to be wrong")
    unheard = [row for row in answer.missed if not row.subscribers][:10]
    if unheard:
        click.echo("\nevents that nobody received, the latest first (normal where nobody looks):")
    for row in unheard:
        app = "" if app_id else f"app {_shown(row.app)}  "
        click.echo(
            f"  {app}{_shown(row.event)} on {_shown(row.channel)}, {row.count} times,"
            f" the last {_ago(row.last)} ago"
        )
    if answer.answered < answer.nodes:
        click.echo(f"\n{answer.answered} of {answer.nodes} nodes answered")


def _print_finding(finding: "Finding") -> None:
    app = f"app {_shown(finding.app)}: " if finding.app else ""
    click.echo(f"{'✗' if finding.is_fault else '?'} {app}{_shown(finding.sentence, 2_000)}")
    click.echo(f"    {_shown(finding.fix, 2_000)}")
    click.echo(f"    {finding.count} times, the last {_ago(finding.last)} ago; {finding.link}")


def _shown(text: str, limit: int = 300) -> str:
    from pusher_server.diagnosis.printable import printable

    return printable(text, limit)


def _ago(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7_200 else f"{seconds / 3_600:.0f} h"
