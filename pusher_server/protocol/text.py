"""JSON text in its strict form: what goes out must be readable by every client.

`msgspec.Raw` leaves a value unparsed; its syntax and its escapes are checked, its UTF-8 is not [ran:
msgspec 0.22, held by `tests/unit/protocol/test_text.py`]. One relayed frame with broken UTF-8 disconnects
every browser of a channel with 1007, so a whole message or body goes through `decode` here first.
"""

from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from pusher_server.protocol.errors import MalformedText, NotUtf8

T = TypeVar("T")

_encoder = msgspec.json.Encoder(decimal_format="number")
_exact = msgspec.json.Decoder(float_hook=Decimal)
_string = msgspec.json.Decoder(str)

#: One Python object as compact JSON bytes; a Decimal keeps every digit.
encode = _encoder.encode

# ArithmeticError: Decimal refuses exponents past its range.
_UNREADABLE = (msgspec.DecodeError, RecursionError, ArithmeticError)


def decode(decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    """Decode one JSON document after checking all of it as UTF-8. Raises MalformedText, NotUtf8."""
    try:
        text.decode()
        return decoder.decode(text)
    except UnicodeDecodeError as error:
        raise NotUtf8(str(error)) from None
    except _UNREADABLE as error:
        raise MalformedText(str(error)) from None


def exact(text: bytes | str) -> Any:
    """Any JSON document as Python objects, numbers without loss. Raises MalformedText."""
    try:
        return _exact.decode(text)
    except _UNREADABLE as error:
        raise MalformedText(str(error)) from None


def stringify(text: bytes) -> bytes:
    """JSON text -> the JSON string literal that holds it (the protocol's "stringified")."""
    return encode(text.decode())


def string_literal(raw: bytes) -> bytes:
    """The value of an event's `data` as a JSON string literal (PROTOCOL §5.2, §7.2).

    `raw` is a JSON value whose UTF-8 has been checked. A string stays literally as it is: the backend's
    text is already final. Anything else is written anew, compactly and exactly, and stringified.
    Raises MalformedText.
    """
    if raw[:1] == b'"':
        return raw
    return stringify(encode(exact(raw)))


def literal_length(literal: bytes) -> int:
    """Bytes of the text inside a string literal; at most `len(literal) - 2`, less where it has escapes."""
    return len(_string.decode(literal).encode()) if b"\\" in literal else len(literal) - 2


def exceeds(literal: bytes, limit: int) -> bool:
    """Whether the text inside is longer than `limit` bytes (0 = no limit); decodes only when it may be."""
    return 0 < limit < len(literal) - 2 and literal_length(literal) > limit
