"""`pusher_server.migration.files`: files of others, with bounds."""

from pathlib import Path

import pytest

from pusher_server.errors import ConfigError
from pusher_server.migration.files import DEEPEST, LARGEST, parse_json, parse_toml, read_text


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a\0b", "is a binary file"),
        (b"\xff\xfea", "not UTF-8 text"),
        (b"x" * (LARGEST + 1), "is larger than"),
    ],
)
def test_no_text(tmp_path: Path, content: bytes, problem: str) -> None:
    """One sentence with the file's name."""
    file = tmp_path / "x.json"
    file.write_bytes(content)
    with pytest.raises(ConfigError, match=problem) as refused:
        read_text(file)
    assert refused.value.setting == str(file)


def test_no_file(tmp_path: Path) -> None:
    """A directory, a missing one, and one that never ends."""
    for path, problem in (
        (tmp_path, "is no file"),
        (tmp_path / "x", "no such file"),
        (Path("/dev/zero"), "is no file"),
    ):
        with pytest.raises(ConfigError, match=problem):
            read_text(path)


def test_a_text(tmp_path: Path) -> None:
    """Also with a byte order mark."""
    file = tmp_path / "x"
    file.write_bytes(b"\xef\xbb\xbfa")
    assert read_text(file) == "a"


def nested(depth: int) -> str:
    """JSON objects in each other."""
    return '{"a":' * depth + "1" + "}" * depth


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1]",
        "5",
        '{"a": NaN}',
        '{"a": 1, "a": 2}',
        nested(DEEPEST + 2),
        "[" * 99_999,
        '{"a": ' + "9" * 5_000 + "}",
    ],
)
def test_json_that_is_none(text: str) -> None:
    """Half a file, another form, nested without end, a number without end."""
    with pytest.raises(ConfigError, match=r"^x\.json: "):
        parse_json(text, "x.json")


@pytest.mark.parametrize(
    "text", ["[", "a = ", "a = 1\na = 2", "a = " + "[" * 999, "a = " + "[" * 40 + "]" * 40]
)
def test_toml_that_is_none(text: str) -> None:
    """The same."""
    with pytest.raises(ConfigError, match=r"^x\.toml: "):
        parse_toml(text, "x.toml")


def test_what_is_right_is_read() -> None:
    """Up to the bound."""
    assert parse_json(nested(DEEPEST - 1), "x")
    assert parse_toml("a.b = 1", "x") == {"a": {"b": 1}}
