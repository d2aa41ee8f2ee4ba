"""Lua scripts: read from the package that uses them, and named as a Redis server names them."""

from hashlib import sha1
from importlib.resources import files


class Script:
    """One script: its text, and the SHA-1 under which a server keeps it (EVALSHA)."""

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text.encode()
        self.sha = sha1(self.text, usedforsecurity=False).hexdigest()


def read_lua(package: str, name: str) -> str:
    """The text of `lua/{name}.lua` in a package of ours."""
    return (files(package) / "lua" / f"{name}.lua").read_text("utf-8")
