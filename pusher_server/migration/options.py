"""Another server's settings as a tree, which remembers what was read: the rest is named to the operator."""

from collections.abc import Iterator, Mapping
from typing import Final

from pusher_server.errors import ConfigError
from pusher_server.migration.php_operators import Unknown


class _Missing:
    def __repr__(self) -> str:
        return "MISSING"


#: No such setting; None is a value.
MISSING: Final = _Missing()


class Options:
    """A tree of dicts and lists, read by dotted paths such as `apps.0.key`.

    `name` is the file it comes from, for errors; `prefix` stands before paths in names that people read.
    """

    def __init__(self, tree: Mapping[str, object], name: str, prefix: str = "") -> None:
        self.name = name
        self.prefix = prefix
        self._tree = tree
        self._read: set[str] = set()

    def get(self, path: str) -> object:
        """The value at a path, MISSING when there is none. Parts of an unknown value are unknown."""
        self._read.add(path)
        value: object = self._tree
        for step in path.split("."):
            if isinstance(value, Unknown):
                return value
            if isinstance(value, dict) and step in value:
                value = value[step]
            elif isinstance(value, list) and step.isdecimal() and int(step) < len(value):
                value = value[int(step)]
            else:
                return MISSING
        return value

    def text(self, path: str, default: str) -> str:
        """A value that is a text or a number, the default for none. Raises ConfigError for any other."""
        return as_text(self.get(path), default, f"{self.name}: `{path}`")

    def first(self, *paths: str) -> tuple[str, object]:
        """The first of several paths that has a value, with it; the last path and MISSING without one."""
        for path in paths:
            value = self.get(path)
            if value is not MISSING:
                return path, value
        return paths[-1], MISSING

    def pass_over(self, *paths: str) -> None:
        """Count paths, and all below them, as read."""
        self._read.update(paths)

    def tables(self, path: str) -> list["Options"]:
        """The tables in a list, or as the values of a table. Raises ConfigError when it is neither."""
        value = self.get(path)
        if isinstance(value, Mapping):
            items = list(value.items())
        elif isinstance(value, list):
            items = [(str(index), item) for index, item in enumerate(value)]
        elif isinstance(value, Unknown):
            raise ConfigError(
                self.name,
                f"`{path}` is computed in line {value.line}: write the apps of it as a list",
            )
        else:
            items = []
            if value not in (MISSING, None):
                raise ConfigError(self.name, f"`{path}` is no list of apps")
        tables = []
        for step, item in items:
            if not isinstance(item, Mapping):
                shown = (
                    f"computed in line {item.line}: write its settings there as they are"
                    if isinstance(item, Unknown)
                    else "no table of settings"
                )
                raise ConfigError(self.name, f"`{path}.{step}` is {shown}")
            tables.append(Options(item, self.name, f"{self.prefix}{path}.{step}."))
        return tables

    def unread(self) -> Iterator[tuple[str, object]]:
        """Paths that nobody has read, with their values; a table is named by its settings."""
        yield from self._unread(self._tree, "")

    def _unread(self, table: Mapping[str, object], path: str) -> Iterator[tuple[str, object]]:
        for step, value in table.items():
            full = f"{path}{step}"
            if full in self._read:
                continue
            if isinstance(value, Mapping) and value:
                yield from self._unread(value, f"{full}.")
            else:
                yield full, value


def as_text(value: object, default: str, name: str) -> str:
    """A text or a number as text, `default` for nothing. Raises ConfigError, whose setting is `name`."""
    if value is MISSING or value is None or value == "":
        return default
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ConfigError(name, "is no text")
    return str(value)
