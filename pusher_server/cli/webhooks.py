"""`pusher-server webhooks`: shows the deliveries of events; a server may run beside it or not."""

import os
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pusher_server.cli import env_style
from pusher_server.cli.apps import open_apps
from pusher_server.cli.apps_shown import print_json

if TYPE_CHECKING:
    from pusher_server.app import App
    from pusher_server.config import Config
    from pusher_server.webhooks.outbox.interface import AttemptRecord, Dead, Outbox
    from pusher_server.webhooks.send_test import SentTest

T = TypeVar("T")

_config = click.option(
    "--config",
    "named",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Config file.  [default: ./pusher-server.toml if it exists]",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_limit = click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="The latest."
)
_app_id = click.argument("app_id", metavar="APP")


@click.group("webhooks")
def webhooks() -> None:
    """See what became of webhook events, resend them."""


@webhooks.command("log")
@_app_id
@click.option("--url", default="", help="Only of the webhook with this URL.")
@_limit
@_config
@_json
def log(app_id: str, url: str, limit: int, named: Path | None, as_json: bool) -> None:
    """List the latest attempts of an app, the newest first."""

    async def read(outbox: "Outbox") -> "list[AttemptRecord]":
        return await outbox.log(app_id, _webhook_id(url), limit)

    attempts = _in_outbox(named, read)
    if as_json:
        print_json([_builtins(attempt) for attempt in attempts])
        return
    for attempt in attempts:
        click.echo(
            f"{_moment(attempt.at)}  {attempt.outcome:9}  {attempt.status or '-':>3}  {attempt.took:6.2f} s"
            f"  attempt {attempt.number}  {', '.join(attempt.events)}  {attempt.url}"
        )
        if attempt.outcome != "delivered" and attempt.answer:
            click.echo(f"    {_one_line(attempt.answer)}")
    if not attempts:
        click.echo("no attempts")


@webhooks.command("dead")
@_app_id
@_limit
@_config
@_json
def dead(app_id: str, limit: int, named: Path | None, as_json: bool) -> None:
    """List the events of an app that were given up, the newest first."""

    async def read(outbox: "Outbox") -> "list[Dead]":
        return await outbox.dead(app_id, limit)

    letters = _in_outbox(named, read)
    if as_json:
        print_json([_builtins(letter) for letter in letters])
        return
    for letter in letters:
        click.echo(
            f"{_moment(letter.at)}  {letter.entry.id}  {_one_line(letter.entry.event)}  {letter.reason}"
        )
    if not letters:
        click.echo("nothing was given up")


@webhooks.command("resend")
@_app_id
@click.argument("ids", metavar="[ID]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All that was given up.")
@_config
def resend(app_id: str, ids: tuple[str, ...], everything: bool, named: Path | None) -> None:
    """Let events that were given up wait again: by their ids (`webhooks dead`), or all.

    A running server delivers them within a second or two, with new bodies and the ids that they have.
    """
    if bool(ids) == everything:
        raise click.UsageError("name the events by their ids, or write --all")

    async def move(outbox: "Outbox") -> int:
        return await outbox.resend(app_id, None if everything else ids)

    click.echo(f"waiting again: {_in_outbox(named, move)}")


@webhooks.command("test")
@_app_id
@click.option("--url", default="", help="Only the webhook with this URL.")
@_config
@_json
def test(app_id: str, url: str, named: Path | None, as_json: bool) -> None:
    """Send a signed test event to an app's webhooks now; status 1 when one does not take it."""
    app = open_apps(named).one(app_id)
    if app is None:
        raise click.ClickException(f"there is no app {app_id!r}")
    import asyncio

    tried = asyncio.run(_try(app, url, env_style.read_config(named)))
    if not tried:
        raise click.ClickException(
            f"app {app_id!r} has no webhook" + (" with this URL" if url else "")
        )
    if as_json:
        print_json([{"url": sent.webhook.shown_url, **_builtins(sent.answer)} for sent in tried])
    else:
        for sent in tried:
            answer = sent.answer
            words = "taken" if answer.is_success else _one_line(answer.reason)
            click.echo(f"{sent.webhook.shown_url}: {words} ({answer.took:.2f} s)")
    if not all(sent.answer.is_success for sent in tried):
        raise click.exceptions.Exit(1)


async def _try(app: "App", url: str, config: "Config") -> "list[SentTest]":
    from pusher_server.webhooks.delivery.sender import Sender
    from pusher_server.webhooks.send_test import send_test

    sender = Sender(config.webhooks.timeout, config.denied_to_webhooks)
    try:
        return await send_test(app, sender, time.time, url=url)
    finally:
        await sender.close()


def _in_outbox(named: Path | None, query: "Callable[[Outbox], Awaitable[T]]") -> T:
    """Run `query` on the outbox that the configuration names; it makes no new file."""
    import asyncio

    from pusher_server.webhooks.outbox.interface import OutboxUnavailable
    from pusher_server.webhooks.outbox.opening import look_into
    from pusher_server.webhooks.outbox.path import outbox_path

    config = env_style.read_config(named)
    path = outbox_path(config.webhooks, config.server, os.environ)
    try:
        outbox = look_into(path, config.cluster.redis, config.webhooks)
    except OutboxUnavailable as error:
        raise click.ClickException(str(error)) from error
    if outbox is None:
        raise click.ClickException(
            f"webhooks.outbox: there is no file {path}; a server makes it for its first app with webhooks."
            " If its STATE_DIRECTORY or user is another one, set that variable, or name the file in the config"
        )

    async def run() -> T:
        try:
            return await query(outbox)
        finally:
            await outbox.close()

    try:
        return asyncio.run(run())
    except OutboxUnavailable as error:
        raise click.ClickException(str(error)) from error


def _webhook_id(url: str) -> str:
    from pusher_server.app import Webhook

    return Webhook(url=url).id if url else ""


def _builtins(value: object) -> Any:
    """A value for JSON, with an entry's fields by their names."""
    import msgspec

    tree = msgspec.to_builtins(value)
    entry = getattr(value, "entry", None)
    if entry is not None:
        tree["entry"] = {name: getattr(entry, name) for name in entry.__struct_fields__}
    return tree


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _one_line(text: str) -> str:
    return " ".join(text.split())
