"""The pages have what the rules' data say; each cause is reported somewhere, and stands in one step."""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from string import Formatter

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


def calls() -> Iterator[tuple[str, set[str]]]:
    """Cause and arguments of each call that reports one; calls that pass a whole table on are left out."""
    for path in (TOP / "pusher_server" / "doctor").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            names = {keyword.arg for keyword in node.keywords}
            if node.func.id not in ("fault", "_fault") or None in names or len(node.args) < 2:
                continue
            given = {name for name in names if name} | (
                {"host", "port"} if node.func.id == "_fault" else set()
            )
            for literal in ast.walk(node.args[1]):
                if isinstance(literal, ast.Constant) and literal.value in CAUSES:
                    yield str(literal.value), given


def test_a_check_fills_in_the_whole_template() -> None:
    """A field that no check gives would end the run with a traceback."""
    reports = list(calls())
    assert len(reports) > 60
    for name, given in reports:
        cause = CAUSES[name]
        fields = {
            field for _, field, _, _ in Formatter().parse(cause.sentence + cause.fix) if field
        }
        assert fields <= given, name
