"""`pusher-server apps`: shows and changes apps, in a database or in the config file."""

import secrets
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pusher_server.cli import apps_shown as shown
from pusher_server.cli import config_file, env_style
from pusher_server.errors import ConfigError

if TYPE_CHECKING:
    from pusher_server.app import App
    from pusher_server.cli.apps_in_database import AppsInDatabase
    from pusher_server.cli.apps_in_file import AppsInFile

#: Settings that have a command of their own, or none.
_NOT_SET = {
    "id": "an app keeps its id; add another one",
    "key": "`apps rotate` makes a new key",
    "secret": "`apps rotate` makes a new key with its secret",
    "previous_key": "`apps rotate` keeps the key until now",
    "previous_secret": "`apps rotate` keeps the key until now",
    "webhooks": "they are a structure; write [[apps.webhooks]] in the file, or JSON in the database",
}

_config = click.option(
    "--config",
    "named",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Config file.  [default: ./pusher-server.toml if it exists]",
)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_reveal = click.option("--reveal", is_flag=True, help="Print secrets, too.")
_app_id = click.argument("app_id", metavar="ID")


@click.group("apps")
def apps() -> None:
    """Look at apps and change them.

    They are where the configuration says, in a database or in the config file. A database is changed
    at once, and a running server follows within seconds. A file is not edited: the command says which
    line to change, and ends with status 1.
    """


@apps.command("init")
@_config
def init(named: Path | None) -> None:
    """Create what the database lacks: our table, new columns, PostgreSQL's trigger.

    Tables of soketi and laravel-websockets are left as they are. Running it again does no harm.
    """
    for line in open_apps(named).init():
        click.echo(line)


@apps.command("list")
@_config
@_json
def list_apps(named: Path | None, as_json: bool) -> None:
    """List all apps with their keys."""
    listed = open_apps(named).all()
    if as_json:
        shown.print_json([shown.brief(app) for app in listed])
        return
    for app in listed:
        keys = ", ".join(pair.key for pair in app.keys)
        label = f" ({app.name})" if app.name else ""
        click.echo(f"{app.id}{label}: key {keys}{'' if app.enabled else ', disabled'}")


@apps.command("show")
@_app_id
@_config
@_reveal
@_json
def show(app_id: str, named: Path | None, reveal: bool, as_json: bool) -> None:
    """Show one app: its own settings and those it has by default."""
    shown.print_app(_existing(open_apps(named), app_id), reveal=reveal, as_json=as_json)


@apps.command("add")
@_app_id
@click.argument("settings", metavar="[SETTING=VALUE]...", nargs=-1)
@click.option("--key", help="Its key.  [default: a new one]")
@click.option("--secret-stdin", is_flag=True, help="Read its secret from standard input.")
@_config
@_reveal
@_json
def add(
    app_id: str,
    settings: tuple[str, ...],
    key: str | None,
    secret_stdin: bool,
    named: Path | None,
    reveal: bool,
    as_json: bool,
) -> None:
    """Add an app, with a new key and secret unless they are given.

    \b
    pusher-server apps add 7 name=kiosk client_events=off limits.connections=100
    """
    store = open_apps(named)
    given = _parse(settings)
    _refuse_stray("ID", app_id)
    _refuse_stray("--key", key or "")
    if store.one(app_id) is not None:
        raise click.ClickException(f"there is an app {app_id!r} already")
    secret = _secret_from_stdin() if secret_stdin else secrets.token_hex(20)
    store.add(app_id, key or secrets.token_hex(10), _to_write(store, secret, reveal), given)
    shown.print_app(_existing(store, app_id), reveal=reveal, as_json=as_json)


def _secret_from_stdin() -> str:
    """The first line of standard input, without its line end."""
    try:
        secret = sys.stdin.buffer.readline().decode().rstrip("\r\n")
    except UnicodeDecodeError:
        raise click.ClickException("the secret on standard input is not UTF-8 text") from None
    _refuse_stray("the secret on standard input", secret)
    return secret


def _refuse_stray(what: str, credential: str) -> None:
    """Raise ClickException when quotes or blanks came along with a credential."""
    from pusher_server.app import stray_character

    problem = stray_character(credential)
    if problem:
        raise click.ClickException(f"{what} {problem}")


@apps.command("set")
@_app_id
@click.argument("settings", metavar="SETTING=VALUE...", nargs=-1, required=True)
@_config
@_json
def set_(app_id: str, settings: tuple[str, ...], named: Path | None, as_json: bool) -> None:
    """Change settings of an app; `SETTING=default` takes one back.

    \b
    pusher-server apps set 7 strict=true allowed_origins=example.com,*.example.com
    """
    store = open_apps(named)
    _existing(store, app_id)
    store.change(app_id, _parse(settings))
    shown.print_app(_existing(store, app_id), reveal=False, as_json=as_json)


@apps.command("disable")
@_app_id
@_config
def disable(app_id: str, named: Path | None) -> None:
    """Close an app's connections with 4003 and let nobody in."""
    store = open_apps(named)
    _existing(store, app_id)
    store.change(app_id, {"enabled": False})
    click.echo(f"app {app_id} is disabled")


@apps.command("enable")
@_app_id
@_config
def enable(app_id: str, named: Path | None) -> None:
    """Let clients in again."""
    store = open_apps(named)
    _existing(store, app_id)
    store.change(app_id, {"enabled": True})
    click.echo(f"app {app_id} is enabled")


@apps.command("rotate")
@_app_id
@_config
@_reveal
@_json
def rotate(app_id: str, named: Path | None, reveal: bool, as_json: bool) -> None:
    """Make a new key and secret; the ones until now stay valid beside them.

    Once backends and clients have moved, end the old key: `pusher-server apps remove ID --key KEY`.
    """
    store = open_apps(named)
    _existing(store, app_id)
    secret = _to_write(store, secrets.token_hex(20), reveal)
    store.rotate(app_id, secrets.token_hex(10), secret)
    shown.print_app(_existing(store, app_id), reveal=reveal, as_json=as_json)


@apps.command("remove")
@_app_id
@click.option("--key", help="Only this key, which a rotation has left.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@_config
def remove(app_id: str, key: str | None, yes: bool, named: Path | None) -> None:
    """Remove an app, or one of its keys; the connections that use it are closed with 4001."""
    store = open_apps(named)
    app = _existing(store, app_id)
    what = f"app {app_id}" if key is None else f"key {key} of app {app_id}"
    if key is not None and app.secret_of(key) is None:
        raise click.ClickException(f"app {app_id!r} has no key {key!r}")
    if not yes:
        click.confirm(f"Remove {what}? Its connections are closed.", abort=True, err=True)
    if key is None:
        store.remove(app_id)
    else:
        store.remove_key(app_id, key)
    click.echo(f"{what} is removed")


def open_apps(named: Path | None) -> "AppsInFile | AppsInDatabase":
    """Open the apps of the configuration: those in its database, or in its file."""
    path = config_file.choose(named, Path.cwd())
    config = env_style.read_config(named)
    if config.database.url:
        from pusher_server.cli.apps_in_database import AppsInDatabase

        return AppsInDatabase(config)
    if config.apps_from == "variable":
        raise ConfigError("PUSHER_SERVER__APPS", "has the apps; change them there and restart")
    if path is None or config.apps_from != "file":
        raise ConfigError(
            "--config",
            "there is no file with apps and no database.url; `pusher-server default-config` prints a file"
            " to start from",
        )
    from pusher_server.cli.apps_in_file import AppsInFile

    return AppsInFile(config.apps, path)


def _to_write(store: "AppsInFile | AppsInDatabase", secret: str, reveal: bool) -> str | None:
    """The secret to write: a database gets it always, advice on a screen only with `reveal`."""
    from pusher_server.cli.apps_in_database import AppsInDatabase

    return secret if reveal or isinstance(store, AppsInDatabase) else None


def _existing(store: "AppsInFile | AppsInDatabase", app_id: str) -> "App":
    app = store.one(app_id)
    if app is None:
        raise click.ClickException(f"there is no app {app_id!r}, or its row is refused")
    return app


def _parse(settings: tuple[str, ...]) -> dict[str, object]:
    """`SETTING=VALUE` -> value in its type; None for `default`."""
    import difflib

    from pusher_server.apps.database.columns import reads
    from pusher_server.apps.database.schemas import plain_kinds

    kinds = plain_kinds()
    parsed: dict[str, object] = {}
    for text in settings:
        setting, equals, value = text.partition("=")
        if not equals:
            raise click.ClickException(f"{text!r}: write SETTING=VALUE")
        if setting in _NOT_SET:
            raise click.ClickException(f"{setting} cannot be set: {_NOT_SET[setting]}")
        if setting not in kinds:
            near = difflib.get_close_matches(setting, kinds, n=1)
            hint = f"; did you mean `{near[0]}`?" if near else ""
            raise click.ClickException(f"apps have no setting `{setting}`{hint}")
        try:
            parsed[setting] = None if value == "default" else reads(kinds[setting], value)
        except ValueError as error:
            raise click.ClickException(f"{setting} {error}") from None
    return parsed
