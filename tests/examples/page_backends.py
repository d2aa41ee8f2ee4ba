"""The backends of docs/backends.md in processes of their own, with this server."""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.conformance.official.driver import JAVA_BUILD, node_executable
from tests.conformance.target import Credentials
from tests.examples.programs import NODE_MODULES, START_DEADLINE, TOP, clean_environment, stop
from tests.support.waiting import block_until

PAGE = (TOP / "docs" / "backends.md").read_text("utf-8")
APP = Credentials("1", "app-key", "app-secret")
#: The ports of the page.
SERVER_PORT, BACKEND_PORT = "6001", "8000"
ADA = {"Authorization": "Bearer token-of-ada"}
#: How the page starts each file.
COMMANDS = {
    "Backend.java": ["java", "-cp", str(JAVA_BUILD / "libraries" / "*"), "Backend.java"],
    "backend.py": [sys.executable, "backend.py", "runserver", "--noreload", BACKEND_PORT],
    "backend.mjs": [node_executable(), "backend.mjs"],
}


def file_of_the_page(name: str) -> str:
    """The block that begins with a file's name."""
    first = rf"(?:<\?php )?(?:#|//) {re.escape(name)}\n"
    (text,) = re.findall(rf"^```\w+\n({first}.*?)^```$", PAGE, re.M | re.S)
    return str(text)


def settings_of_the_page(directory: Path, backend_port: int) -> dict[str, Any]:
    """The config file of the page, with webhooks to this port."""
    (text,) = re.findall(r"^ *```toml\n(.*?)^ *```$", PAGE, re.M | re.S)
    settings = tomllib.loads(text.replace(BACKEND_PORT, str(backend_port)))
    return {**settings, "webhooks": {"outbox": str(directory / "outbox.sqlite")}}


class Backend:
    """One of the backends in a process of its own."""

    def __init__(self, url: str, log: Path) -> None:
        self.url = url
        self.log = log

    @property
    def printed(self) -> list[str]:
        """The lines that it has written so far."""
        return self.log.read_text("utf-8").splitlines()

    def post(self, path: str, form: dict[str, str], **headers: str) -> httpx.Response:
        """Send a form."""
        return httpx.post(self.url + path, data=form, headers=headers, timeout=10, trust_env=False)


@contextmanager
def running(name: str, directory: Path, server_port: int, port: int) -> Iterator[Backend]:
    """Start a file of the page with the page's command; it listens on `port`."""
    text = file_of_the_page(name).replace(SERVER_PORT, str(server_port))
    text = text.replace(BACKEND_PORT, str(port))
    (directory / name).write_text(text, "utf-8")
    (directory / "node_modules").symlink_to(NODE_MODULES)
    command = [part.replace(BACKEND_PORT, str(port)) for part in COMMANDS[name]]
    path = directory / "backend.log"
    with path.open("wb") as log:
        process = subprocess.Popen(
            command, cwd=directory, stdout=log, stderr=log, env=clean_environment()
        )
    backend = Backend(f"http://127.0.0.1:{port}", path)

    def answers() -> bool:
        assert process.poll() is None, path.read_text()
        try:
            return backend.post("/broadcasting/auth", {}).status_code == 403
        except httpx.TransportError:
            return False

    try:
        block_until(answers, START_DEADLINE, show=path.read_text)
        yield backend
    finally:
        stop(process)
