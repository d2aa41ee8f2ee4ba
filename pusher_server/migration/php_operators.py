"""PHP's operators, signs, casts and numbers, for values that are known (php.net, "Operators")."""

import re
from collections.abc import Callable, Mapping

from msgspec import Struct

from pusher_server.migration.php_functions import FUNCTIONS, NotPure
from pusher_server.migration.php_tokens import Token

#: Longer texts are no setting; a text that grows with each `.` would be copied each time.
_LONGEST = 8_192
_NUMERAL = re.compile(r"\s*[+-]?\.?[0-9]")
_DIGITS = re.compile(r"0|[1-9][0-9]{0,17}")


class Unknown(Struct, frozen=True):
    """A value that only PHP knows. `source` is its text in one line, `line` its place."""

    source: str
    line: int


#: The names of settings whose names are computed begin so.
COMPUTED_NAME = "(name in line "


def is_unknown(value: object) -> bool:
    """Whether only PHP knows a value."""
    return isinstance(value, Unknown)


def number(text: str) -> int | float:
    digits = text.replace("_", "").lower()
    if digits.startswith(("0x", "0b")):
        return int(digits, 0)
    if "." in digits or "e" in digits:
        return float(digits)
    is_octal = len(digits) > 1 and digits[0] == "0" and all(digit in "01234567" for digit in digits)
    return int(digits, 8) if is_octal else int(digits)


def key_of(value: object) -> str:
    """An array's key as text; one that only PHP knows is named by its line, as no setting is."""
    if isinstance(value, Unknown):
        return f"{COMPUTED_NAME}{value.line})"
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, bool | float) else str(value)


FALSY: tuple[object, ...] = (None, False, 0, 0.0, "", "0", [], {})


def combine(operator: str, left: object, right: object) -> object:
    """The result of an operator. Raises NotPure when it is not known."""
    if operator == "??":
        if is_unknown(left):
            raise NotPure
        return right if left is None else left
    if is_unknown(left) or is_unknown(right):
        raise NotPure
    if operator in ("===", "!=="):
        return (type(left) is type(right) and left == right) == (operator == "===")
    if operator in ("==", "!=", "<>"):
        return _loosely_equal(left, right) == (operator == "==")
    if operator in _LOGICAL:
        return _LOGICAL[operator](left not in FALSY, right not in FALSY)
    if operator == ".":
        joined = _text(left) + _text(right)
        if len(joined) > _LONGEST:
            raise NotPure
        return joined
    return _calculate(operator, left, right)


_LOGICAL: Mapping[str, Callable[[bool, bool], bool]] = {
    "&&": lambda left, right: left and right,
    "and": lambda left, right: left and right,
    "||": lambda left, right: left or right,
    "or": lambda left, right: left or right,
    "xor": lambda left, right: left != right,
}


def _loosely_equal(left: object, right: object) -> bool:
    """`==` of values whose comparison is plain: of one kind, with a boolean, or a number and its digits."""
    if isinstance(left, bool) or isinstance(right, bool):
        return (left in FALSY) == (right in FALSY)
    if isinstance(left, int | float) and isinstance(right, int | float):
        return left == right
    if isinstance(left, str) and isinstance(right, str):
        are_plain = all(
            _DIGITS.fullmatch(text) or not _NUMERAL.match(text) for text in (left, right)
        )
        if left != right and not are_plain:
            raise NotPure  # "1" == "01" there
        return left == right
    for number_of, text in ((left, right), (right, left)):
        if isinstance(number_of, int) and isinstance(text, str) and _DIGITS.fullmatch(text):
            return number_of == int(text)
    if left is None and right is None:
        return True
    raise NotPure


#: Two whole numbers to one.
_WHOLE: Mapping[str, Callable[[int, int], int]] = {
    "|": lambda left, right: left | right,
    "&": lambda left, right: left & right,
    "^": lambda left, right: left ^ right,
    "<<": lambda left, right: left << right,
    ">>": lambda left, right: left >> right,
    "%": lambda left, right: left % right,
    "**": lambda left, right: left**right,
}
_NUMERIC: Mapping[str, Callable[[float, float], float]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "<": lambda left, right: left < right,
    ">": lambda left, right: left > right,
    "<=": lambda left, right: left <= right,
    ">=": lambda left, right: left >= right,
    "<=>": lambda left, right: (left > right) - (left < right),
}


def _calculate(operator: str, left: object, right: object) -> object:
    """The result for two numbers, in PHP's 64 bits. Raises NotPure."""
    if type(left) is int and type(right) is int and operator in _WHOLE:
        # Beyond these bounds signs, overflow and size have rules of their own.
        if not (0 <= left < 2**62 and 0 <= right < 63) and operator not in ("|", "&", "^", "%"):
            raise NotPure
        if min(left, right) < 0 or (operator == "%" and right == 0):
            raise NotPure
        result: float = _WHOLE[operator](left, right)
    elif type(left) in (int, float) and type(right) in (int, float) and operator in _NUMERIC:
        assert isinstance(left, int | float)
        assert isinstance(right, int | float)
        try:
            result = _NUMERIC[operator](left, right)
        except (ZeroDivisionError, OverflowError):
            raise NotPure from None
        if operator == "/" and type(left) is type(right) is int and left % right == 0:
            result = left // right
    else:
        raise NotPure
    if isinstance(result, int) and abs(result) >= 2**63:
        raise NotPure
    return result


def _text(value: object) -> str:
    """A value as PHP joins it to a text. Raises NotPure for an array."""
    if value is None or isinstance(value, bool):
        return "1" if value else ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    if not isinstance(value, str | int | float):
        raise NotPure
    return str(value)


def apply(sign: Token, value: object) -> object:
    """The result of a sign or a cast. Raises NotPure."""
    if sign.text == "!":
        return value in FALSY
    if sign.text in ("+", "-"):
        if type(value) not in (int, float):
            raise NotPure
        assert isinstance(value, int | float)
        return -value if sign.text == "-" else value
    if sign.kind != "cast":
        return value
    if sign.text in ("bool", "boolean"):
        return value not in FALSY
    if sign.text in ("int", "integer"):
        return FUNCTIONS["intval"]([value], None)
    if sign.text == "string":
        return _text(value)
    if sign.text == "array":
        return value if isinstance(value, list | dict) else [] if value is None else [value]
    raise NotPure
