"""The pages of docs/clients: options that the SDKs know, and their files with a real server."""

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
    """The names of the options of each client that a page makes."""
    made = re.findall(
        r"^( *).*(?:new Echo\(|configureEcho\(|new Pusher\('[\w-]+', )\{\n(.*?)^\1\}\)",
        page.read_text("utf-8"),
        re.M | re.S,
    )
    return [set(re.findall(rf"^{indent}  (\w+)(?::|,$)", body, re.M)) for indent, body in made]


def test_every_client_has_a_page_with_the_same_parts() -> None:
    """From the installation to errors; the index links all of them."""
    index = (CLIENTS / "README.md").read_text("utf-8")
    names = {page.name for page in PAGES} - {"README.md"}
    assert names == set(re.findall(r"^\| \[[^\]]+\]\(([\w-]+\.md)\)", index, re.M))
    for name in names:
        headings = re.findall(r"^## (.+)$", (CLIENTS / name).read_text("utf-8"), re.M)
        assert headings[: len(PARTS)] == PARTS, name


@pytest.mark.parametrize(
    "name", ["clients/react", "clients/react-native", "clients/svelte", "clients/vue", "graphql"]
)
def test_the_options_are_those_that_the_client_knows(name: str) -> None:
    """Each name is declared by laravel-echo or pusher-js; a mistyped one would be ignored silently."""
    (options,) = options_on(CLIENTS.parent / f"{name}.md")
    assert {"cluster", "wsHost", "wsPort", "wssPort", "forceTLS"} <= options
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


#: Prints a line for each call, and does what it reads.
REPORT = """
import { createInterface } from 'node:readline';
const say = (what, data) => console.log(JSON.stringify([what, data ?? null]));
const on = {
  message: (message) => say('message', message),
  here: (users) => say('here', users),
  refused: (error) => say('refused', error.status),
};
const obey = async (words) => {
  for await (const line of createInterface({ input: process.stdin })) words[line]();
};
const later = (wait) => { const now = Date.now(); Date.now = () => now + wait; };
"""
#: The page's own function opens the room; its timer ticks when it has to.
WEB = """
const ticks = [];
const start = setInterval;
globalThis.setInterval = (call, wait) => wait === 10_000 ? ticks.push(call) : start(call, wait);
const { echo, openRoom } = await import('./src/echo.js');
openRoom('room.1', { ...on, joined: () => say('joined', echo.socketId()), joining() {}, leaving() {} });
await obey({
  awake: () => ticks.forEach((tick) => tick()),
  sleep: () => { later(100_000); ticks.forEach((tick) => tick()); },
  refused: () => openRoom('room.2', on),
  end: () => process.exit(),
});
"""
#: Stand-ins for what Node lacks, then the page's file.
PHONE = """
globalThis.XMLHttpRequest = class {
  headers = {};
  open(method, url) { Object.assign(this, { method, url }); }
  setRequestHeader(name, value) { this.headers[name] = value; }
  async send(body) {
    const answer = await fetch(this.url, { method: this.method, headers: this.headers, body });
    this.responseText = await answer.text();
    Object.assign(this, { status: answer.status, readyState: 4 });
    this.onreadystatechange();
  }
};
const { connect } = await import('./src/echo.js');
const { AppState } = await import('react-native');
const echo = connect('token-of-ada');
echo.private('room.1').subscribed(() => say('joined', echo.socketId())).listen('.message', on.message);
echo.join('room.1').here(on.here);
await obey({
  awake: () => { AppState.enter('background'); later(5_000); AppState.enter('active'); },
  sleep: () => { AppState.enter('background'); later(100_000); AppState.enter('active'); },
  refused: () => echo.private('room.2').error(on.refused),
  end: () => process.exit(),
});
"""
#: Modules of a phone, as far as the page and pusher-js use them.
PHONE_MODULES = {
    "react-native": """
const calls = [];
exports.AppState = {
  addEventListener: (event, call) => calls.push(call),
  enter: (state) => calls.forEach((call) => call(state)),
};
""",
    "@react-native-community/netinfo": """
const online = { type: 'wifi', isConnected: true };
module.exports = { fetch: async () => online, addEventListener: () => () => {} };
""",
}


class Page:
    """The client of a page, in Node."""

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


def web_files(directory: Path) -> str:
    """The files of the page for Svelte, but for the component; returns the driver."""
    wake = file_of(CLIENTS / "README.md", "src/wake.js")
    (directory / "src" / "wake.js").write_text(wake, "utf-8")
    (directory / "src" / "echo.js").write_text(
        file_of(CLIENTS / "svelte.md", "src/echo.js"), "utf-8"
    )
    return REPORT + WEB


def phone_files(directory: Path) -> str:
    """The file of the page for React Native, and modules of a phone; returns the driver."""
    modules = directory / "node_modules"
    modules.unlink()
    modules.mkdir()
    for package in ("laravel-echo", "pusher-js", "tweetnacl"):
        (modules / package).symlink_to(NODE_MODULES / package)
    for name, text in PHONE_MODULES.items():
        (modules / name).mkdir(parents=True)
        (modules / name / "index.js").write_text(text, "utf-8")
    script = file_of(CLIENTS / "react-native.md", "echo.js")
    # Node imports no folders, as React Native's bundler does.
    script = script.replace("'pusher-js/react-native'", "'pusher-js/react-native/index.js'")
    (directory / "src" / "echo.js").write_text(script, "utf-8")
    return REPORT + PHONE


@pytest.fixture(params=[web_files, phone_files], ids=["web", "react-native"])
def page(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Page, backends.Backend]]:
    """The files of a page, this server, and the backend for Node of docs/backends.md."""
    port = free_port()
    with (
        RunningServer(tmp_path, backends.settings_of_the_page(tmp_path, port)) as server,
        backends.running("backend.mjs", tmp_path, server.port, port) as backend,
    ):
        (tmp_path / "src").mkdir()
        (tmp_path / "package.json").write_text('{"type": "module"}', "utf-8")
        (tmp_path / "driver.js").write_text(request.param(tmp_path), "utf-8")
        file = tmp_path / "src" / "echo.js"
        script = (
            file.read_text("utf-8").replace("6001", str(server.port)).replace("8000", str(port))
        )
        # In a browser the address is relative to the page's.
        script = script.replace("'/broadcasting/auth'", f"'{backend.url}/broadcasting/auth'")
        file.write_text(script, "utf-8")
        process = subprocess.Popen(
            [node_executable(), "--preserve-symlinks", "driver.js"],
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


def test_the_client_of_a_page(page: tuple[Page, backends.Backend]) -> None:
    """It joins, receives a message, joins anew after a sleep only, and reports a refusal."""
    client, backend = page
    first, here = client.wait("joined", "here")
    assert here == [{"name": "Ada"}]
    assert backend.post("/messages", {"text": "hello"}, **backends.ADA).status_code == 204
    assert client.wait("message") == [{"from": "Ada", "text": "hello"}]
    client.send("awake")
    assert backend.post("/messages", {"text": "still"}, **backends.ADA).status_code == 204
    assert client.wait("message") == [{"from": "Ada", "text": "still"}]
    assert [what for what, _ in client.lines].count("joined") == 1
    client.send("sleep")
    second, here = client.wait("joined", "here")
    assert second != first
    assert here == [{"name": "Ada"}]
    assert backend.post("/messages", {"text": "again"}, **backends.ADA).status_code == 204
    assert client.wait("message") == [{"from": "Ada", "text": "again"}]
    client.send("refused")
    assert client.wait("refused") == [403]
    client.send("end")
