"""`pusher-server tail`: follows what happens on a running server, on all of its workers and nodes."""

import secrets
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pusher_server.cli.listener_options import config_option, operations_option

if TYPE_CHECKING:
    from pusher_server.diagnosis.live import LiveRow, TailReport

#: Seconds between two questions.
_PAUSE = 0.5


@click.command("tail")
@click.option("--app", "app_id", default="", metavar="ID", help="Only of this app.")
@click.option("--channel", default="", metavar="GLOB", help="Only on these channels: private-*.")
@click.option("--event", default="", metavar="GLOB", help="Only events with such names.")
@operations_option
@config_option
@click.option("--json", "as_json", is_flag=True, help="Print a line of JSON for each.")
def tail(
    app_id: str, channel: str, event: str, url: str, named: Path | None, as_json: bool
) -> None:
    """Follow what happens on a running server, until Ctrl-C.

    It prints events, connections, refusals and members, without payloads. operations.token comes from
    the config file or from PUSHER_SERVER__OPERATIONS__TOKEN.
    """
    from pusher_server.cli.operations import Operations
    from pusher_server.diagnosis.live import TailReport

    operations = Operations(url, named)
    question = {
        "feed": secrets.token_hex(16), "app": app_id, "channel": channel, "event": event,
    }  # fmt: skip
    while True:
        report = operations.get("/tail", question, TailReport)
        if report.refused:
            raise click.ClickException(
                "the server has as many readers as it allows; try again later"
            )
        _print(report, time.time(), as_json=as_json)
        time.sleep(_PAUSE)


def _print(report: "TailReport", now: float, *, as_json: bool) -> None:
    for row in report.rows:
        click.echo(_json(row, now) if as_json else _line(row, now))
    if report.dropped:
        click.echo(f"{report.dropped} more came too fast and were left out", err=True)


def _json(row: "LiveRow", now: float) -> str:
    import msgspec

    fields = msgspec.to_builtins(row)
    fields["at"] = round(now - fields.pop("ago"), 3)
    return msgspec.json.encode(fields).decode()


def _line(row: "LiveRow", now: float) -> str:
    from pusher_server.diagnosis.printable import printable

    moment = datetime.fromtimestamp(now - row.ago).strftime("%H:%M:%S.%f")[:-3]
    words = [moment, row.kind, f"app={printable(row.app)}" if row.app else ""]
    words += [printable(row.channel, 200), printable(row.event, 200), printable(row.text, 200)]
    return "  ".join(word for word in words if word)
