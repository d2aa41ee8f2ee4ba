"""The PHP and Laravel functions that have a value without PHP: pure ones, and paths of the project."""

import re
from collections.abc import Callable, Mapping
from urllib.parse import urlsplit

#: Arguments, and the project's directory if it is known.
Function = Callable[[list[object], str | None], object]


class NotPure(Exception):
    """The value is known to PHP only."""


def _string(arguments: list[object], index: int) -> str:
    if index >= len(arguments):
        raise NotPure
    value = arguments[index]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise NotPure
    return str(value)


def _list(arguments: list[object], index: int) -> list[object]:
    value = arguments[index] if index < len(arguments) else None
    if not isinstance(value, list):
        raise NotPure
    return value


def _explode(arguments: list[object], _root: str | None) -> object:
    separator = _string(arguments, 0)
    if not separator or len(arguments) != 2:
        raise NotPure
    # PHP takes null as "".
    text = "" if arguments[1] is None else _string(arguments, 1)
    return list(text.split(separator))


def _filter(arguments: list[object], _root: str | None) -> object:
    if len(arguments) != 1:
        raise NotPure
    return [value for value in _list(arguments, 0) if value not in (None, False, 0, "", "0", [])]


def _values(arguments: list[object], _root: str | None) -> object:
    return _list(arguments, 0)


def _map(arguments: list[object], _root: str | None) -> object:
    function = FUNCTIONS.get(_string(arguments, 0).lower())
    if function is None or len(arguments) != 2:
        raise NotPure
    return [function([value], None) for value in _list(arguments, 1)]


def _strip(side: Callable[[str, str], str]) -> Function:
    """`trim` and its like; a range in the characters, as "a..z", is not read."""

    def strip(arguments: list[object], _root: str | None) -> object:
        blanks = _string(arguments, 1) if len(arguments) > 1 else " \t\n\r\0\x0b"
        if len(arguments) > 2 or ".." in blanks:
            raise NotPure
        return side(_string(arguments, 0), blanks)

    return strip


def _unique(arguments: list[object], _root: str | None) -> object:
    values = _list(arguments, 0)
    if len(arguments) != 1 or not all(isinstance(value, str) for value in values):
        raise NotPure
    return list(dict.fromkeys(values))


def _merge(arguments: list[object], _root: str | None) -> object:
    return [value for index in range(len(arguments)) for value in _list(arguments, index)]


def _lower(arguments: list[object], _root: str | None) -> object:
    return _string(arguments, 0).lower()


def _integer(arguments: list[object], _root: str | None) -> object:
    """PHP takes the number at the beginning of a text, and 0 when there is none."""
    value = arguments[0] if arguments else NotPure
    if value is None or isinstance(value, bool | int):
        return int(value or 0)
    if isinstance(value, float):
        return int(value)
    if not isinstance(value, str):
        raise NotPure
    match = re.match(r"\s*([+-]?\d{1,18})", value)
    return int(match[1]) if match else 0


def _parse_url(arguments: list[object], _root: str | None) -> object:
    """Only with PHP_URL_HOST, which is an unknown name for `php`: it is recognised by its source."""
    if len(arguments) != 2 or getattr(arguments[1], "source", "") != "PHP_URL_HOST":
        raise NotPure
    try:
        return urlsplit(_string(arguments, 0)).hostname
    except ValueError:
        raise NotPure from None


def _path(folder: str) -> Function:
    def in_project(arguments: list[object], root: str | None) -> object:
        if root is None:
            raise NotPure
        below = _string(arguments, 0) if arguments else ""
        return "/".join(
            part.strip("/") if i else part.rstrip("/")
            for i, part in enumerate((root, folder, below))
            if part
        )

    return in_project


FUNCTIONS: Mapping[str, Function] = {
    "explode": _explode,
    "array_filter": _filter,
    "array_values": _values,
    "array_map": _map,
    "array_unique": _unique,
    "array_merge": _merge,
    "trim": _strip(str.strip),
    "ltrim": _strip(str.lstrip),
    "rtrim": _strip(str.rstrip),
    "strtolower": _lower,
    "intval": _integer,
    "parse_url": _parse_url,
    "base_path": _path(""),
    "storage_path": _path("storage"),
    "database_path": _path("database"),
    "resource_path": _path("resources"),
    "public_path": _path("public"),
}
