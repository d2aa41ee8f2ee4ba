"""What the validation script reads: settings, which are checked first, answers, events and metrics."""

import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
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


SAMPLES = """
pusher_server_publishes_total{app="1",source="http"} 5
pusher_server_publishes_total{app="2",source="http"} 7e+3
pusher_server_requests_refused_total{app="1",reason="signature"} 2
pusher_server_requests_refused_total{app="2",reason="clock"} 3
pusher_server_requests_refused_total{app="2",reason="wrong_app"} 1
pusher_server_requests_refused_total{app="",reason="unknown_key"} 4
pusher_server_rate_limited_total{app="1",rate="publish"} 6
pusher_server_rate_limited_total{app="1",rate="client_event"} 9
"""
OURS = {"signature": 2, "wrong_app": 1, "unknown_key": 4, "rate_publish": 6}


@pytest.mark.parametrize(
    ("app_id", "counters"),
    [
        ("1", {"published": 5, "refused": OURS}),
        ("", {"published": 7005, "refused": {**OURS, "clock": 3}}),
    ],
)
def test_counters_are_those_of_the_app(app_id: str, counters: object) -> None:
    """Another app's events are not ours; a wrong key or id is counted elsewhere, and may be ours."""
    with serving(SAMPLES) as url:
        settings = {"METRICS_URL": url, "PUSHER_APP_ID": app_id}
        assert evaluate("server.js", "await loaded.readCounters()", **settings) == counters


def test_metrics_of_another_program_are_no_counters_at_zero() -> None:
    with serving('node_cpu_seconds_total{cpu="0"} 1\n') as url:
        read = "await loaded.readCounters().catch((error) => error.message)"
        message = evaluate("server.js", read, METRICS_URL=url)
    assert message == "the answer has no metric of pusher-server"


@contextmanager
def serving(text: str) -> Iterator[str]:
    """The address of a server that answers every GET with `text`."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *arguments: object) -> None:
            del arguments

    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/metrics"
        finally:
            server.shutdown()
            thread.join()


def evaluate(module: str, expression: str, **settings: str) -> Any:
    """The value of a JavaScript expression that sees `loaded`, a module of the script."""
    path = json.dumps(str(SCRIPT.with_name("websocket-comments") / module))
    show = f"async () => console.log(JSON.stringify({expression}))"
    code = f"const loaded = require({path}); ({show})();"
    result = subprocess.run(
        [program("node", "nodejs"), "-e", code],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=clean_environment(**settings),
        check=True,
    )
    return json.loads(result.stdout)
