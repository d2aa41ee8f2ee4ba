"""Numbers and switches as other languages read them from text. None stands for "not a number"."""

import re

#: More digits are no setting.
_INTEGER = re.compile(r"\s*([+-]?\d{1,15})")
_DECIMAL = re.compile(r"\s*([+-]?(?:\d{1,15}(?:\.\d{0,15})?|\.\d{1,15})(?:[eE][+-]?\d{1,2})?)")


def javascript_int(value: object) -> int | None:
    """As `parseInt`: the digits at the beginning of the value's text (ECMA-262, "parseInt")."""
    number = javascript_float(value)
    if isinstance(value, str):
        match = _INTEGER.match(value)
        return int(match[1]) if match else None
    return None if number is None else int(number)


def javascript_float(value: object) -> float | None:
    """As `parseFloat`: the number at the beginning of the value's text (ECMA-262, "parseFloat")."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, int | float):
        return float(value) if abs(value) < 1e15 else None
    match = _DECIMAL.match(value) if isinstance(value, str) else None
    return float(match[1]) if match else None


def whole(value: object) -> int | None:
    """A whole number, or a text that is one and nothing else; PHP's and Rust's typed settings."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value if abs(value) < 10**15 else None
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) < 1e15 else None
    if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d{1,15}\s*", value):
        return int(value)
    return None


def truthy(value: object) -> bool:
    """Whether JavaScript takes a value of JSON for true (ECMA-262, "ToBoolean")."""
    return isinstance(value, list | dict) or bool(value)


def php_truthy(value: object) -> bool:
    """Whether PHP takes a value for true (php.net, "Booleans"); the text "0" and an empty array are false."""
    return value != "0" and bool(value)


def names(value: object) -> list[str] | None:
    """A list of texts, from a list or a text with commas; None when it is neither. A null in it is nothing."""
    if value is None or value == "":
        return []
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, list) and all(isinstance(item, str | int | None) for item in value):
        texts = [str(item).strip() for item in value if item is not None]
        return [text for text in texts if text]
    return None
