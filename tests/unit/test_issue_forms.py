"""GitHub's issue forms: in its schema, and naming only what exists."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from pusher_server.cli import banner
from pusher_server.cli.main import main

TOP = Path(__file__).resolve().parents[2]
FORMS = sorted((TOP / ".github" / "ISSUE_TEMPLATE").glob("*_*.yml"))

#: docs.github.com, "Syntax for GitHub's form schema": the attributes that each type must have, and may have.
NEEDED = {
    "markdown": {"value"},
    "input": {"label"},
    "textarea": {"label"},
    "checkboxes": {"label", "options"},
}
ALLOWED = {
    "markdown": set[str](),
    "input": {"description", "placeholder", "value"},
    "textarea": {"description", "placeholder", "value", "render"},
    "checkboxes": {"description"},
}


def form(path: Path) -> dict[str, Any]:
    """A form as GitHub reads it."""
    read: dict[str, Any] = yaml.safe_load(path.read_text("utf-8"))
    return read


def test_there_are_forms() -> None:
    assert [path.name for path in FORMS] == ["bug_report.yml", "feature_request.yml"]


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_a_form_is_in_the_schema(path: Path) -> None:
    read = form(path)
    assert set(read) == {"name", "description", "labels", "body"}
    assert any(element["type"] != "markdown" for element in read["body"])
    named = [element["id"] for element in read["body"] if element["type"] != "markdown"]
    assert len(named) == len(set(named))
    assert all(re.fullmatch(r"[A-Za-z0-9_-]+", each) for each in named)
    for element in read["body"]:
        kind, attributes = element["type"], set(element["attributes"])
        assert set(element) <= {"type", "id", "attributes", "validations"}
        assert NEEDED[kind] <= attributes <= NEEDED[kind] | ALLOWED[kind]
        assert set(element.get("validations", {})) <= {"required"}


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.stem)
def test_what_a_form_names_exists(path: Path) -> None:
    text = path.read_text("utf-8")
    for command in re.findall(r"pusher-server ([a-z-]+)", text):
        assert command in main.commands
    for page in re.findall(r"`([\w/.]+\.md)`", text):
        assert (TOP / page).is_file()


def test_the_bug_report_asks_for_what_the_server_prints() -> None:
    asked = {element.get("id") for element in form(FORMS[0])["body"]}
    assert {"version", "command", "runs-on", "configuration", "client", "log"} <= asked
    assert '"Runs on"' in FORMS[0].read_text("utf-8")
    assert "Runs on" in Path(banner.__file__).read_text("utf-8")
