"""The processes of the comments example, run as its README says: backend, script, browser."""

import json
import os
import selectors
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol, Self

import httpx

from tests.support.serving import free_port
from tests.support.waiting import block_until

TOP = Path(__file__).resolve().parents[2]
EXAMPLE = TOP / "examples" / "comments"
NODE_MODULES = TOP / "tests" / "js" / "node_modules"

#: The Python library takes only app ids of digits.
APP = {"id": "7", "key": "comments-key", "secret": "comments-secret"}

START_DEADLINE = 20.0
STOP_DEADLINE = 10.0
SCRIPT_DEADLINE = 60.0
#: Longer than every time-out inside the browser, so that its own message is the one we see.
BROWSER_DEADLINE = 90.0


def program(name: str, package: str) -> str:
    """The path of a program that the tests need; fails with what to install."""
    found = shutil.which(name)
    assert found is not None, f"{name} is missing: install {package} (make test does it as root)"
    return found


def clean_environment(**more: str) -> dict[str, str]:
    """Our environment without settings of the programs under test, plus `more`."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PUSHER_", "WEBSOCKET_"))}
    return {**kept, **more}


def pusher_environment(port: int, **changes: str) -> dict[str, str]:
    """The lines that a Laravel `.env` would have for a server on this port."""
    lines = {
        "PUSHER_APP_ID": APP["id"],
        "PUSHER_APP_KEY": APP["key"],
        "PUSHER_APP_SECRET": APP["secret"],
        "PUSHER_HOST": "127.0.0.1",
        "PUSHER_PORT": str(port),
        "PUSHER_SCHEME": "http",
    }
    return {**lines, **changes}


def stop(process: subprocess.Popen[Any]) -> None:
    """End a process: gracefully, by force after a deadline."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(STOP_DEADLINE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


class Backend(Protocol):
    """What the validation script has to know of a backend."""

    @property
    def url(self) -> str:
        """Where its API is, without a trailing slash."""
        ...


class RunningBackend:
    """The stand-in backend as a process on a port of its own."""

    def __init__(
        self, directory: Path, pusher: Mapping[str, str], arguments: tuple[str, ...] = ()
    ) -> None:
        self.port = free_port()
        self._pusher = pusher
        self._arguments = arguments
        self._log_path = directory / f"backend-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self._log_path.read_text("utf-8", "replace")

    def wait_for_log(self, text: str) -> None:
        """Return when the backend has logged `text`; what is queued is logged when it is done."""
        block_until(lambda: text in self.log, STOP_DEADLINE, show=lambda: f"{text}\n{self.log}")

    def __enter__(self) -> Self:
        command = [sys.executable, str(EXAMPLE / "backend"), "--port", str(self.port)]
        command += ["--libraries", str(NODE_MODULES), *self._arguments]
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                command, stdout=log, stderr=log, env=clean_environment(**self._pusher)
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exc: object) -> None:
        if self._process is not None:
            stop(self._process)

    def _wait_until_ready(self) -> None:
        not_yet = (httpx.TransportError,)
        block_until(self._is_ready, START_DEADLINE, show=lambda: self.log, not_yet=not_yet)

    def _is_ready(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"the backend ended:\n{self.log}"
        return httpx.get(f"{self.url}/config.json", trust_env=False).status_code == 200


class Browser:
    """Chromium, driven by `browser.mjs` through playwright-core."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [program("node", "nodejs"), str(Path(__file__).with_name("browser.mjs"))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environment(CHROME=os.environ.get("CHROME") or _browser()),
        )
        return self

    def __exit__(self, *exc: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()  # the end of its input: it closes the browser and leaves
        try:
            self._process.wait(STOP_DEADLINE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def run(self, code: str, **values: object) -> Any:
        """Run the body of an async function that sees `browser`, `state` and `values`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"code": code, "values": values}) + "\n")
        self._process.stdin.flush()
        with selectors.DefaultSelector() as selector:
            selector.register(self._process.stdout, selectors.EVENT_READ)
            assert selector.select(BROWSER_DEADLINE), f"no answer from the browser to:\n{code}"
        line = self._process.stdout.readline()
        assert line, "the browser's driver ended; see its error above"
        answer = json.loads(line)
        assert "error" not in answer, f"{answer['error']}\nin: {code}"
        return answer["result"]


def _browser() -> str:
    for name in ("chromium", "google-chrome", "google-chrome-stable", "chrome"):
        if found := shutil.which(name):
            return found
    return program("chromium", "chromium, or set CHROME=/path/to/a/chrome")


def run_script(backend: Backend, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run the validation script against a backend; `changes` are environment variables."""
    environment = clean_environment(
        NODE_PATH=str(NODE_MODULES),
        **{"API_URL": backend.url, "TIMEOUT": "20", **changes},
    )
    return subprocess.run(
        [program("node", "nodejs"), str(EXAMPLE / "scripts" / "test-websocket-comments.js")],
        capture_output=True,
        text=True,
        timeout=SCRIPT_DEADLINE,
        env=environment,
    )
