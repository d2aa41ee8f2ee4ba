"""Chooses the config file that a command reads."""

from pathlib import Path

#: Taken from the current directory when no other file is named.
USUAL_NAME = "pusher-server.toml"


def choose(named: Path | None, directory: Path) -> Path | None:
    """The file named on the command line, else the usual one if it exists, else None."""
    if named is not None:
        return named
    usual = directory / USUAL_NAME
    return usual if usual.exists() else None


def describe(path: Path | None) -> str:
    """Where the settings come from, for people."""
    return f"config file {path}" if path is not None else "embedded defaults (no config file)"
