"""The outbox's file, shared by processes that start at the same moment."""

import asyncio
import subprocess
import sys
import time
from pathlib import Path

from pusher_server.webhooks.outbox.sqlite.outbox import SqliteOutbox

_OPENS = """
import asyncio, sys, time
from pathlib import Path
from pusher_server.webhooks.outbox.interface import Decision, Entry
from pusher_server.webhooks.outbox.sqlite.outbox import SqliteOutbox

async def main(path, name):
    outbox = SqliteOutbox(Path(path), clock=time.time)
    sys.stdin.readline()
    await outbox.append([Decision("1", (Entry(name, "w", "c", "{}", 1.0),))])
    await outbox.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def ids_in(path: Path) -> list[str]:
    """The events that wait, in the order of their names."""
    outbox = SqliteOutbox(path, clock=time.time)
    try:
        return sorted(each.entry.id for each in await outbox.pending("1", "", 10))
    finally:
        await outbox.close()


def test_processes_that_find_it_broken_at_once_keep_it_aside_once(tmp_path: Path) -> None:
    path = tmp_path / "outbox"
    path.write_bytes(b"this is no database" * 100)
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", _OPENS, path, name],
            stdin=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in "abcd"
    ]
    for each in programs:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    said = "".join([each.communicate(timeout=30)[1] for each in programs])
    assert [each.returncode for each in programs] == [0] * 4, said
    assert said.count("is broken") == 1
    assert len(list(tmp_path.glob("outbox.broken-*"))) == 1
    assert asyncio.run(ids_in(path)) == list("abcd")
