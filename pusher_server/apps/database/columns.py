"""Converts values of columns to settings and back. Each form of a value is read; a wrong value is refused.

Drivers return one value in different forms: `1`, `True`, `b"\\x01"` and `"1"` are the same switch.
"""

from collections.abc import Callable
from decimal import Decimal
from enum import Enum

from pusher_server.config.json_text import parse_json

#: Seconds that soketi gives clients to sign in if a row demands it (docs/protocol/limits.md#numbers).
_SOKETI_AUTHENTICATION = 30
_KILOBYTE = 1_024
_WORDS = {"1": True, "true": True, "t": True, "0": False, "false": False, "f": False}


class Kind(Enum):
    """The form of a column's values."""

    TEXT = "text"
    #: An id, key or secret; in a column of fixed width it is padded with spaces.
    NAME = "name"
    SWITCH = "switch"
    NUMBER = "number"
    #: 0 and -1 are no limit.
    LIMIT = "limit"
    #: A limit in units of 1,024 bytes, fractions too.
    KILOBYTES = "kilobytes"
    #: Texts with commas, or a JSON list.
    LIST = "list"
    #: A switch: on is "members", off is "off".
    CLIENT_EVENTS = "client events"
    #: A switch: on is soketi's time to sign in.
    AUTHENTICATION = "authentication"
    JSON = "json"


#: Nobody needs longer numbers, and to parse very long ones takes time.
_LONGEST_NUMBER = 100


def as_text(value: object) -> str:
    """A value as text, in any form of a driver; U+FFFD stands for bytes that are not UTF-8."""
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value).decode("utf-8", "replace")
    return str(value)


def _text(value: object) -> str:
    """As `as_text`. Raises ValueError when the result would differ from the text in the column."""
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            raise ValueError("is not UTF-8; write the text again") from None
    text = str(value)
    try:
        text.encode()
    except UnicodeEncodeError:  # JSON can contain one
        raise ValueError("has half a character (a lone surrogate); write the text again") from None
    return text


def reads(kind: Kind, value: object) -> object:
    """The setting for a value (not NULL). Raises ValueError, whose text says what to write."""
    return _READERS[kind](value)


def writes(kind: Kind, setting: object) -> object:
    """The value to store for a setting: a bool, int, float or text. Raises ValueError if there is none."""
    match kind:
        case Kind.KILOBYTES if isinstance(setting, int):
            if setting % _KILOBYTE:
                raise ValueError(f"the table counts in units of {_KILOBYTE} bytes")
            return setting // _KILOBYTE
        case Kind.LIST if isinstance(setting, list | tuple):
            return ",".join(str(item) for item in setting)
        case Kind.CLIENT_EVENTS:
            if setting not in ("members", "off"):
                raise ValueError("the table knows 'members' and 'off' only")
            return setting == "members"
        case Kind.AUTHENTICATION:
            if setting not in (0, _SOKETI_AUTHENTICATION):
                raise ValueError(f"the table knows 0 and {_SOKETI_AUTHENTICATION} only")
            return setting != 0
    return setting


def _switch(value: object) -> bool:
    if isinstance(value, bytes) and len(value) == 1 and value[0] < 2:  # MySQL's BIT
        return value[0] == 1
    switch = _WORDS.get(as_text(value).strip().lower())
    if switch is None:
        raise ValueError(f"is {_shown(value)}; write true or false (1 or 0)")
    return switch


def _number(value: object) -> int:
    exact = _decimal(value)
    if exact != exact.to_integral_value():
        raise ValueError(f"is {_shown(value)}; write a whole number")
    return int(exact)


def _limit(value: object) -> int:
    return _bounded(_number(value), value)


def _kilobytes(value: object) -> int:
    return _bounded(int(_decimal(value) * (1 if _decimal(value) == -1 else _KILOBYTE)), value)


def _bounded(limit: int, value: object) -> int:
    if limit < -1:
        raise ValueError(f"is {_shown(value)}; write 0 or -1 for 'no limit', NULL for the default")
    return max(limit, 0)


def _decimal(value: object) -> Decimal:
    text = as_text(value).strip()
    try:
        exact = Decimal(text) if len(text) <= _LONGEST_NUMBER else Decimal("NaN")
    except ArithmeticError:
        raise ValueError(f"is {_shown(value)}; write a number") from None
    # Its exponent first: arithmetic with a huge one raises, or takes all memory.
    if not exact.is_finite() or abs(exact.adjusted()) > _LONGEST_NUMBER or abs(exact) > 2**63:
        raise ValueError(f"is {_shown(value)}; write a number")
    return exact


def _list(value: object) -> list[str]:
    text = _text(value).strip()
    if not text.startswith("["):
        return [part.strip() for part in text.split(",") if part.strip()]
    parts = _json(text)
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError("is no list of texts; write them with commas")
    return [_text(part) for part in parts]


def _json(value: object) -> object:
    if isinstance(value, memoryview):
        value = bytes(value)
    if not isinstance(value, str | bytes | bytearray):
        return value  # the driver has parsed it
    try:
        text = value if isinstance(value, str) else value.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("is not valid JSON: it is not UTF-8") from None
    return parse_json(text) if text.strip() else None


def _shown(value: object) -> str:
    """A value in a log line: at most a few characters of it."""
    text = as_text(value)
    return repr(text if len(text) <= 40 else text[:40] + "…")


_READERS: dict[Kind, Callable[[object], object]] = {
    Kind.TEXT: _text,
    Kind.NAME: lambda value: _text(value).rstrip(" "),
    Kind.SWITCH: lambda value: _switch(_as_number(value)),
    Kind.NUMBER: _number,
    Kind.LIMIT: _limit,
    Kind.KILOBYTES: _kilobytes,
    Kind.LIST: _list,
    Kind.CLIENT_EVENTS: lambda value: "members" if _switch(_as_number(value)) else "off",
    Kind.AUTHENTICATION: lambda value: _SOKETI_AUTHENTICATION if _switch(_as_number(value)) else 0,
    Kind.JSON: _json,
}


def _as_number(value: object) -> object:
    """0 or 1 as an int, because a switch may stand in a column of decimals; other values unchanged."""
    if isinstance(value, Decimal) and value.is_nan():  # a signalling one cannot be compared
        return value
    return int(value) if isinstance(value, Decimal | float) and value in (0, 1) else value
