"""`pusher-server`, with an observer that writes down what happens.

    python -m tests.chaos.observed_server serve --config FILE

The product is not changed: every `Node` that the process makes gets one more observer, as webhooks will be
one. Each signal is a line of JSON, appended in one write, so that several processes share the file and a
killed one leaves whole lines. Time is the monotonic clock, which all processes of a machine share.
"""

import json
import os
import runpy
import sys
import time
from typing import Any

from pusher_server.cli.main import main
from pusher_server.node.node import Node
from pusher_server.processes import child
from pusher_server.signals import (
    ChannelOccupied,
    ChannelVacated,
    ConnectionOpened,
    EventPublished,
    MemberAdded,
    MemberRemoved,
    Settled,
    Signal,
)
from tests.chaos import broken_rules

#: Where the lines go, and which rule is broken, if any.
FILE, BROKEN = "CHAOS_SIGNALS", "CHAOS_BROKEN_RULE"

#: The least field that tells them apart, by kind.
_FIELDS: dict[type[Signal], tuple[str, ...]] = {
    ChannelOccupied: ("channel",),
    ChannelVacated: ("channel",),
    MemberAdded: ("channel", "user_id"),
    MemberRemoved: ("channel", "user_id"),
    ConnectionOpened: ("socket_id",),
    EventPublished: ("channel", "event"),
}


class SignalWriter:
    """An observer."""

    def __init__(self, path: str) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def __call__(self, signal: Signal) -> None:
        """Append one line, if anybody needs to know."""
        fields = _FIELDS.get(type(signal))
        if fields is not None:
            names = [getattr(signal, name) for name in fields]
            told = signal.id if isinstance(signal, Settled) else ""
            kind = type(signal).__name__
            line = [round(time.monotonic(), 4), os.getpid(), kind, told, *names]
            os.write(self._file, json.dumps(line).encode() + b"\n")


def observe_every_node(path: str) -> None:
    """From now on, nodes of this process (and of those it forks) are observed."""
    original = Node.__init__

    def observed(self: Node, *arguments: Any, **options: Any) -> None:
        original(self, *arguments, **options)
        self.observe(SignalWriter(path))

    Node.__init__ = observed  # type: ignore[method-assign]


def observe_workers() -> None:
    """Processes that a supervisor starts begin here as well, and go on with their own module."""
    child._python = lambda: (sys.executable, "-m", "tests.chaos.observed_server")


if __name__ == "__main__":
    observe_every_node(os.environ[FILE])
    broken_rules.apply(os.environ.get(BROKEN, ""))
    if sys.argv[1] == "-m":
        del sys.argv[:2]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        observe_workers()
        main()
