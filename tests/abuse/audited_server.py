"""`pusher-server`, that counts the work of its turns.

python -m tests.abuse.audited_server serve --config FILE
"""

import os
import runpy
import sys

from pusher_server.cli.main import main
from pusher_server.processes import child
from tests.abuse import broken_bounds, turns

#: The environment: which cores it may use, where the largest turns are written, which bound is broken if any.
CORES, TURNS, BROKEN = "ABUSE_CORES", "ABUSE_TURNS", "ABUSE_BROKEN"


def stay_on_cores() -> None:
    """The flooder and the victims have the others."""
    os.sched_setaffinity(0, {int(core) for core in os.environ[CORES].split(",")})


def audit_workers() -> None:
    """Processes that a supervisor starts begin here as well, and go on with their own module."""
    child._python = lambda: (sys.executable, "-m", "tests.abuse.audited_server")


if __name__ == "__main__":
    stay_on_cores()
    turns.count_turns(os.environ[TURNS])
    broken_bounds.apply(os.environ[BROKEN])
    if sys.argv[1] == "-m":
        del sys.argv[:2]
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
    else:
        audit_workers()
        main()
