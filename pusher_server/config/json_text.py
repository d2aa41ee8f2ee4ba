"""Reads JSON that an operator or a program has written as a setting: in a variable or in a column."""

import json

from pusher_server.nesting import DEPTH, is_too_deep


def parse_json(text: str) -> object:
    """A JSON document as Python objects. Raises ValueError with words that follow the setting's name.

    They hold nothing of the text, which may have secrets.
    """
    if is_too_deep(text.encode(errors="replace")):
        raise ValueError(f"is nested more than {DEPTH} levels deep")
    try:
        value = json.loads(text, parse_constant=_no_json, object_pairs_hook=_object)
        json.dumps(value, ensure_ascii=False).encode()
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ValueError(f"is not valid JSON: {error.msg} at {place}") from None
    except UnicodeEncodeError:
        raise ValueError("is not valid JSON: it has half a surrogate pair") from None
    except _Refused as error:
        raise ValueError(str(error)) from None
    except ValueError:  # more digits than an integer may have
        raise ValueError("is not valid JSON: a number is too long") from None
    return value


class _Refused(ValueError):
    """A text that Python reads, with words."""


def _no_json(constant: str) -> object:
    raise _Refused(f"is not valid JSON: {constant} is no number")


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object whose names differ, as TOML has it too: the last one would win silently."""
    table = dict(pairs)
    if len(table) < len(pairs):
        names = [name for name, _ in pairs]
        double = next(name for name in names if names.count(name) > 1)
        raise _Refused(f"has the name {double[:40]!r} twice in one object")
    return table
