"""The Lua scripts by which Redis executes what must be atomic, one file each in `lua/`.

The shebang makes Redis refuse a script as a whole, before its first command, on a replica or when memory is
full. Those that make room again, and what delivering needs besides, run with full memory, too.
"""

from hashlib import sha1
from importlib.resources import files

_FLAGS = {
    "append": "",
    "backlog": " flags=no-writes",
    "bury": " flags=allow-oom",
    "claim": " flags=allow-oom",
    "finish": " flags=allow-oom",
    "forget": " flags=allow-oom",
    "leave_out": " flags=allow-oom",
    "log": " flags=no-writes",
    "note": " flags=allow-oom",
    "record": "",
    "release": " flags=allow-oom",
    "resend": "",
    "take": " flags=allow-oom",
}


class Script:
    """One script: its text, and the name under which a server keeps it."""

    __slots__ = ("sha", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self.sha = sha1(text.encode(), usedforsecurity=False).hexdigest()


def load() -> dict[str, Script]:
    """All of them by name."""
    shared = _lua("outbox")
    return {name: Script(f"#!lua{flags}\n{shared}\n{_lua(name)}") for name, flags in _FLAGS.items()}


def _lua(name: str) -> str:
    return (files(__package__) / "lua" / f"{name}.lua").read_text("utf-8")
