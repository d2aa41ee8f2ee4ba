"""PHP's operators, signs, casts and numbers, for values that are known (php.net, "Operators")."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from pusher_server.migration.php_functions import FUNCTIONS, NotPure
from pusher_server.migration.php_tokens import Token

#: Longer texts are no setting; a text that grows with each `.` would be copied each time.
_LONGEST = 8_192


class Unknown(Struct, frozen=True):
    """A value that only PHP knows. `source` is its text in one line, `line` its place."""

    source: str
    line: int


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
    if operator in ("&&", "and", "||", "or"):
        values = (left not in FALSY, right not in FALSY)
        return all(values) if operator in ("&&", "and") else any(values)
    if operator == "." and all(isinstance(value, str | int | float) for value in (left, right)):
        joined = _text(left) + _text(right)
        if len(joined) > _LONGEST:
            raise NotPure
        return joined
    numbers = [value for value in (left, right) if type(value) in (int, float)]
    if len(numbers) == 2:
        return _calculate(operator, numbers[0], numbers[1])
    if operator in ("==", "!=") and isinstance(left, str) and isinstance(right, str):
        return (left == right) == (operator == "==")
    raise NotPure


def _calculate(operator: str, left: object, right: object) -> object:
    assert isinstance(left, int | float)
    assert isinstance(right, int | float)
    operations: Mapping[str, Callable[[], object]] = {
        "+": lambda: left + right,
        "-": lambda: left - right,
        "*": lambda: left * right,
        "==": lambda: left == right,
        "!=": lambda: left != right,
        "<": lambda: left < right,
        ">": lambda: left > right,
        "<=": lambda: left <= right,
        ">=": lambda: left >= right,
    }
    if operator not in operations:
        raise NotPure
    return operations[operator]()


def _text(value: object) -> str:
    return ("1" if value else "") if isinstance(value, bool) else str(value)


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
    if sign.text == "string" and isinstance(value, str | int | float):
        return _text(value)
    if sign.text == "array":
        return value if isinstance(value, list | dict) else [] if value is None else [value]
    raise NotPure
