"""The house rules that no other tool checks, and ARCHITECTURE.md against the package."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
PACKAGE = TOP / "pusher_server"
MODULES = sorted(PACKAGE.rglob("*.py"))

FILE_LINES = 400
FUNCTION_LINES = 60

#: Names that say nothing about what is inside.
SHAPELESS = {"utils", "util", "helpers", "common", "manager", "handler", "service", "base", "misc"}

#: Time, randomness and the network come into these as arguments.
CORE = ("app.py", "histogram.py", "signals.py", "protocol", "auth", "hub")
OUTSIDE = {"asyncio", "time", "random", "secrets", "socket", "ssl", "logging", "threading", "os"}


def name_of(path: Path) -> str:
    """A module as ARCHITECTURE.md writes it: `hub/channel.py`."""
    return path.relative_to(PACKAGE).as_posix()


every_module = pytest.mark.parametrize("path", MODULES, ids=name_of)


def imported(tree: ast.Module) -> Iterator[str]:
    """The top-level packages that a module imports, wherever in it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            yield node.module.partition(".")[0]


@every_module
def test_a_file_is_short(path: Path) -> None:
    """400 lines at most: a longer one has two subjects."""
    assert len(path.read_text("utf-8").splitlines()) <= FILE_LINES


@every_module
def test_functions_are_short(path: Path) -> None:
    """60 lines at most, docstring and signature included."""
    functions = [
        node
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    lengths = {node.name: (node.end_lineno or 0) - node.lineno + 1 for node in functions}
    assert {name: lines for name, lines in lengths.items() if lines > FUNCTION_LINES} == {}


@every_module
def test_a_module_says_what_it_is_for(path: Path) -> None:
    """In its docstring."""
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


@every_module
def test_a_name_is_a_noun_with_a_subject(path: Path) -> None:
    """Neither a module nor a folder has a name that fits everything."""
    words = {
        word for part in path.relative_to(PACKAGE).with_suffix("").parts for word in part.split("_")
    }
    assert not words & SHAPELESS


@pytest.mark.parametrize(
    "path", [path for path in MODULES if name_of(path).split("/")[0] in CORE], ids=name_of
)
def test_the_core_does_no_io_and_keeps_no_clock(path: Path) -> None:
    """Also inside functions and behind TYPE_CHECKING."""
    assert not OUTSIDE & set(imported(ast.parse(path.read_text("utf-8"))))


def test_the_core_is_all_there() -> None:
    """A renamed room must not fall out of the rule above."""
    assert {name_of(path).split("/")[0] for path in MODULES} >= set(CORE)


def test_the_page_names_every_module_and_no_other() -> None:
    """ARCHITECTURE.md is the map; `__init__.py` stands for its folder."""
    page = (TOP / "ARCHITECTURE.md").read_text("utf-8")
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_]+\.py)`", page))
    folders = set(re.findall(r"\*\*([a-z_]+)/\*\*", page))
    modules = {name_of(path) for path in MODULES}
    assert named - modules == set()
    assert {name for name in modules if not name.endswith("__init__.py")} - named == set()
    assert folders <= {path.parent.name for path in MODULES}


def test_the_page_names_things_that_exist() -> None:
    """`Class.method` and `Class` in the journeys are found in the code."""
    page = (TOP / "ARCHITECTURE.md").read_text("utf-8")
    defined: dict[str, set[str]] = {}
    for path in MODULES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.ClassDef):
                defined.setdefault(node.name, set()).update(_members(node))
    missing = [
        f"{owner}.{member}"
        for owner, member in re.findall(r"`([A-Z][A-Za-z]+)\.([a-z_]\w*)", page)
        if member not in defined.get(owner, set())
    ]
    assert missing == []


def _members(owner: ast.ClassDef) -> set[str]:
    """Methods, annotated fields, and attributes that methods set on `self`."""
    found: set[str] = set()
    for node in ast.walk(owner):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
    return found


def test_contributing_lists_the_tiers() -> None:
    """Every directory of tests that `make test` runs is explained, and no other."""
    runner = ast.parse((TOP / "scripts" / "run_checks.py").read_text("utf-8"))
    (tiers,) = [
        ast.literal_eval(node.value)
        for node in runner.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "TIERS"
    ]
    page = (TOP / "CONTRIBUTING.md").read_text("utf-8")
    assert re.findall(r"^\| `tests/(\w+)` \|", page, re.M) == list(tiers)
