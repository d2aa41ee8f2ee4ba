"""The Lua scripts by which Redis executes the atomic steps of the outbox, one file each in `lua/`.

On a replica, or when memory is full, the shebang makes Redis refuse a script before its first command. Scripts
that free memory, and the others that a delivery needs, run with full memory, too (`allow-oom`).
"""

from pusher_server.redis.scripts import Script, read_lua

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


def load() -> dict[str, Script]:
    """Return all scripts by name."""
    shared = read_lua(__package__, "outbox")
    return {
        name: Script(f"#!lua{flags}\n{shared}\n{read_lua(__package__, name)}")
        for name, flags in _FLAGS.items()
    }
