"""`pusher-server doctor`: looks at a set-up from outside, as a client and a backend see it."""

import os
import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pusher_server.cli.apps_shown import print_json

if TYPE_CHECKING:
    from pusher_server.doctor.plans import Prepared
    from pusher_server.doctor.results import Result

_STATES = {"✓": "ok", "✗": "fault", "?": "unknown"}


@click.command("doctor")
@click.option(
    "--url", default="", metavar="URL", help="Where clients connect: wss://ws.example.com."
)
@click.option(
    "--laravel",
    type=click.Path(path_type=Path),
    metavar="PATH",
    help="A Laravel project: its files are read as text.",
)
@click.option(
    "--app",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A config file of the server, or lines of PUSHER_APP_ID=…  [default: the environment]",
)
@click.option("--origin", default="", metavar="URL", help="The page's: https://app.example.com.")
@click.option("--auth-url", default="", metavar="URL", help="The backend's auth route.")
@click.option("--operations", default="", metavar="URL", help="The operations listener.")
@click.option("--quick", is_flag=True, help="Leave out the idle limit, which takes 75 s.")
@click.option("--no-publish", is_flag=True, help="Publish no event.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(
    url: str,
    laravel: Path | None,
    app: Path | None,
    origin: str,
    auth_url: str,
    operations: str,
    quick: bool,
    no_publish: bool,
    as_json: bool,
) -> None:
    """Look at a set-up from outside, from any machine.

    It connects as a client and publishes as a backend does. Each check is one sentence. A ✓ holds. A ✗ is
    wrong, and has the fix. A ? could not be seen from here, or is worth a look. Status 1 when there is a ✗.

    Credentials come from a file or from PUSHER_APP_ID, PUSHER_APP_KEY and PUSHER_APP_SECRET, never from
    the arguments, and no output has them.
    """
    from pusher_server.doctor.plans import Options, prepare

    options = Options(
        url=url,
        laravel=laravel,
        app=app,
        origin=origin,
        auth_url=auth_url,
        operations=operations,
        is_quick=quick,
        publishes=not no_publish,
    )
    prepared = prepare(options, os.environ, f"doctor-{secrets.token_hex(6)}")
    results = _run(prepared, as_json=as_json)
    faults = sum(result.mark == "✗" for result in results)
    if as_json:
        _print_json(prepared, results)
    else:
        click.echo(_summary(results))
    if faults:
        raise click.exceptions.Exit(1)


def _run(prepared: "Prepared", *, as_json: bool) -> "list[Result]":
    """Run the checks; for a person each is printed as soon as it is there."""
    import asyncio
    import time

    from pusher_server.doctor.examination import Examination
    from pusher_server.doctor.network import Network
    from pusher_server.resolving import Resolver

    plan, mask = prepared.plan, prepared.mask
    results: list[Result] = []

    def show(result: "Result") -> None:
        results.append(mask.result(result))
        if not as_json:
            _print(results[-1])

    async def run() -> None:
        network = Network(Resolver())
        examination = Examination(plan, network, now=time.time, clock=time.monotonic)
        async for result in examination.results():
            show(result)

    if not as_json:
        click.echo(_heading(prepared))
    for result in prepared.results:
        show(result)
    asyncio.run(run())
    return results


def _heading(prepared: "Prepared") -> str:
    from pusher_server import __version__

    plan = prepared.plan
    target = plan.clients
    scheme = "wss" if target.is_tls else "ws"
    port = "" if target.is_usual_port else f":{target.shown_port}"
    prefix = "" if target.host_named else target.prefix
    lines = [f"pusher-server {__version__} looks at {scheme}://{target.shown_host}{port}{prefix}"]
    if plan.notice:
        lines.append(plan.notice)
    if not plan.is_quick:
        lines.append(
            "The check of the idle limit comes last and takes up to 75 s; --quick leaves it out."
        )
    return "\n".join(lines) + "\n"


def _print(result: "Result") -> None:
    click.echo(f"{result.mark} {result.check}: {result.sentence}")
    if result.fix:
        click.echo(f"    {result.fix}")
    if result.mark == "✗":
        click.echo(f"    {result.link}")
    sys.stdout.flush()


def _summary(results: "list[Result]") -> str:
    counts = {mark: sum(result.mark == mark for result in results) for mark in _STATES}
    return f"\n{counts['✓']} ✓, {counts['✗']} ✗, {counts['?']} ?"


def _print_json(prepared: "Prepared", results: "list[Result]") -> None:
    print_json(
        {
            "notice": prepared.plan.notice,
            "faults": sum(result.mark == "✗" for result in results),
            "checks": [
                {
                    "check": result.check,
                    "state": _STATES[result.mark],
                    "cause": result.cause,
                    "sentence": result.sentence,
                    "fix": result.fix,
                    "link": result.link,
                }
                for result in results
            ],
        }
    )
