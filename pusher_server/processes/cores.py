"""Counts the cores that this process may use, for `workers = "auto"`."""

import math
import os
from pathlib import Path

from pusher_server.config import ServerSettings
from pusher_server.errors import ConfigError

#: Where a container's share of the processors stands (cgroup v2): "200000 100000" are two cores.
_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def worker_count(settings: ServerSettings) -> int:
    """The number of processes that `server.workers` sets. Raises ConfigError."""
    count = usable_cores() if settings.workers == "auto" else int(settings.workers)
    if count > 1 and os.name != "posix":
        raise ConfigError("server.workers", f"is {count}; only 1 works on this operating system")
    return count


def usable_cores(quota_file: Path = _QUOTA) -> int:
    """Cores that the scheduler gives us, no more than the container's quota rounded up; at least 1."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        cores = os.cpu_count() or 1
    return max(1, min(cores, math.ceil(_quota(quota_file, cores))))


def _quota(path: Path, otherwise: float) -> float:
    try:
        most, period = path.read_text().split()
        return int(most) / int(period)
    except (OSError, ValueError, ZeroDivisionError):  # no such file, or "max": no quota
        return otherwise
