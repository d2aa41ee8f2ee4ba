"""`pusher_server.migration.numbers`: as the other languages read them."""

import pytest

from pusher_server.migration.numbers import (
    javascript_float,
    javascript_int,
    names,
    php_truthy,
    truthy,
    whole,
)


@pytest.mark.parametrize(
    ("value", "integer", "decimal"),
    [
        ("12abc", 12, 12.0),
        (" -3.9", -3, -3.9),
        ("1e3", 1, 1_000.0),
        (2.7, 2, 2.7),
        (None, None, None),
        (True, None, None),
        ("abc", None, None),
        ("", None, None),
        ([], None, None),
        (10**20, None, None),
        (".", None, None),
    ],
)
def test_javascript(value: object, integer: int | None, decimal: float | None) -> None:
    """`parseInt` and `parseFloat`."""
    assert javascript_int(value) == integer
    assert javascript_float(value) == decimal


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("12", 12),
        (" 12 ", 12),
        ("-1", -1),
        ("12abc", None),
        (1.0, 1),
        (1.5, None),
        (None, None),
        (True, 1),
        ("9" * 30, None),
    ],
)
def test_whole(value: object, number: int | None) -> None:
    """A number and nothing else."""
    assert whole(value) == number


def test_truth() -> None:
    """ "0" is false in PHP alone, an empty array true in JavaScript alone."""
    assert (truthy("0"), php_truthy("0")) == (True, False)
    assert (truthy([]), php_truthy([])) == (True, False)
    assert not any((truthy(value) or php_truthy(value)) for value in (0, None, "", False, 0.0))


def test_names() -> None:
    """Lists, and texts with commas."""
    assert names("a, b,,") == ["a", "b"]
    assert names(["a", 5, ""]) == ["a", "5"]
    assert names(None) == []
    assert names({"a": 1}) is None
    assert names([["a"]]) is None
