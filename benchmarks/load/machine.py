"""On what and with what was measured: for the head of every page that carries numbers."""

import importlib.metadata
import json
import os
import platform
import subprocess
import time
from pathlib import Path

from benchmarks.load.contestants import SOKETI_HOME, TOP

PACKAGES = ("uvloop", "uvicorn", "httptools", "msgspec", "websockets")


def conditions(*, soketi: bool = True, redis: bool = False) -> dict[str, str]:
    """What a reader needs to compare: each entry is one line."""
    found = {
        "date": time.strftime("%Y-%m-%d"),
        "commit": commit(),
        "machine": f"{_processor()}, {os.cpu_count()} cores, {_memory_gb()} GB",
        "system": f"{platform.system()} {platform.release()}, {_distribution()}, TCP {_congestion()}",
        "Python": f"{platform.python_version()}, " + ", ".join(_packages()),
    }
    return found | (_soketi() if soketi else {}) | (_redis() if redis else {})


def commit(home: Path = TOP) -> str:
    """The commit of a checkout, and whether files differ from it."""
    return _git(home, "rev-parse", "--short=10", "HEAD") + (
        " with changes" if _git(home, "status", "--porcelain", "--untracked-files=no") else ""
    )


def _git(home: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=home, capture_output=True, text=True)
    except OSError:
        return "unknown"
    return done.stdout.strip() if done.returncode == 0 else "unknown"


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _memory_gb() -> int:
    return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30)


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except (OSError, KeyError):
        return "unknown distribution"


def _congestion() -> str:
    """How TCP paces itself: part of what a send costs."""
    try:
        return Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text().strip()
    except OSError:
        return "unknown"


def _packages() -> list[str]:
    return [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]


def _soketi() -> dict[str, str]:
    versions = {}
    for name, path in {"soketi": "@soketi/soketi", "Node": "node-linux-*"}.items():
        found = next(SOKETI_HOME.glob(f"node_modules/{path}/package.json"), None)
        if found is not None:
            versions[name] = str(json.loads(found.read_text())["version"])
    text = ", ".join(f"{name} {version}" for name, version in versions.items())
    return {"soketi": text} if text else {}


def _redis() -> dict[str, str]:
    """Of the redis-server that is measured, and of the parser that we read it with."""
    try:
        said = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout
    except OSError:
        return {}
    version = next((w[2:] for w in said.split() if w.startswith("v=")), "unknown version")
    return {"Redis": f"{version}, hiredis {importlib.metadata.version('hiredis')}"}
