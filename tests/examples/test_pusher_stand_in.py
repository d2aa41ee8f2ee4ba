"""The stand-in for pusher-php-server by which Laravel publishes here sends what the library sends."""

import json
import subprocess
from pathlib import Path
from typing import Any

from tests.examples.laravel_application import MISSING, create_application
from tests.examples.programs import TOP, program

GOLDEN = json.loads((TOP / "tests" / "golden_vectors.json").read_text("utf-8"))
LIBRARY = "pusher-php-server 7.2.6"


def made_by_the_library(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row for row in rows if LIBRARY in row["verified_by"]]


def stand_in_output(cases: list[tuple[str, list[Any]]], directory: Path) -> Any:
    """What the stand-in for pusher-php-server makes of methods and their arguments."""
    create_application(directory)
    task = {
        "credentials": GOLDEN["credentials"],
        "now": GOLDEN["http"]["clock_now"],
        "options": {"scheme": "http", "host": "ws.test", "port": 6001, "timeout": 5},
        "cases": [{"method": method, "arguments": arguments} for method, arguments in cases],
    }
    command = [program("php", "php-cli"), str(directory / "pusher_output.php")]
    result = subprocess.run(
        command, input=json.dumps(task), capture_output=True, text=True, timeout=30
    )
    assert result.returncode == 0, f"{MISSING}\n{result.stdout}\n{result.stderr}"
    return json.loads(result.stdout)


def test_the_stand_in_sends_what_the_library_sends(tmp_path: Path) -> None:
    """Method, URL with its signature, and body, byte for byte."""
    rows = [
        row
        for row in made_by_the_library(GOLDEN["http"]["vectors"])
        if row["path"].endswith("/events")
    ]
    assert rows
    cases = []
    for row in rows:
        body = json.loads(row["body"])
        name, data, channel = body.pop("name"), json.loads(body.pop("data")), body.pop("channel")
        cases.append(("trigger", [[channel], name, data, body]))
    for row, sent in zip(rows, stand_in_output(cases, tmp_path / "application"), strict=True):
        assert sent["method"] == row["method"]
        assert sent["url"] == f"http://ws.test:6001{row['path']}?{row['query_as_sent']}"
        assert sent["body"] == row["body"]
        assert sent["headers"]["Content-Type"] == "application/json"


def test_the_stand_in_signs_what_the_library_signs(tmp_path: Path) -> None:
    """The answers for private and presence channels."""
    private = made_by_the_library(GOLDEN["private"])
    presence = made_by_the_library(GOLDEN["presence"])
    assert private
    assert len(presence) == 3
    cases: list[tuple[str, list[Any]]] = []
    cases += [("socket_auth", [row["channel"], row["socket_id"]]) for row in private]
    for row in presence:
        member = [row["expected_user_id"], row["expected_user_info"]]
        cases.append(("presence_auth", [row["channel"], row["socket_id"], *member]))
    expected = [{"auth": row["auth"]} for row in private] + [
        {"auth": row["auth"], "channel_data": row["channel_data"]} for row in presence
    ]
    assert stand_in_output(cases, tmp_path / "application") == expected
