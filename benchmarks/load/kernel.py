"""What the kernel knows of processes: their children, their CPU time, and whether they have come to rest."""

import contextlib
import os
import resource
import signal
import time
from collections.abc import Iterable
from pathlib import Path

#: A server that uses less than this of a core is at rest.
REST_SHARE = 0.05


def process_tree(root: int) -> list[int]:
    """The process and its descendants, parents first."""
    children: dict[int, list[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = int(stat.read_text().rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(stat.parent.name))
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """CPU time that the living threads of these processes have used."""
    total = 0
    for pid in pids:
        for task in Path(f"/proc/{pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(task.read_text().split()[0])
    return total / 1e9


def wait_for_rest(roots: Iterable[int], limit: float = 8.0) -> None:
    """Return when these servers have cleaned up after the last run (or do not, within the limit)."""
    pids = [pid for root in roots for pid in process_tree(root)]
    end = time.monotonic() + limit
    quiet = 0
    while quiet < 2 and time.monotonic() < end:
        before = cpu_seconds(pids)
        time.sleep(0.1)
        quiet = quiet + 1 if cpu_seconds(pids) - before < REST_SHARE * 0.1 else 0


def end_tree(root: int) -> None:
    """Kill a process that we started, and its descendants."""
    for pid in reversed(process_tree(root)):
        with contextlib.suppress(OSError):
            os.kill(pid, signal.SIGKILL)


def raise_file_limit(wanted: int) -> int:
    """Allow this process and its children that many open files if we may; returns what they have."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < wanted:
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, wanted))
            return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard
