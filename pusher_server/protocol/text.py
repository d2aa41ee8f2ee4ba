"""JSON text in its strict form, so that every client can read the messages to it.

`msgspec.Raw` leaves a value unparsed; its syntax and its escapes are checked, its UTF-8 is not
(msgspec 0.22, `tests/unit/protocol/test_text.py`). One relayed frame with broken UTF-8 would
disconnect every browser of a channel with 1007. So `decode` here checks a whole message or body first.
"""

import json
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any, TypeVar

import msgspec

from pusher_server.nesting import DEPTH, SHALLOW, is_too_deep
from pusher_server.protocol.errors import MalformedText, NotUtf8, TooDeep
from pusher_server.protocol.surrogates import Veil, replaced

T = TypeVar("T")

_encoder = msgspec.json.Encoder(decimal_format="number")
_exact = msgspec.json.Decoder(float_hook=Decimal)
_string = msgspec.json.Decoder(str)

#: One Python object as compact JSON bytes; a Decimal keeps every digit.
encode = _encoder.encode

_QUOTE = ord('"')
# ArithmeticError: Decimal refuses exponents past its range.
_UNREADABLE = (msgspec.DecodeError, RecursionError, ArithmeticError)


def decode(decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    """Decode one JSON document after checking all of it: its UTF-8, its syntax, its depth.

    A lone surrogate comes out as it was written: in a `str` as one, in a `Raw` as its escape.
    Raises MalformedText, NotUtf8, TooDeep.
    """
    return _shallow(read(decoder, text), text)


def decode_values(decoder: msgspec.json.Decoder[T], text: bytes) -> T:
    """`decode` for a struct whose fields may be any value, but no `Raw`: cheaper with lone surrogates.

    Integers may have another value. Raises MalformedText, NotUtf8, TooDeep.
    """
    return _shallow(read(decoder, text, _read_values), text)


def _shallow(document: T, text: bytes) -> T:
    if len(text) > SHALLOW:
        check_depth(text)
    return document


def read(
    decoder: msgspec.json.Decoder[T],
    text: bytes,
    otherwise: Callable[[msgspec.json.Decoder[T], bytes, Exception], T] | None = None,
) -> T:
    """`decode` for a caller that uses `check_depth` then, and knows which part of the text is one string.

    `otherwise` reads a text that msgspec has refused.
    """
    try:
        text.decode()
        return decoder.decode(text)
    except UnicodeDecodeError as error:
        raise NotUtf8(str(error)) from None
    except RecursionError:
        raise TooDeep(DEPTH) from None
    except _UNREADABLE as error:
        if is_too_deep(text):  # another interpreter would not have come so far
            raise TooDeep(DEPTH) from None
        return (otherwise or _read_veiled)(decoder, text, error)


def _read_veiled(decoder: msgspec.json.Decoder[T], text: bytes, refusal: Exception) -> T:
    """Decode a text that msgspec has refused, unless the reason is something else than lone surrogates."""
    veil = Veil(text)
    if not veil.hides:
        raise _malformed(refusal) from None
    try:
        return veil.lift(decoder.decode(veil.copy))
    except _UNREADABLE as error:
        raise _malformed(error) from None


def _read_values(decoder: msgspec.json.Decoder[T], text: bytes, refusal: Exception) -> T:
    """Decode with the standard library, which reads lone surrogates; every integer becomes 0."""
    try:
        value = json.loads(
            text, parse_constant=_refuse, parse_float=_finite, parse_int=_some_integer
        )
        return msgspec.convert(value, decoder.type)
    except (ValueError, RecursionError):
        raise _malformed(refusal) from None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def _finite(number: str) -> float:
    if math.isinf(value := float(number)):
        raise ValueError("a number is out of range")
    return value


def _some_integer(number: str) -> int:
    return 0  # the value is not used, and thousands of digits would take time


def string_bytes(value: msgspec.Raw | msgspec.UnsetType) -> int:
    """The length of a value in bytes if it is a string; else 0."""
    if isinstance(value, msgspec.UnsetType):
        return 0
    view = memoryview(value)
    return view.nbytes if view.nbytes and view[0] == _QUOTE else 0


def check_depth(text: bytes, in_strings: int = 0) -> None:
    """Refuse valid JSON that is nested too deeply; `in_strings` bytes of it are known to be strings.

    Raises TooDeep.
    """
    if len(text) - in_strings > SHALLOW and is_too_deep(text):
        raise TooDeep(DEPTH)


def exact(text: bytes | str) -> Any:
    """Any JSON document as Python objects, numbers without loss. Raises MalformedText."""
    try:
        return _exact.decode(text)
    except _UNREADABLE as error:
        raise _malformed(error) from None


def rewritten(raw: bytes, **members: str) -> bytes:
    """A JSON value written anew, compactly and exactly; in an object, with these members as given.

    Raises MalformedText.
    """
    veil = None
    try:
        value = exact(raw)
    except MalformedText:
        veil = Veil(raw)
        if not veil.hides:
            raise
        value = exact(veil.copy)
    written = encode({**value, **members} if members else value)
    return written if veil is None else veil.lift_bytes(written)


def _malformed(error: Exception) -> MalformedText:
    match error:
        case RecursionError():
            return TooDeep(DEPTH)
        case ArithmeticError():
            return MalformedText("A number is out of range")
    return MalformedText(str(error))


def quoted(text: str) -> bytes:
    """Any `str` as a JSON string literal, surrogates as escapes; `encode` refuses those."""
    try:
        return encode(text)
    except UnicodeEncodeError:
        return json.dumps(text).encode()


def stringify(text: bytes) -> bytes:
    """JSON text -> the JSON string literal that holds it (the protocol's "stringified")."""
    return encode(text.decode())


def string_literal(raw: bytes) -> bytes:
    """The value of an event's `data` as a JSON string literal (docs/protocol/http-api.md#data).

    `raw` is a JSON value whose UTF-8 has been checked. A string stays literally as it is: the backend's
    text is already final. Anything else is written anew, compactly and exactly, and stringified.
    Raises MalformedText.
    """
    if raw[:1] == b'"':
        return raw
    try:
        return stringify(encode(_exact.decode(raw)))
    except _UNREADABLE:  # once more, to see whether it is for lone surrogates alone
        return stringify(rewritten(raw))


def literal_length(literal: bytes) -> int:
    """Bytes of the text inside a string literal; at most `len(literal) - 2`, less where it has escapes."""
    if b"\\" not in literal:
        return len(literal) - 2
    try:
        return len(_string.decode(literal).encode())
    except msgspec.DecodeError:  # a lone surrogate, which counts as U+FFFD would
        return len(_string.decode(replaced(literal)).encode())


def exceeds(literal: bytes, limit: int) -> bool:
    """Whether the text inside is longer than `limit` bytes (0 = no limit); decodes only when it may be."""
    return 0 < limit < len(literal) - 2 and literal_length(literal) > limit
