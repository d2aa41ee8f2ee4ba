r"""Lone surrogates in JSON, against the standard library's decoder, which reads them."""

import json
import re
from time import perf_counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw, Struct

from pusher_server.protocol import messages
from pusher_server.protocol.surrogates import Veil, escaped, has_surrogate, replaced, substituted

#: The inside of a JSON string: halves in both cases, what looks like them, the mark's first letter.
pieces = st.lists(
    st.sampled_from(
        [r"\ud83d", r"\uD83D", r"\ude00", r"\uDFff", r"\ud83d\ude00", r"\\", r"\"", r"\n", r"\u0041", "ud83d",
         "ude00", "d", "~", "é", "😀", "\ufffd", r"\ufffd", r"\ud7ff", r"\ue000"]
    ),
    max_size=12,
).map("".join)  # fmt: skip


def literal(inside: str) -> bytes:
    return f'"{inside}"'.encode()


@given(inside=pieces)
def test_a_veil_hides_exactly_the_lone_halves(inside: str) -> None:
    """msgspec reads the copy of whatever the standard library reads, and nothing is lost."""
    document = literal(inside)
    meant = json.loads(document)
    veil = Veil(document)
    assert veil.hides is bool(re.search("[\ud800-\udfff]", meant))
    assert veil.hides is (veil.copy != document)
    assert veil.lift_text(msgspec.json.decode(veil.copy, type=str)) == meant
    assert veil.lift_bytes(veil.copy) == document


@given(inside=pieces)
def test_replaced_means_the_same_with_a_replacement_character(inside: str) -> None:
    document = literal(inside)
    meant = json.loads(document)
    assert json.loads(replaced(document)) == substituted(meant)
    assert msgspec.json.decode(replaced(document)) == substituted(meant)
    if not has_surrogate(meant):
        assert replaced(document) is document or replaced(document) == document


@given(text=st.text(st.characters(), max_size=20))
def test_text_with_surrogates_as_json(text: str) -> None:
    """`escaped` is read again as what it was."""
    document = escaped(json.dumps(text, ensure_ascii=False))
    assert json.loads(document) == text
    assert has_surrogate(text) is any("\ud800" <= letter <= "\udfff" for letter in text)
    assert has_surrogate(substituted(text)) is False
    assert len(substituted(text)) == len(text)


class Inner(Struct, frozen=True):
    raw: Raw
    anything: Any = None


class Outer(Struct):
    text: str
    number: int | None = None
    raw: Raw | msgspec.UnsetType = msgspec.UNSET
    texts: list[str] | None = None
    inner: list[Inner] | None = None


def test_a_veil_is_lifted_from_what_was_decoded() -> None:
    document = (
        rb'{"text":"a\ud83d","raw":{"\ud83d":["\uDC00"]},"texts":["\ude00","b"],"number":1,'
        rb'"inner":[{"raw":"\ud800","anything":"\udfff"}],"unknown":"\ud800"}'
    )
    veil = Veil(document)
    found = veil.lift(msgspec.json.decode(veil.copy, type=Outer))
    assert (found.text, found.number, found.texts) == ("a\ud83d", 1, ["\ude00", "b"])
    assert not isinstance(found.raw, msgspec.UnsetType)
    assert bytes(found.raw) == rb'{"\ud83d":["\uDC00"]}'
    assert found.inner is not None
    assert bytes(found.inner[0].raw) == rb'"\ud800"'
    assert found.inner[0].anything == "\udfff"


@pytest.mark.parametrize("size", [1_000, 100_000])
def test_a_copy_is_at_most_four_times_as_long(size: int) -> None:
    document = b'"' + rb"\ud83d" * size + b'"'
    veil = Veil(document)
    assert len(veil.copy) < 4 * len(document)
    assert veil.lift_bytes(veil.copy) == document


def test_a_text_that_holds_an_earlier_mark_is_left_alone() -> None:
    """The mark is the document's own digest: what was seen of another one means nothing."""
    seen = Veil(rb'"\ud83d"').copy
    document = seen[:-1] + rb"\ud83d" + b'"'
    veil = Veil(document)
    assert veil.lift_bytes(veil.copy) == document
    assert veil.lift_text(msgspec.json.decode(veil.copy)) == json.loads(document)


def test_a_message_of_nothing_but_halves_takes_no_longer_than_other_costly_ones() -> None:
    """Anybody may send it, as large as a message may be; decimal fractions are the measure."""
    size = 131_000

    def seconds(data: bytes) -> float:
        payload = b'{"event":"client-x","channel":"private-x","data":[%b]}' % data
        times = []
        for _ in range(5):
            before = perf_counter()
            messages.decode(payload)
            times.append(perf_counter() - before)
        return min(times)

    halves = b'"%b"' % (rb"\ud83d" * (size // 6))
    assert seconds(halves) < 4 * seconds(b",".join([b"1.1"] * (size // 4)))
