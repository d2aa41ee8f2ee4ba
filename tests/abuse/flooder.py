"""The stranger: a process of its own that sends one flood after the other, as fast as the server takes it.

    python -m tests.abuse.flooder HOST PORT [--tls]

A line with a flood's name on standard input begins it, an empty line ends it; then a line of JSON says what was
sent. It never runs longer than `LONGEST` seconds, and ends with its standard input. Blocks are made beforehand,
and system calls carry a quarter of a megabyte, so that the server is the slower side.
"""

import json
import os
import select
import sys
import time
from collections.abc import Callable

from tests.abuse.connection_floods import unchecked_context
from tests.abuse.engines import Sent, engine
from tests.abuse.flood import Flood
from tests.abuse.floods import catalogue
from tests.abuse.target import Target

LONGEST = 60.0
#: Below the victim on the core that they share.
_NICE = 10


def flood_until_told(flood: Flood, target: Target, told: Callable[[], bool]) -> Sent:
    """Send until somebody says so, or for `LONGEST` seconds."""
    sent = Sent()
    sender = engine(flood, target, sent)
    end = time.monotonic() + LONGEST
    try:
        while not told() and time.monotonic() < end:
            sender.step()
    finally:
        sender.close()
    return sent


def _told() -> bool:
    return bool(select.select([sys.stdin], [], [], 0)[0])


def main(host: str, port: str, *options: str) -> None:
    """Serve lines until there are none."""
    os.nice(_NICE)
    floods = catalogue()
    target = Target(host, int(port), unchecked_context() if "--tls" in options else None)
    print("ready", flush=True)
    while line := sys.stdin.readline().strip():
        began = time.monotonic()
        sent = flood_until_told(floods[line], target, _told)
        if not sys.stdin.readline():  # the word to end it, or nobody is there any more
            return
        print(json.dumps({**vars(sent), "seconds": time.monotonic() - began}), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
