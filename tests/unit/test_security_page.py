"""docs/security.md tells the bounds that the code has."""

import importlib
import re
from pathlib import Path

import pytest

from pusher_server import turns
from tests.abuse import trial
from tests.unit.test_docs import defaults_in_code

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "security.md").read_text("utf-8")
#: What is said, in words, and by which setting or constant.
ROWS: list[tuple[str, str]] = re.findall(r"^\| [^|]+ \| ([^|]+) \| `([\w.]+)` \|$", PAGE, re.M)
NAMES = [name for _, name in ROWS]


def in_code(name: str) -> object:
    """The default of a setting, or a constant."""
    settings = defaults_in_code()
    if name in settings:
        return settings[name]
    module, _, constant = name.rpartition(".")
    return getattr(importlib.import_module(module), constant)


@pytest.mark.parametrize(("text", "name"), ROWS, ids=NAMES)
def test_a_bound_on_the_page_is_the_bound_in_the_code(text: str, name: str) -> None:
    number = text.split()[0]
    documented = 0.0 if number == "off" else float(number.replace(",", ""))
    assert documented == in_code(name)


def test_no_bound_is_told_twice() -> None:
    assert len(NAMES) == len(set(NAMES)) > 20


def test_the_bounds_of_a_turn_are_told() -> None:
    bounds = {name for name in vars(turns) if name.isupper()}
    assert {f"pusher_server.turns.{name}" for name in bounds} <= set(NAMES)


@pytest.mark.parametrize("table", ["defaults.limits.", "websocket.", "http."])
def test_every_setting_that_bounds_a_client_is_told(table: str) -> None:
    """But those on what needs a signature, and those that are no bounds."""
    elsewhere = re.compile(
        r".*(event_|batch_|_name_length|user_id_length|watchlist|json_errors|cors)"
    )
    bounds = {name for name in defaults_in_code() if name.startswith(table)}
    assert {name for name in bounds if not elsewhere.match(name)} <= set(NAMES)


def test_how_it_is_judged_is_told() -> None:
    assert f"at most {trial.RATIO:g} times" in PAGE
    assert f"at most {trial.FLOOR * 1_000:g} ms" in PAGE
    assert f"p99 of {trial.GOAL * 1_000:g} ms" in PAGE
