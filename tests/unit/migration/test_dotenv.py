"""`pusher_server.migration.dotenv`: the rules of vlucas/phpdotenv 5."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pusher_server.errors import ConfigError
from pusher_server.migration.dotenv import parse


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=b", "b"),
        ("A = b ", "b"),
        ("export A=b", "b"),
        ("A=", ""),
        ("A=b c", "b c"),
        ("A=b # comment", "b"),
        ("A=b#c", "b"),
        ('A="b#c"#d', "b#c"),
        ("A=b\u2028c", "b\u2028c"),
        ("A=#c", ""),
        ("A='b # c'", "b # c"),
        ("A='b\\n${B}'", "b\\n${B}"),
        ('A="b\\n\\"c\\" # d" # e', 'b\n"c" # d'),
        ('A="b\nc"', "b\nc"),
        ('A="\\${B}"', "${B}"),
        ("B=x\nA=${B}y", "xy"),
        ('B=x\nA="${B}y"', "xy"),
        ("A=${NOWHERE}", "${NOWHERE}"),
        ("A=1\nA=2", "2"),
        ("\ufeff# c\n\n  A=b", "b"),
        ("A=b\r\nC=d\r\n", "b"),
        ("UNSET\nA=b", "b"),
    ],
)
def test_values(text: str, expected: str) -> None:
    """With quotes, comments and references."""
    assert parse(text.removeprefix("\ufeff"), ".env", expand=True)["A"] == expected


def test_a_reference_takes_the_variable_of_the_process() -> None:
    """Before that of an earlier line, which Laravel does not let replace it."""
    parsed = parse("B=x\nA=${B}${C}", ".env", expand=True, environ={"B": "b", "C": "c"})
    assert parsed == {"B": "x", "A": "bc"}


def test_without_expansion_references_are_text() -> None:
    """As npm's dotenv has them."""
    assert parse('B=x\nA="${B}\\$"', ".env", expand=False)["A"] == "${B}$"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("{", r"\.env: line 1 is no NAME=value"),
        ("A=b\n<?php", r"\.env: line 2 is no NAME=value"),
        ("A='b", r"\.env, line 1: a quote is opened"),
        ('A="b\nC=d', r"\.env, line 1: a quote is opened"),
        ("A B=c", r"\.env: line 1 is no NAME=value"),
        ("A=" + "x" * 60_000 + "\nB=" + "${A}" * 200_000, r"\.env: a value grows beyond"),
        (
            "A=" + "x" * 100 + "".join("\nA=${A}${A}" for _ in range(30)),
            r"\.env: a value grows beyond",
        ),
    ],
)
def test_another_text_is_one_sentence(text: str, problem: str) -> None:
    """That names file and line, and no value."""
    with pytest.raises(ConfigError, match=f"^{problem}"):
        parse(text, ".env", expand=True)


@given(st.text(alphabet="AB=\"'\\${}# \n\rn", max_size=100))
def test_any_text_is_read_or_refused(text: str) -> None:
    """With the one error that the command line knows."""
    try:
        values = parse(text, ".env", expand=True)
    except ConfigError:
        return
    assert all(isinstance(value, str) for value in values.values())
