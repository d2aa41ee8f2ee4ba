"""Credentials made for one machine, kept in a file so that a restart does not change them."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from pusher_server.errors import ConfigError

NAMES = ("PUSHER_APP_ID", "PUSHER_APP_KEY", "PUSHER_APP_SECRET")


def read_or_make(file: Path) -> Mapping[str, str]:
    """The credentials in `file`, which is made (readable by its owner only) when it does not exist.

    Lines of `NAME=value`, as Laravel's `.env` takes them. Raises ConfigError.
    """
    try:
        with open(
            os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8"
        ) as new:
            new.write("".join(f"{name}={value}\n" for name, value in fresh().items()))
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigError(str(file), f"cannot be written: {error.strerror}") from None
    try:
        lines = file.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise ConfigError(str(file), "cannot be read; delete it to get new credentials") from None
    values = {name: value for name, mark, value in (line.partition("=") for line in lines) if mark}
    if not all(values.get(name) for name in NAMES):
        raise ConfigError(
            str(file), f"does not have {', '.join(NAMES)}; delete it to get new credentials"
        )
    return {name: values[name] for name in NAMES}


def fresh() -> dict[str, str]:
    """New credentials: a number, 20 hex digits as Pusher's keys have, 40 for the secret."""
    number = str(secrets.randbelow(9_000_000) + 1_000_000)
    return dict(zip(NAMES, (number, secrets.token_hex(10), secrets.token_hex(20)), strict=True))
