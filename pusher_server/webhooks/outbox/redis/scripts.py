"""The Lua scripts by which Redis executes what must be atomic, one file each in `lua/`.

The shebang makes Redis refuse a script as a whole, before its first command, on a replica or when memory is
full. Those that make room again, and what delivering needs besides, run with full memory, too.
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
    """All of them by name."""
    shared = read_lua(__package__, "outbox")
    return {
        name: Script(f"#!lua{flags}\n{shared}\n{read_lua(__package__, name)}")
        for name, flags in _FLAGS.items()
    }
