"""The pages of docs/clients: options that the SDKs know, and the web client's file with a real server."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from threading import Timer

import pytest

from tests.conformance.official.driver import node_executable
from tests.examples import page_backends as backends
from tests.examples.programs import NODE_MODULES, TOP, clean_environment
from tests.support.serving import RunningServer, free_port

CLIENTS = TOP / "docs" / "clients"
PAGES = sorted(CLIENTS.glob("*.md"))
SCRIPTS = ("js", "jsx", "vue", "svelte")
#: What a page says of each subject, under these headings.
PARTS = [
    "Install",
    "Configure",
    "Private channel and presence",
    "Reconnect",
    "After sleep",
    "See errors",
]
#: After it the script is killed, which ends every wait.
SCRIPT_DEADLINE = 60.0


def blocks(page: Path, languages: tuple[str, ...] = SCRIPTS) -> list[str]:
    """The code of a page in these languages."""
    wanted = "|".join(languages)
    text = page.read_text("utf-8")
    return [found[1] for found in re.findall(rf"^```({wanted})\n(.*?)^```$", text, re.M | re.S)]


def file_of(page: Path, name: str) -> str:
    """The block that begins with a file's name."""
    (text,) = [block for block in blocks(page) if name in block.splitlines()[0]]
    return text


def options_of_pusher_js() -> set[str]:
    """The options that the types of the installed pusher-js declare."""
    types = (NODE_MODULES / "pusher-js/types/src/core/options.d.ts").read_text("utf-8")
    body = types.partition("export interface Options {")[2].partition("\n}")[0]
    return set(re.findall(r"^ {4}(\w+)\??:", body, re.M))


def options_of_echo() -> set[str]:
    """The options that the types of the installed laravel-echo declare for Pusher."""
    types = (NODE_MODULES / "laravel-echo/dist/echo.d.ts").read_text("utf-8")
    body = types.partition("declare type EchoOptionsWithDefaults")[2].partition("\n};")[0]
    own = set(re.findall(r"^ {4}(\w+)\??:", body, re.M))
    assert "Pusher?: typeof default_2" in types
    return own | {"Pusher"}


def options_on(page: Path) -> list[set[str]]:
    """The names of the options of each Echo that a page makes."""
    made = re.findall(
        r"(?:new Echo|configureEcho)\(\{\n(.*?)^ *\}\)", "\n".join(blocks(page)), re.M | re.S
    )
    return [set(re.findall(r"^ +(\w+)(?::|,$)", body, re.M)) for body in made]


def test_every_client_has_a_page_with_the_same_parts() -> None:
    """From the installation to errors; the index links all of them."""
    index = (CLIENTS / "README.md").read_text("utf-8")
    names = {page.name for page in PAGES} - {"README.md"}
    assert names == set(re.findall(r"^\| \[[^\]]+\]\(([\w-]+\.md)\)", index, re.M))
    for name in names:
        headings = re.findall(r"^## (.+)$", (CLIENTS / name).read_text("utf-8"), re.M)
        assert headings[: len(PARTS)] == PARTS, name


@pytest.mark.parametrize("name", ["react", "react-native", "svelte", "vue"])
def test_the_options_are_those_that_the_client_knows(name: str) -> None:
    """Each name is declared by laravel-echo or pusher-js; a mistyped one would be ignored silently."""
    (options,) = options_on(CLIENTS / f"{name}.md")
    assert {"broadcaster", "key", "wsHost", "wsPort", "wssPort", "forceTLS"} <= options
    assert options - options_of_pusher_js() - options_of_echo() == set()


def test_an_option_that_is_not_known_is_seen() -> None:
    """The comparison above can fail."""
    known = options_of_pusher_js() | options_of_echo()
    assert {"wsHost", "bearerToken", "authEndpoint", "cluster"} <= known
    assert not {"port", "wsshost", "encrypted"} & known


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_plain_scripts_are_scripts(page: Path, tmp_path: Path) -> None:
    """`node --check` finds no syntax error."""
    for number, block in enumerate(blocks(page, ("js",))):
        file = tmp_path / f"{number}.mjs"
        file.write_text(block, "utf-8")
        command = [node_executable(), "--check", str(file)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert done.returncode == 0, done.stderr


#: Opens the room of the page, prints a line for each call, and sleeps on request.
DRIVER = """
import { createInterface } from 'node:readline';
const ticks = [];
const start = setInterval;
globalThis.setInterval = (call, wait) => wait === 10_000 ? ticks.push(call) : start(call, wait);
const { connection, echo, openRoom } = await import('./src/echo.js');
const say = (what, data) => console.log(JSON.stringify([what, data ?? null]));
connection.bind('state_change', ({ current }) => say('state', current));
openRoom('room.1', {
  joined: () => say('joined', echo.socketId()),
  message: (message) => say('message', message),
  here: (users) => say('here', users),
  joining: (user) => say('joining', user),
  leaving: (user) => say('leaving', user),
  refused: (error) => say('refused', error.status),
});
for await (const line of createInterface({ input: process.stdin })) {
  if (line === 'wake') {
    const now = Date.now();
    Date.now = () => now + 100_000;
    ticks.forEach((tick) => tick());
  }
  if (line === 'tick') ticks.forEach((tick) => tick());
  if (line === 'refused') openRoom('room.2', { refused: (error) => say('refused', error.status) });
  if (line === 'end') process.exit();
}
"""


class Page:
    """The web client of the page for Svelte, in Node."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        self.lines: list[tuple[str, object]] = []

    def send(self, line: str) -> None:
        """Send the driver a word."""
        assert self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def wait(self, *whats: str) -> list[object]:
        """Read on until each of these has come; returns what came with them, in this order."""
        assert self.process.stdout is not None
        data: dict[str, object] = {}
        while set(whats) - set(data):
            line = self.process.stdout.readline()
            assert line, f"ended, after {self.lines}"
            if line.startswith("["):
                what, content = json.loads(line)
                self.lines.append((what, content))
                data[what] = content
        return [data[what] for what in whats]


@pytest.fixture
def page(tmp_path: Path) -> Iterator[tuple[Page, backends.Backend]]:
    """The files of the page, this server, and the backend for Node of docs/backends.md."""
    port = free_port()
    with (
        RunningServer(tmp_path, backends.settings_of_the_page(tmp_path, port)) as server,
        backends.running("backend.mjs", tmp_path, server.port, port) as backend,
    ):
        (tmp_path / "src").mkdir()
        script = file_of(CLIENTS / "svelte.md", "src/echo.js").replace("6001", str(server.port))
        # In a browser the address is relative to the page's.
        script = script.replace("'/broadcasting/auth'", f"'{backend.url}/broadcasting/auth'")
        (tmp_path / "src" / "echo.js").write_text(script, "utf-8")
        wake = file_of(CLIENTS / "README.md", "src/wake.js")
        (tmp_path / "src" / "wake.js").write_text(wake, "utf-8")
        (tmp_path / "package.json").write_text('{"type": "module"}', "utf-8")
        (tmp_path / "driver.js").write_text(DRIVER, "utf-8")
        process = subprocess.Popen(
            [node_executable(), "driver.js"],
            cwd=tmp_path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
        watch = Timer(SCRIPT_DEADLINE, process.kill)
        watch.start()
        try:
            yield Page(process), backend
        finally:
            watch.cancel()
            process.kill()
            process.communicate(timeout=SCRIPT_DEADLINE)


def test_the_web_client_of_the_page(page: tuple[Page, backends.Backend]) -> None:
    """It joins, receives a message, joins anew after a sleep, and reports a refusal."""
    client, backend = page
    first, here = client.wait("joined", "here")
    assert here == [{"name": "Ada"}]
    assert backend.post("/messages", {"text": "hello"}, **backends.ADA).status_code == 204
    assert client.wait("message") == [{"from": "Ada", "text": "hello"}]
    client.send("tick")  # in time: nothing happens
    assert backend.post("/messages", {"text": "still"}, **backends.ADA).status_code == 204
    assert client.wait("message") == [{"from": "Ada", "text": "still"}]
    assert [what for what, _ in client.lines].count("joined") == 1
    client.send("wake")
    second, here = client.wait("joined", "here")
    assert second != first
    assert here == [{"name": "Ada"}]
    assert backend.post("/messages", {"text": "again"}, **backends.ADA).status_code == 204
    assert client.wait("message") == [{"from": "Ada", "text": "again"}]
    client.send("refused")
    assert client.wait("refused") == [403]
    client.send("end")
