"""Keeps the unit tests quick: a test of this tier that starts a process fails."""

import sys
from collections.abc import Iterator

import pytest

#: Audit events of the interpreter (docs.python.org/3/library/audit_events.html).
_STARTS = {"subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.system"}
_watching = False


def _refuse_processes(event: str, _: tuple[object, ...]) -> None:
    if _watching and event in _STARTS:
        raise RuntimeError(
            f"a unit test starts a process ({event}): CONTRIBUTING.md, Tests, says where it belongs"
        )


sys.addaudithook(_refuse_processes)


@pytest.fixture(autouse=True)
def _no_process() -> Iterator[None]:
    """Watch while a test of this directory runs; the hook itself cannot be taken away again."""
    global _watching
    _watching = True
    yield
    _watching = False
