"""docs/troubleshooting.md has the causes of the rules, and each cause leads to a heading that exists."""

import re
from pathlib import Path

import pytest

from pusher_server.diagnosis.causes import CAUSES, Cause
from scripts.cause_pages import row_of_why
from tests.unit.test_decisions import anchor_of

TOP = Path(__file__).resolve().parents[3]
PAGE = (TOP / "docs" / "troubleshooting.md").read_text("utf-8")
SOURCE = "\n".join(path.read_text("utf-8") for path in (TOP / "pusher_server").rglob("*.py"))


def test_the_page_lists_the_causes_in_their_order() -> None:
    """The table between the marks is made of the rules' data, and by nobody's hand."""
    table = re.search(r"<!-- causes: -->\n(.*?)<!-- end of causes -->", PAGE, re.S)
    assert table is not None
    rows = [line for line in table[1].splitlines() if line.startswith("| ")][1:]
    assert rows == [row_of_why(cause) for cause in CAUSES.values()]


@pytest.mark.parametrize("cause", CAUSES.values(), ids=CAUSES)
def test_a_cause_leads_to_a_heading(cause: Cause) -> None:
    page, _, anchor = cause.link.partition("#")
    titles = re.findall(r"^#+ (.+)$", (TOP / page).read_text("utf-8"), re.M)
    assert anchor in {anchor_of(title) for title in titles}


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_is_one_that_a_rule_finds(name: str) -> None:
    assert len(re.findall(rf'"{name}"', SOURCE)) >= 2


def test_causes_have_names_of_their_own() -> None:
    assert len({cause.title for cause in CAUSES.values()}) == len(CAUSES)
