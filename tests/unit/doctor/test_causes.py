"""The pages have what the rules' data say; each cause is reported somewhere, and stands in one step."""

import re
from collections import Counter
from pathlib import Path

import pytest

from pusher_server.diagnosis.causes import CAUSES as WHY
from pusher_server.doctor.causes import CAUSES
from pusher_server.doctor.steps import OF_THE_RUN, STEPS
from scripts.cause_pages import PAGES
from tests.unit.test_decisions import anchor_of

TOP = Path(__file__).resolve().parents[3]
CHECKS = "\n".join(
    path.read_text("utf-8")
    for path in (TOP / "pusher_server" / "doctor").glob("*.py")
    if not path.name.endswith("causes.py") and path.name != "steps.py"
)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_a_page_is_made_of_the_rules(path: Path) -> None:
    """`python -m scripts.cause_pages` writes it."""
    text = path.read_text("utf-8")
    assert PAGES[path](text) == text


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_is_reported_by_a_check(name: str) -> None:
    assert f'"{name}"' in CHECKS


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_leads_to_a_heading(name: str) -> None:
    page, _, anchor = CAUSES[name].link.partition("#")
    titles = re.findall(r"^#+ (.+)$", (TOP / page).read_text("utf-8"), re.M)
    assert not anchor or anchor in {anchor_of(title) for title in titles}


@pytest.mark.parametrize("name", CAUSES)
def test_a_cause_is_a_sentence_with_a_fix(name: str) -> None:
    cause = CAUSES[name]
    assert cause.sentence.endswith(".")
    assert len(cause.sentence.split()) < 25
    assert cause.fix


def test_each_cause_is_in_one_step() -> None:
    """Of both commands, so that nobody adds a cause and forgets the list."""
    doctor = Counter([*OF_THE_RUN, *(name for step in STEPS for name in step.doctor)])
    why = Counter(name for step in STEPS for name in step.why)
    assert doctor == Counter([*CAUSES])
    assert why == Counter([*WHY])


def test_causes_have_names_and_titles_of_their_own() -> None:
    assert len({cause.title for cause in CAUSES.values()}) == len(CAUSES)
