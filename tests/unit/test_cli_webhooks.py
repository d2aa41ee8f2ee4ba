"""`pusher-server webhooks`: what is in the outbox, and a test request."""

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pusher
import pytest
from click.testing import CliRunner, Result

from pusher_server.app import Webhook
from pusher_server.cli.main import main
from pusher_server.webhooks.outbox.interface import AttemptRecord, Decision, Entry
from pusher_server.webhooks.outbox.sqlite.outbox import SqliteOutbox

URL = "https://me:hush@example.com/hook?token=hush"
WEBHOOK = Webhook(url=URL)

Command = Callable[..., Result]


def config(folder: Path, url: str = URL) -> Path:
    file = folder / "pusher.toml"
    file.write_text(
        f'[webhooks]\noutbox = "{folder / "outbox"}"\ntimeout = 2.0\n'
        '[[apps]]\nid = "1"\nkey = "k"\nsecret = "secret"\n'
        f'[[apps.webhooks]]\nurl = "{url}"\n[[apps]]\nid = "2"\nkey = "k2"\nsecret = "secret"\n'
    )
    return file


@pytest.fixture
def run(tmp_path: Path) -> Command:
    def run(*arguments: str, status: int = 0, url: str = URL) -> Result:
        file = config(tmp_path, url)
        found = CliRunner().invoke(main, ["webhooks", *arguments, "--config", str(file)])
        assert found.exit_code == status, found.output
        assert "hush" not in found.output
        return found

    return run


@pytest.fixture
def filled(tmp_path: Path) -> None:
    """Two dead letters and two attempts of app 1."""

    async def fill() -> None:
        outbox = SqliteOutbox(tmp_path / "outbox", clock=time.time)
        entries = [
            Entry(f"id-{n}", WEBHOOK.id, "c", f'{{"name":"channel_occupied","n":{n}}}', float(n))
            for n in range(2)
        ]
        await outbox.append([Decision("1", tuple(entries))])
        for each in await outbox.pending("1", "", 10):
            await outbox.bury("1", [each.position], "status 500", 1_000_000_000.0)
        for number, status in enumerate((500, 200), 1):
            await outbox.record(
                "1",
                AttemptRecord(
                    at=1_000_000_000.0 + number,
                    webhook=WEBHOOK.id,
                    url=WEBHOOK.shown_url,
                    ids=("id-0",),
                    events=("channel_occupied",),
                    number=number,
                    status=status,
                    took=0.25,
                    outcome="retry" if status == 500 else "delivered",
                    answer="oh\nno",
                ),
            )
        await outbox.close()

    asyncio.run(fill())


@pytest.mark.usefixtures("filled")
def test_the_log_tells_each_attempt_in_a_line(run: Command) -> None:
    lines = run("log", "1").output.splitlines()
    assert lines == [
        "2001-09-09 01:46:42Z  delivered  200    0.25 s  attempt 2  channel_occupied  "
        "https://example.com/hook",
        "2001-09-09 01:46:41Z  retry      500    0.25 s  attempt 1  channel_occupied  "
        "https://example.com/hook",
        "    oh no",
    ]
    assert run("log", "1", "--limit", "1").output.splitlines() == lines[:1]
    assert run("log", "1", "--url", URL).output.splitlines() == lines
    assert run("log", "1", "--url", "https://other.example").output == "no attempts\n"
    assert run("log", "2").output == "no attempts\n"
    (latest, *_) = json.loads(run("log", "1", "--json").output)
    assert (latest["status"], latest["ids"]) == (200, ["id-0"])


@pytest.mark.usefixtures("filled")
def test_what_was_given_up_is_listed_and_waits_again(run: Command) -> None:
    lines = run("dead", "1").output.splitlines()
    assert lines[0] == ('2001-09-09 01:46:40Z  id-1  {"name":"channel_occupied","n":1}  status 500')
    (letter, _) = json.loads(run("dead", "1", "--json").output)
    assert (letter["entry"]["id"], letter["reason"]) == ("id-1", "status 500")
    assert run("resend", "1", "id-1").output == "waiting again: 1\n"
    assert run("resend", "1", "--all").output == "waiting again: 1\n"
    assert run("dead", "1").output == "nothing was given up\n"
    assert "--all" in run("resend", "1", status=2).output
    assert "--all" in run("resend", "1", "id-1", "--all", status=2).output


def test_without_an_outbox_it_says_which_file_is_missing(run: Command, tmp_path: Path) -> None:
    said = run("log", "1", status=1).output
    assert f"there is no file {tmp_path / 'outbox'}" in said
    assert not (tmp_path / "outbox").exists()


class Target(BaseHTTPRequestHandler):
    """Answers as the test says, and keeps what came."""

    status = 200
    seen: list[tuple[dict[str, str], bytes]]

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.seen.append((dict(self.headers.items()), body))
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.fixture
def target() -> Iterator[HTTPServer]:
    Target.status, Target.seen = 200, []
    server = HTTPServer(("127.0.0.1", 0), Target)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_test_request_is_signed_like_any_other(run: Command, target: HTTPServer) -> None:
    url = f"http://127.0.0.1:{target.server_port}/hook"
    assert run("test", "1", url=url).output.startswith(f"{url}: taken (")
    ((headers, body),) = Target.seen
    receiver = pusher.Pusher("1", "k", "secret")
    found = receiver.validate_webhook(
        headers["X-Pusher-Key"], headers["X-Pusher-Signature"], body.decode()
    )
    (event,) = found["events"]
    assert event == {"name": "channel_occupied", "channel": "pusher-server-test"}
    Target.status = 500
    assert run("test", "1", url=url, status=1).output.startswith(f"{url}: status 500 (")
    (answer,) = json.loads(run("test", "1", "--json", url=url, status=1).output)
    assert (answer["url"], answer["status"]) == (url, 500)


def test_a_test_of_nothing_says_so(run: Command) -> None:
    assert "there is no app '9'" in run("test", "9", status=1).output
    assert "app '2' has no webhook" in run("test", "2", status=1).output
    assert "with this URL" in run("test", "1", "--url", "https://x.example", status=1).output
