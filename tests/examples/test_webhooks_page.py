"""The receivers of docs/webhooks.md: PHP and JavaScript that parse, Python that does what it says."""

import json
import re
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from pusher_server.app import EVENT_IDS_HEADER, App, AppKey
from pusher_server.auth.webhooks import headers
from pusher_server.webhooks.events import body_of
from tests.conformance.official.driver import node_executable
from tests.examples.programs import APP, TOP, program

PAGE = (TOP / "docs" / "webhooks.md").read_text("utf-8")
EVENTS = [
    '{"name":"channel_occupied","channel":"presence-room"}',
    '{"name":"member_added","channel":"presence-room","user_id":"10"}',
]


def blocks(language: str) -> list[str]:
    """The page's code in one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.M | re.S)


@pytest.mark.parametrize("block", blocks("php"), ids=lambda text: text.splitlines()[1])
def test_php_accepts_the_block(block: str, tmp_path: Path) -> None:
    """`php -l` finds no syntax error."""
    file = tmp_path / "block.php"
    file.write_text(block, "utf-8")
    result = subprocess.run(
        [program("php", "php-cli"), "-l", str(file)], capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_node_accepts_the_block(tmp_path: Path) -> None:
    """`node --check` finds no syntax error."""
    (block,) = blocks("js")
    file = tmp_path / "block.mjs"
    file.write_text(block, "utf-8")
    result = subprocess.run(
        [node_executable(), "--check", str(file)], capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 0, result.stderr


@pytest.fixture
def receiver(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the Python block defines, with our credentials."""
    for name, value in APP.items():
        monkeypatch.setenv(f"PUSHER_APP_{name.upper()}", value)
    (block,) = blocks("python")
    names: dict[str, Any] = {}
    exec(block, names)
    return names


async def post(receiver: dict[str, Any], secret: str) -> tuple[int, list[tuple[str, str]]]:
    """Send it two events; returns its answer and what it put into its queue."""
    queued: list[tuple[str, str]] = []
    receiver["enqueue"] = lambda event_id, event: queued.append((event_id, event["name"]))
    body = body_of(EVENTS, int(time.time() * 1_000))
    sender = App(id=APP["id"], keys=(AppKey(key=APP["key"], secret=secret),))
    sent = headers(sender, body) | {EVENT_IDS_HEADER: "a,b", "Content-Type": "application/json"}
    transport = httpx.ASGITransport(receiver["app"])
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        answer = await client.post("/pusher/webhooks", content=body, headers=sent)
    return answer.status_code, queued


async def test_the_python_receiver_queues_each_event_with_its_id(receiver: dict[str, Any]) -> None:
    assert await post(receiver, APP["secret"]) == (
        204,
        [("a", "channel_occupied"), ("b", "member_added")],
    )


async def test_the_python_receiver_refuses_what_is_not_ours(receiver: dict[str, Any]) -> None:
    assert await post(receiver, "another") == (401, [])


@pytest.mark.parametrize("language", ["php", "js", "python"])
def test_the_receivers_read_our_header(language: str) -> None:
    """Under the name that the server sends."""
    assert any(EVENT_IDS_HEADER in block for block in blocks(language))


def test_the_events_of_the_page_are_json() -> None:
    """One per line."""
    (block,) = blocks("json")
    assert len([json.loads(line) for line in block.splitlines()]) == 7
