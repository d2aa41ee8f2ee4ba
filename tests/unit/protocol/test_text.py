"""Strict JSON: what is refused, what stays literally, what keeps its digits (docs/decisions.md#strict-json)."""

import json
from decimal import Decimal

import msgspec
import pytest

from pusher_server.nesting import DEPTH
from pusher_server.protocol import text
from pusher_server.protocol.errors import MalformedText, NotUtf8, TooDeep

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
        b'"\\ud800',
        b'"\\ud80"',
        b'"\\ud800\\x"',
        b'"\n"',
        b"[" * 100_000 + b"]" * 100_000,
    ],
)
def test_what_is_no_json_is_malformed(document: bytes) -> None:
    with pytest.raises(MalformedText):
        text.decode(ANYTHING, document)


@pytest.mark.parametrize(
    "document",
    [rb'"\ud800"', rb'"\udC00\uD800"', rb'{"\ud83d":["a\ude00"]}', rb'["\ud83d\ude00\ude00"]'],
)
def test_a_lone_surrogate_stays_as_it_was_written(document: bytes) -> None:
    assert bytes(text.decode(ANYTHING, document)) == document
    assert text.decode(msgspec.json.Decoder(str), rb'"a\ud83d"') == "a\ud83d"


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * depth + b"1" + closing * depth


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")])
@pytest.mark.parametrize("wrap", [b"%b", b'{"a":"[[[","b":%b}', b'["\\"]",%b]'])
def test_the_bound_on_nesting_is_ours(opening: bytes, closing: bytes, wrap: bytes) -> None:
    levels = DEPTH - (len(wrap) > 2)
    text.decode(ANYTHING, wrap % nested(levels, opening, closing))
    for depth in (levels + 1, levels + 100, 100_000):
        with pytest.raises(TooDeep, match="nested more than 512 levels deep"):
            text.decode(ANYTHING, wrap % nested(depth, opening, closing))


#: Depths on both sides of the limits that interpreters have: 1,000, 1,500, 10,000.
DEPTHS = (513, 900, 1_200, 3_000, 12_000)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("form", [b"%b", b"%b,", b'{"event":7,"x":%b}', b'{"x":%b,"event":7}'])
@pytest.mark.parametrize("closing", [b"]", b""])
def test_the_refusal_is_the_same_whatever_else_is_wrong(
    depth: int, form: bytes, closing: bytes
) -> None:
    """An interpreter that reads further would see the other fault first."""

    class Event(msgspec.Struct):
        event: str

    document = form % nested(depth, b"[", closing)
    for reads in (text.decode, text.decode_values):
        with pytest.raises(TooDeep, match="nested more than 512 levels deep"):
            reads(msgspec.json.Decoder(Event), document)


def test_brackets_in_strings_and_side_by_side_are_no_depth() -> None:
    flat = b"[" + b",".join([b'[{},"[[[{{{\\"["]'] * 1_000) + b"]"
    assert bytes(text.decode(ANYTHING, flat)) == flat
    string = b'"' + b"[" * 5_000 + b'"'
    text.check_depth(string, len(string))
    text.check_depth(string)


def test_what_is_written_anew_is_as_deep_as_may_come_in() -> None:
    raw = nested(DEPTH)
    assert json.loads(text.string_literal(raw)) == raw.decode()


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
    with pytest.raises(MalformedText) as caught:
        text.exact(document)
    assert "<class" not in caught.value.message


def test_any_text_is_quoted() -> None:
    """What a client sent may stand in what it is answered."""
    for each in ("a", 'é"\n', "\ud83d", "a\ude00\ud83db"):
        assert json.loads(text.quoted(each)) == each


def test_stringify_makes_a_string_literal_of_json_text() -> None:
    assert text.stringify(b'{"a":"\xc3\xa9"}') == b'"{\\"a\\":\\"\xc3\xa9\\"}"'


@pytest.mark.parametrize(
    "literal",
    [
        b'"s"',
        b'""',
        b'"null"',
        b'"a\\u00e9\\/b"',
        b'"\xc3\xa9"',
        b'"{\\"a\\": 1.0 }"',
        rb'"\ud83d"',
    ],
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
        (rb'{ "\ud83d" : ["\uDE00", 1.10] }', r'{"\ud83d":["\uDE00",1.10]}'),
    ],
)
def test_other_values_are_written_compactly_and_exactly(raw: bytes, inside: str) -> None:
    assert json.loads(text.string_literal(raw)) == inside


@pytest.mark.parametrize("raw", [b"nul", b"[1", b'{"a":"\\ud800"', b"[" * 100_000])
def test_what_is_no_value_is_malformed(raw: bytes) -> None:
    with pytest.raises(MalformedText):
        text.string_literal(raw)


@pytest.mark.parametrize(
    ("literal", "length"),
    [
        (b'""', 0),
        (b'"abc"', 3),
        (b'"\xc3\xa9"', 2),
        (b'"\\u00e9"', 2),
        (b'"\\n\\"\\/"', 3),
        (rb'"a\ud83d"', 4),
        (rb'"\ud83d\ude00"', 4),
        (rb'"\ude00\ud83d"', 6),
    ],
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
