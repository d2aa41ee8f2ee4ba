"""Splits PHP source into tokens. Nothing is executed."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from pusher_server.errors import ConfigError

Kind = Literal["string", "template", "number", "name", "variable", "cast", "symbol", "end"]

#: Comments, and tokens by their first characters (php.net, "Language Reference", "Basic syntax").
_BLANK = re.compile(r"(?:\s+|//[^\n]*|\#(?!\[)[^\n]*|/\*.*?\*/)+", re.DOTALL)
_SINGLE = re.compile(r"'((?:[^'\\]|\\.)*)'", re.DOTALL)
_DOUBLE = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
#: A heredoc or nowdoc: its name, quoted or not, its lines, and the name again behind a blank of its own
#: (php.net, "Strings").
_HEREDOC = re.compile(
    r"<<<[ \t]*(?P<quote>['\"]?)(?P<name>[A-Za-z_]\w*)(?P=quote)\r?\n"
    r"(?P<lines>(?:.*\n)*?)(?P<indent>[ \t]*)(?P=name)(?!\w)"
)
_SHELL = re.compile(r"`(?:[^`\\]|\\.)*`", re.DOTALL)
_CAST = re.compile(r"\(\s*(int|integer|bool|boolean|string|float|double|array)\s*\)", re.IGNORECASE)
_NUMBER = re.compile(r"0[xX][0-9A-Fa-f_]+|0[bB][01_]+|\d[\d_]*(?:\.\d[\d_]*)?(?:[eE][+-]?\d+)?")
_NAME = re.compile(r"\\?[A-Za-z_\x80-\U0010ffff][\w\x80-\U0010ffff]*(?:\\\w+)*")
_VARIABLE = re.compile(r"\$[A-Za-z_]\w*")
_SYMBOL = re.compile(
    r"<=>|===|!==|\?->|\?\?=|\.\.\.|\*\*|<<|>>|<>|=>|->|::|==|!=|<=|>=|&&|\|\||\?\?|\.="
    r"|[\[\](){},;.?:=!<>+\-*/%&|@^~#]"
)
#: A variable inside a text.
_INTERPOLATION = re.compile(r"(?<!\\)(?:\\\\)*(\$[A-Za-z_{]|\{\$)")
_ESCAPE = re.compile(r"\\(u\{[0-9A-Fa-f]{1,6}\}|x[0-9A-Fa-f]{1,2}|[0-7]{1,3}|.)", re.DOTALL)
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t", "v": "\v", "e": "\x1b", "f": "\f"}
#: Longer numbers are no setting, and to parse very long ones takes time.
_LONGEST_NUMBER = 40


class Token(Struct, frozen=True):
    """A piece of source. `text` is a string's value, a number's digits, or the source itself."""

    kind: Kind
    text: str
    start: int
    end: int


def tokens(source: str, name: str) -> list[Token]:
    """Split `source` from its `<?php` on; the last token is an "end". Raises ConfigError.

    `name` is the file's name, for errors.
    """
    opening = source.find("<?php")
    if opening < 0:
        raise ConfigError(name, "has no <?php, so it is no PHP file")
    return list(_scan(source, opening + len("<?php"), name))


class Lines:
    """The places where lines end."""

    def __init__(self, source: str) -> None:
        self._ends = [match.start() for match in re.finditer("\n", source)]

    def of(self, position: int) -> int:
        """The line of a position, counted from 1."""
        return bisect_left(self._ends, position) + 1


def _scan(source: str, position: int, name: str) -> Iterator[Token]:
    while True:
        blank = _BLANK.match(source, position)
        if blank:
            position = blank.end()
        if position >= len(source) or source.startswith("?>", position):
            yield Token("end", "", position, position)
            return
        token = _one(source, position)
        if token is None or (len(token.text) > _LONGEST_NUMBER and token.kind == "number"):
            line = Lines(source).of(position)
            if source[position] in "'\"`" or source.startswith("<<<", position):
                raise ConfigError(name, f"ends inside the text that begins in line {line}")
            if source.startswith("/*", position):
                raise ConfigError(name, f"ends inside the comment that begins in line {line}")
            raise ConfigError(name, f"line {line} has something that is not read as PHP settings")
        yield token
        position = token.end


def _one(source: str, start: int) -> Token | None:
    """The token at `start`, None when there is none that is known."""
    first = source[start]
    if first == "'":
        match = _SINGLE.match(source, start)
        return match and Token("string", re.sub(r"\\([\\'])", r"\1", match[1]), start, match.end())
    if first == '"':
        match = _DOUBLE.match(source, start)
        if match is None:
            return None
        if _INTERPOLATION.search(match[1]):
            return Token("template", match[0], start, match.end())
        return Token("string", _ESCAPE.sub(_unescape, match[1]), start, match.end())
    if source.startswith("<<<", start):
        return _heredoc(source, start)
    if first == "`":
        match = _SHELL.match(source, start)
        return match and Token("template", match[0], start, match.end())
    if source.startswith("/*", start):
        return None
    kinds: tuple[tuple[Kind, re.Pattern[str]], ...] = (
        ("cast", _CAST),
        ("number", _NUMBER),
        ("name", _NAME),
        ("variable", _VARIABLE),
        ("symbol", _SYMBOL),
    )
    for kind, pattern in kinds:
        match = pattern.match(source, start)
        if match:
            text = match[1].lower() if kind == "cast" else match[0]
            return Token(kind, text, start, match.end())
    return None


def _heredoc(source: str, start: int) -> Token | None:
    """The text without the indentation of its last line; one with variables is a template."""
    match = _HEREDOC.match(source, start)
    if match is None:
        return None
    lines = match["lines"].replace("\r\n", "\n").removesuffix("\n").split("\n")
    text = "\n".join(line.removeprefix(match["indent"]) for line in lines)
    if match["quote"] == "'":
        return Token("string", text, start, match.end())
    if _INTERPOLATION.search(text):
        return Token("template", match[0], start, match.end())
    # Unlike in a text with quotes, a quote needs no backslash and loses none.
    return Token(
        "string",
        _ESCAPE.sub(lambda code: code[0] if code[1] == '"' else _unescape(code), text),
        start,
        match.end(),
    )


def _unescape(match: re.Match[str]) -> str:
    """A double-quoted string's escape; unknown ones stay as they are."""
    code = match[1]
    if code in ("\\", '"', "$"):
        return code
    if code in _ESCAPED:
        return _ESCAPED[code]
    if code[0] == "u" and len(code) > 1:
        number = int(code[2:-1], 16)
        return chr(number) if number < 0x110000 and not 0xD800 <= number < 0xE000 else "\ufffd"
    if code[0] == "x" and len(code) > 1:
        return chr(int(code[1:], 16))
    if code.isdigit() and code.isascii():
        return chr(int(code, 8) & 0xFF)
    return match[0]
