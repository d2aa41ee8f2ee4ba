"""docs/troubleshooting.md has the lines that the server writes, and docs/metrics.md their reasons."""

import re
from pathlib import Path

import pytest

from pusher_server.http_api import refusal_log as requests
from pusher_server.node import refusal_log as clients

TOP = Path(__file__).resolve().parents[2]
PAGE = (TOP / "docs" / "troubleshooting.md").read_text("utf-8")
METRICS = (TOP / "docs" / "metrics.md").read_text("utf-8")
#: The package's text; string literals in several pieces are joined, and escaped quotes are plain.
SOURCE = re.sub(
    r'"\s*\n\s*f?"',
    "",
    "\n".join(path.read_text("utf-8") for path in (TOP / "pusher_server").rglob("*.py")),
).replace("\\'", "'")

ROWS = [line.split("|")[1:-1] for line in PAGE.splitlines() if line.startswith("| `")]
LINES = [text for row in ROWS for text in re.findall(r"`([^`]+)`", row[0])]


@pytest.mark.parametrize("line", LINES)
def test_a_documented_line_is_one_that_the_server_writes(line: str) -> None:
    assert line in SOURCE


@pytest.mark.parametrize(
    "cause",
    [*requests._CAUSES.values(), *clients.AUTH_CAUSES.values(), *clients._FRAMES.values()],
)
def test_a_line_that_the_server_writes_is_documented(cause: str) -> None:
    assert [line for line in LINES if line in cause]


def test_the_page_has_rows() -> None:
    assert len(LINES) > 30


def reasons(*modules: str) -> set[str]:
    """The reasons that errors of these modules are made with."""
    texts = [(TOP / "pusher_server" / module).read_text("utf-8") for module in modules]
    return {word for text in texts for word in re.findall(r'reason(?:=| = |: str = )"(\w+)"', text)}


def test_every_reason_of_a_refused_request_is_documented() -> None:
    modules = ("errors.py", "auth/query.py", "auth/requests.py")
    api = (path.name for path in (TOP / "pusher_server" / "http_api").glob("*.py"))
    made = reasons(*modules, *(f"http_api/{name}" for name in api)) | requests._CAUSES.keys()
    assert {"signature", "digest", "too_large", "invalid", "incomplete"} <= made
    made -= requests._COUNTED_AS.keys()
    section = METRICS.partition("### HTTP API")[2].partition("### ")[0]
    assert not [reason for reason in sorted(made) if f"`{reason}`" not in section]


def test_every_reason_of_a_refused_connection_is_documented() -> None:
    modules = ("clients/admission.py", "clients/registry.py", "clients/answers.py")
    made = reasons(*modules, "clients/ordered_input.py", "protocol/liveness.py", "node/node.py")
    made |= reasons("node/users.py")
    assert {"origin", "max_connections", "over_quota", "draining"} <= made
    section = METRICS.partition("### Clients")[2].partition("### ")[0]
    assert not [reason for reason in sorted(made) if f"`{reason}`" not in section]
