"""The Lua scripts by which a Redis server executes the atomic steps of a store.

Each script is one file in `lua/`, behind the store's settings and the parts that it shares with other scripts.
On a replica, or when memory is full, the shebang makes Redis refuse a script before its first command. Without
a shebang the script would stop in the middle.
"""

from pusher_server.cluster.commands import SWEEP
from pusher_server.cluster.last_events import ENTRY_BYTES, EVICTED_AT_ONCE, PAST_AT_ONCE
from pusher_server.cluster.memory.announcements import AT_ONCE, REMEMBERED
from pusher_server.cluster.wire import WIRE
from pusher_server.redis.scripts import Script, read_lua

#: Lua for the time in seconds and microseconds. It is the store's clock, so the nodes' clocks may differ.
SERVER_CLOCK = "redis.call('TIME')"

_WRITING = {"track", "report_gone", "remember"}
_RELEASING = {"enter", "renew", "retire", "untrack"}
_READING = {"snapshot", "tally", "recall"}


class Scripts:
    """All scripts of a store, by their name. `lease` and `undo_window` are seconds.

    `sharded`: transitions are published with SPUBLISH, for a Redis Cluster. `clock` is Lua, for tests.
    """

    def __init__(
        self,
        *,
        lease: float,
        undo_window: float,
        sharded: bool = False,
        clock: str = SERVER_CLOCK,
    ) -> None:
        settings = (
            f"local LEASE, UNDO, SWEEP, WIRE = {_micros(lease)}, {_micros(undo_window)}, {SWEEP}, {WIRE}\n"
            f"local REMEMBERED, AT_ONCE = {REMEMBERED}, {AT_ONCE}\n"
            f"local ENTRY_BYTES, PAST_AT_ONCE = {ENTRY_BYTES}, {PAST_AT_ONCE}\n"
            f"local EVICTED_AT_ONCE = {EVICTED_AT_ONCE}\n"
            f"local PUBLISH = '{'SPUBLISH' if sharded else 'PUBLISH'}'\n"
            f"local function clock() return {clock} end\n"
        )
        shared, leaving = _lua("store"), _lua("leaving")
        self.by_name: dict[str, Script] = {}
        for name in sorted(_WRITING | _RELEASING | _READING):
            shebang = "#!lua flags=no-writes\n" if name in _READING else "#!lua\n"
            before = shared + leaving if name in _RELEASING | {"report_gone"} else shared
            self.by_name[name] = Script(shebang + settings + before + _lua(name))


def _lua(name: str) -> str:
    return read_lua(__package__, name)


def _micros(seconds: float) -> int:
    return round(seconds * 1_000_000)
