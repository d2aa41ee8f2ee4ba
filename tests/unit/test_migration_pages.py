"""docs/migration: each server that can be imported has a page, and the pages name settings that exist."""

import re
from pathlib import Path

import pytest

from pusher_server.app import App
from pusher_server.config.problems import settings_in
from pusher_server.config.settings import SECTIONS
from pusher_server.migration.environment import STYLES
from pusher_server.migration.sources import PEERS

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "migration"
PAGES = sorted(FOLDER.glob("*.md"))
SETTINGS = {
    setting for name, struct in SECTIONS.items() for setting in settings_in(struct, name)
} | {setting.removeprefix("app.") for setting in settings_in(App, "app")}
#: Tables whose settings a page may name.
FIRST = {setting.partition(".")[0] for setting in SETTINGS if "." in setting}


def test_every_server_has_a_page() -> None:
    """And no other."""
    assert [page.stem for page in PAGES] == sorted(PEERS)


def ours(page: Path) -> set[str]:
    """The settings in the second column of a page's first table, by their full names."""
    rows = re.findall(r"^\| .+? \| (.+) \|$", page.read_text("utf-8").partition("`-1`")[0], re.M)
    named = set(re.findall(r"`([a-z_]+(?:\.[a-z_]+)+)(?: = [^`]+)?`", " ".join(rows)))
    return {name for name in named if name.partition(".")[0] in FIRST}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_names_settings_that_exist(page: Path) -> None:
    """As `config.example.toml` has them."""
    named = ours(page)
    assert named
    tables = {setting.rpartition(".")[0] for setting in SETTINGS}
    assert named - SETTINGS - tables == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_has_the_same_parts(page: Path) -> None:
    """What stays, what changes, ten minutes, the way back."""
    headings = re.findall(r"^## (.+)$", page.read_text("utf-8"), re.M)
    assert headings == ["What stays", "What changes", "Ten minutes", "The way back"]


@pytest.mark.parametrize("style", STYLES)
def test_a_style_of_variables_is_on_the_page_of_its_server(style: str) -> None:
    """As a command to paste."""
    assert f"--env-style {style}" in (FOLDER / f"{style}.md").read_text("utf-8")
