"""The result of a check: a mark, one sentence and the fix; and the texts that no output may have."""

from collections.abc import Iterable, Mapping
from typing import Literal

from msgspec import Struct

from pusher_server.diagnosis.printable import printable
from pusher_server.doctor.causes import CAUSES

Mark = Literal["✓", "✗", "?"]

#: Characters of a text from the network in a sentence.
_SHOWN = 200


class Result(Struct, frozen=True, omit_defaults=True):
    """One check. `cause` is the name of a row of `CAUSES`, "" for ✓."""

    check: str
    mark: Mark
    sentence: str
    fix: str = ""
    link: str = ""
    cause: str = ""


def good(check: str, sentence: str) -> Result:
    """Return a check that holds."""
    return Result(check, "✓", sentence)


def fault(check: str, cause: str, **seen: object) -> Result:
    """Return a check with a cause of the table, whose templates `seen` fills in."""
    row = CAUSES[cause]
    values = {name: printable(str(value), _SHOWN) for name, value in seen.items()}
    if "reason" in values:  # some of OpenSSL's end with a dot, and so does the sentence
        values["reason"] = values["reason"].rstrip(".")
    return Result(
        check,
        "✗" if row.is_fault else "?",
        row.sentence.format_map(values),
        row.fix.format_map(values),
        row.link,
        cause,
    )


def left_out(check: str, reason: str, fix: str) -> Result:
    """Return a check that could not be made."""
    return fault(check, "left_out", reason=reason, fix=fix)


class Mask:
    """Replaces values that nobody may read by the names of their variables.

    A program's argument is visible anyway, so a value that is part of `arguments` is not replaced. Words and
    values of fewer than `SHORTEST` characters are not either: no sentence is made of them.
    """

    SHORTEST = 6

    def __init__(self, values: Mapping[str, str], arguments: Iterable[str] = ()) -> None:
        public = "\n".join(arguments)
        hidden = {
            value: name
            for name, value in values.items()
            if len(value) >= self.SHORTEST and not (value.isalpha() and value.islower())
        }
        self._hidden = sorted(
            ((value, name) for value, name in hidden.items() if value not in public),
            key=lambda pair: -len(pair[0]),
        )

    def text(self, text: str) -> str:
        """Return the text with names in the place of values."""
        for value, name in self._hidden:
            text = text.replace(value, name)
        return text

    def result(self, result: Result) -> Result:
        """Return the result with names in the place of values."""
        return Result(
            result.check,
            result.mark,
            self.text(result.sentence),
            self.text(result.fix),
            result.link,
            result.cause,
        )

    def __repr__(self) -> str:
        return f"Mask({len(self._hidden)} values)"
