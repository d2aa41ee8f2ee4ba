"""Reads a `.env` file: `NAME=value` lines with quotes, comments and `${NAME}`.

The rules are those of vlucas/phpdotenv 5 (`src/Parser`), which Laravel uses. soketi uses npm's dotenv,
where `${NAME}` is plain text. In both, a `#` ends a value without quotes, also right behind a letter.
"""

import re
from collections import ChainMap
from collections.abc import Mapping

from pusher_server.errors import ConfigError

_NAME = re.compile(r"(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.]*)[ \t]*(=[ \t]*)?")
_REFERENCE = re.compile(r"\$\{([A-Za-z0-9_.]+)\}")
_NEW_LINE = re.compile(r"\r\n|\n|\r")
_BLANKS = " \t\v\f"
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "f": "\f", "v": "\v", '"': '"', "\\": "\\", "$": "$"}
#: An expanded value may not grow beyond this: references can double it with each line.
_LONGEST = 65_536


def parse(
    text: str, name: str, *, expand: bool, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Name -> value. A later line wins. Raises ConfigError.

    `expand`: replace `${NAME}` by the variable of the process, `environ`, or by that of an earlier line.
    """
    values: dict[str, str] = {}
    known = ChainMap(dict(environ or {}), values)
    lines = _NEW_LINE.split(text)
    index = 0
    while index < len(lines):
        line = lines[index].strip(_BLANKS)
        number = index + 1
        index += 1
        if not line or line.startswith("#"):
            continue
        match = _NAME.match(line)
        if match is None or (match[2] is None and match.end() != len(line)):
            raise ConfigError(name, f"line {number} is no NAME=value; is it a .env file?")
        if match[2] is None:
            continue
        rest = line[match.end() :]
        if rest[:1] == '"':
            value, index = _double_quoted(rest, lines, index, f"{name}, line {number}")
        elif rest[:1] == "'":
            values[match[1]] = _single_quoted(rest, f"{name}, line {number}")
            continue
        else:
            value = rest.partition("#")[0].strip(_BLANKS)
        values[match[1]] = _expanded(value, known, name) if expand else value.replace("\0", "$")
    return values


def _single_quoted(rest: str, place: str) -> str:
    end = rest.find("'", 1)
    if end < 0:
        raise ConfigError(place, "a quote is opened and not closed")
    return rest[1:end]


def _double_quoted(rest: str, lines: list[str], index: int, place: str) -> tuple[str, int]:
    """The value, in which NUL stands for an escaped `$`, and the index of the next line."""
    characters: list[str] = []
    position = 1
    while True:
        if position >= len(rest):
            if index >= len(lines):
                raise ConfigError(place, "a quote is opened and not closed")
            characters.append("\n")
            rest, position, index = lines[index], 0, index + 1
            continue
        character = rest[position]
        position += 1
        if character == '"':
            return "".join(characters), index
        if character == "\\" and position < len(rest):
            escaped = rest[position]
            position += 1
            known = _ESCAPES.get(escaped)
            character = f"\\{escaped}" if known is None else known
            if escaped == "$":
                character = "\0"
        characters.append(character)


def _expanded(value: str, values: Mapping[str, str], name: str) -> str:
    size = len(value)

    def referred(match: re.Match[str]) -> str:
        nonlocal size
        text = values.get(match[1], match[0])
        size += len(text)
        if size > _LONGEST:
            raise ConfigError(name, f"a value grows beyond {_LONGEST} characters by its references")
        return text

    return _REFERENCE.sub(referred, value).replace("\0", "$")
