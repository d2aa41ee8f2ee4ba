"""The plan of `install-service` and of its way back: steps that can be shown before they are taken."""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass

from pusher_server.cli import credentials
from pusher_server.cli.systemd_files import (
    CONFIG,
    FOLDER,
    NAME,
    RECORD,
    STATE,
    UNIT,
    Record,
    config_text,
    unit_text,
)
from pusher_server.cli.systemd_host import Host
from pusher_server.errors import ConfigError

_PAST = {"make": "made", "write": "wrote", "remove": "removed", "run": "ran", "keep": "kept"}
#: Changes of an operator that `systemctl edit` made: we neither write nor remove them.
_DROP_INS = UNIT.with_name(f"{UNIT.name}.d")


@dataclass(frozen=True)
class Step:
    """A verb of `_PAST`, the thing, and the function that does it; "keep" does nothing."""

    verb: str
    subject: str
    act: Callable[[], None] = lambda: None

    @property
    def planned(self) -> str:
        """The line of `--dry-run`."""
        return f"would {self.verb} {self.subject}"

    @property
    def done(self) -> str:
        """The line after it was done."""
        return f"{_PAST[self.verb]} {self.subject}"


def install(host: Host, program: tuple[str, ...], *, force: bool) -> Iterator[Step]:
    """Return the steps to a service that starts `program`; what is there already is kept.

    Raises ConfigError, before the first step, for a unit that this command did not write,
    unless `force` allows to replace it.
    """
    record = Record.from_text(host.read(RECORD))
    text = host.read(UNIT)
    is_ours = text is None or text == unit_text(program) or record.matches(UNIT, text)
    if not is_ours and not force:
        raise ConfigError(
            str(UNIT),
            "is there and differs from what this command wrote; `--force` replaces it, and"
            f" `systemctl edit {NAME}` keeps changes in a file of their own",
        )
    return _installing(host, program, record)


def _installing(host: Host, program: tuple[str, ...], before: Record) -> Iterator[Step]:
    """Yield the steps. The record is written before all that it names, in case that a step fails."""
    record = deepcopy(before)
    has_user, has_folder = host.has_user(NAME), host.names_in(FOLDER) is not None
    has_config = host.read(CONFIG) is not None
    config, unit = config_text(credentials.fresh()), unit_text(program)
    has_unit = host.read(UNIT) == unit
    record.made_user |= not has_user
    record.made_folder |= not has_folder
    record.note(UNIT, unit)
    if not has_config:
        record.note(CONFIG, config)
    if not has_folder:
        yield Step("make", f"the folder {FOLDER}", lambda: host.make_folder(FOLDER))
    if record != before:
        what, text = f"{RECORD}: what `--remove` takes back", record.to_text()
        yield Step("write", what, lambda: host.write(RECORD, text, 0o600))
    if has_user:
        yield Step("keep", f"the user {NAME}")
    else:
        yield Step("make", f"the system user {NAME}", lambda: host.add_user(NAME))
    if record.made_folder and not host.admits(FOLDER):
        what = f"{FOLDER} readable for the group {NAME}"
        yield Step("make", what, lambda: host.admit(FOLDER, NAME))
    if has_config:
        yield Step("keep", f"{CONFIG} as it is")
    else:
        what = f"{CONFIG}: one app with fresh credentials"
        yield Step("write", what, lambda: host.write(CONFIG, config, 0o640, NAME))
    if has_unit:
        yield Step("keep", f"{UNIT}, which is up to date")
    else:
        yield Step("write", str(UNIT), lambda: host.write(UNIT, unit, 0o644))
        yield from _reload(host)
    if host.is_this_machine:
        check = ("runuser", "-u", NAME, "--", *program, "check-config", str(CONFIG))
        yield Step("run", f"`check-config` as the user {NAME}", lambda: host.run(*check))


def remove(host: Host, *, purge: bool) -> Iterator[Step]:
    """Yield the steps that take back what `install` did, none where it did nothing.

    A config file that was changed and the data are kept, and then the user as well, unless `purge`.
    """
    text = host.read(RECORD)
    if text is None:
        return
    record = Record.from_text(text)
    yield from _remove_unit(host, record)
    config = host.read(CONFIG)
    keeps_config = record.has(CONFIG) and config is not None and not record.matches(CONFIG, config)
    if not record.has(CONFIG):
        yield from _kept(config is not None, f"{CONFIG}, which was there before")
    elif keeps_config and not purge:
        yield Step("keep", f"{CONFIG}, which was changed since (`--purge` removes it)")
    elif config is not None:
        yield Step("remove", str(CONFIG), lambda: host.remove(CONFIG))
    data = host.names_in(STATE)
    if data and not purge:
        yield Step("keep", f"{STATE} with webhook events (`--purge` removes it)")
    elif data is not None:
        yield Step("remove", str(STATE), lambda: host.remove(STATE))
    removed = {RECORD.name} | ({CONFIG.name} if record.has(CONFIG) else set())
    rest = (host.names_in(FOLDER) or set()) - removed
    is_all = not rest and (purge or not (keeps_config or data))
    yield from _remove_rest(host, record, rest, is_all=is_all)


def _remove_rest(host: Host, record: Record, rest: set[str], *, is_all: bool) -> Iterator[Step]:
    """Yield the steps for the user, the folder and the record. `rest`: files of others in the folder."""
    if not is_all:
        left = deepcopy(record)
        left.digests.pop(str(UNIT), None)
        if rest:
            yield Step("keep", f"{FOLDER} with {', '.join(sorted(rest))}")
        yield Step("keep", f"the user {NAME}, because of the files that are kept")
        if left == Record():
            yield Step("remove", str(RECORD), lambda: host.remove(RECORD))
        else:
            text = left.to_text()
            what = f"{RECORD}: what is left to take back"
            yield Step("write", what, lambda: host.write(RECORD, text, 0o600))
        return
    if record.made_user and host.has_user(NAME):
        yield Step("remove", f"the user {NAME}", lambda: host.remove_user(NAME))
    yield from _kept(not record.made_user, f"the user {NAME}, who was there before")
    yield Step("remove", str(RECORD), lambda: host.remove(RECORD))
    if record.made_folder:
        yield Step("remove", f"the folder {FOLDER}", lambda: host.remove_empty(FOLDER))


def _remove_unit(host: Host, record: Record) -> Iterator[Step]:
    """Yield the steps that stop the service and remove its unit."""
    if record.has(UNIT) and host.read(UNIT) is not None:
        if host.runs_systemd:
            stop = ("systemctl", "disable", "--now", UNIT.name)
            yield Step("run", f"`{' '.join(stop)}`", lambda: host.run(*stop))
        yield Step("remove", str(UNIT), lambda: host.remove(UNIT))
        yield from _reload(host)
    yield from _kept(host.names_in(_DROP_INS) is not None, f"{_DROP_INS}, which is yours")


def _reload(host: Host) -> Iterator[Step]:
    """Yield the step that lets systemd read its units again, where it runs."""
    if host.runs_systemd:
        command = ("systemctl", "daemon-reload")
        yield Step("run", f"`{' '.join(command)}`", lambda: host.run(*command))


def _kept(is_there: bool, subject: str) -> Iterator[Step]:
    """Yield a step that only says so, if there is something."""
    if is_there:
        yield Step("keep", subject)
