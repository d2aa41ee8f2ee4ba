"""Lua scripts, read from the package that uses them, and named by their SHA-1 as Redis does."""

from hashlib import sha1
from importlib.resources import files


class Script:
    """One script: its text, and the SHA-1 by which a server finds it (EVALSHA)."""

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest()


def read_lua(package: str, name: str) -> str:
    """Return the text of `lua/{name}.lua` in the package of this name."""
    return (files(package) / "lua" / f"{name}.lua").read_text("utf-8")
