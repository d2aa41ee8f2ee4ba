"""Strict JSON: what is refused, what stays literally, what keeps its digits (DESIGN §16.2)."""

import json
from decimal import Decimal

import msgspec
import pytest

from pusher_server.protocol import text
from pusher_server.protocol.errors import MalformedText, NotUtf8

ANYTHING = msgspec.json.Decoder(msgspec.Raw)


def test_msgspec_leaves_utf_8_in_raw_values_unchecked() -> None:
    """The reason for `decode`: when this fails, its own check can go."""
    assert bytes(ANYTHING.decode(b'"\xff"')) == b'"\xff"'


@pytest.mark.parametrize("document", [b'"\xff"', b'"\xed\xa0\x80"', b'"\xc0\xaf"', b"\xef\xbb"])
def test_bytes_that_are_not_utf_8_are_told_apart(document: bytes) -> None:
    with pytest.raises(NotUtf8):
        text.decode(ANYTHING, document)


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{",
        b"NaN",
        b"Infinity",
        b"{'a':1}",
        b'{"a":1}x',
        b"01",
        b'"\\ud800"',
        b'"\\udc00\\ud800"',
        b'"\n"',
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_what_is_no_json_is_malformed(document: bytes) -> None:
    with pytest.raises(MalformedText):
        text.decode(ANYTHING, document)


def test_an_exact_value_keeps_all_digits() -> None:
    assert text.exact("[0.1000, 12345678901234567890123, 7]") == [
        Decimal("0.1000"),
        12345678901234567890123,
        7,
    ]


@pytest.mark.parametrize(
    "document", ["", "nul", b"[" * 100_000, "1e99999999999999999999", "9" * 5_000]
)
def test_what_cannot_be_read_exactly_is_malformed(document: bytes | str) -> None:
    with pytest.raises(MalformedText):
        text.exact(document)


def test_stringify_makes_a_string_literal_of_json_text() -> None:
    assert text.stringify(b'{"a":"\xc3\xa9"}') == b'"{\\"a\\":\\"\xc3\xa9\\"}"'


@pytest.mark.parametrize(
    "literal", [b'"s"', b'""', b'"null"', b'"a\\u00e9\\/b"', b'"\xc3\xa9"', b'"{\\"a\\": 1.0 }"']
)
def test_a_string_stays_literally_as_it_is(literal: bytes) -> None:
    assert text.string_literal(literal) is literal


@pytest.mark.parametrize(
    ("raw", "inside"),
    [
        (b"null", "null"),
        (b"true", "true"),
        (b"1", "1"),
        (b"1.10", "1.10"),
        (b"12345678901234567890.5", "12345678901234567890.5"),
        (b'{ "a" : [ 1, 2.50 ], "b":"\\u00e9" }', '{"a":[1,2.50],"b":"é"}'),
        (b'{"a":1,"a":2}', '{"a":2}'),
    ],
)
def test_other_values_are_written_compactly_and_exactly(raw: bytes, inside: str) -> None:
    assert json.loads(text.string_literal(raw)) == inside


@pytest.mark.parametrize("raw", [b"nul", b"[1", b'{"a":"\\ud800"}', b"[" * 100_000])
def test_what_is_no_value_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedText):
        text.string_literal(raw)


@pytest.mark.parametrize(
    ("literal", "length"),
    [(b'""', 0), (b'"abc"', 3), (b'"\xc3\xa9"', 2), (b'"\\u00e9"', 2), (b'"\\n\\"\\/"', 3)],
)
def test_the_length_of_a_literal_is_that_of_its_text(literal: bytes, length: int) -> None:
    assert text.literal_length(literal) == length


def test_a_limit_counts_the_text_and_not_its_escapes() -> None:
    escaped = b'"' + b"\\u0061" * 10 + b'"'
    assert not text.exceeds(escaped, 10)
    assert text.exceeds(escaped, 9)
    assert not text.exceeds(b'"abc"', 3)
    assert text.exceeds(b'"abc"', 2)
    assert not text.exceeds(b'"' + b"x" * 1_000 + b'"', 0)
