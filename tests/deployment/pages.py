"""The shell blocks of a page, run as its reader would paste them."""

import os
import re
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx

from tests.support.serving import free_port
from tests.support.waiting import block_until

TOP = Path(__file__).resolve().parents[2]
MIGRATION = TOP / "docs" / "migration"
#: The ports that the pages use, but for the peers' own.
SERVER, OPERATIONS = "6002", "9602"
COMMAND_DEADLINE = 120.0
START_DEADLINE = 60.0
STOP_DEADLINE = 30.0
#: Variables of this process that would mean something to the programs.
_OTHERS = ("PUSHER_", "SOKETI_", "REVERB_", "SOCKUDO_", "REDIS_", "DB_", "LARAVEL_")


class Block(NamedTuple):
    """A fenced block: its language and its text."""

    language: str
    text: str


def blocks(page: Path, heading: str = "") -> Iterator[Block]:
    """The blocks behind a heading, or of the whole page, but for those that say that they are not run."""
    text = page.read_text("utf-8")
    if heading:
        assert f"\n## {heading}\n" in text, f"{page} has no heading {heading!r}"
        text = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    pattern = r"(<!-- not run: [^>]+ -->\n)?^( *)```(\w+)\n(.*?)^\2```"
    for match in re.finditer(pattern, text, re.M | re.S):
        if match[1] is None:
            yield Block(match[3], textwrap.dedent(match[4]))


class Reader:
    """Somebody with a directory and a terminal. Ports of the pages become free ones."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = free_port()
        self._ports = {SERVER: str(self.port), OPERATIONS: str(free_port())}

    def environment(self) -> dict[str, str]:
        """Ours, with this installation's programs first in PATH and nothing of the servers."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_OTHERS)}
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        # No page says that two servers cannot have one port for metrics, where the old one has none.
        return {**kept, "PATH": path, "PUSHER_SERVER__OPERATIONS__PORT": "0"}

    def own_ports(self, text: str) -> str:
        """A text of a page with the ports of this reader."""
        return re.sub(r"\b(6002|9602)\b", lambda match: self._ports[match[0]], text)

    def paste(self, text: str) -> str:
        """Run a block; returns what it printed. It must succeed."""
        done = subprocess.run(
            ["sh", "-eu", "-c", self.own_ports(text)],
            cwd=self.directory,
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=COMMAND_DEADLINE,
            check=False,
        )
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def paste_server(self, text: str) -> "RunningBlock":
        """Start a block that ends in `pusher-server serve`."""
        return RunningBlock(self, self.own_ports(text))


class RunningBlock:
    """A server that a block has started, as a context manager."""

    def __init__(self, reader: Reader, text: str) -> None:
        self._reader = reader
        self._text = text
        self.log = reader.directory / f"serve-{reader.port}.log"

    def __enter__(self) -> "RunningBlock":
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                ["sh", "-eu", "-c", self._text],
                cwd=self._reader.directory,
                env=self._reader.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            block_until(self._is_ready, START_DEADLINE, show=self.log.read_text)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _is_ready(self) -> bool:
        assert self._process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"http://127.0.0.1:{self._reader.port}/ready").status_code == 200
        except httpx.TransportError:
            return False

    def __exit__(self, *_: object) -> None:
        """End the shell and the server in it, by their own process group."""
        os.killpg(self._process.pid, signal.SIGTERM)
        try:
            self._process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            raise


def is_server(block: Block) -> bool:
    """Whether a block starts the server and stays."""
    return block.language == "sh" and "pusher-server serve" in block.text


def event_block() -> Block:
    """The block that lets one event arrive, which all pages link to."""
    (block,) = (
        block
        for block in blocks(TOP / "docs" / "migration.md", "See one event arrive")
        if block.language == "sh"
    )
    return block


def credentials_in(text: str) -> dict[str, str]:
    """Id, key and secret of the variables before a command."""
    return {name.lower(): value for name, value in re.findall(r"_APP_(ID|KEY|SECRET)=(\S+)", text)}
