"""`pusher_server.nesting`: one bound for every interpreter."""

import json
import random

import pytest

from pusher_server.nesting import DEPTH, is_too_deep


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * depth + b"1" + closing * depth


@pytest.mark.parametrize(
    ("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}"), (b'["]", ', b"]")]
)
@pytest.mark.parametrize("closed", [True, False])
def test_the_bound_holds_for_whole_and_for_unclosed_texts(
    opening: bytes, closing: bytes, closed: bool
) -> None:
    for depth in (1, DEPTH, DEPTH + 1, 1_200, 5_000, 50_000):
        text = nested(depth, opening, closing if closed else b"")
        assert is_too_deep(text) == (depth > DEPTH), depth


def test_only_brackets_outside_of_strings_count() -> None:
    flat = b"[" + b",".join([b'[{},"[[[{{{\\"["]'] * 2_000) + b"]"
    assert not is_too_deep(flat)
    assert not is_too_deep(b'"' + b"[" * 5_000 + b'"')
    assert not is_too_deep(b'"' + b"[" * 5_000), "a string that does not end"
    assert not is_too_deep(b'"' + b"[" * 5_000 + b"\\"), "an escape that does not end"
    assert is_too_deep(b'"a\\"[","' + b'"' + nested(DEPTH + 1))


def test_the_deepest_place_counts_wherever_it_is() -> None:
    wide = b"[],{}," * 10_000
    assert not is_too_deep(wide + nested(DEPTH) + wide)
    assert is_too_deep(wide + nested(DEPTH + 1) + wide)


def test_an_unclosed_string_of_quotes_takes_no_quadratic_time() -> None:
    """Each quote that begins a search to the end would take minutes here."""
    assert not is_too_deep(b"[" * 400 + b'"' + b'\\"[' * 500_000)


def test_it_agrees_with_a_model() -> None:
    """The depth as a reader of the whole text has it."""

    def grown(levels: int, source: random.Random) -> object:
        value: object = "[{"
        for _ in range(levels):
            value = source.choice(([value], {'"[': value}, ["]", value, 1]))
        return value

    for seed in range(200):
        source = random.Random(seed)
        levels = source.randint(DEPTH - 20, DEPTH + 20)
        assert is_too_deep(json.dumps(grown(levels, source)).encode()) == (levels > DEPTH), seed
