"""Settings of the validation script that cannot be right: each is named before anything is tried."""

import json
import subprocess
from typing import Any

import pytest

from tests.examples.programs import EXAMPLE, NODE_MODULES, clean_environment, program

SCRIPT = EXAMPLE / "scripts" / "test-websocket-comments.js"
DEADLINE = 30


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("API_URL", "localhost:8000", "http:// or https://"),
        ("API_URL", "api.example.com", "http:// or https://"),
        ("METRICS_URL", "127.0.0.1:9601/metrics", "http:// or https://"),
        ("COMMENT_BODY", "{type: note}", "JSON object"),
        ("COMMENT_BODY", "[1]", "JSON object"),
        ("ONLY_CREATED", "true", "0 or 1"),
        ("CHANNEL", "private-session.1", "added"),
        ("PRESENCE_CHANNEL", "presence-online-users", "added"),
        ("ORIGIN", "app.example.com", "as a browser sends it"),
        ("ORIGIN", "https://app.example.com/chat", "without a path"),
        ("PUSHER_HOST", "https://ws.example.com", "a name or address alone"),
        ("PUSHER_HOST", "ws.example.com:443", "a name or address alone"),
        ("PUSHER_HOST", "ws.example.com/ws", "a name or address alone"),
        ("PUSHER_PORT", "six", "a number"),
        ("PUSHER_SCHEME", "wss", "http or https"),
        ("TIMEOUT", "10s", "a number of seconds"),
        ("SLOW", "-1", "a number of seconds"),
    ],
)
def test_a_setting_that_cannot_be_right_is_named(name: str, value: str, rule: str) -> None:
    """One line, exit status 2, and no request to anybody."""
    command = [program("node", "nodejs"), str(SCRIPT)]
    environment = clean_environment(NODE_PATH=str(NODE_MODULES), **{name: value})
    result = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE, env=environment
    )
    assert result.returncode == 2, result.stdout + result.stderr
    assert result.stdout == ""
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"{name} is {json.dumps(value)}: ")
    assert rule in line


def test_settings_are_read_as_people_write_them() -> None:
    """A slash at the end, or none at the beginning, and origins of apps that are no web sites."""
    settings = {
        "API_URL": "https://api.example.com/",
        "AUTH_PATH": "api/broadcasting/auth",
        "USER_PATH": "https://id.example.com/me",
        "ORIGIN": "capacitor://localhost",
        "PUSHER_HOST": "[::1]",
        "PUSHER_PATH": "ws/",
        "TIMEOUT": "2.5",
    }
    shown = evaluate("settings.js", "{ ...loaded.config, problems: loaded.problems }", **settings)
    assert shown["problems"] == []
    assert shown["api"] == "https://api.example.com"
    assert shown["authPath"] == "/api/broadcasting/auth"
    assert shown["userPath"] == "https://id.example.com/me"
    assert shown["origin"] == "capacitor://localhost"
    assert shown["host"] == "[::1]"
    assert shown["path"] == "/ws"
    assert shown["timeout"] == shown["eventTimeout"] == 2500


@pytest.mark.parametrize(
    ("answer", "comment"),
    [
        ({"data": {"id": 4}}, {"id": 4}),
        ({"comment": {"id": 4}}, {"id": 4}),
        (
            {"id": 4, "comment": "its text", "data": None},
            {"id": 4, "comment": "its text", "data": None},
        ),
        ({"message": "ok"}, {"message": "ok"}),
        (None, None),
        ("<html>", "<html>"),
    ],
)
def test_the_comment_in_an_answer(answer: object, comment: object) -> None:
    """Wrapped or not; a field of a comment may be called `comment` or `data`, too."""
    assert evaluate("event_data.js", f"loaded.resourceOf({json.dumps(answer)})") == comment


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({"id": 4}, ""),
        ({"sessionId": 1, "comment": {"id": 4}}, "comment"),
        ({"chatMessage": {"id": 4}}, "chatMessage"),
        ({"id": 4, "comment": {"id": 5}}, ""),
        ({"nothing": 1}, ""),
        (7, ""),
    ],
)
def test_the_comment_in_the_data_of_an_event(data: object, field: str) -> None:
    unpacked = evaluate("event_data.js", f"loaded.unpack({json.dumps(data)})")
    assert unpacked["field"] == field
    assert unpacked["encoded"] is False


def evaluate(module: str, expression: str, **settings: str) -> Any:
    """The value of a JavaScript expression that sees `loaded`, a module of the script."""
    path = json.dumps(str(SCRIPT.with_name("websocket-comments") / module))
    code = f"const loaded = require({path}); console.log(JSON.stringify({expression}));"
    result = subprocess.run(
        [program("node", "nodejs"), "-e", code],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=clean_environment(**settings),
        check=True,
    )
    return json.loads(result.stdout)
