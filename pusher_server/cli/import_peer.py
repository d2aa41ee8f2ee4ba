"""`pusher-server import`: a config file from that of another server, and a table of its settings."""

import contextlib
import os
import stat
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from pusher_server.errors import ConfigError

if TYPE_CHECKING:
    from pusher_server.config import Config
    from pusher_server.migration.draft import Answers, Draft
    from pusher_server.migration.findings import Question

#: The file that `serve` takes from its directory.
_USUAL = "pusher-server.toml"


@click.command("import")
@click.argument("source")
@click.argument("more", metavar="[PATH]...", nargs=-1)
@click.option("--dry-run", is_flag=True, help="Print the table and the file; write nothing.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=_USUAL,
    show_default=True,
    metavar="FILE",
    help="The config file to write, readable by its owner only.",
)
@click.option("--force", is_flag=True, help="Replace the file if it exists.")
@click.option(
    "--answer",
    "given",
    multiple=True,
    metavar="NAME=VALUE",
    help="Answer a question beforehand: the name of a setting that is computed, or asked for.",
)
@click.option("--reveal", is_flag=True, help="Print secrets, too.")
def import_peer(
    source: str,
    more: tuple[str, ...],
    dry_run: bool,
    out: Path,
    force: bool,
    given: tuple[str, ...],
    reveal: bool,
) -> None:
    """Make a config file from that of another server.

    SOURCE is laravel-websockets, soketi, reverb, sockudo or pusher (hosted). PATH is its directory, one
    of its files, or the URL of its table of apps; by default the current directory. A path alone will
    do when it shows which server it is for. PHP files are read as text and never executed. Values that
    are computed in them are asked for, or left out by name.

    \b
    pusher-server import reverb /srv/shop
    pusher-server import soketi config.json --dry-run
    """
    from pusher_server.migration.findings import table
    from pusher_server.migration.sources import read_source

    if not dry_run:
        _refuse_place(out, force)
    prepared = _prepared(given)
    unused = set(prepared)
    draft, files = read_source(source, more, os.environ, _answers(prepared, unused))
    if not dry_run:
        _refuse_source(out, files)
    if unused:
        raise ConfigError(
            f"--answer {min(unused)}", "nothing asks for it; the table says what is open"
        )
    config = _verified(draft)
    _add_risks(draft, config, files)
    click.echo(f"{draft.peer} → pusher-server\n")
    click.echo(table(draft.findings))
    if dry_run:
        click.echo(
            f"\nnot written, because of --dry-run:\n\n{_text(draft, reveal=reveal)}", nl=False
        )
        return
    _write(out, _text(draft, reveal=True), force)
    click.echo(f"\nwrote {out}, readable by its owner only; next:")
    click.echo(f"  pusher-server check-config {out}\n  pusher-server serve --config {out}")


def _prepared(given: Sequence[str]) -> dict[str, str]:
    answers = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals:
            raise click.UsageError(f"--answer {text!r}: write NAME=VALUE")
        answers[name] = value
    return answers


def _answers(prepared: dict[str, str], unused: set[str]) -> "Answers":
    """Answers from the command line; the rest is asked for when a person sits there."""
    is_interactive = _is_interactive()

    def answer(question: "Question") -> str | None:
        if question.name in prepared:
            unused.discard(question.name)
            return prepared[question.name]
        if not is_interactive:
            return None
        text: str = click.prompt(
            question.text,
            default="",
            show_default=False,
            hide_input=question.kind == "secret",
            err=True,
        )
        return text

    return answer


def _is_interactive() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin.isatty()


def _refuse_place(out: Path, force: bool) -> None:
    """Raise ConfigError when the file cannot be written there, before anything is read or asked for."""
    folder = out.absolute().parent
    try:
        exists, is_directory = out.exists() or out.is_symlink(), out.is_dir()
        has_folder, is_writable = folder.is_dir(), os.access(folder, os.W_OK)
    except OSError as error:
        problem = f"cannot be written: {error.strerror}; name another --out FILE"
        raise ConfigError(str(out)[:80], problem) from None
    if is_directory:
        raise ConfigError(str(out), "is a directory; name a file")
    if exists and not force:
        raise ConfigError(str(out), "exists; --force replaces it, and --out FILE names another one")
    if not has_folder:
        raise ConfigError(
            str(out), f"there is no folder {folder}; make it, or name another --out FILE"
        )
    if not is_writable:
        raise ConfigError(str(out), f"you may not write into {folder}; name another --out FILE")


def _refuse_source(out: Path, files: Sequence[Path]) -> None:
    """Raise ConfigError when the file to write is one of those that were read: it is the way back."""
    for file in files:
        with contextlib.suppress(OSError):
            if file.samefile(out):
                raise ConfigError(str(out), "is what is imported; name another --out FILE")


def _text(draft: "Draft", *, reveal: bool) -> str:
    from pusher_server.migration.toml_text import write_toml

    heading = (
        f"Imported from {draft.peer} by `pusher-server import`. All settings, explained:",
        "`pusher-server default-config`.",
    )
    return write_toml(draft.table, draft.apps, heading, reveal=reveal)


def _verified(draft: "Draft") -> "Config":
    """The configuration as the server reads it. Files that cannot be used here are taken out of the draft.

    Raises ConfigError for what nobody can use: two apps with one key, a table without a column.
    """
    from pusher_server.server import cluster
    from pusher_server.server.tls import Certificate

    config = _load(draft)
    if config.server.tls.certificate:
        try:
            Certificate(config.server.tls)
        except ConfigError as error:
            advice = f"cannot be used: {error.problem}"
            draft.drop("server.tls", error.setting or "server.tls", advice)
            config = _load(draft)
    try:
        cluster.check(config.cluster)
    except ConfigError as error:
        draft.drop("cluster.redis", error.setting, f"cannot be used: {error.problem}")
        config = _load(draft)
    if config.database.url:
        _look_into_table(draft, config)
    return config


def _load(draft: "Draft") -> "Config":
    from pusher_server.config import load

    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / _USUAL
        file.write_text(_text(draft, reveal=True), "utf-8")
        try:
            return load(file, {}, {})
        except ConfigError as error:  # the file will have another name
            raise ConfigError(
                error.setting, error.problem.replace(str(file), "the result")
            ) from None


def _look_into_table(draft: "Draft", config: "Config") -> None:
    """Count the apps of the table; one that is away now may be there when the server starts."""
    from pusher_server.cli.apps_in_database import AppsInDatabase
    from pusher_server.migration.tables_of_apps import write_differing_limits, write_shared_keys

    apps = AppsInDatabase(config)
    try:
        count = len(apps.all())
        rows = apps.rows()
    except click.ClickException as error:
        if config.database.url.startswith("sqlite"):  # a file does not come back by itself
            raise ConfigError("(table)", f"{error.message}; name its file, whole") from None
        draft.refuse("(table)", f"{error.message}: `pusher-server apps list` shows its apps")
        return
    write_differing_limits(draft, rows)
    write_shared_keys(draft, rows)
    apps_now = "1 app" if count == 1 else f"{count} apps"
    draft.differ("(table)", f"{apps_now} can be used now; the log has a line for any other row")


def _add_risks(draft: "Draft", config: "Config", files: Sequence[Path]) -> None:
    """Findings about secrets in the clear: files that others can read, and risks of the new file."""
    from pusher_server.config.risks import risks
    from pusher_server.migration.tables_of_apps import is_sqlite

    for file in files:
        if is_sqlite(file):
            continue  # the risks of the new file have it
        with contextlib.suppress(OSError):
            if os.name == "posix" and stat.S_IMODE(file.stat().st_mode) & stat.S_IROTH:
                draft.warn(
                    str(file), f"every user of this machine can read its secrets: chmod o= {file}"
                )
    for risk in risks(config, None):
        subject, _, danger = risk.partition(": ")
        draft.warn(subject if danger else "(risk)", danger or risk)


def _write(out: Path, text: str, force: bool) -> None:
    """Write the file with mode 0600, whole or not at all. Raises ConfigError."""
    try:
        if force:
            _replace(out, text)
        else:
            _create(out, text)
    except FileExistsError:
        raise ConfigError(str(out), "exists; --force replaces it") from None
    except OSError as error:
        problem = f"cannot be written: {error.strerror}; name another --out FILE"
        raise ConfigError(str(out), problem) from None


def _create(out: Path, text: str) -> None:
    with open(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        try:
            file.write(text.encode())
        except OSError:
            out.unlink()
            raise


def _replace(out: Path, text: str) -> None:
    descriptor, name = tempfile.mkstemp(dir=out.absolute().parent, prefix=".import-")  # mode 0600
    try:
        with open(descriptor, "wb") as file:
            file.write(text.encode())
        os.replace(name, out)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
