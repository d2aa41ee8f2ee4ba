"""Resources that this process uses: memory, CPU, files. Outside Linux some numbers stay 0."""

import os
import sys
import time
from pathlib import Path

from msgspec import Struct

_OWN_FILES = "/proc/self/fd"
_STARTED = time.time()
#: Files that are no client: listeners, event loop, logs, links, databases, webhooks, operators.
RESERVED_FILES = 64
#: cgroup v2, then v1: the limit of a container, in bytes or `max`.
_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class ProcessStats(Struct, frozen=True):
    """Bytes, seconds, numbers of files, Unix time."""

    memory: int
    cpu_seconds: float
    open_files: int
    max_files: int
    started: float


def own_stats() -> ProcessStats:
    """The numbers of this process. Some 20 µs on Linux 6.2 or newer; before, 4 ms with 10,000 open files."""
    return ProcessStats(
        memory=_memory(),
        cpu_seconds=time.process_time(),
        open_files=open_files(),
        max_files=_max_files(),
        started=_STARTED,
    )


def memory_limit() -> int:
    """Memory for all processes here: the container's limit, else the machine's memory; 0 if unknown."""
    limits = []
    if "SC_PHYS_PAGES" in getattr(os, "sysconf_names", ()):
        limits.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for path in _LIMITS:
        try:
            text = Path(path).read_text().strip()
        except OSError:
            continue
        if text.isdigit():
            limits.append(int(text))
    return min((limit for limit in limits if limit > 0), default=0)


def _memory() -> int:
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return _highest_memory()


def _highest_memory() -> int:
    """The highest memory so far, where the system does not give the current one."""
    try:
        import resource
    except ImportError:  # Windows
        return 0
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest * (1 if sys.platform == "darwin" else 1024)  # macOS gives it in bytes


def open_files(*, listing: bool = True) -> int:
    """The number of open files, 0 if unknown. `listing`: count them where the kernel gives no number."""
    try:
        return os.stat(_OWN_FILES).st_size or (len(os.listdir(_OWN_FILES)) if listing else 0)
    except OSError:
        return 0


def files_for_clients(limit: int) -> int:
    """How many of `limit` open files clients may have: all but the reserve, which is never more than half.

    0 is no limit and leaves room for all.
    """
    return limit - min(RESERVED_FILES, limit // 2) if limit else sys.maxsize


def _max_files() -> int:
    try:
        import resource
    except ImportError:  # Windows has no such limit
        return 0
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 0 if limit == resource.RLIM_INFINITY else limit
