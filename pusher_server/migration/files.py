"""Reads other servers' files as text, with bounds: size, encoding, depth. Each refusal is one sentence."""

import tomllib
from pathlib import Path

from pusher_server.config import json_text
from pusher_server.errors import ConfigError

#: The largest file that is read. sockudo's own example, the longest of them, has 21 kB.
LARGEST = 1_048_576
#: Tables inside tables. The deepest real one, sockudo's app policy, has 8.
DEEPEST = 32


def read_text(path: Path) -> str:
    """The text of a file. Raises ConfigError, which names the file."""
    name = str(path)
    try:
        if not path.is_file():
            problem = "is no file" if path.exists() else "no such file"
            raise ConfigError(
                name, f"{problem}; name the configuration of the server you come from"
            )
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except OSError as error:
        raise ConfigError(name, f"cannot be read: {error.strerror}") from None
    if len(content) > LARGEST:
        raise ConfigError(name, f"is larger than {LARGEST} bytes, so it is no configuration")
    if b"\0" in content:
        raise ConfigError(name, "is a binary file, not text")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(name, f"not UTF-8 text (byte {error.start}); save it as UTF-8") from None


def parse_json(text: str, name: str) -> dict[str, object]:
    """The object in a JSON text. Raises ConfigError."""
    try:
        parsed = json_text.parse_json(text)
    except ValueError as error:
        raise ConfigError(name, str(error)) from None
    return _checked(parsed, name, "a JSON object")


def parse_toml(text: str, name: str) -> dict[str, object]:
    """The table in a TOML text. Raises ConfigError."""
    try:
        parsed = tomllib.loads(text)
    except RecursionError:
        raise _too_deep(name) from None
    except ValueError as error:
        raise ConfigError(name, f"not valid TOML: {error}") from None
    return _checked(parsed, name, "a TOML table")


def _too_deep(name: str) -> ConfigError:
    return ConfigError(
        name, f"is nested more than {DEEPEST} levels deep, so it is no configuration"
    )


def _checked(parsed: object, name: str, expected: str) -> dict[str, object]:
    if not isinstance(parsed, dict):
        raise ConfigError(name, f"has no settings: expected {expected} at its top")
    level: list[object] = [parsed]
    for _ in range(DEEPEST):
        below: list[object] = []
        for value in level:
            if isinstance(value, dict):
                below.extend(value.values())
            elif isinstance(value, list):
                below.extend(value)
        if not below:
            return parsed
        level = below
    raise _too_deep(name)
