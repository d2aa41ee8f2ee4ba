"""Apps in a config file, which a person edits: shown like those of a database, but never changed here.

A command prints the lines to change. Pure: it makes sentences from the file's text.
"""

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from pusher_server.app import App

_HEADER = re.compile(r"\s*\[\s*(\[?)\s*([\w.\s-]+?)\s*\]?\s*\]\s*(?:#.*)?")


class NotEdited(click.ClickException):
    """The command has changed nothing; its text gives the lines to change by hand."""

    def __init__(self, path: Path, advice: str) -> None:
        super().__init__(
            f"{path} is yours to edit. {advice}\nThen send the server SIGHUP (systemctl reload)."
        )


class AppsInFile:
    """The apps of the file at `path`. Every verb that would change one raises NotEdited."""

    def __init__(self, apps: tuple["App", ...], path: Path) -> None:
        self._apps = apps
        self._path = path
        self._lines = path.read_text("utf-8-sig").splitlines()
        self._tables = _tables(self._lines)

    def all(self) -> list["App"]:
        """All apps, in the order of the file."""
        return list(self._apps)

    def one(self, app_id: str) -> "App | None":
        """The app of this id."""
        return next((app for app in self._apps if app.id == app_id), None)

    def init(self) -> list[str]:
        """Return a line that says that nothing has to be made."""
        return [f"the apps are in {self._path}: nothing has to be created"]

    def add(
        self, app_id: str, key: str, secret: str | None, settings: Mapping[str, object]
    ) -> None:
        """Advise a table at the end of the file."""
        own = {"id": app_id, "key": key, "secret": secret or "…", **settings}
        lines = [f"{name} = {_toml(value)}" for name, value in own.items()]
        raise self._not_edited("At its end write:\n\n" + "\n".join(["[[apps]]", *lines]) + "\n")

    def change(self, app_id: str, settings: Mapping[str, object]) -> None:
        """Advise a change of one line per setting; None deletes it."""
        raise self._not_edited(
            " ".join(self._advice(app_id, name, value) for name, value in settings.items())
        )

    def remove(self, app_id: str) -> None:
        """Advise to delete the app's table."""
        lines = self._lines_of(app_id)
        raise self._not_edited(f"Delete lines {lines[0]} to {lines[-1]}.")

    def rotate(self, app_id: str, key: str, secret: str | None) -> None:
        """Advise a key pair in front of the others, or a list `keys` instead of the two settings."""
        pair = f"{{ key = {_toml(key)}, secret = {_toml(secret or '…')} }}"
        line = self._find(app_id, "keys")
        if line is not None:
            raise self._not_edited(f"Line {line}: put {pair} in front of the other keys.")
        line = self._find(app_id, "key") or self._lines_of(app_id)[0]
        raise self._not_edited(
            f"Line {line}: instead of `key` and `secret` write `keys = [{pair}, {{ key = …, secret = … }}]`"
            " with the present pair at the end."
        )

    def remove_key(self, app_id: str, key: str) -> None:
        """Advise to delete one key pair."""
        lines = self._lines_of(app_id)
        line = next((n for n in lines if _toml(key) in self._lines[n - 1]), lines[0])
        raise self._not_edited(f"Line {line}: take the key {key} with its secret out of `keys`.")

    def _not_edited(self, advice: str) -> NotEdited:
        return NotEdited(self._path, advice)

    def _advice(self, app_id: str, setting: str, value: object) -> str:
        line = self._find(app_id, setting)
        if value is None:
            return f"`{setting}` is not set there." if line is None else f"Line {line}: delete it."
        if line is not None:
            present = self._lines[line - 1].strip()
            name = present.partition("=")[0].strip()
            return f"Line {line}: write `{name} = {_toml(value)}` instead of `{present}`."
        lines, place = self._lines_of(app_id), self._table(app_id)
        table, _, name = setting.rpartition(".")
        below = [n for n in lines if table and self._tables[n - 1] == (place, table)]
        if below:
            return f"After line {below[0]} write `{name} = {_toml(value)}`."
        return f"After line {lines[0]} write `{setting} = {_toml(value)}`."

    def _table(self, app_id: str) -> int:
        return [app.id for app in self._apps].index(app_id)

    def _lines_of(self, app_id: str) -> list[int]:
        """The numbers of an app's lines, up to its last setting; never empty."""
        place = self._table(app_id)
        lines = [n for n, table in enumerate(self._tables, 1) if table[0] == place]
        while lines and not self._lines[lines[-1] - 1].partition("#")[0].strip():
            lines.pop()
        return lines or [1]  # the apps are a list in one line

    def _find(self, app_id: str, setting: str) -> int | None:
        """The number of the line with the setting, in its own table or dotted; None when there is none."""
        place = self._table(app_id)
        for n, (index, table) in enumerate(self._tables, 1):
            prefix = f"{table}." if table else ""
            if index != place or not setting.startswith(prefix):
                continue
            name = re.escape(setting.removeprefix(prefix))
            if re.match(rf"\s*{name}\s*=", self._lines[n - 1]):
                return n
        return None


def _tables(lines: list[str]) -> list[tuple[int, str]]:
    """For each line: the index of its `[[apps]]` table or -1, and the name of the table below that."""
    tables: list[tuple[int, str]] = []
    count, now = 0, (-1, "")
    for line in lines:
        header = _HEADER.fullmatch(line)
        if header:
            name = re.sub(r"\s", "", header[2])
            if header[1] and name == "apps":
                now = (count, "")
                count += 1
            elif name.startswith("apps.") and count:
                now = (count - 1, name.removeprefix("apps."))
            else:
                now = (-1, "")
        tables.append(now)
    return tables


def _toml(value: object) -> str:
    """A value as TOML writes it: JSON's form is the same for texts, numbers, switches and lists."""
    return json.dumps(value, ensure_ascii=False)
