r"""Lone surrogates: halves of a UTF-16 pair, which JSON can write as `\ud83d` and UTF-8 cannot (RFC 8259 §8.2).

JavaScript writes one when it cuts a text within an emoji. Data that is relayed without being read keeps it,
byte for byte. Data that becomes part of other JSON gets U+FFFD instead. Names and ids may not have any.

msgspec refuses the escape, so a document with one is decoded from a veiled copy. Then the veil is lifted from
the decoded values (`Veil`). Nothing here runs for a document that msgspec reads.
"""

import json
import re
from hashlib import blake2b
from typing import TypeVar, cast

from msgspec import Raw, Struct, structs

T = TypeVar("T")

# An escaped backslash is hidden while escapes are looked for. It must keep its length, and UTF-8 has no 0xFF.
_BACKSLASH, _HIDDEN = rb"\\", b"\xff\xff"

#: The backslash of a high half that no low one follows, or of a low half that follows no high one. The match
#: ends with the backslash: if the digits had to be put back, it would take nine times as long (measured).
_LONE = re.compile(
    rb"\\(?=u[dD](?:"
    rb"[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2}))"
)
_LONE_ESCAPE = re.compile(_LONE.pattern + rb"u[0-9a-fA-F]{4}")
_IN_TEXT = re.compile("[\ud800-\udfff]")


def has_surrogate(text: str) -> bool:
    """Whether a `str` holds a surrogate; in a `str` each one is lone."""
    return not text.isascii() and _IN_TEXT.search(text) is not None


def substituted(text: str) -> str:
    """U+FFFD for each surrogate, as UTF-8 encoders of the Encoding Standard write them (Node, browsers)."""
    return _IN_TEXT.sub("\ufffd", text)


def escaped(json_text: str) -> bytes:
    r"""JSON text as UTF-8; a surrogate in it becomes its escape `\ud83d`, which means the same."""
    return json_text.encode("utf-8", "backslashreplace")


def replaced(document: bytes) -> bytes:
    r"""JSON in UTF-8 with `\ufffd` for each lone surrogate."""
    return _sub(_LONE_ESCAPE, rb"\\ufffd", document) if rb"\u" in document else document


class Veil:
    """A copy of JSON in UTF-8 that has a mark for the backslash of each lone surrogate.

    The mark is made from the document's own digest (64 bits), so no document holds its mark already. A copy is
    at most four times as long.
    """

    def __init__(self, document: bytes) -> None:
        # `~` is no escape, so a backslash before the mark is an error as it would be before a backslash gone.
        self._mark = "~" + blake2b(document, digest_size=8).hexdigest()
        mark = self._mark.encode()
        self.copy = _sub(_LONE, mark, document) if rb"\u" in document else document
        #: Whether the document has a lone surrogate.
        self.hides = self.copy != document

    def lift_bytes(self, part: bytes) -> bytes:
        """JSON from the copy as it stood in the document."""
        return part.replace(self._mark.encode(), b"\\")

    def lift_text(self, text: str) -> str:
        """A decoded string, with surrogates where the document has them."""
        written: str = json.loads(json.dumps(text, ensure_ascii=False).replace(self._mark, "\\"))
        return written

    def lift(self, value: T) -> T:
        """Return a decoded value without the veil: strings and `Raw`, also in structs and lists of these."""
        lifted: object = value
        if isinstance(value, Struct):
            names = value.__struct_fields__
            changed = {name: self.lift(getattr(value, name)) for name in names}
            lifted = structs.replace(value, **changed)
        elif isinstance(value, list):
            lifted = [item if isinstance(item, list) else self.lift(item) for item in value]
        elif isinstance(value, Raw):
            lifted = Raw(self.lift_bytes(bytes(value)))
        elif isinstance(value, str):
            lifted = self.lift_text(value)
        return cast("T", lifted)


def _sub(pattern: re.Pattern[bytes], template: bytes, document: bytes) -> bytes:
    hidden = document.replace(_BACKSLASH, _HIDDEN)
    return pattern.sub(template, hidden).replace(_HIDDEN, _BACKSLASH)
